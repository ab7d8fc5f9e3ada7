"""swap: put parts of a live application into place, all of them or none, also across a crash."""

from agebackup.model.swap import Swap, SwapRecord
from agebackup.operations.swap_records import SwapRecords


def prospect(swap: Swap, records: SwapRecords) -> SwapRecord:
    """Return what `swap` would do, changing nothing: where each part goes, what is kept where.

    Raises `UsageError` for parts within parts, `RefusedError` where a name for the old state is
    taken, a target is a link, a mount point or of another kind, what is staged lies on another
    file system, or an earlier swap of the app is not settled.
    """
    raise NotImplementedError


def swap(swap: Swap, records: SwapRecords) -> SwapRecord:
    """Put every part of `swap` into place and return the record, its stage being "swapped".

    The caller holds the app's lock, and has seen to it that nobody uses the targets. What was
    staged is synced first; it is gone from where it was staged in any case. Raises what `prospect`
    raises, before anything was changed; `FailedError` where the disk refuses or something else
    works there: then everything is as it was before, byte for byte, or, where the way back is
    barred too, the message says so and `settle` goes on. A stop is not looked for: nothing here
    takes long.
    """
    raise NotImplementedError


def finish(record: SwapRecord, records: SwapRecords) -> SwapRecord:
    """Note that nothing more is to be done after a swap: from now on only `undo` goes back."""
    raise NotImplementedError
