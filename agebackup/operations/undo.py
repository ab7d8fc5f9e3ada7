"""undo: bring back, byte for byte, the state that a restore into an application put aside."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agebackup.errors import NotFoundError, printable
from agebackup.model.swap import Move, Side, SwapRecord, kept_name, stamp
from agebackup.operations.swap import finish, require_free, side
from agebackup.operations.swap_records import SwapRecords
from agebackup.operations.swapping import carry_out, unsettled
from agebackup.system.syncing import explained

Guard = Callable[[Sequence[Path]], str]
"""Raises `RefusedError` where one of the databases at these paths is in use; returns what could not
be looked at, a sentence, or ""."""


@dataclass(frozen=True)
class Undone:
    """What an undo did: `record` is its own; `aside` are the places of what was there before it,
    `changed` those of them that were written to since the restore; `warnings` for the person."""

    record: SwapRecord
    aside: tuple[Path, ...]
    changed: tuple[Path, ...]
    warnings: tuple[str, ...] = ()


def undoable(records: SwapRecords) -> SwapRecord:
    """Return the last restore that was not undone; raise `NotFoundError` where there is none."""
    known = records.all()
    undone = {record.undoes for record in known if record.stage in ("swapped", "done")}
    for record in reversed(known):
        if not record.undoes and record.id not in undone and record.stage in ("swapped", "done"):
            return record
    raise NotFoundError(
        f"There is no restore of {records.app} that could be undone.",
        hint="Only a restore --in-place can be, until clean removes what it put aside.",
    )


def undo(restore: SwapRecord, time: datetime, records: SwapRecords, guard: Guard) -> Undone:
    """Bring back what `restore` put aside; what is there now is kept as NAME.undone_TIME.

    The caller holds the app's lock. A swap as any other: all or none, also across a crash. Raises
    `NotFoundError` where a kept state is gone, what `guard` raises, and what `swap` raises.
    """
    unsettled(records, but=restore.id)
    unseen = guard([Path(move.target) for move in restore.moves if move.kind == "database"])
    record = finish(carry_out(way_back(restore, time), records), records)
    warnings = [unseen] if unseen else []
    pairs = list(zip(restore.moves, record.moves, strict=True))
    warnings += [_warning(back) for then, back in pairs if _changed(then.old, back.new)]
    changed = [back for then, back in pairs if back.old.main and _changed(then.new, back.old)]
    return Undone(
        record, record.kept, tuple(Path(one.outgoing) for one in changed), tuple(warnings)
    )


def way_back(restore: SwapRecord, time: datetime) -> SwapRecord:
    """Return the swap that undoes `restore`; raises as `undo`, but changes nothing."""
    moves = []
    for move in restore.moves:
        with explained(Path(move.target).parent):
            moves.append(_move_back(move, stamp(time)))
    return SwapRecord(
        app=restore.app,
        id=stamp(time),
        stage="swapping",
        archive=restore.archive,
        safety=restore.safety,
        undoes=restore.id,
        moves=tuple(moves),
    )


def _move_back(move: Move, id: str) -> Move:
    target, kept = Path(move.target), Path(move.outgoing)
    new = side(kept, move.kind)
    if move.old.main is not None and new.main is None:
        raise NotFoundError(
            f"The state before the restore, {printable(str(kept))}, is no longer there.",
            hint="Bring it back from where it was moved to, or restore the safety archive.",
        )
    outgoing = kept_name(target, id, undone=True)
    require_free(outgoing, move.kind)
    folder = target.parent
    return Move(
        kind=move.kind,
        target=move.target,
        incoming=move.outgoing,
        outgoing=str(outgoing),
        new=new,
        old=side(target, move.kind),
        ground=str(folder),
        ground_inode=os.stat(folder).st_ino,
        made=move.made,
    )


def _changed(then: Side, now: Side) -> bool:
    """Return whether a state was written to; of a tree only what is directly in it tells."""
    precious = [{x: s for x, s in one.companions.items() if x != "-shm"} for one in (then, now)]
    return then.main != now.main or precious[0] != precious[1]


def _warning(move: Move) -> str:
    return (
        f"{printable(move.target)}: the state that was kept had been written to since it was put "
        "aside; it is brought back as it was found."
    )
