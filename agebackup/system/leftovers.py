"""What a run that died left behind: how it is known again, removed, or brought to its end.

What is removed must carry one of our random names. A directory must also be the very one that was
made (by its inode number; device numbers may change at a reboot), so that nothing of anybody
else's, the old state that a restore keeps least of all, can be taken for leftovers.
"""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from agebackup.errors import printable
from agebackup.system.descent import folders_below
from agebackup.system.durable import TEMPORARY_NAME, rename_new
from agebackup.system.syncing import opened, sync_directory, sync_path


@dataclass(frozen=True)
class Record:
    """What a claim file says. Numbers are inodes.

    `made` is None until the thing was made. With `target` and `kept` a swap is under way: the
    thing becomes `target`, which was `old` and becomes `kept`.
    """

    path: str
    folder: int | None
    made: int | None = None
    target: str | None = None
    kept: str | None = None
    old: int | None = None


@dataclass(frozen=True)
class Settled:
    """What became of a claim: `done` when nothing is left to do, `words` for the person."""

    done: bool
    words: str = ""


def settle(record: Record) -> Settled:
    """Clean up what `record` names, or bring its swap to an end; never raises.

    A record may hold anything, for anything may have written it.
    """
    try:
        if record.target is None or record.kept is None:
            return _settle_leftover(Path(record.path), record)
        return _settle_swap(record, Path(record.target), Path(record.kept))
    except (OSError, ValueError, TypeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        shown = printable(record.path)
        return Settled(done=False, words=f"{shown} is left over; removing it failed: {why}.")


def _settle_leftover(path: Path, record: Record) -> Settled:
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return Settled(done=_went_along(path))
    try:
        # Another inode: a drive that is not mounted now. What was left on it may come back.
        done = os.fstat(folder).st_ino == record.folder
        if not _removed(path.name, folder, record.made):
            return Settled(done=done)
        sync_directory(folder)
    finally:
        os.close(folder)
    shown = printable(str(path))
    return Settled(done=True, words=f"Removed {shown}, left by a run that was cut off.")


def _went_along(path: Path) -> bool:
    """Return whether `path` lay in a temporary directory of ours that is gone.

    That one has a claim of its own: where its drive is only away, it is removed as a whole later.
    """
    outer = next((one for one in path.parents if TEMPORARY_NAME.fullmatch(one.name)), None)
    return outer is not None and outer.parent.is_dir() and not os.path.lexists(outer)


def _removed(name: str, folder: int, made: int | None) -> bool:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if made is None:
        return _removed_empty(name, folder, status)
    if stat.S_ISREG(status.st_mode):
        # FAT and some shares number files anew at each mount; a file's random name is enough,
        # for nothing but a draft that was never published can have it.
        os.unlink(name, dir_fd=folder)
        return True
    return status.st_ino == made and _removed_tree(name, folder, made)


def _removed_tree(name: str, folder: int, made: int) -> bool:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        top = os.open(name, flags, dir_fd=folder)
    except NotADirectoryError:  # a link, a fifo: it has the number of what was made, but is not it
        return False
    try:
        whole = os.fstat(top)
        if whole.st_ino != made:
            return False
        for below in folders_below(top):  # what is mounted in it comes before anything around it
            if os.fstat(below.descriptor).st_dev != whole.st_dev:
                raise OSError(errno.EXDEV, "another file system is mounted in it")
            for file in below.files:
                os.unlink(file, dir_fd=below.descriptor)
            for directory in below.directories:
                os.rmdir(directory, dir_fd=below.descriptor)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=folder)
    return True


def _removed_empty(name: str, folder: int, status: os.stat_result) -> bool:
    """Remove what was perhaps made, but never recorded: it can only be empty."""
    if stat.S_ISREG(status.st_mode) and status.st_size == 0:
        os.unlink(name, dir_fd=folder)
        return True
    try:
        os.rmdir(name, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def removed(path: Path, inode: int) -> bool:
    """Remove the file or tree at `path` if it has this inode; return whether it had.

    What has another one is somebody else's. Raises OSError.
    """
    with opened(path.parent) as folder:
        try:
            status = os.stat(path.name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        if status.st_ino != inode or not _removed(path.name, folder, inode):
            return False
        sync_directory(folder)
    return True


def _settle_swap(record: Record, target: Path, kept: Path) -> Settled:
    """Bring a swap that was cut off to its end, or undo it where nothing had happened yet.

    Both states are known by their inodes. The new one is removed only while the old one is seen
    in its own place.
    """
    staging = Path(record.path)
    new, old = record.made, record.old
    found = {path: inode(path) for path in (staging, target, kept)}
    left_over = next((path for path in (staging, kept) if found[path] == new), None)
    if left_over is None:
        return _settled_swap(record, done=found[target] == new)
    if found[target] == old:
        return _settle_leftover(left_over, record)
    if found[target] is None and left_over == staging and found[kept] == old:
        rename_new(staging, target)
        sync_path(target.parent)
        return _settled_swap(record, done=True)
    return Settled(
        done=False,
        words=f"A restore of {printable(str(target))} was cut off. Look at "
        f"{printable(str(left_over))} and {printable(str(kept))}; agebackup touches neither.",
    )


def _settled_swap(record: Record, *, done: bool) -> Settled:
    if not done:
        # Nothing temporary is there: it is gone, or the drive that it is on is not mounted now.
        return Settled(done=folder_inode(Path(record.path)) == record.folder)
    return Settled(
        done=True,
        words=f"A restore that was cut off is complete: {printable(str(record.target))} holds the "
        f"restored state, {printable(str(record.kept))} the state before it.",
    )


def inode(path: Path) -> int | None:
    """Return the inode number at `path`, not following a link; None where there is nothing."""
    try:
        return path.lstat().st_ino
    except OSError:
        return None


def folder_inode(path: Path) -> int | None:
    """Return the inode number of the directory that `path` lies in, wherever a link leads to."""
    try:
        return path.parent.stat().st_ino
    except OSError:
        return None
