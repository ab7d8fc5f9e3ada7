"""agebackup schedule"""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from agebackup.cli.console import Console, console
from agebackup.cli.scope import now
from agebackup.cli.settings import Group, current, global_options
from agebackup.errors import AgebackupError, printable

if TYPE_CHECKING:
    from agebackup.scheduling.installed import Installed
    from agebackup.scheduling.job import Job, Timers

_EVERY = "30m, 1h, daily, weekly, or a time of the day such as 03:30; daily by default."


def _kinds(command: Any) -> Any:
    kind = click.Choice(["systemd", "launchd", "cron"])
    for option in (
        click.option("--system", is_flag=True, help="The machine's own systemd, for root."),
        click.option("--kind", type=kind, help="This kind, not the best one that works here."),
    ):
        command = option(command)
    return command


@click.group("schedule", cls=Group, short_help="Timers.")
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
    from agebackup.cli.noted import known_or_found, name_of, note
    from agebackup.cli.showing_timers import local, paths, would_install
    from agebackup.cli.timing import doubts, job_of, require_able, timers_for
    from agebackup.cli.tryout import tried_out
    from agebackup.model.calendar import Every
    from agebackup.scheduling import Installed

    out = console(current(), "schedule-install")
    every = Every.parse(options["every"] if options["every"] is not None else "daily")
    job = job_of(name_of(app) or None, every, out)
    timers = timers_for(options["kind"], out, system=options["system"])
    if options["printed"] or options["diff"]:
        return would_install(timers, job, out, diff=options["diff"])
    require_able(timers, out)
    known, begun = known_or_found(out), now().replace(microsecond=0)
    record = Installed(job.app, every, timers.kind, begun, options["system"])
    _put_in(timers, job, before=known.get(job.app))
    note({**known, job.app: record})
    _retire(known.get(job.app), record, out)
    following, what = every.next_after(begun), job.app or "all apps"
    out.output.say(
        f"The timer of {what} is installed ({timers.kind}, {every.text}; next {local(following)})."
    )
    for text in (*doubts(job, known, out), *timers.doubts(job)):
        out.output.warn(text)
    tried = None if options["no_run"] else tried_out(timers, job, out)
    for path in tried.archives if tried else ():
        out.output.say(f"Made: {printable(path)}")
    code, places = tried.code if tried else None, sorted(timers.present(job.app))
    out.output.result_of_work(
        paths(places),
        status="failed" if code else "ok",
        exit=code or 0,
        app=app,
        kind=timers.kind,
        system=record.system,
        every=every.text,
        run=code,
        places=places,
        next_run=following.isoformat(),
        archives=list(tried.archives) if tried else [],
        pruned=list(tried.pruned) if tried else [],
    )
    return code or 0


@command.command("remove")
@click.argument("app", required=False)
@_kinds
@global_options
def remove(app: str | None, **options: Any) -> int:
    """Remove the timer of APP, or the one for all apps; fine if there is none."""
    from agebackup.cli.noted import known_at_best, name_of, note, require_declared
    from agebackup.cli.timing import timers_for, timers_here, timers_where

    out, name = console(current(), "schedule-remove"), name_of(app)
    known = dict(known_at_best(out))
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
        note(known)
    elif not removed and name not in known:
        require_declared(name, out)
    out.output.say("Removed." if removed else "There was no such timer.")
    out.output.result_of_work("", app=app, removed=removed)
    return 0


@command.command("show")
@click.argument("app", required=False)
@click.option("--diff", is_flag=True, help="Show how what is installed differs from what would be.")
@global_options
def show(app: str | None, *, diff: bool) -> int:
    """Show the installed timers: kind, how often, when next, and since when."""
    from agebackup.cli.noted import known, name_of, required
    from agebackup.cli.showing_timers import show_differences, show_timers

    out = console(current(), "schedule-show")
    noted = known()
    chosen = list(noted.values()) if app is None else [required(noted, name_of(app), out)]
    if diff:
        show_differences(chosen, out)
    else:
        show_timers(chosen, out)
    return 0


@command.command("run-now")
@click.argument("app", required=False)
@global_options
def run_now(app: str | None) -> int:
    """Run the installed job of APP now, as the timer does, and exit with its code.

    Prints the paths of the archives that it made. It is not tried again: it fails at once.
    """
    from agebackup.cli.noted import known, name_of, required
    from agebackup.cli.timing import job_of, timers_where
    from agebackup.cli.tryout import tried_out

    out = console(current(), "schedule-run-now")
    one = required(known(), name_of(app), out)
    tried = tried_out(timers_where(one, out), job_of(app, one.every, out), out)
    out.output.result_of_work(
        "\n".join(map(printable, tried.archives)),
        status="failed" if tried.code else "ok",
        exit=tried.code,
        app=app,
        archives=list(tried.archives),
        pruned=list(tried.pruned),
    )
    return tried.code


def _put_in(timers: "Timers", job: "Job", *, before: "Installed | None") -> None:
    """Install the job; where that fails and there was none before, leave none half installed."""
    try:
        timers.install(job)
    except AgebackupError:
        if before is None:
            with suppress(AgebackupError):
                timers.remove(job.app)
        raise


def _retire(before: "Installed | None", record: "Installed", out: Console) -> None:
    """Remove a timer of another kind: two of them would run the app twice."""
    from agebackup.cli.timing import timers_where

    if before is None or (before.kind, before.system) == (record.kind, record.system):
        return
    try:
        timers_where(before, out).remove(before.app)
    except AgebackupError as error:
        out.output.warn(f"The earlier timer ({before.kind}) is still there: {error.message}")
