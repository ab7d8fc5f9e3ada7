"""The notes of installed timers: read, required, written, and made again where they are damaged."""

from collections.abc import Iterator, Mapping
from contextlib import suppress

from agebackup.cli import directories
from agebackup.cli.console import Console
from agebackup.cli.scope import known_config, now
from agebackup.cli.timing import timers_here
from agebackup.errors import AgebackupError, FailedError, NotFoundError
from agebackup.model.calendar import Every
from agebackup.model.names import require_app
from agebackup.scheduling import Installed, installed
from agebackup.scheduling.installed import remember
from agebackup.scheduling.job import Task, Timers


def known(task: Task = "backup") -> Mapping[str, Installed]:
    """Return the installed timers by app; raises `FailedError` where the notes are damaged."""
    return installed(directories.schedule_file(task), task)


def known_at_best(out: Console, task: Task = "backup") -> Mapping[str, Installed]:
    """Return the installed timers; where the notes are damaged none, with a warning."""
    try:
        return known(task)
    except FailedError as error:
        out.output.warn(f"{error.message} {error.hint}")
        return {}


def known_or_found(out: Console, task: Task = "backup") -> Mapping[str, Installed]:
    """Return the installed timers; where the notes are damaged those that are found, told so.

    Otherwise writing one timer's note would forget all others, and `run` then leave their apps out.
    Those of drills are not looked for: with which key they drill, only the notes say.
    """
    try:
        return known(task)
    except FailedError as error:
        if task == "drill":
            out.output.warn(f"{error.message} Install every timer of drills again.")
            return {}
        found = dict(_found(out))
        listed = [
            f"{app or 'all apps'} ({one.kind}, {one.every.text})" for app, one in found.items()
        ]
        said = f"Found and noted again: {', '.join(listed)}." if listed else "None was found."
        out.output.warn(f"{error.message} {said}")
        return found


def note(timers: Mapping[str, Installed], task: Task = "backup") -> None:
    """Write the notes, durably, in place of what they said."""
    remember(directories.schedule_file(task), timers, directories.claims())


def required(
    timers: Mapping[str, Installed], name: str, out: Console, task: Task = "backup"
) -> Installed:
    """Return the timer of `name`; raise `NotFoundError`, or what `require_declared` raises."""
    if name not in timers:
        require_declared(name, out)
        again = f"agebackup schedule install {name}".rstrip()
        again += " --drill monthly -i KEY" if task == "drill" else ""
        raise NotFoundError(
            f"No timer of {'drills of ' if task == 'drill' else ''}{name or 'all apps'} was "
            "installed here.",
            hint=f"Install it first: {again}",
        )
    return timers[name]


def require_declared(name: str, out: Console) -> None:
    """Raise `UsageError`, with the likeliest name, for an app that the configuration does not have.

    A configuration that is absent, or cannot be read, is no reason to doubt a name.
    """
    config = None
    with suppress(AgebackupError):
        config = known_config(out)
    if name and config is not None:
        config.app(name)


def name_of(app: str | None) -> str:
    """Return what a timer is noted under: the app's name, or "" for all of them."""
    return "" if app is None else require_app(app)


def _found(out: Console) -> Iterator[tuple[str, Installed]]:
    """Yield each timer that is really there, of the best kind last: that one is to count."""
    begun = now().replace(microsecond=0)
    for system in (True, False):
        for timers in reversed(timers_here(out, system=system)):
            for app in _whose(timers, out, system=system):
                every = timers.rhythm(app)
                if every is None:
                    every = Every.parse("daily")
                    out.output.warn(
                        f"When the timer of {app or 'all apps'} ({timers.kind}) fires is not "
                        "known. Install it again."
                    )
                yield app, Installed(app, every, timers.kind, begun, system)


def _whose(timers: Timers, out: Console, *, system: bool) -> list[str]:
    """Return whose timers of a kind are there; a person's notes are not about root's."""
    if system and timers.person.uid:
        return []
    try:
        return list(timers.apps())
    except FailedError as error:
        if not timers.trouble():
            out.output.warn(error.message)
        return []
