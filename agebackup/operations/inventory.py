"""Look into a destination, and join what lies there with what the ledger knows."""

from dataclasses import replace
from datetime import datetime

from agebackup.destinations.interface import Destination
from agebackup.errors import NotFoundError, RefusedError, printable
from agebackup.ledger import Ledger
from agebackup.model.classifying import classify
from agebackup.model.inventory import Held, Inventory
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord
from agebackup.model.whereabouts import is_folder_key


def take_inventory(folder: Destination, ledger: Ledger | None, now: datetime) -> Inventory:
    """Return what lies in `folder`, from names and status alone: no file is opened.

    The ledger is read before the folder, so that an archive published meanwhile is not missing; one
    deleted meanwhile may be. Raises what `Destination.entries` and `Ledger.archives` raise.
    """
    records = ledger.archives(destination=folder.key, deleted=True, pending=True) if ledger else ()
    return classify(folder.entries(), records, folder.key, now)


def known_elsewhere(ledger: Ledger) -> dict[str, ArchiveRecord]:
    """Return by name what the ledger knows of archives, wherever they lay: copies are the same.

    Where it knows several, one with a hash that was not deleted. Raises `LedgerError`.
    """
    rows = ledger.archives(deleted=True)
    ranked = sorted(rows, key=lambda row: (bool(row.sha256), row.deleted is None))
    return {row.name: row for row in ranked}


def with_copies(inventory: Inventory, ledger: Ledger | None) -> Inventory:
    """Return the `inventory` of a remote with what the ledger knows of its archives elsewhere.

    For those that it does not know there: what was pushed by a ledger that is gone, or by hand, is
    told from what a stranger put there. A folder's is returned as it is. Raises `LedgerError`.
    """
    if ledger is None or is_folder_key(inventory.destination):
        return inventory
    known = known_elsewhere(ledger)

    def joined(held: Held) -> Held:
        row = known.get(str(held.name)) if held.record is None else None
        if row is None:
            return held
        fresh = ArchiveRecord.of(held.name, inventory.destination)
        content = {name: getattr(row, name) for name in _CONTENT}
        size = None if row.former else row.size
        return replace(held, record=replace(fresh, size=size, **content))

    return replace(inventory, archives=tuple(map(joined, inventory.archives)))


_CONTENT = (
    *("tag", "note", "kept", "sha256", "series", "sequence", "previous", "proved", "complete"),
    *("foreign", "stanzas", "figures", "former", "recipients"),
)
"""What a row says of an archive's content, whatever the place."""


def find_archive(name: str, folder: Destination, ledger: Ledger, now: datetime) -> Held:
    """Return the archive called `name` in `folder`, even if it is evicted or from the future.

    Raises `RefusedError` for what is there and is none, `NotFoundError` where there is nothing, and
    what `take_inventory` raises.
    """
    inventory = take_inventory(folder, ledger, now)
    for held in inventory.nameable:
        if str(held.name) == name:
            return held
    shown = printable(folder.called(name))
    stranger = any(other.entry.name == name for other in inventory.others)
    if ArchiveName.parse(name) is None and (stranger or not name or folder.has(name)):
        raise RefusedError(
            f"{shown} is not named as an archive: no rule ever looks at it.",
            hint="Only archives under their own names are tagged, kept or deleted. If this file "
            "is to go, remove it as any other.",
        )
    if stranger:
        raise RefusedError(
            f"{shown} is no regular file, so it is no archive.",
            hint="Look what put it there.",
        )
    raise NotFoundError(f"There is no archive {shown}.", hint="See agebackup list.")
