"""Whether a folder may not be the one the ledger knows: an unmounted drive leaves an empty one.

What is missing there is then not gone, so nobody may take note of it as if it were.
"""

from agebackup.ledger import Ledger
from agebackup.model.devices import differs
from agebackup.model.inventory import Inventory
from agebackup.system.mounts import device_of


def astray(inventory: Inventory, ledger: Ledger) -> str:
    """Return a sentence that says why the folder may be another one, "" where nothing says so.

    Raises `LedgerError`.
    """
    known = {one.path: one for one in ledger.destinations()}.get(inventory.destination)
    if known is not None and differs(known.device, device_of(inventory.destination)):
        return "The folder lies on another device than last time."
    evicted = any(other.kind == "evicted" for other in inventory.others)
    if inventory.missing and not inventory.archives and not evicted:
        return f"None of the {len(inventory.missing):,} archives that should be there is there."
    return ""
