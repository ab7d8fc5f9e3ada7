"""Read the tar stream inside an archive: what our writer writes, and nothing else.

`model/ustar.py` judges the headers; one buffer is kept, and no object per file.
"""

import hashlib
import os
import select
from collections.abc import Iterator
from typing import NamedTuple

from agebackup.errors import FailedError, VerificationError, printable
from agebackup.model.limits import MIB, Limits
from agebackup.model.names import uncarriable
from agebackup.model.ustar import (
    BLOCK,
    RECORD,
    ZERO_BLOCK,
    Header,
    decode_header,
    long_name_size,
)
from agebackup.snapshot.places import misplaced
from agebackup.system.progress import Progress
from agebackup.system.streams import write_all

HEAD = 100
"""So many bytes of a file are shown to a receiver first: enough for a SQLite header."""

_CAPACITY = MIB
_POLL_MILLISECONDS = 100
_LONGEST_TOP = 64
_PADS = tuple(bytes(count) for count in range(BLOCK))


class Member(NamedTuple):
    """One file in the stream: size in bytes, mtime in whole seconds, mode 0600 or 0700.

    `place` is its path below the top folder.
    """

    place: str
    size: int
    mtime: int
    mode: int


class TarReader:
    """Reads members from `descriptor`; the first one decides the top folder.

    Every departure from the dialect, and every limit that is passed, is a `VerificationError`.
    Use: `next`, then for each member exactly one of `chunks`, `copy` or `content`.
    """

    def __init__(self, descriptor: int, limits: Limits, progress: Progress) -> None:
        self.top = self._prefix = ""
        self._descriptor = descriptor
        self._limits = limits
        self._progress = progress
        self._buffer = bytearray(_CAPACITY)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        self._taken = 0
        self._members = 0
        self._total = 0
        self._left = self._pad = 0
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def next(self) -> Member | None:
        """Return the next member, or None after a proper end of the stream."""
        block = self._block()
        if block == ZERO_BLOCK:
            self._finish()
            return None
        size = long_name_size(block)
        header = decode_header(block) if size is None else self._long(size)
        place = self._place(header.path)
        self._members += 1
        self._total += header.size
        if self._members > self._limits.members:
            raise over_limit("members", self._limits.members)
        if self._total > self._limits.total_bytes:
            raise over_limit("total_bytes", self._limits.total_bytes)
        self._left, self._pad = header.size, -header.size % BLOCK
        return Member(place, header.size, header.mtime, header.mode)

    def head(self) -> bytes:
        """Return the first bytes of the member's content, at most 100, without taking them."""
        count = min(self._left, HEAD)
        self._need(count)
        return bytes(self._view[self._start : self._start + count])

    def copy(self, sink: int | None) -> bytes:
        """Write the member's content to the descriptor `sink`, if any; return its SHA-256."""
        start, size = self._start, self._left
        if start + size + BLOCK <= self._end:
            # Small files by the hundred thousand: no generator, no second look at the buffer.
            self._start += size
            self._taken += size
            self._left = 0
            view = self._view[start : start + size]
            if sink is not None:
                write_payload(sink, view)
            if self._pad:
                self._zeros(self._pad)
            return hashlib.sha256(view).digest()
        digest = hashlib.sha256()
        for chunk in self.chunks():
            digest.update(chunk)
            if sink is not None:
                write_payload(sink, chunk)
        return digest.digest()

    def content(self, limit: int, what: str) -> bytes:
        """Return the member's content, which may not be longer than `limit` bytes."""
        if self._left > limit:
            raise over_limit(what, limit)
        return b"".join(map(bytes, self.chunks()))

    def chunks(self) -> Iterator[memoryview]:
        """Yield the member's content in pieces that are valid until the next one is asked for."""
        while self._left:
            if self._start == self._end:
                self._fill()
            count = min(self._left, self._end - self._start)
            start = self._start
            self._start += count
            self._left -= count
            self._taken += count
            yield self._view[start : start + count]
        self._zeros(self._pad)

    def _block(self) -> bytes:
        self._need(BLOCK)
        start = self._start
        self._start += BLOCK
        self._taken += BLOCK
        return bytes(self._view[start : start + BLOCK])

    def _long(self, size: int) -> Header:
        if size > self._limits.path_bytes + _LONGEST_TOP:
            raise over_limit("path_bytes", self._limits.path_bytes)
        self._left, self._pad = size, -size % BLOCK
        path = b"".join(map(bytes, self.chunks()))
        if path.find(b"\0") != size - 1:
            raise _damaged("a long name does not end where it should")
        return decode_header(self._block(), path[:-1])

    def _place(self, path: bytes) -> str:
        try:
            name = path.decode()
        except UnicodeDecodeError:
            raise _damaged("a name is not UTF-8") from None
        if not self.top:
            self.top = name.partition("/")[0]
            self._prefix = self.top + "/"
        place = name[len(self._prefix) :]
        if not name.startswith(self._prefix):
            raise VerificationError(f"{printable(name)} is not in the archive's only folder.")
        if len(path) - len(self._prefix) > self._limits.path_bytes:
            raise over_limit("path_bytes", self._limits.path_bytes)
        why = uncarriable(place) or misplaced(place)
        if why:
            raise VerificationError(f"The archive holds {printable(name)}, but {why}.")
        if place.count("/") > self._limits.depth:
            raise over_limit("depth", self._limits.depth)
        return place

    def _finish(self) -> None:
        if self._block() != ZERO_BLOCK:
            raise _damaged("the end marker is half there")
        self._zeros(-self._taken % RECORD)
        if self._start < self._end or self._read_more():
            raise _damaged("something follows its end")

    def _zeros(self, count: int) -> None:
        while count:
            step = min(count, BLOCK - 1)
            self._need(step)
            if not self._buffer.startswith(_PADS[step], self._start):
                raise _damaged("its padding is not zero")
            self._start += step
            self._taken += step
            count -= step

    def _need(self, count: int) -> None:
        """Have at least `count` bytes, at most a header's worth, in one piece."""
        while self._end - self._start < count:
            self._fill()

    def _fill(self) -> None:
        if not self._read_more():
            raise _damaged("it ends early")

    def _read_more(self) -> int:
        left = self._end - self._start
        self._buffer[:left] = self._buffer[self._start : self._end]
        self._start, self._end = 0, left
        while not self._poll.poll(_POLL_MILLISECONDS):
            self._progress.advance(0)
        got = os.readv(self._descriptor, [self._view[left:]])
        self._end += got
        self._progress.advance(got)
        return got


def write_payload(sink: int, chunk: bytes | memoryview) -> None:
    """Write `chunk` to a receiver's descriptor; raises `FailedError` where that cannot be."""
    try:
        write_all(sink, chunk)
    except OSError as error:
        raise FailedError(
            f"What the archive holds cannot be written: {error.strerror}.",
            hint="Free some space or choose another disk, then try again.",
        ) from None


def over_limit(what: str, limit: int) -> VerificationError:
    """Return the error that an archive passes the limit `what` (a field of `Limits`)."""
    return VerificationError(
        f"The archive is beyond what agebackup accepts: {what.replace('_', ' ')} over {limit:,}.",
        hint=f"If you know where it comes from, raise that limit: --max-{what.replace('_', '-')}.",
    )


def _damaged(what: str) -> VerificationError:
    return VerificationError(f"The tar stream inside the archive is damaged: {what}.")
