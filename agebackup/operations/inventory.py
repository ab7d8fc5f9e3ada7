"""Look into a destination, and join what lies there with what the ledger knows."""

from datetime import datetime

from agebackup.destinations.folder import Folder
from agebackup.ledger import Ledger
from agebackup.model.classifying import classify
from agebackup.model.inventory import Inventory


def take_inventory(folder: Folder, ledger: Ledger | None, now: datetime) -> Inventory:
    """Return what lies in `folder`, from names and status alone: no file is opened.

    The ledger is read before the folder, so that an archive published meanwhile is not missing; one
    deleted meanwhile may be. Raises what `Folder.entries` and `Ledger.archives` raise.
    """
    records = ledger.archives(destination=folder.key, deleted=True, pending=True) if ledger else ()
    return classify(folder.entries(), records, folder.key, now)
