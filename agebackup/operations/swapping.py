"""The transaction itself: journal, moves, commit; and the way back from wherever it was cut off.

The journal is on the disk before the first change. Its stage "swapped", written when everything is
in place, is the moment from which the new state counts. Until then whatever fails, and whoever
finds the journal of a dead run, goes back.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

import msgspec

from agebackup.errors import AgebackupError, FailedError, RefusedError, printable
from agebackup.model.standing import Obstacle, decide, standing
from agebackup.model.swap import Move, SwapRecord, belongings
from agebackup.operations.moving import back, clear_away, forward, sight
from agebackup.operations.swap_records import SwapRecords
from agebackup.system.renaming import rename_new
from agebackup.system.syncing import explained, sync_file, sync_path, sync_tree


def carry_out(record: SwapRecord, records: SwapRecords) -> SwapRecord:
    """Do what `record`, of stage "swapping", says; return it as "swapped".

    Raises an `AgebackupError`; then everything is as before, or the message says that the way back
    was barred as well, and the journal stays.
    """
    records.put(record)
    try:
        for move in record.moves:
            with explained(Path(move.target).parent):
                fill(move)
        for move in record.moves:
            _require_untouched(move)
            with explained(Path(move.target).parent):
                forward(move)
        return _committed(record, records)
    except BaseException as error:
        _give_up(record, records, error)
        raise


def roll_back(record: SwapRecord, records: SwapRecords) -> None:
    """Bring everything back to where it was before `record`, and forget it.

    Raises `RefusedError`, with nothing touched, where something bars the way; `FailedError` where
    the disk refuses: then it may be called again.
    """
    if record.stage != "rolled-back":
        verdict = decide(record, sight(*record.moves))
        if verdict.way == "refuse":
            raise barred(record, verdict.obstacles)
        for move in reversed(record.moves):
            with explained(Path(move.target).parent):
                back(move)
        record = msgspec.structs.replace(record, stage="rolled-back")
        records.put(record)
    with explained(Path(record.moves[0].target).parent):
        clear_away(record)
    records.remove(record.key)


def barred(record: SwapRecord, obstacles: tuple[Obstacle, ...]) -> RefusedError:
    """Return the refusal to settle `record`, with each thing that stands in the way."""
    what = "undo" if record.undoes else "restore"
    first = obstacles[0]
    kept = ", ".join(printable(str(path)) for path in record.kept if os.path.lexists(path))
    return RefusedError(
        f"A cut off {what} of {record.app} cannot be rolled back: {printable(first.path)} "
        f"{first.why}. Nothing was touched.",
        hint=first.remedy + (f" States put aside so far: {kept}." if kept else ""),
        details=[f"{printable(one.path)} {one.why}" for one in obstacles[1:]],
    )


def fill(move: Move) -> None:
    """Bring what was staged, synced, beside its place. Raises OSError."""
    for directory in move.made:
        with suppress(FileExistsError):  # made for another part
            os.mkdir(directory, 0o700)
            sync_path(Path(directory).parent)
    if move.source and move.new.main is not None:
        _sync(Path(move.source))
        rename_new(move.source, move.incoming)
        sync_path(Path(move.incoming).parent)


def _sync(path: Path) -> None:
    if stat.S_ISDIR(path.lstat().st_mode):
        sync_tree(path)
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        sync_file(descriptor)
    finally:
        os.close(descriptor)


def _require_untouched(move: Move) -> None:
    """Raise `RefusedError` where the present state is no longer what the journal says."""
    seen = sight(move)
    for path in map(str, belongings(Path(move.target), move.kind)):
        suffix = path.removeprefix(move.target)
        thing = move.old.companions.get(suffix) if suffix else move.old.main
        now = seen[path]
        # The cache may be written by who only reads; that it came or went tells of a process.
        if (now is None) != (thing is None) or (suffix != "-shm" and now != thing):
            raise RefusedError(
                f"{printable(path)} changed while it was to be put aside.",
                hint="Stop the application, then run this command again.",
            )


def _committed(record: SwapRecord, records: SwapRecords) -> SwapRecord:
    """Say in the journal that everything is in place; return the record that says so."""
    seen = sight(*record.moves)
    for move in record.moves:
        if standing(move, seen).state != "new" and not (move.new.nothing and move.old.nothing):
            raise FailedError(
                f"{printable(move.target)} is not what was put there.",
                hint="Find out what works there besides, and stop it.",
            )
    swapped = msgspec.structs.replace(record, stage="swapped")
    try:
        records.put(swapped)
    except (AgebackupError, OSError):
        # Whether it counts is what the journal says now, for that is what the next run reads.
        if records.read(record.key).stage != "swapped":
            raise
    return swapped


def _give_up(record: SwapRecord, records: SwapRecords, error: BaseException) -> None:
    """Roll back after `error`; raise `FailedError` where that fails too."""
    try:
        roll_back(record, records)
    except (AgebackupError, OSError) as second:
        both = (error, second)
        said = [one.message if isinstance(one, AgebackupError) else f"{one}." for one in both]
        raise FailedError(
            f"{said[0]} The way back was barred too: {said[1]}",
            hint=f"{getattr(second, 'hint', '')} The next agebackup command goes on.".strip(),
        ) from error


def unsettled(records: SwapRecords, *, but: str = "") -> None:
    """Raise `RefusedError` where another swap than the one with the id `but` is not settled."""
    for record in records.open():
        if record.id != but:
            raise RefusedError(
                f"An earlier restore of {record.app} was cut off and is not settled yet.",
                hint="agebackup status settles it, or says what bars its way.",
            )
