"""A log file that several processes append to, and that never grows beyond its share."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from agebackup.system.clock import Deadline, pause
from agebackup.system.durable import rename_new

LIMIT_BYTES = 1_000_000
OLD_FILES = 5
_WAIT_SECONDS, _STEP = 1.0, 0.01


def append(file: Path, line: bytes, *, limit: int = LIMIT_BYTES, old: int = OLD_FILES) -> None:
    """Append `line`, which ends with a line feed, to `file` (0600), whole or not at all.

    A file that would grow beyond `limit` bytes first becomes `file`.1, that one `file`.2, and
    what was `file`.`old` goes. Several processes may do so at once: each holds the file's lock,
    for which it waits a second at most; without it nothing is rotated, only appended. Raises
    OSError where the disk or the place refuses; links and pipes of that name are refused.
    """
    for _ in range(old + 3):  # a file that was rotated away while its lock was awaited is left
        descriptor = _opened(file)
        try:
            locked = _lock(descriptor)
            if locked and not _is_still(descriptor, file):
                continue
            size = os.fstat(descriptor).st_size
            if locked and size and size + len(line) > limit:
                _rotate(file, old)
                continue
            _write(descriptor, line, size)
            return
        finally:
            os.close(descriptor)
    raise OSError(f"{file} is rotated again and again")


def generations(file: Path, *, old: int = OLD_FILES) -> Iterator[Path]:
    """Yield the files that there may be, the oldest first, `file` itself last."""
    for number in range(old, 0, -1):
        yield _numbered(file, number)
    yield file


class Tail:
    """What is appended to `file`, from its beginning on, across rotations.

    Used as a context manager it holds the file open, so that nothing is lost when that is rotated
    away between two looks. Raises OSError where the file cannot be read.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor = -1
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._close()

    def lines(self) -> Iterator[bytes]:
        """Yield the whole lines that came since the last look; never waits."""
        if self._descriptor >= 0:
            yield from self._read()
            if _is_still(self._descriptor, self._file):
                return
            yield from self._read()  # what came between that look and the rotation
            self._close()
        with suppress(FileNotFoundError):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            self._descriptor = os.open(self._file, flags)
            yield from self._read()

    def _read(self) -> Iterator[bytes]:
        while piece := os.read(self._descriptor, 1 << 16):
            *whole, self._rest = (self._rest + piece).split(b"\n")
            yield from whole

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor, self._rest = -1, b""


def _opened(file: Path) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(file, flags, 0o600)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{file} is no regular file")
        if stat.S_IMODE(status.st_mode) & 0o077:
            with suppress(OSError):
                os.fchmod(descriptor, 0o600)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _lock(descriptor: int) -> bool:
    deadline = Deadline(_WAIT_SECONDS)
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if deadline.expired:
                return False
            pause(_STEP)
        except OSError:  # a file system without locks
            return False


def _is_still(descriptor: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(file))
    except FileNotFoundError:
        return False


def _rotate(file: Path, old: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(_numbered(file, old))
    for number in range(old - 1, -1, -1):
        with suppress(FileNotFoundError):
            rename_new(_numbered(file, number), _numbered(file, number + 1))


def _numbered(file: Path, number: int) -> Path:
    return file.with_name(f"{file.name}.{number}") if number else file


def _write(descriptor: int, line: bytes, size: int) -> None:
    """Write `line`; what a full disk took only in part is taken back."""
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        line = b"\n" + line  # whoever wrote last was cut off
    written = 0
    try:
        while written < len(line):
            written += os.write(descriptor, line[written:])
    except OSError:
        if written:
            with suppress(OSError):
                os.ftruncate(descriptor, size)
        raise
