"""Remove an archive from a folder so that the ledger always knows which were meant to go.

The decision is written down first, then the file goes, then that is written down too. A run that is
killed in between leaves a row that says "delete" and perhaps the file; `finish_deletions` ends it.
"""

from collections.abc import Iterator
from datetime import datetime

from agebackup.destinations.folder import Folder
from agebackup.errors import FailedError
from agebackup.ledger import Ledger
from agebackup.model.inventory import FolderEntry, Held, Inventory, grade, record_of
from agebackup.model.records import ArchiveRecord
from agebackup.operations.inventory import take_inventory
from agebackup.system.progress import Progress


def remove(held: Held, folder: Folder, ledger: Ledger, now: datetime, why: str) -> None:
    """Remove the archive `held` from `folder`, recording `why`.

    Raises `LedgerError` where the ledger refuses, and `FailedError` where the folder does: then
    the decision is taken back, unless the file is gone all the same. Where it raises, the file is
    still there, or the ledger says that it was to go.
    """
    before = record_of(held, folder.key)
    record = ledger.amend(before, deleted=now, deleted_why=why, pending="delete")
    try:
        folder.remove(held.entry)
    except FailedError:
        if folder.has(held.entry.name):
            was = {name: getattr(before, name) for name in ("deleted", "deleted_why", "pending")}
            ledger.amend(record, **was)
        raise
    ledger.amend(record, pending="")


def finish_deletions(
    app: str, folder: Folder, ledger: Ledger, now: datetime, progress: Progress
) -> tuple[str, ...]:
    """End the deletions of `app` in `folder` that were cut short; return the names that went.

    To be called while no run of `app` is at work. A file that is not the one which was to go stays,
    as do one that was marked as kept since and one that is the last good archive by now: the
    decision is then taken back. Raises what `take_inventory`, `Folder.remove` and the ledger raise.
    """
    rows = ledger.archives(app, destination=folder.key, deleted=True)
    unfinished = [row for row in rows if row.pending == "delete"]
    if not unfinished:
        return ()
    inventory = take_inventory(folder, ledger, now)
    return tuple(_finished(unfinished, inventory, folder, ledger, progress))


def _finished(
    unfinished: list[ArchiveRecord],
    inventory: Inventory,
    folder: Folder,
    ledger: Ledger,
    progress: Progress,
) -> Iterator[str]:
    entries = {held.entry.name: held.entry for held in inventory.archives}
    entries |= {other.entry.name: other.entry for other in inventory.others}
    for row in unfinished:
        progress.stop.check()
        entry = entries.get(row.file_name)
        if entry is None:
            ledger.amend(row, pending="")
            yield row.name
        elif _may_go(row, entry, inventory):
            folder.remove(entry)
            ledger.amend(row, pending="")
            yield row.name
        else:
            ledger.amend(row, deleted=None, deleted_why="", pending="")


def _may_go(row: ArchiveRecord, entry: FolderEntry, inventory: Inventory) -> bool:
    same = entry.regular and row.size in (None, entry.size) and not row.kept
    others = (one for one in inventory.of(row.app) if one.entry.name != entry.name)
    return same and any(grade(one) == "good" and not leaving(one) for one in others)


def leaving(held: Held) -> bool:
    """Return whether it was decided that `held` goes, and that has not happened yet."""
    return held.record is not None and held.record.pending == "delete"
