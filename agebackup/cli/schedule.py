"""agebackup schedule"""

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from agebackup.cli import directories
from agebackup.cli.console import Console, console
from agebackup.cli.scope import now
from agebackup.cli.settings import current, global_options
from agebackup.errors import AgebackupError, NotFoundError, printable

if TYPE_CHECKING:
    from agebackup.scheduling.installed import Installed
    from agebackup.scheduling.job import Job, Timers

_EVERY = "1h, 30m, daily, weekly, or a time of the day such as 03:30; daily by default."


def _kinds(command: Any) -> Any:
    kind = click.Choice(["systemd", "launchd", "cron"])
    for option in (
        click.option("--system", is_flag=True, help="The machine's own systemd, for root."),
        click.option("--kind", type=kind, help="This kind, not what there is."),
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

    Chosen by what there is: systemd's user timers, launchd, cron. What was installed before is
    replaced. The app counts as enabled from then on. Exits with the code of that one run.
    """
    from agebackup.cli.timing import doubts, job_of, timers_for
    from agebackup.model.calendar import Every

    out = console(current(), "schedule-install")
    every = Every.parse(options["every"] or "daily")
    job = job_of(app, every, out)
    timers = timers_for(options, out)
    if options["printed"] or options["diff"]:
        return _shown(timers, job, out, diff=options["diff"])
    known = _known(out)
    _replace(known.get(job.app), timers, out)
    timers.install(job)
    _remember({**known, job.app: _record(job, timers)})
    what = job.app or "all apps"
    out.output.say(f"The timer of {what} is installed ({timers.kind}, {every.text}).")
    for text in (*doubts(app, out), *timers.doubts(job)):
        out.output.warn(text)
    code = None if options["no_run"] else _run(timers, job, out)
    places = sorted(timers.present(job.app))
    status = "ok" if not code else "failed"
    fields = {"app": job.app or None, "kind": timers.kind, "every": every.text, "run": code}
    next_run = every.next_after(now()).isoformat()
    out.output.result_of_work(
        "\n".join(map(printable, places)),
        status=status,
        exit=code or 0,
        **fields,
        places=places,
        next_run=next_run,
    )
    return code or 0


@command.command("remove")
@click.argument("app", required=False)
@_kinds
@global_options
def remove(app: str | None, **options: Any) -> int:
    """Remove the timer of APP, or the one for all apps; fine if there is none."""
    from agebackup.cli.timing import timers_for

    out = console(current(), "schedule-remove")
    known = _known(out)
    name = app or ""
    if options["kind"] is None and name in known:
        options["kind"] = known[name].kind
    removed = timers_for(options, out).remove(name)
    _remember({key: one for key, one in known.items() if key != name})
    out.output.say("Removed." if removed else "There was no such timer.")
    out.output.result_of_work("", app=app, removed=removed)
    return 0


@command.command("show")
@click.argument("app", required=False)
@_kinds
@click.option("--diff", is_flag=True, help="Show how what is installed differs from what would be.")
@global_options
def show(app: str | None, **options: Any) -> int:
    """Show the installed timers: kind, how often, when next, and since when."""
    from agebackup.cli.timing import job_of, timers_for

    out = console(current(), "schedule-show")
    known = _known(out)
    chosen = {name: one for name, one in known.items() if app in (None, name)}
    if app is not None and not chosen:
        raise NotFoundError(
            f"No timer of {printable(app)} was installed here.",
            hint=f"Install one: agebackup schedule install {printable(app)}",
        )
    if options["diff"]:
        for name, one in chosen.items():
            timers = timers_for({**options, "kind": one.kind}, out)
            _shown(timers, job_of(name or None, one.every, out), out, diff=True)
        return 0
    rows = [_row(one) for one in chosen.values()]
    lines = [
        f"{row['app'] or 'all apps'}: {row['kind']}, {row['every']}, next {row['next_run']}, "
        f"installed {row['since']}"
        for row in rows
    ]
    out.output.result("\n".join(lines or ["No timer is installed."]), timers=rows)
    return 0


@command.command("run-now")
@click.argument("app", required=False)
@_kinds
@global_options
def run_now(app: str | None, **options: Any) -> int:
    """Run the installed job of APP now, as the timer does, and exit with its code."""
    from agebackup.cli.timing import job_of, timers_for

    out = console(current(), "schedule-run-now")
    known, name = _known(out), app or ""
    if name not in known:
        raise NotFoundError(
            f"No timer of {printable(name) or 'all apps'} was installed here.",
            hint="Install it first: agebackup schedule install.",
        )
    timers = timers_for({**options, "kind": known[name].kind}, out)
    code = _run(timers, job_of(app, known[name].every, out), out)
    out.output.result_of_work("", status="failed" if code else "ok", exit=code, app=app)
    return code


def _run(timers: "Timers", job: "Job", out: Console) -> int:
    """Try the installed job out; return its exit code, or 1 where it did not do what it should."""
    from agebackup.operations.wish import leave_wish, take_wish

    out.output.say("Running it once, as the timer will.")
    wish = directories.wish_file(job.app)
    leave_wish(wish, now(), directories.claims())
    code = timers.run(job)
    if take_wish(wish, now()) and not code:
        out.output.warn(
            "The job ended well, but did not look into this user's state directory "
            f"({printable(str(wish.parent.parent))}): at night it will not know what is due."
        )
        return 1
    if code:
        out.output.warn(
            f"The job ran and ended with {code}: nothing reliable will happen at night. "
            "The timer stays installed. See agebackup log."
        )
    else:
        out.output.say("The job ran well. See: agebackup status")
    return code


def _shown(timers: "Timers", job: "Job", out: Console, *, diff: bool) -> int:
    rendered, present = timers.render(job), timers.present(job.app)
    lines: list[str] = []
    for place in sorted({*rendered, *present}):
        before, after = present.get(place, ""), rendered.get(place, "")
        if diff:
            texts = (before.splitlines(), after.splitlines())
            lines += difflib.unified_diff(*texts, f"{place} (installed)", place, lineterm="")
        else:
            lines += [f"# {place}", *after.splitlines()]
    out.output.result("\n".join(lines), files=dict(rendered), installed=dict(present))
    return 0


def _replace(before: "Installed | None", timers: "Timers", out: Console) -> None:
    """Remove a timer of another kind: two of them would run the app twice."""
    from agebackup.cli.timing import timers_for

    if before is not None and before.kind != timers.kind:
        try:
            old = timers_for({"kind": before.kind, "system": False}, out)
            old.remove(before.app)
        except AgebackupError as error:
            out.output.warn(f"The earlier timer ({before.kind}) is still there: {error.message}")


def _known(out: Console) -> "Mapping[str, Installed]":
    from agebackup.scheduling import installed

    return installed(directories.schedule_file())


def _remember(timers: "Mapping[str, Installed]") -> None:
    from agebackup.scheduling.installed import remember

    remember(directories.schedule_file(), timers, directories.claims())


def _record(job: "Job", timers: "Timers") -> "Installed":
    from agebackup.scheduling.installed import Installed

    return Installed(job.app, job.every, timers.kind, now().replace(microsecond=0))


def _row(one: "Installed") -> dict[str, Any]:
    return {
        "app": one.app or None,
        "kind": one.kind,
        "every": one.every.text,
        "next_run": one.every.next_after(now()).isoformat(),
        "since": one.since.isoformat(),
    }
