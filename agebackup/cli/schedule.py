"""agebackup schedule"""

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from agebackup.cli.console import Console, console
from agebackup.cli.reading import FILE
from agebackup.cli.scope import now
from agebackup.cli.settings import Group, current, global_options
from agebackup.errors import AgebackupError, UsageError, printable

if TYPE_CHECKING:
    from agebackup.scheduling.installed import Installed
    from agebackup.scheduling.job import Job, Task, Timers

_EVERY = "30m, 1h, daily, weekly, monthly, or a time such as 03:30; daily by default."


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
@click.option("--drill", metavar="WHEN", help="A timer of drills, beside that of backups: monthly.")
@click.option(
    "-i",
    "--identity",
    "identities",
    multiple=True,
    type=FILE,
    help="With --drill: the private key's file, whose path is noted, never its content.",
)
@_kinds
@click.option("--print", "printed", is_flag=True, help="Only show what would be installed.")
@click.option("--diff", is_flag=True, help="Only show what would change.")
@click.option("--no-run", is_flag=True, help="Do not run the installed job once.")
@global_options
def install(app: str | None, **options: Any) -> int:
    """Install the timer of APP, or one for all apps, and run it once as it will run at night.

    Chosen by what works here: launchd, systemd's user timers, cron. What was installed before is
    replaced. The app counts as enabled from then on. Exits with the code of that one run. With
    --drill the timer drills archives instead (see `drill`), beside the one that makes them; it
    needs a private key on this machine that no passphrase protects.
    """
    from agebackup.cli.noted import known_or_found, note
    from agebackup.cli.showing_timers import local, paths, would_install
    from agebackup.cli.timing import doubts, job_where, require_able, timers_for
    from agebackup.cli.tryout import tried_out

    out = console(current(), "schedule-install")
    wanted = _wanted(app, options, out)
    job, every, task = job_where(wanted, out), wanted.every, wanted.task
    timers = timers_for(options["kind"], out, system=options["system"], task=task)
    if options["printed"] or options["diff"]:
        return would_install(timers, job, out, diff=options["diff"])
    require_able(timers, out)
    known, record = known_or_found(out, task), replace(wanted, kind=timers.kind)
    _put_in(timers, job, before=known.get(job.app))
    note({**known, job.app: record}, task)
    _retire(known.get(job.app), record, out)
    following, what = every.next_after(record.since), job.app or "all apps"
    what = f"drills of {what}" if task == "drill" else what
    out.output.say(
        f"The timer of {what} is installed ({timers.kind}, {every.text}; next {local(following)})."
    )
    for text in (*doubts(job, known, out), *timers.doubts(job)):
        out.output.warn(text)
    tried = None if options["no_run"] else tried_out(timers, job, out)
    for path in tried.archives if tried else ():
        out.output.say(f"Made: {printable(path)}")
    for name in tried.drilled if tried else ():
        out.output.say(f"Drilled: {printable(name)}")
    code, places = tried.code if tried else None, sorted(timers.present(job.app))
    out.output.result_of_work(
        paths(places),
        status="failed" if code else "ok",
        exit=code or 0,
        app=app,
        task=task,
        kind=timers.kind,
        system=record.system,
        every=every.text,
        run=code,
        places=places,
        next_run=following.isoformat(),
        archives=list(tried.archives) if tried else [],
        pruned=list(tried.pruned) if tried else [],
        drilled=list(tried.drilled) if tried else [],
    )
    return code or 0


def _wanted(app: str | None, options: dict[str, Any], out: Console) -> "Installed":
    """Return what is to be installed, but for its kind, which is found later."""
    from agebackup.cli.drill_timers import require_identities
    from agebackup.cli.noted import name_of
    from agebackup.model.calendar import Every
    from agebackup.scheduling import Installed

    drill, every, system = options["drill"], options["every"], options["system"]
    if drill is not None and every is not None:
        raise UsageError("--every and --drill are two timers.", hint="Install one after the other.")
    if drill is None and options["identities"]:
        raise UsageError(
            "A timer of backups needs no private key, and gets none.",
            hint="-i goes with --drill: agebackup schedule install APP --drill monthly -i KEY",
        )
    name, since = name_of(app), now().replace(microsecond=0)
    if drill is None:
        return Installed(name, Every.parse("daily" if every is None else every), "", since, system)
    rhythm = Every.parse(drill)
    identities = require_identities(options["identities"], out)
    return Installed(name, rhythm, "", since, system, "drill", identities)


@command.command("remove")
@click.argument("app", required=False)
@click.option("--drill", is_flag=True, help="Only the timer of drills, not that of backups.")
@_kinds
@global_options
def remove(app: str | None, **options: Any) -> int:
    """Remove the timers of APP, or those for all apps, drills included; fine if there is none."""
    from agebackup.cli.noted import name_of, require_declared
    from agebackup.cli.removing_timers import remove_timer

    out, name = console(current(), "schedule-remove"), name_of(app)
    tasks: tuple[Task, ...] = ("drill",) if options["drill"] else ("backup", "drill")
    done = [remove_timer(name, task, options, out) for task in tasks]
    removed = any(one.removed for one in done)
    if not removed and not any(one.noted for one in done):
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
    noted, drills = known(), known("drill")
    if app is None:
        chosen = [*noted.values(), *drills.values()]
    else:
        name = name_of(app)
        chosen = [] if name in drills and name not in noted else [required(noted, name, out)]
        chosen += [drills[name]] if name in drills else []
    if diff:
        show_differences(chosen, out)
    else:
        show_timers(chosen, out)
    return 0


@command.command("run-now")
@click.argument("app", required=False)
@click.option("--drill", is_flag=True, help="The timer of drills.")
@global_options
def run_now(app: str | None, *, drill: bool) -> int:
    """Run the installed job of APP now, as the timer does, and exit with its code.

    Prints the paths of the archives that it made, or the names of those that it drilled. It is not
    tried again: it fails at once.
    """
    from agebackup.cli.noted import known, name_of, required
    from agebackup.cli.timing import job_where, timers_where
    from agebackup.cli.tryout import tried_out

    out = console(current(), "schedule-run-now")
    task: Task = "drill" if drill else "backup"
    one = required(known(task), name_of(app), out, task)
    tried = tried_out(timers_where(one, out), job_where(one, out), out)
    out.output.result_of_work(
        "\n".join(map(printable, (*tried.archives, *tried.drilled))),
        status="failed" if tried.code else "ok",
        exit=tried.code,
        app=app,
        archives=list(tried.archives),
        pruned=list(tried.pruned),
        drilled=list(tried.drilled),
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
