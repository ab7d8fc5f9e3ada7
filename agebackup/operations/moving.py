"""One part's way to its place and back, by renames alone.

A new database never stands beside an old -wal or -journal, which SQLite would play into it: old
companions leave before the main file changes and return after it came back, and the directory is
synced in between, so that a power cut cannot turn the order round. Each step may be the last one
before a kill; `back` begins with a look at what is there.
"""

import errno
import os
import stat
from pathlib import Path

from agebackup.model.standing import paths, standing
from agebackup.model.swap import COMPANIONS, Move, SwapRecord, Thing, companion
from agebackup.system.leftovers import removed
from agebackup.system.renaming import exchange, rename_new
from agebackup.system.syncing import explained, sync_path

_STAYS = (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST)
"""A directory of ours that is gone, or in use by now, stays as it is."""


def look(path: Path | str) -> Thing | None:
    """Return what is at `path`, not following a link; None for nothing. Raises OSError."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    size = None if stat.S_ISDIR(status.st_mode) else status.st_size
    return Thing(status.st_ino, size, status.st_mtime_ns)


def sight(*moves: Move) -> dict[str, Thing | None]:
    """Return what is at every path of `moves`; raises `FailedError`."""
    seen: dict[str, Thing | None] = {}
    for move in moves:
        with explained(Path(move.target).parent):
            seen |= {path: look(path) for path in paths(move)}
            ground = os.stat(move.ground) if os.path.isdir(move.ground) else None
        seen[move.ground] = ground and Thing(ground.st_ino, None, 0)
    return seen


def forward(move: Move) -> None:
    """Put the new state of a part that was not begun into place, durably. Raises OSError."""
    target, incoming, outgoing = Path(move.target), Path(move.incoming), Path(move.outgoing)
    _shift_companions(move, move.old.companions, (target, outgoing))
    if move.new.main is None:
        if move.old.main is not None:
            _shift(target, outgoing, move.old.main)
    elif move.old.main is None:
        _shift(incoming, target, move.new.main)
    elif exchange(incoming, target):
        _shift(incoming, outgoing, move.old.main)
    else:
        _shift(target, outgoing, move.old.main)
        _shift(incoming, target, move.new.main)
    sync_path(target.parent)
    _shift_companions(move, move.new.companions, (incoming, target), back=True)


def back(move: Move) -> None:
    """Bring the old state of a part back, durably, from wherever a swap was cut off.

    For a part that nothing bars (`standing`). Raises OSError; it may then be called again.
    """
    target, incoming, outgoing = Path(move.target), Path(move.incoming), Path(move.outgoing)
    if standing(move, sight(move)).state == "old":
        return
    _shift_companions(move, move.new.companions, (target, incoming))
    _main_back(move, target, incoming, outgoing)
    sync_path(target.parent)
    _shift_companions(move, move.old.companions, (outgoing, target), back=True)


def _main_back(move: Move, target: Path, incoming: Path, outgoing: Path) -> None:
    """Exchange the main things back, else by two renames. Each step leaves a known standing."""
    new, old = move.new.main, move.old.main
    if new is not None and _is(target, new) and _is(incoming, new):
        os.unlink(target)  # the second of two names, see `_shift`
    if new is not None and old is not None and _is(target, new):
        if _is(outgoing, old):
            _shift(outgoing, incoming, old)
        if _is(incoming, old) and not exchange(incoming, target):
            _shift(incoming, outgoing, old)
    if new is not None and _is(target, new):
        _shift(target, incoming, new)
    if old is not None and _is(outgoing, old):
        _shift(outgoing, target, old)


def clear_away(record: SwapRecord) -> None:
    """Remove what a swap that came to nothing had filled or made. Raises OSError."""
    for move in record.moves:
        incoming, new = Path(move.incoming), move.new.main
        if move.disposable and new is not None and look(incoming) is not None:
            removed(incoming, new.inode)
        unmake(move)


def unmake(move: Move) -> None:
    """Remove the directories that were made for a part, as far as they are empty.

    Raises OSError.
    """
    for directory in reversed(move.made):
        try:
            os.rmdir(directory)
        except OSError as error:
            if error.errno not in _STAYS:
                raise
        else:
            sync_path(Path(directory).parent)


def _shift_companions(
    move: Move, companions: dict[str, Thing], way: tuple[Path, Path], *, back: bool = False
) -> None:
    """Move the companions along `way`, and sync the directory if there are any."""
    source, target = way
    present = [suffix for suffix in COMPANIONS if suffix in companions]
    for suffix in reversed(present) if back else present:
        here, there = companion(source, suffix), companion(target, suffix)
        if _is(here, companions[suffix]):
            _shift(here, there, companions[suffix])
    if present:
        sync_path(target.parent)


def _shift(source: Path, target: Path, thing: Thing) -> None:
    """Rename `source`, which is `thing`, to `target`, which must be free.

    Where renaming means a second name (a hard link) before the first is removed, a kill leaves
    both: then the first is removed now.
    """
    if _is(target, thing):
        os.unlink(source)
    else:
        rename_new(source, target)


def _is(path: Path, thing: Thing) -> bool:
    found = look(path)
    return found is not None and found.inode == thing.inode
