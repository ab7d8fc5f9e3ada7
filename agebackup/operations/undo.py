"""undo: bring back, byte for byte, the state that a restore into an application put aside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agebackup.model.swap import SwapRecord
from agebackup.operations.swap_records import SwapRecords

Guard = Callable[[Sequence[Path]], object]
"""Raises `RefusedError` where one of the databases at these paths is in use."""


@dataclass(frozen=True)
class Undone:
    """What an undo did: `record` is its own; `aside` are the places of what was there before it,
    `changed` those of them that were written to since the restore; `warnings` for the person."""

    record: SwapRecord
    aside: tuple[Path, ...]
    changed: tuple[Path, ...]
    warnings: tuple[str, ...] = ()


def undoable(records: SwapRecords) -> SwapRecord:
    """Return the last restore that can be undone; raise `NotFoundError` where there is none."""
    raise NotImplementedError


def undo(restore: SwapRecord, time: datetime, records: SwapRecords, guard: Guard) -> Undone:
    """Bring back what `restore` put aside; what is there now is kept as NAME.undone_TIME.

    The caller holds the app's lock. A swap as any other: all or none, also across a crash. Raises
    `NotFoundError` where a kept state is gone, what `guard` raises, and what `swap` raises.
    """
    raise NotImplementedError
