"""Remove an archive from a folder so that the ledger always knows which were meant to go.

The decision is written down first, then the file goes, then that is written down too. A run that is
killed in between leaves a row that says "delete" and perhaps the file; `finish_deletions` ends it.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

from agebackup.destinations.interface import Destination
from agebackup.errors import FailedError, RefusedError
from agebackup.ledger import Ledger
from agebackup.model.inventory import FolderEntry, Held, Inventory, record_of, reliable
from agebackup.model.records import ArchiveRecord
from agebackup.model.whereabouts import is_folder_key
from agebackup.operations.astray import astray
from agebackup.operations.inventory import take_inventory
from agebackup.system.progress import Progress

FINISHED = "an earlier run had decided so"
"""Why an archive goes whose deletion was cut short, for the log."""


class KeptThereError(RefusedError):
    """The place itself keeps the archive: it is locked there, or nothing may be deleted."""


def remove(held: Held, folder: Destination, ledger: Ledger, now: datetime, why: str) -> None:
    """Remove the archive `held` from `folder`, recording `why`.

    Raises `LedgerError` where the ledger refuses, `FailedError` where the folder fails, and
    `KeptThereError` where it keeps the file: then the decision is taken back, unless the file is
    gone all the same. Where it raises, the file is still there, or the ledger says that it was to
    go.
    """
    before = record_of(held, folder.key)
    record = ledger.amend(before, deleted=now, deleted_why=why, pending="delete")
    try:
        folder.remove(held.entry)
    except (FailedError, RefusedError) as error:
        if folder.has(held.entry.name):
            was = {name: getattr(before, name) for name in ("deleted", "deleted_why", "pending")}
            ledger.amend(record, **was)
        if isinstance(error, RefusedError):
            raise KeptThereError(error.message, hint=error.hint) from None
        raise
    ledger.amend(record, pending="")


def finish_deletions(
    app: str, folder: Destination, ledger: Ledger, now: datetime, progress: Progress
) -> Iterator[str]:
    """End the deletions of `app` in `folder` that were cut short; yield the name of each that went.

    To be called while no run of `app` is at work. A file stays that is not the one which was to go,
    that was marked as kept since, whose content is in the cloud by now, that the place keeps, or
    that became the last good archive: the decision is then taken back. In a folder that may not be
    the known one, what is absent stays undecided. Where a file cannot be removed, the others still
    go, and then what `Destination.remove` said is raised; also raises what `take_inventory` and
    the ledger raise.
    """
    rows = ledger.archives(app, destination=folder.key, deleted=True)
    unfinished = [row for row in rows if row.pending == "delete"]
    if not unfinished:
        return
    inventory = take_inventory(folder, ledger, now)
    failures = []
    for row in unfinished:
        progress.stop.check()
        try:
            if _finish(row, inventory, folder, ledger):
                yield row.name
        except FailedError as error:
            failures.append(error)
    if failures:
        raise failures[0]


def _finish(row: ArchiveRecord, inventory: Inventory, folder: Destination, ledger: Ledger) -> bool:
    """End the deletion of `row` or take it back; return whether the archive is gone."""
    held = next((one for one in inventory.nameable if str(one.name) == row.name), None)
    if held is None:
        if astray(inventory, ledger):
            return False
        names = {other.resembles for other in inventory.others}
        if not is_folder_key(folder.key) and row.name not in names:
            with suppress(RefusedError):
                folder.remove(FolderEntry(row.name, 0, 0.0))  # a tag outlives its release
    elif not (_may_go(row, held, inventory) and _goes(held, folder)):
        ledger.amend(row, deleted=None, deleted_why="", pending="")
        return False
    ledger.amend(row, pending="")
    return True


def _goes(held: Held, folder: Destination) -> bool:
    """Remove `held`; return false where the place keeps it."""
    try:
        folder.remove(held.entry)
    except RefusedError:
        return False
    return True


def _may_go(row: ArchiveRecord, held: Held, inventory: Inventory) -> bool:
    same = held in inventory.archives and row.size in (None, held.entry.size) and not row.kept
    others = (one for one in inventory.of(row.app) if one.name != held.name)
    return same and any(map(reliable, others))
