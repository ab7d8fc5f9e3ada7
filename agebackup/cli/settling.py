"""What a command does first: settle the restores into applications that were cut off."""

import os
from typing import TYPE_CHECKING, Any

from agebackup.cli import directories
from agebackup.cli.console import Console, console
from agebackup.cli.settings import Settings
from agebackup.errors import (
    AgebackupError,
    BusyError,
    FailedError,
    RefusedError,
    UsageError,
    shortened,
)
from agebackup.system.syncing import explained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agebackup.model.findings import Finding


def settle_found(settings: Settings) -> None:
    """Settle every swap that a dead run left, and say on one line each which way it went.

    What is at work is told, and left alone. What cannot be settled is a warning here: a command
    that goes on with that very app refuses. JSON results tell all of it as `settled`.
    """
    to = console(settings, settings.command)
    for app in _apps(to):
        settings.settled += _settled(app, to)


def _settled(app: str, to: Console) -> list[dict[str, Any]]:
    from agebackup.cli.supervising import journal
    from agebackup.operations.settling import settle
    from agebackup.system.lock import exclusive

    found: list[dict[str, Any]] = []
    known = directories.swap_records(app)
    try:
        if not known.open():
            return []
        lock = exclusive(
            directories.lock_file(app),
            wait_seconds=0,
            what=f"another run of {app}",
            progress=to.progress,
        )
        with lock:
            log = journal(to)
            for one in settle(known):
                found.append({"app": app, "id": one.id, "way": one.way, "message": one.words})
                to.output.warn(one.words)
                log.event(f"restore-{one.way}", one.app, id=one.id, message=one.words)
    except BusyError:
        text = f"A restore or an undo of {app} is under way."
        found.append({"app": app, "way": "under-way", "message": text})
        to.output.warn(text)
    except AgebackupError as error:
        text = error.message
        if not isinstance(error, RefusedError):
            text = f"A restore of {app} that was cut off is not settled: {text}"
        more = list(error.details)
        told = {"exit": error.code, "message": text, "hint": error.hint, "details": more}
        found.append({"app": app, "way": "refused", **told})
        to.output.warn("\n  - ".join([f"{text} {error.hint}", *shortened(more)]))
    return found


def unsettled(settings: Settings) -> "Iterator[Finding]":
    """Yield what could not be settled when this command began."""
    from agebackup.model.findings import Finding

    for one in settings.settled:
        if one["way"] == "refused":
            yield Finding(
                "error",
                "restore-unsettled",
                one["app"],
                one["message"],
                one["hint"],
            )


def journalled() -> tuple[str, ...]:
    """Return the apps of which there is any journal of a restore; raises `FailedError`."""
    directory = directories.swaps_path()
    with explained(directory):
        try:
            names = sorted(os.listdir(directory))
        except FileNotFoundError:
            return ()
        return tuple(name for name in names if any((directory / name).glob("*.json")))


def _apps(to: Console) -> tuple[str, ...]:
    try:
        return journalled()
    except UsageError:  # without a place for state there is none
        return ()
    except FailedError as error:
        to.output.warn(f"Whether a restore was cut off is not known: {error.message}")
        return ()
