"""settle: bring a swap that was cut off to its end: back where it was, or finished."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agebackup.errors import printable
from agebackup.model.standing import standing, written
from agebackup.model.swap import SwapRecord
from agebackup.operations.moving import look, sight
from agebackup.operations.swap import finish
from agebackup.operations.swap_records import SwapRecords
from agebackup.operations.swapping import barred, roll_back
from agebackup.operations.unused import require_unused
from agebackup.system.syncing import explained

_STOOD = "If the application was paused for it, start it again; no check was run."


@dataclass(frozen=True)
class Settled:
    """Which way a swap went that had been cut off, and that in words."""

    app: str
    id: str
    way: Literal["rolled-back", "finished"]
    words: str


def settle(records: SwapRecords) -> tuple[Settled, ...]:
    """Settle what a dead run left of the app's swaps; the caller holds the app's lock.

    Raises `RefusedError`, with nothing of that swap touched, where something stands in the way
    that is neither the old nor the new state, where a process has a database open that was
    exchanged already, or where a journal is damaged; `FailedError` where the disk refuses. May be
    cut off itself, at any call, and called again.
    """
    settled: list[Settled] = []
    undone: set[str] = set()
    for record in reversed(records.open()):
        if record.id not in undone:
            settled.append(_settled(record, records))
            undone |= {record.undoes} if record.stage == "swapped" else set()
    return tuple(settled)


def _settled(record: SwapRecord, records: SwapRecords) -> Settled:
    what = "undo" if record.undoes else "restore"
    which = f"The {what} of {record.app} at {record.time:%Y-%m-%d %H:%M:%S} UTC was cut off"
    if record.stage == "swapped":
        finish(record, records)
        words = f"{which} after everything was in place, and counts.{_kept(record)} {_STOOD}"
        return Settled(record.app, record.id, "finished", words)
    _require_unused(record)
    _require_unwritten(record, records)
    roll_back(record, records)
    words = f"{which} and is rolled back: everything is as it was before it. {_STOOD}"
    return Settled(record.app, record.id, "rolled-back", words)


def _require_unused(record: SwapRecord) -> None:
    """Raise `RefusedError` where somebody works with what is about to be exchanged back.

    An application that was started on a mixture would go on writing to what is removed.
    """
    begun = [
        move
        for move in record.moves
        if record.stage == "swapping" and standing(move, sight(move)).state != "old"
    ]
    require_unused(
        [
            Path(path)
            for move in begun
            if move.kind == "database"
            for path in (move.target, move.incoming, move.outgoing)
        ]
    )


def _require_unwritten(record: SwapRecord, records: SwapRecords) -> None:
    """Raise `RefusedError` where a tree that would be removed was written to deep inside.

    Nothing in it changes between the journal and the end of a swap: only the tree gets its name.
    """
    for move in record.moves if record.stage == "swapping" else ():
        target, new = Path(move.target), move.new.main
        found = look(target) if move.kind == "tree" and move.disposable and new else None
        if found is None or new is None or found.inode != new.inode:
            continue
        with explained(target):
            begun = os.stat(records.file(record.key)).st_mtime_ns
            for directory, folders, files in os.walk(target):
                for path in (os.path.join(directory, name) for name in (*folders, *files)):
                    if os.lstat(path).st_ctime_ns > begun:
                        raise barred(record, (written(path),))


def _kept(record: SwapRecord) -> str:
    kept = ", ".join(printable(str(path)) for path in record.kept)
    back = "" if record.undoes else f"; agebackup restore --undo {record.app} brings it back"
    return f" The state before it is in {kept}{back}." if kept else ""
