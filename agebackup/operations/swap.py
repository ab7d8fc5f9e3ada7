"""swap: put parts of a live application into place, all of them or none, also across a crash."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import msgspec

from agebackup.errors import AgebackupError, NotFoundError, RefusedError, printable
from agebackup.model.swap import (
    COMPANIONS,
    Kind,
    Move,
    Part,
    Side,
    Swap,
    SwapRecord,
    belongings,
    companion,
    kept_name,
    require_separate,
)
from agebackup.operations.moving import look
from agebackup.operations.swap_records import SwapRecords
from agebackup.operations.swapping import carry_out, unsettled
from agebackup.system.durable import temporary_name
from agebackup.system.mounts import contains, mounts_below
from agebackup.system.syncing import explained
from agebackup.system.workspace import ground


def prospect(swap: Swap, records: SwapRecords) -> SwapRecord:
    """Return what `swap` would do, changing nothing: where each part goes, what is kept where.

    Raises `UsageError` for parts within parts, `RefusedError` where a name for the old state is
    taken, a target is a mount point, holds one or the journals, or is of another kind, what is
    staged is no database at rest or lies on another file system, or an earlier swap of the app is
    not settled. A target that is a link, or lies beyond one, means the place that this leads to.
    """
    parts = tuple(replace(one, target=Path(os.path.realpath(one.target))) for one in swap.parts)
    require_separate(parts)
    unsettled(records)
    moves = []
    for part in parts:
        with explained(part.target.parent):
            _require_outside(records.directory, part)
            moves.append(_move(part, swap.id))
    return SwapRecord(
        app=swap.app,
        id=swap.id,
        stage="swapping",
        archive=swap.archive,
        safety=swap.safety,
        moves=tuple(moves),
    )


def swap(swap: Swap, records: SwapRecords) -> SwapRecord:
    """Put every part of `swap` into place and return the record, its stage being "swapped".

    The caller holds the app's lock, and has seen to it that nobody uses the targets. What was
    staged is synced first; afterwards it is gone from where it was, in any case. Directories that
    are missing above a target are made, 0700. Raises what `prospect` raises, before anything was
    changed; `FailedError` or `RefusedError` where the disk refuses or something else works there:
    then everything is as it was before, byte for byte, or, where the way back is barred too, the
    message says so and `settle` goes on. A stop is not looked for: nothing here takes long.
    """
    return carry_out(prospect(swap, records), records)


def finish(record: SwapRecord, records: SwapRecords) -> SwapRecord:
    """Note that nothing more is to be done after a swap; return the record as it stands then.

    Where the disk refuses, nothing is lost but the note: the new state counts since the swap, and
    the next command notes it.
    """
    done = msgspec.structs.replace(record, stage="done")
    try:
        records.put(done)
        if record.undoes:
            records.remove(record.undoes)
    except (AgebackupError, OSError):
        return record
    return done


def side(path: Path, kind: Kind) -> Side:
    """Return the state at `path`; raises OSError."""
    suffixes = COMPANIONS if kind == "database" else ()
    found = {suffix: look(companion(path, suffix)) for suffix in suffixes}
    return Side(look(path), {suffix: it for suffix, it in found.items() if it is not None})


def require_free(path: Path, kind: Kind) -> None:
    """Raise `RefusedError` where the name `path`, or that of a companion there, is taken."""
    for taken in belongings(path, kind):
        if look(taken) is not None:
            raise RefusedError(
                f"The name for the old state, {printable(str(taken))}, is taken.",
                hint="Move that away, or wait a second.",
            )


def _move(part: Part, id: str) -> Move:
    target, staged = part.target, part.staged
    _require_place(target, part)
    base = ground(target.parent)
    between = [path for path in target.parents if path != base and path.is_relative_to(base)]
    outgoing = kept_name(target, id)
    require_free(outgoing, part.kind)
    new = Side(None)
    if staged is not None:
        _require_staged(staged, base, part)
        new = Side(look(staged))
    return Move(
        kind=part.kind,
        target=str(target),
        incoming=str(target.with_name(temporary_name("swap"))),
        outgoing=str(outgoing),
        new=new,
        old=side(target, part.kind),
        ground=str(base),
        ground_inode=os.stat(base).st_ino,
        made=tuple(map(str, reversed(between))),
        source=str(os.path.abspath(staged)) if staged is not None else "",
    )


def _require_outside(journals: Path, part: Part) -> None:
    """Raise `RefusedError` where the journals would go aside with what they are about."""
    if part.kind == "tree" and contains(part.target, journals):
        raise RefusedError(
            f"{printable(str(part.target))} cannot be exchanged: agebackup's own records lie in "
            f"it, in {printable(str(journals))}.",
            hint="Declare a directory without them, or restore to a --target.",
        )


def _require_place(target: Path, part: Part) -> None:
    """Raise `RefusedError` where what is at `target` cannot be exchanged by renaming it."""
    if os.path.ismount(target):
        raise RefusedError(
            f"{printable(str(target))} is a mount point and cannot be exchanged.",
            hint="Declare a directory inside it.",
        )
    inside = mounts_below(target) if part.kind == "tree" else ()
    if inside:
        raise RefusedError(
            f"{printable(str(target))} cannot be exchanged: {printable(str(inside[0]))}, which is "
            "mounted in it, would go aside with it.",
            hint="Unmount that, or restore to a --target and copy from there.",
        )
    if os.path.lexists(target) and not _is_of(target, part.kind):
        wanted = "directory" if part.kind == "tree" else "regular file"
        raise RefusedError(
            f"{printable(str(target))} is no {wanted}, and is not replaced by one.",
            hint="Move it away, or correct the configuration.",
        )


def _require_staged(staged: Path, base: Path, part: Part) -> None:
    beside = belongings(staged, part.kind)[1:]
    if not _is_of(staged, part.kind) or any(map(os.path.lexists, beside)):
        raise RefusedError(
            f"What was staged for {printable(str(part.target))} is no {part.kind} at rest.",
            hint="A command that migrates must close the database before it ends.",
        )
    if not base.is_dir():
        raise NotFoundError(
            f"{printable(str(base))} is no directory, so nothing can be put below it.",
            hint="Move it away, or correct the configuration.",
        )
    if os.lstat(staged).st_dev != os.stat(base).st_dev:
        raise RefusedError(
            f"{printable(str(staged))} lies on another file system than {printable(str(base))}.",
            hint="Stage it beside its place.",
        )


def _is_of(path: Path, kind: Kind) -> bool:
    mode = os.lstat(path).st_mode
    return stat.S_ISDIR(mode) if kind == "tree" else stat.S_ISREG(mode)
