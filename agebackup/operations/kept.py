"""Remove the states that restores put aside, once they were kept long enough.

Only what a record of ours names goes, and only the very thing that it names. It never goes while a
swap of the app is not settled, nor where it is the only state of a part.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from agebackup.errors import AgebackupError, printable
from agebackup.model.durations import span_text
from agebackup.model.findings import Finding
from agebackup.model.swap import Move, SwapRecord, companion
from agebackup.operations.moving import look, sight, unmake
from agebackup.operations.swap_records import SwapRecords
from agebackup.system.leftovers import removed
from agebackup.system.lock import exclusive
from agebackup.system.mounts import mounts_below
from agebackup.system.progress import Progress
from agebackup.system.syncing import explained

DEFAULT_KEEP = timedelta(days=30)


@dataclass(frozen=True)
class Keeping:
    """How long the states aside of one app are kept. `lock_file` is the app's."""

    records: SwapRecords
    lock_file: Path
    keep: timedelta = DEFAULT_KEEP


@dataclass(frozen=True)
class Expired:
    """What was removed (or would be), in sentences, and what was left and why."""

    done: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def remove_expired(keeping: Keeping, now: datetime, *, dry_run: bool) -> Expired:
    """Remove the states that `keeping` says were kept long enough by `now`; raises nothing.

    Cut off at any call, it goes on the next time: from the first step on the state can no longer be
    brought back, so that none that is half removed ever is.
    """
    app, records = keeping.records.app, keeping.records
    try:
        if not any(_due(record, keeping, now) for record in records.all()):
            return Expired()
        what = f"another run of {app}"
        with exclusive(keeping.lock_file, wait_seconds=0, what=what, progress=Progress()):
            if records.open():
                return Expired(findings=(_unsettled(app),))
            due = [record for record in records.all() if _due(record, keeping, now)]
            return _removed(due, keeping, dry_run=dry_run)
    except AgebackupError as error:
        finding = Finding("warning", "kept-unread", app, error.message, error.hint)
        return Expired(findings=(finding,))


def _due(record: SwapRecord, keeping: Keeping, now: datetime) -> bool:
    return record.stage == "removing" or (
        record.stage == "done" and now - record.time > keeping.keep
    )


def _removed(due: list[SwapRecord], keeping: Keeping, *, dry_run: bool) -> Expired:
    done: list[str] = []
    findings: list[Finding] = []
    for record in due:
        away = [move for move in record.moves if _is_away(move)]
        if away:
            findings.append(_unreached(away[0], keeping.records.file(record.key)))
            continue
        mounted = [point for move in record.moves for point in mounts_below(Path(move.outgoing))]
        if mounted:
            findings.append(_mounted(mounted[0], record))
            continue
        only = [move for move in record.moves if _is_only(move)]
        if only and record.stage != "removing":
            findings += [_only_state(move) for move in only]
            continue
        done += _sentences(record, keeping)
        if not dry_run:
            _remove(record, keeping.records)
    return Expired(tuple(done), tuple(findings))


def _is_away(move: Move) -> bool:
    """Return whether the directory is not there, or another one: a drive that is not mounted."""
    ground = sight(move)[move.ground]
    return ground is None or ground.inode != move.ground_inode


def _is_only(move: Move) -> bool:
    """Return whether nothing is at the place of what was put there, or nobody can say."""
    return move.new.main is not None and not os.path.lexists(move.target)


def _remove(record: SwapRecord, records: SwapRecords) -> None:
    if record.stage != "removing":
        records.put(msgspec.structs.replace(record, stage="removing"))
    for move in record.moves:
        with explained(Path(move.outgoing).parent):
            for path, thing in _things(move):
                removed(path, thing)
            if record.undoes:
                unmake(move)
    records.remove(record.key)


def _things(move: Move) -> Iterator[tuple[Path, int]]:
    """Yield what lies aside, and its inode; another thing of that name is somebody else's."""
    outgoing = Path(move.outgoing)
    if move.old.main is not None:
        yield outgoing, move.old.main.inode
    for suffix, thing in move.old.companions.items():
        yield companion(outgoing, suffix), thing.inode


def _sentences(record: SwapRecord, keeping: Keeping) -> Iterator[str]:
    what = "an undo" if record.undoes else "a restore"
    for path in record.kept:
        if look(path) is not None:
            yield (
                f"{printable(str(path))} was the state before {what} of {record.app}, kept for "
                f"more than {span_text(keeping.keep)}."
            )


def _unreached(move: Move, file: Path) -> Finding:
    return Finding(
        "warning",
        "kept-unread",
        move.outgoing,
        f"It was kept long enough, but {printable(move.ground)} is not the directory it was.",
        f"Mount its drive. If it is gone for good, remove {printable(str(file))}.",
    )


def _only_state(move: Move) -> Finding:
    return Finding(
        "warning",
        "only-state",
        move.outgoing,
        f"It was kept long enough, but it is all there is: {printable(move.target)} is absent.",
        "Undo the restore, or remove it yourself.",
    )


def _mounted(point: Path, record: SwapRecord) -> Finding:
    return Finding(
        "warning",
        "kept-mounted",
        str(point),
        f"The state before a restore of {record.app} was kept long enough, but something is "
        f"mounted in it, at {printable(str(point))}, whose content would be removed too.",
        "Unmount that; then run agebackup clean again.",
    )


def _unsettled(app: str) -> Finding:
    return Finding(
        "warning",
        "restore-unsettled",
        app,
        "A restore was cut off and is not settled, so nothing that it put aside is removed.",
        "See what agebackup status says of it.",
    )
