"""Write the tar stream inside an archive: every member in one way (FORMAT.md, "tar dialect")."""

import hashlib
import os
import select
import stat
from typing import NamedTuple

from agebackup.errors import FailedError, printable
from agebackup.model.layout import SQLITE_MAGIC
from agebackup.model.limits import KIB, MIB
from agebackup.model.ustar import (
    BLOCK,
    EXECUTABLE,
    PLAIN,
    RECORD,
    ZERO_BLOCK,
    encode_header,
)
from agebackup.system.progress import Progress

_CAPACITY = MIB
SMALL = 512 * KIB
"""A file up to here is read whole before its header is written, so that it can be read again."""

_TRIES = 3
_SECOND = 10**9
_PREADV = getattr(os, "preadv", None)  # not every macOS has it
_POLL_MILLISECONDS = 100
_PADS = tuple(bytes(count) for count in range(BLOCK))


class FileRecord(NamedTuple):
    """A file as it was written: its place below the top folder, bytes, SHA-256.

    `sqlite` is true for one read from a descriptor that begins as SQLite databases do.
    """

    place: str
    size: int
    digest: bytes
    sqlite: bool = False


class FileChangedError(FailedError):
    """A source file changed or failed under our hands; the archive being written is spoilt."""

    def __init__(self, place: str, what: str) -> None:
        super().__init__(
            f"{printable(place)} {what}.",
            hint="Run again, pause what writes the file, or exclude it.",
        )
        self.place = place


class TarWriter:
    """Writes members below the folder `top` into `descriptor`, which it sets non-blocking.

    Nothing waits without a bound: while the other end of a pipe is slow, `progress` is asked
    whether to stop. Errors of writing are raised as the OSErrors they are.
    """

    def __init__(self, descriptor: int, top: str, progress: Progress) -> None:
        self._descriptor = descriptor
        self._prefix = top.encode() + b"/"
        self._progress = progress
        self._buffer = bytearray(_CAPACITY)
        self._view = memoryview(self._buffer)
        self._used = 0
        self._flushed = 0
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        os.set_blocking(descriptor, False)

    def add_bytes(self, place: str, content: bytes | bytearray, mtime: int) -> FileRecord:
        """Write a member with `content`; return its size and hash."""
        with memoryview(content) as view:
            size = len(view)
            self._append(self._header(place, size, mtime, PLAIN))
            self._append(view)
            self._append(_PADS[-size % BLOCK])
            return FileRecord(place, size, hashlib.sha256(view).digest())

    def add_file(self, place: str, descriptor: int, status: os.stat_result) -> FileRecord:
        """Write a member with the content of the open file `descriptor`, `status` being its own.

        Raises `FileChangedError` when the file is not the same before and after: a small one
        after some tries and before anything was written, a large one after its member, padded
        with zeros where the file fell short, is complete.
        """
        for _ in range(_TRIES):
            size = status.st_size
            if size > SMALL:
                return self._add_large(place, descriptor, status)
            header = encode_header(
                self._prefix + place.encode(), size, status.st_mtime_ns // _SECOND, _mode(status)
            )
            start = self._used
            if start + len(header) + size + BLOCK > _CAPACITY:
                self._flush()
                start = 0
            content = start + len(header)
            end = content + size
            view = self._view[content:end]
            got = _read(place, descriptor, view, 0)
            after = _status(place, descriptor)
            if got == size and _same(status, after):
                self._view[start:content] = header
                self._used = end + -size % BLOCK
                self._view[end : self._used] = _PADS[self._used - end]
                sqlite = self._buffer.startswith(SQLITE_MAGIC, content)
                return FileRecord(place, size, hashlib.sha256(view).digest(), sqlite)
            status = after
        raise FileChangedError(place, "changed while it was read")

    def close(self) -> None:
        """Write the end marker and fill the last record; the descriptor stays open."""
        self._append(ZERO_BLOCK * 2)
        self._append(bytes(-(self._flushed + self._used) % RECORD))
        self._flush()

    def _add_large(self, place: str, descriptor: int, status: os.stat_result) -> FileRecord:
        size, done = status.st_size, 0
        self._append(self._header(place, size, status.st_mtime_ns // _SECOND, _mode(status)))
        digest = hashlib.sha256()
        problem = None
        sqlite = False
        while done < size:
            start = self._room(BLOCK)
            target = self._view[start : start + min(size - done, _CAPACITY - start)]
            try:
                got = _read(place, descriptor, target, done) if problem is None else 0
            except FileChangedError as error:
                problem, got = error, 0
            if got == 0:
                problem = problem or FileChangedError(place, "shrank while it was read")
                target[:] = bytes(len(target))
                got = len(target)
            digest.update(target[:got])
            sqlite = sqlite or (not done and self._buffer.startswith(SQLITE_MAGIC, start))
            self._used += got
            done += got
        self._append(_PADS[-size % BLOCK])
        if problem is not None:
            raise problem
        if not _same(status, _status(place, descriptor)):
            raise FileChangedError(place, "changed while it was read")
        return FileRecord(place, size, digest.digest(), sqlite)

    def _header(self, place: str, size: int, mtime: int, mode: int) -> bytes:
        return encode_header(self._prefix + place.encode(), size, mtime, mode)

    def _room(self, count: int) -> int:
        """Return where `count` bytes can be put in the buffer, which is emptied when needed."""
        if self._used + count > _CAPACITY:
            self._flush()
        return self._used

    def _append(self, content: bytes | memoryview) -> None:
        for start in range(0, len(content), _CAPACITY):
            part = content[start : start + _CAPACITY]
            at = self._room(len(part))
            self._view[at : at + len(part)] = part
            self._used += len(part)

    def _flush(self) -> None:
        done = 0
        while done < self._used:
            try:
                done += os.write(self._descriptor, self._view[done : self._used])
            except BlockingIOError:
                self._poll.poll(_POLL_MILLISECONDS)
                self._progress.advance(0)
        self._flushed += done
        self._used = 0
        self._progress.advance(done)


def _mode(status: os.stat_result) -> int:
    return EXECUTABLE if status.st_mode & stat.S_IXUSR else PLAIN


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    return (
        before.st_size == after.st_size
        and before.st_mtime_ns == after.st_mtime_ns
        and before.st_ctime_ns == after.st_ctime_ns
    )


def _status(place: str, descriptor: int) -> os.stat_result:
    try:
        return os.fstat(descriptor)
    except OSError as error:
        raise FileChangedError(place, f"cannot be read: {error.strerror}") from None


def _read(place: str, descriptor: int, target: memoryview, offset: int) -> int:
    try:
        if _PREADV is not None:
            return int(_PREADV(descriptor, [target], offset))
        content = os.pread(descriptor, len(target), offset)
        target[: len(content)] = content
        return len(content)
    except OSError as error:
        raise FileChangedError(place, f"cannot be read: {error.strerror}") from None
