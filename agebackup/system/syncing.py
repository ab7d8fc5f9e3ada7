"""Bringing written data to the disk, and saying in words why a disk refused."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agebackup.errors import AgebackupError, FailedError, printable
from agebackup.system import libc
from agebackup.system.descent import folders_below

_UNSYNCABLE = frozenset(
    {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.EACCES, errno.EPERM}
)
_GONE = ("The place {} vanished.", "Check that the drive or share is connected, and run again.")
_DENIED = ("Writing in {} is not allowed.", "Check its owner and mode, or choose another place.")
_REASONS = {
    errno.ENOSPC: ("The disk of {} is full.", "Make space there, or choose another place."),
    errno.EDQUOT: ("The quota of {} is used up.", "Make space there, or choose another place."),
    errno.EFBIG: ("The file would be too large for {}.", "FAT ends at 4 GiB; see also ulimit -f."),
    errno.EROFS: ("{} can only be read.", "Mount it writable, or choose another place."),
    errno.EIO: ("The disk of {} failed to write.", "Look into the system's log; test the disk."),
    errno.ENAMETOOLONG: ("A name is too long for {}.", "Choose a shorter name."),
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.ENOENT: _GONE,
    errno.ESTALE: _GONE,
    errno.ENODEV: _GONE,
    errno.ENXIO: _GONE,
}


class DraftWriteError(OSError):
    """The draft itself cannot be written; whoever publishes it knows its place and says so."""


def failure(error: OSError, place: Path) -> AgebackupError:
    """Return the sentence for `error`, which came up while something was written in `place`.

    It names the whole path, also where the person gave a part of it.
    """
    with suppress(OSError):  # the current directory may be gone itself
        place = Path(os.path.abspath(place))
    shown = printable(str(place))
    text, hint = _REASONS.get(error.errno or 0, ("", ""))
    if text:
        return FailedError(text.format(shown), hint=hint)
    return FailedError(
        f"Writing in {shown} failed: {error.strerror or error}.",
        hint="Check the place, or choose another one.",
    )


@contextmanager
def explained(place: Path) -> Iterator[None]:
    """Turn every OSError of the body, which writes in `place`, into `failure`."""
    try:
        yield
    except OSError as error:
        raise failure(error, place) from error


def sync_file(descriptor: int) -> None:
    """Bring a file's content and size to the disk.

    Raises OSError: what was written may then be lost although a second call would succeed, so
    the file must be discarded (fsync(2) on Linux reports a failed write-back once). On macOS
    fsync leaves data in the drive's cache, F_FULLFSYNC does not.
    """
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        try:
            fcntl.fcntl(descriptor, full)
            return
        except OSError as error:
            if error.errno not in libc.UNSUPPORTED:
                raise
    os.fsync(descriptor)


def sync_directory(descriptor: int) -> None:
    """Bring a directory's entries to the disk, where its file system can do that at all."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSYNCABLE:
            raise


def sync_path(directory: Path) -> None:
    """Bring the entries of the directory at this path to the disk."""
    with opened(directory) as descriptor:
        sync_directory(descriptor)


def sync_tree(directory: Path) -> None:
    """Bring everything under `directory` to the disk: on Linux at once, elsewhere one by one.

    Raises `FailedError`; what was written must then be discarded.
    """
    with explained(directory), opened(directory) as top:
        _sync_below(top)


@contextmanager
def opened(directory: Path) -> Iterator[int]:
    """Yield a descriptor of `directory`. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sync_below(top: int) -> None:
    if libc.LINUX:
        try:
            libc.call("syncfs", top)
            return
        except OSError as error:
            if error.errno not in libc.UNSUPPORTED:
                raise
    for folder in folders_below(top):
        for name in folder.files:
            _sync_named(name, folder.descriptor)
        sync_directory(folder.descriptor)


def _sync_named(name: str, folder: int) -> None:
    if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        return
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        sync_file(descriptor)
    finally:
        os.close(descriptor)
