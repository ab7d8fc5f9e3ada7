"""Copy files and trees, and compare what was written with what was read."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from agebackup.errors import FailedError, printable
from agebackup.system.streams import write_all
from agebackup.system.syncing import explained

_PIECE = 1 << 20
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_compared(source: Path, target: Path, check: Callable[[], None]) -> None:
    """Copy the file or directory `source` to the new path `target`, with modes, times and links.

    `check` is called now and then and may raise. Each file is read back and compared with what was
    read. Nothing is synced. Raises `FailedError` where a disk refuses, where the copy differs, and
    for what is neither file, directory nor link; `target` is then worthless.
    """
    with explained(target.parent):
        for inside in _everything(source):
            check()
            _copy_one(source / inside, target / inside, check)
        for inside in reversed([*_everything(source)]):  # what is made in a directory changes it
            _liken(source / inside, target / inside)


def _everything(top: Path) -> Iterator[Path]:
    """Yield every path below `top`, relative to it and each after its directory; first "."."""
    yield Path()
    if stat.S_ISDIR(os.lstat(top).st_mode):
        for directory, folders, files in os.walk(top, onerror=_failed):
            for name in (*folders, *files):
                yield Path(directory, name).relative_to(top)


def _failed(error: OSError) -> None:
    raise error


def _copy_one(source: Path, target: Path, check: Callable[[], None]) -> None:
    mode = os.lstat(source).st_mode
    if stat.S_ISDIR(mode):
        os.mkdir(target, 0o700)
    elif stat.S_ISLNK(mode):
        os.symlink(os.readlink(source), target)
    elif stat.S_ISREG(mode):
        _copy_file(source, target, check)
    else:
        raise FailedError(
            f"{printable(str(source))} is neither a file nor a directory and cannot be copied.",
            hint="Remove it, or exclude it.",
        )


def _copy_file(source: Path, target: Path, check: Callable[[], None]) -> None:
    reading = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        writing = os.open(target, _NEW, 0o600)
        try:
            read = hashlib.sha256()
            while piece := os.read(reading, _PIECE):
                check()
                read.update(piece)
                write_all(writing, piece)
            os.lseek(writing, 0, os.SEEK_SET)
            written = hashlib.sha256()
            while piece := os.read(writing, _PIECE):
                check()
                written.update(piece)
        finally:
            os.close(writing)
    finally:
        os.close(reading)
    if read.digest() != written.digest():
        raise FailedError(
            f"The copy {printable(str(target))} differs from what was written.",
            hint="Memory or the disk may be damaged: test both.",
        )


def _liken(source: Path, target: Path) -> None:
    status = os.lstat(source)
    with suppress(PermissionError):
        os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode) & 0o777)
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
