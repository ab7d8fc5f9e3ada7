"""What lies in a folder by name and status alone, and how one name of it is opened or removed."""

import errno
import os
import stat
from pathlib import Path

from agebackup.errors import AgebackupError, FailedError, NotFoundError
from agebackup.model.inventory import FolderEntry
from agebackup.model.names import printable
from agebackup.system.eviction import is_dataless
from agebackup.system.syncing import explained, sync_directory

_BLOCK = 4096
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def read_entries(directory: Path) -> tuple[FolderEntry, ...]:
    """Return every name in `directory`, sorted, from one scan and lstat(2): nothing is opened.

    A name that vanishes meanwhile is left out. Raises `NotFoundError` where the directory is
    absent and `FailedError` where it cannot be read.
    """
    found: list[tuple[str, os.stat_result]] = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    found.append((entry.name, entry.stat(follow_symlinks=False)))
                except FileNotFoundError:
                    continue
    except OSError as error:
        raise _unlisted(directory, error) from None
    tells_blocks = any(_has_content(status) and status.st_blocks for _, status in found)
    return tuple(
        FolderEntry(
            name,
            status.st_size,
            status.st_mtime,
            regular=stat.S_ISREG(status.st_mode),
            evicted=_evicted(status, tells_blocks=tells_blocks),
            inode=(status.st_dev, status.st_ino),
        )
        for name, status in sorted(found)
    )


def _has_content(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_size > 0


def _evicted(status: os.stat_result, *, tells_blocks: bool) -> bool:
    """Return whether only name and size are here.

    Without blocks is what cloud clients leave; but some file systems tell blocks of no file, and
    some hold a small file's content elsewhere.
    """
    holds_none = tells_blocks and status.st_size >= _BLOCK and not status.st_blocks
    return holds_none or is_dataless(status)


def open_entry(directory: Path, entry: FolderEntry) -> int:
    """Return a descriptor that reads the file `entry` of `directory`, to be closed by the caller.

    Never follows a link. Raises `NotFoundError` where it is gone, and `FailedError` where that name
    now is another file, or cannot be read.
    """
    shown = printable(str(directory / entry.name))
    try:
        descriptor = os.open(directory / entry.name, _READ)
    except FileNotFoundError:
        raise NotFoundError(f"{shown} is gone.", hint="Look again: something removed it.") from None
    except OSError as error:
        why = "it is a link" if error.errno == errno.ELOOP else error.strerror
        raise FailedError(
            f"{shown} cannot be read: {why}.", hint="Check its permissions and its drive."
        ) from None
    status = os.fstat(descriptor)
    if (status.st_dev, status.st_ino) != entry.inode or not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise _replaced(shown)
    return descriptor


def remove_entry(directory: Path, entry: FolderEntry) -> None:
    """Remove the file `entry` of `directory`, and make that durable; one that is gone is fine.

    Raises `FailedError` where that name now is another file, which stays, or the disk refuses.
    """
    with explained(directory):
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with explained(directory):
            try:
                status = os.stat(entry.name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                return
            if (status.st_dev, status.st_ino) != entry.inode:
                raise _replaced(printable(str(directory / entry.name)))
            os.unlink(entry.name, dir_fd=folder)
            sync_directory(folder)
    finally:
        os.close(folder)


def _replaced(shown: str) -> FailedError:
    return FailedError(
        f"{shown} was replaced by another file meanwhile.",
        hint="Look again: a sync client or another program is at work there.",
    )


def _unlisted(directory: Path, error: OSError) -> AgebackupError:
    shown = printable(str(directory))
    if isinstance(error, FileNotFoundError):
        return NotFoundError(
            f"The destination {shown} does not exist.",
            hint="If it lies on another drive, mount that first; else see that the path is right.",
        )
    if isinstance(error, NotADirectoryError):
        return NotFoundError(
            f"The destination {shown} is not a directory.", hint="Name the directory of archives."
        )
    return FailedError(
        f"The destination {shown} cannot be read: {error.strerror}.",
        hint="Check its permissions and the drive it lies on.",
    )
