"""agebackup schedule"""

import difflib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from agebackup.cli import directories
from agebackup.cli.console import Console, console
from agebackup.cli.scope import now
from agebackup.cli.settings import current, global_options
from agebackup.errors import AgebackupError, FailedError, NotFoundError, printable
from agebackup.model.names import require_app

if TYPE_CHECKING:
    from agebackup.scheduling.installed import Installed
    from agebackup.scheduling.job import Job, Timers

_Files = Mapping[str, str]
"""Text by the place that it goes to, or was found in."""
_EVERY = "30m, 1h, daily, weekly, or a time of the day such as 03:30; daily by default."


def _kinds(command: Any) -> Any:
    kind = click.Choice(["systemd", "launchd", "cron"])
    for option in (
        click.option("--system", is_flag=True, help="The machine's own systemd, for root."),
        click.option("--kind", type=kind, help="This kind, not the best one that works here."),
    ):
        command = option(command)
    return command


@click.group("schedule", short_help="Timers.")
@global_options
def command() -> None:
    """Install, remove and show the timer that starts `agebackup run`."""


@command.command("install")
@click.argument("app", required=False)
@click.option("--every", metavar="WHEN", help=_EVERY)
@_kinds
@click.option("--print", "printed", is_flag=True, help="Only show what would be installed.")
@click.option("--diff", is_flag=True, help="Only show what would change.")
@click.option("--no-run", is_flag=True, help="Do not run the installed job once.")
@global_options
def install(app: str | None, **options: Any) -> int:
    """Install the timer of APP, or one for all apps, and run it once as it will run at night.

    Chosen by what works here: launchd, systemd's user timers, cron. What was installed before is
    replaced. The app counts as enabled from then on. Exits with the code of that one run.
    """
    from agebackup.cli.timing import doubts, job_of, timers_for
    from agebackup.cli.tryout import tried_out
    from agebackup.model.calendar import Every
    from agebackup.scheduling import Installed

    out = console(current(), "schedule-install")
    every = Every.parse(options["every"] if options["every"] is not None else "daily")
    job = job_of(_name(app) or None, every, out)
    timers = timers_for(options["kind"], out, system=options["system"])
    if options["printed"] or options["diff"]:
        return _would_install(timers, job, out, diff=options["diff"])
    timers.require()
    known, begun = _known_at_best(out), now().replace(microsecond=0)
    record = Installed(job.app, every, timers.kind, begun, options["system"])
    _put_in(timers, job, before=known.get(job.app))
    _remember({**known, job.app: record})
    _retire(known.get(job.app), record, out)
    what = job.app or "all apps"
    out.output.say(f"The timer of {what} is installed ({timers.kind}, {every.text}).")
    for text in (*doubts(app, out), *timers.doubts(job)):
        out.output.warn(text)
    code = None if options["no_run"] else tried_out(timers, job, out)
    places = sorted(timers.present(job.app))
    out.output.result_of_work(
        "\n".join(map(printable, places)),
        status="failed" if code else "ok",
        exit=code or 0,
        app=app,
        kind=timers.kind,
        system=record.system,
        every=every.text,
        run=code,
        places=places,
        next_run=every.next_after(now()).isoformat(),
    )
    return code or 0


@command.command("remove")
@click.argument("app", required=False)
@_kinds
@global_options
def remove(app: str | None, **options: Any) -> int:
    """Remove the timer of APP, or the one for all apps; fine if there is none."""
    from agebackup.cli.timing import timers_for, timers_here, timers_where

    out, name = console(current(), "schedule-remove"), _name(app)
    known = dict(_known_at_best(out))
    here: Sequence[Timers]
    if options["kind"] or options["system"]:
        here = [timers_for(options["kind"], out, system=options["system"])]
    elif name in known:
        here = [timers_where(known[name], out)]
    else:
        here = [one for one in timers_here(out, system=False) if not one.trouble()]
    removed = any([timers.remove(name) for timers in here])
    if name in known and known[name].kind in {timers.kind for timers in here}:
        del known[name]
        _remember(known)
    out.output.say("Removed." if removed else "There was no such timer.")
    out.output.result_of_work("", app=app, removed=removed)
    return 0


@command.command("show")
@click.argument("app", required=False)
@click.option("--diff", is_flag=True, help="Show how what is installed differs from what would be.")
@global_options
def show(app: str | None, *, diff: bool) -> int:
    """Show the installed timers: kind, how often, when next, and since when."""
    out = console(current(), "schedule-show")
    known = _known()
    chosen = [_required(known, _name(app))] if app is not None else list(known.values())
    if diff:
        lines, rows = _differences(chosen, out)
    else:
        rows = [_row(one, out) for one in chosen]
        lines = [_line(row) for row in rows] or ["No timer is installed."]
    out.output.result("\n".join(lines), timers=rows)
    return 0


