"""Look into a destination, and join what lies there with what the ledger knows."""

from datetime import datetime

from agebackup.destinations.interface import Destination
from agebackup.errors import NotFoundError, RefusedError, printable
from agebackup.ledger import Ledger
from agebackup.model.classifying import classify
from agebackup.model.inventory import Held, Inventory
from agebackup.model.names import ArchiveName


def take_inventory(folder: Destination, ledger: Ledger | None, now: datetime) -> Inventory:
    """Return what lies in `folder`, from names and status alone: no file is opened.

    The ledger is read before the folder, so that an archive published meanwhile is not missing; one
    deleted meanwhile may be. Raises what `Destination.entries` and `Ledger.archives` raise.
    """
    records = ledger.archives(destination=folder.key, deleted=True, pending=True) if ledger else ()
    return classify(folder.entries(), records, folder.key, now)


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
