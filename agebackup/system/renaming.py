"""Renaming as one step: to a name that must be free, or two things that change names.

Nothing here syncs: whoever renames knows in which order the directories must reach the disk.
"""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from agebackup.system import libc

_AT_FDCWD = -2 if libc.DARWIN else -100
_NOREPLACE, _EXCHANGE = (4, 2) if libc.DARWIN else (1, 2)
_CANNOT_LINK = libc.UNSUPPORTED | {errno.EPERM, errno.EMLINK, errno.EACCES}


def rename_new(source: str | Path, target: str | Path, folder: int | None = None) -> None:
    """Rename `source` to `target`, both relative to `folder`; never replaces: FileExistsError.

    Where the file system has neither renameat2's RENAME_NOREPLACE nor hard links (FAT, some
    network shares), a look at the target before the rename must do.
    """
    if _special_rename(_NOREPLACE, source, target, folder):
        return
    try:
        if not stat.S_ISDIR(os.stat(source, dir_fd=folder, follow_symlinks=False).st_mode):
            os.link(source, target, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
            os.unlink(source, dir_fd=folder)
            return
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
    with suppress(FileNotFoundError):
        os.stat(target, dir_fd=folder, follow_symlinks=False)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    os.rename(source, target, src_dir_fd=folder, dst_dir_fd=folder)


def exchange(one: str | Path, other: str | Path, folder: int | None = None) -> bool:
    """Let two things, both relative to `folder`, change names in one step.

    Returns False, with nothing done, where the file system cannot do that (renameat2(2),
    RENAME_EXCHANGE; renameatx_np(2), RENAME_SWAP). Raises OSError.
    """
    return _special_rename(_EXCHANGE, one, other, folder)


def _special_rename(
    flag: int, source: str | Path, target: str | Path, folder: int | None = None
) -> bool:
    """Rename with a flag of renameat2(2) or renameatx_np(2); False where that is not to be had."""
    at = _AT_FDCWD if folder is None else folder
    name = "renameatx_np" if libc.DARWIN else "renameat2"
    try:
        libc.call(name, at, os.fsencode(source), at, os.fsencode(target), flag)
    except OSError as error:
        if error.errno in libc.UNSUPPORTED:
            return False
        raise
    return True