@command.command("run-now")
@click.argument("app", required=False)
@global_options
def run_now(app: str | None) -> int:
    """Run the installed job of APP now, as the timer does, and exit with its code."""
    from agebackup.cli.timing import job_of, timers_where
    from agebackup.cli.tryout import tried_out

    out = console(current(), "schedule-run-now")
    one = _required(_known(), _name(app))
    code = tried_out(timers_where(one, out), job_of(app, one.every, out), out)
    out.output.result_of_work("", status="failed" if code else "ok", exit=code, app=app)
    return code


def _put_in(timers: "Timers", job: "Job", *, before: "Installed | None") -> None:
    """Install the job; where that fails and there was none before, leave none half installed."""
    try:
        timers.install(job)
    except AgebackupError:
        if before is None:
            with suppress(AgebackupError):
                timers.remove(job.app)
        raise


def _would_install(timers: "Timers", job: "Job", out: Console, *, diff: bool) -> int:
    rendered = timers.render(job)
    present = timers.present(job.app) if diff else {}
    lines = _diff(present, rendered) if diff else []
    for place, text in () if diff else rendered.items():
        lines += [f"# {place}", *text.splitlines()]
    fields = {"files": dict(rendered), **({"installed": dict(present)} if diff else {})}
    out.output.result("\n".join(lines), **fields)
    return 0


def _differences(
    chosen: "Sequence[Installed]", out: Console
) -> tuple[list[str], list[dict[str, Any]]]:
    from agebackup.cli.timing import job_of, timers_where

    lines: list[str] = []
    rows = []
    for one in chosen:
        timers = timers_where(one, out)
        rendered = timers.render(job_of(one.app or None, one.every, out))
        present = timers.present(one.app)
        lines += _diff(present, rendered)
        rows.append({"app": one.app or None, "files": dict(rendered), "installed": dict(present)})
    return lines, rows


def _diff(present: _Files, rendered: _Files) -> list[str]:
    lines: list[str] = []
    for place in sorted({*rendered, *present}):
        texts = (present.get(place, "").splitlines(), rendered.get(place, "").splitlines())
        lines += difflib.unified_diff(*texts, f"{place} (installed)", place, lineterm="")
    return lines


def _retire(before: "Installed | None", record: "Installed", out: Console) -> None:
    """Remove a timer of another kind: two of them would run the app twice."""
    from agebackup.cli.timing import timers_where

    if before is None or (before.kind, before.system) == (record.kind, record.system):
        return
    try:
        timers_where(before, out).remove(before.app)
    except AgebackupError as error:
        out.output.warn(f"The earlier timer ({before.kind}) is still there: {error.message}")


def _known() -> "Mapping[str, Installed]":
    from agebackup.scheduling import installed

    return installed(directories.schedule_file())


def _known_at_best(out: Console) -> "Mapping[str, Installed]":
    """Return the installed timers; where the file is damaged none, with a warning."""
    try:
        return _known()
    except FailedError as error:
        out.output.warn(f"{error.message} So every timer has to be installed again.")
        return {}


def _required(known: "Mapping[str, Installed]", name: str) -> "Installed":
    if name not in known:
        raise NotFoundError(
            f"No timer of {name or 'all apps'} was installed here.",
            hint=f"Install it first: agebackup schedule install {name}".rstrip(),
        )
    return known[name]


def _name(app: str | None) -> str:
    return "" if app is None else require_app(app)


def _remember(timers: "Mapping[str, Installed]") -> None:
    from agebackup.scheduling.installed import remember

    remember(directories.schedule_file(), timers, directories.claims())


def _row(one: "Installed", out: Console) -> dict[str, Any]:
    from agebackup.cli.timing import timers_where

    return {
        "app": one.app or None,
        "kind": one.kind,
        "system": one.system,
        "every": one.every.text,
        "next_run": one.every.next_after(now()).isoformat(),
        "since": one.since.isoformat(),
        "present": bool(timers_where(one, out).present(one.app)),
    }


def _line(row: Mapping[str, Any]) -> str:
    what = f"{row['app'] or 'all apps'}: {row['kind']}, {row['every']}"
    if not row["present"]:
        return f"{what}, but it is GONE: agebackup schedule install {row['app'] or ''}".rstrip()
    return f"{what}, next {row['next_run']}, installed {row['since']}"
