"""Keeping a file elsewhere before another one takes its place."""

import errno
import hashlib
import os
from contextlib import suppress
from pathlib import Path

from agebackup.errors import FailedError, RefusedError, printable
from agebackup.system import libc
from agebackup.system.claims import Claims
from agebackup.system.durable import Draft, publication
from agebackup.system.progress import Progress
from agebackup.system.streams import pieces
from agebackup.system.syncing import explained, sync_path

_CANNOT_LINK = libc.UNSUPPORTED | {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EACCES}


def keep(path: Path, descriptor: int, target: Path, claims: Claims, progress: Progress) -> bool:
    """Let the file `path`, open as `descriptor`, be `target` as well, durably, whatever comes.

    A second name where both are on one file system; else a copy that is synced and read back. What
    is called `target` already stays, and must be the same file or have its content: `RefusedError`
    otherwise. Returns whether it was made now. Raises `FailedError` where the disk refuses, and
    then has made nothing, and `StoppedError`.
    """
    with explained(target.parent):
        if os.path.lexists(target):
            _require_equal(descriptor, target, progress)
            return False
        if _linked(path, descriptor, target):
            return True
    with publication(target.parent, target.name, claims, replace=False) as draft:
        _copy(descriptor, draft, target, progress)
    return True


def unkeep(path: Path, descriptor: int, target: Path) -> None:
    """Take back what `keep` made, unless the open file has lost its own name `path`."""
    with suppress(OSError):
        if os.path.samestat(os.lstat(path), os.fstat(descriptor)):
            os.unlink(target)
            sync_path(target.parent)


def _linked(path: Path, descriptor: int, target: Path) -> bool:
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in _CANNOT_LINK:
            return False
        raise
    try:
        if not os.path.samestat(os.lstat(target), os.fstat(descriptor)):
            raise FailedError(
                f"{printable(str(path))} was replaced meanwhile.", hint="Look again, and run again."
            )
        sync_path(target.parent)
    except BaseException:
        with suppress(OSError):
            os.unlink(target)
        raise
    return True


def _copy(descriptor: int, draft: Draft, target: Path, progress: Progress) -> None:
    status = os.fstat(descriptor)
    progress.phase(f"keeping {target.name}", status.st_size)
    os.lseek(descriptor, 0, os.SEEK_SET)
    digest = hashlib.sha256()
    for piece in pieces(descriptor, status.st_size, progress):
        digest.update(piece)
        draft.write(piece)
    os.lseek(draft.descriptor, 0, os.SEEK_SET)
    if _digest(draft.descriptor, progress) != digest.digest():
        raise FailedError(
            f"The copy in {printable(str(target.parent))} is not what was written.",
            hint="Test that disk, or choose another place.",
        )
    with suppress(OSError, OverflowError):
        os.utime(draft.descriptor, ns=(status.st_atime_ns, status.st_mtime_ns))


def _require_equal(descriptor: int, target: Path, progress: Progress) -> None:
    there = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if os.path.samestat(os.fstat(there), os.fstat(descriptor)):
            return
        os.lseek(descriptor, 0, os.SEEK_SET)
        if _digest(descriptor, progress) != _digest(there, progress):
            raise RefusedError(
                f"{printable(str(target))} exists and is another file.",
                hint="Choose another directory; nothing is overwritten there.",
            )
    finally:
        os.close(there)


def _digest(descriptor: int, progress: Progress) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces(descriptor, os.fstat(descriptor).st_size, progress):
        digest.update(piece)
    return digest.digest()
