"""delete: remove archives that a person names, but not the last good one by mistake."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from agebackup.destinations.interface import Destination
from agebackup.errors import RefusedError, shortened
from agebackup.ledger import Ledger
from agebackup.model.inventory import Held, reliable
from agebackup.model.names import ArchiveName
from agebackup.operations.inventory import take_inventory
from agebackup.operations.removal import remove
from agebackup.system.progress import Progress

BY_HAND = "deleted by hand"
"""Why an archive went that a person named, for the ledger and the log."""


def require_deletable(
    chosen: Sequence[Held], folder: Destination, ledger: Ledger, now: datetime, *, even_last: bool
) -> None:
    """Raise `RefusedError` where a kept archive, or an app's last good one, is among `chosen`.

    So it does for a stub: what a cloud client makes of its removal, it alone knows.
    """
    names = {str(held.name) for held in chosen}
    inventory = take_inventory(folder, ledger, now)
    fresh = [held for held in inventory.nameable if str(held.name) in names]
    stubs = [str(held.name) for held in fresh if held.is_stub]
    if stubs:
        raise RefusedError(
            "Only a stub is here, the archive itself is in iCloud.",
            hint="Download it first, then delete it; or remove it in iCloud.",
            details=shortened(stubs),
        )
    kept = [str(held.name) for held in fresh if held.record and held.record.kept]
    if kept:
        raise RefusedError(
            "What is marked as kept is not deleted.",
            hint="Take the mark away first: agebackup unkeep.",
            details=shortened(kept),
        )
    if even_last:
        return
    for app in sorted({held.name.app for held in chosen}):
        good = [held for held in inventory.of(app) if reliable(held)]
        some = good or list(inventory.of(app))
        if some and all(held.entry.name in names for held in some):
            what = "last good archive" if good else "last archive"
            raise RefusedError(
                f"That would delete the {what} of {app} in {folder.key}.",
                hint="Make another one first, or say --even-last.",
            )


def delete(
    chosen: Sequence[Held], folder: Destination, ledger: Ledger, now: datetime, progress: Progress
) -> Iterator[ArchiveName]:
    """Remove `chosen` from `folder`, file and record; yield the name of each that is gone.

    The caller holds the locks of their apps. Raises what `remove` raises, and `StoppedError`
    between two archives: those that were not yielded are still there.
    """
    for held in chosen:
        progress.stop.check()
        remove(held, folder, ledger, now, BY_HAND)
        yield held.name
