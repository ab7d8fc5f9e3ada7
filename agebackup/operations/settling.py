"""settle: bring a swap that was cut off to its end: back where it was, or finished."""

from dataclasses import dataclass

from agebackup.operations.swap_records import SwapRecords


@dataclass(frozen=True)
class Settled:
    """Which way a swap went that had been cut off: "rolled-back" or "finished", and in words."""

    app: str
    id: str
    way: str
    words: str


def settle(records: SwapRecords) -> tuple[Settled, ...]:
    """Settle what a dead run left of the app's swaps; the caller holds the app's lock.

    Raises `RefusedError`, with nothing touched, where something stands in the way that is neither
    the old nor the new state, or where a journal is damaged; `FailedError` where the disk refuses.
    May be cut off itself, at any call, and called again.
    """
    raise NotImplementedError
