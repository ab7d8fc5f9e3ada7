"""Bytes through descriptors: pipes, sources and sinks that never lose an error.

pyrage swallows or rewords what its Python objects raise. Hence sources and sinks keep their first
exception in `error`, fail for ever after, and count: the caller compares, then raises `error`.
pyrage also moves 8 KiB at a time: both gather larger blocks, one system call each.
"""

import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Protocol

from agebackup.system.progress import Progress

PIPE_BYTES = 1 << 20
_BLOCK = 1 << 18


def open_pipe() -> tuple[int, int]:
    """Return the read end and the write end of a pipe of 1 MiB, where the system allows it.

    Neither is inherited by commands. The caller owns both.
    """
    reading, writing = os.pipe()
    enlarge_pipe(writing)
    return reading, writing


def enlarge_pipe(descriptor: int) -> None:
    """Give a pipe 1 MiB of room, where the system allows it."""
    resize = getattr(fcntl, "F_SETPIPE_SZ", None)
    if resize is not None:
        with suppress(OSError):  # EPERM above the user's limit: a small pipe only costs speed
            fcntl.fcntl(descriptor, resize, PIPE_BYTES)


def write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    """Write the whole of `data`; raises OSError, after which an unknown part is written."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def pieces(descriptor: int, size: int, progress: Progress) -> Iterator[bytes]:
    """Yield the next `size` bytes of a file, fewer where it ends before; raises OSError.

    What was yielded is told to `progress`, which may raise `StoppedError`.
    """
    while size and (piece := os.read(descriptor, min(PIPE_BYTES, size))):
        yield piece
        size -= len(piece)
        progress.advance(len(piece))


def new_block(size: int) -> memoryview:
    """Return `size` writable bytes that begin at a page, as O_DIRECT demands."""
    return memoryview(mmap.mmap(-1, size))


class Digest(Protocol):
    """What `hashlib` makes: it sees every byte that passes, in order."""

    def update(self, data: memoryview, /) -> None: ...


class DescriptorSource:
    """Reads a descriptor for pyrage; `count` is how many bytes it gave.

    Once the end was reached, `digest` has seen all that was read.
    """

    def __init__(
        self,
        descriptor: int,
        progress: Progress | None = None,
        digest: Digest | None = None,
    ) -> None:
        self.count = 0
        self.error: BaseException | None = None
        self._descriptor = descriptor
        self._progress = progress or Progress()
        self._digest = digest
        self._block = new_block(_BLOCK)
        self._rest = self._block[:0]

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes (what is at hand where it is negative), b"" at the end."""
        if self.error is not None:
            raise self.error
        if not self._rest:
            try:
                self._rest = self._next()
                self._progress.advance(len(self._rest))
            except BaseException as error:
                self.error = error
                raise
        data = bytes(self._rest if size < 0 else self._rest[:size])
        self._rest = self._rest[len(data) :]
        self.count += len(data)
        return data

    def _next(self) -> memoryview:
        block = self._block[: os.readv(self._descriptor, [self._block])]
        if self._digest is not None:
            self._digest.update(block)
        return block


class DescriptorSink:
    """Writes to a descriptor for pyrage; `count` is how many bytes it took.

    What it took is certainly written, and seen by `digest`, only when `finish` has returned.
    """

    def __init__(self, descriptor: int, digest: Digest | None = None) -> None:
        self.count = 0
        self.error: BaseException | None = None
        self._descriptor = descriptor
        self._digest = digest
        self._block = new_block(_BLOCK)
        self._filled = 0

    def write(self, data: bytes) -> int:
        """Take the whole of `data` and return its length."""
        if self.error is not None:
            raise self.error
        try:
            self._take(memoryview(data))
        except BaseException as error:
            self.error = error
            raise
        self.count += len(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: pyrage never calls it, and `finish` is what counts."""

    def finish(self) -> None:
        """Write what is left; raises the first error, if there ever was one."""
        if self.error is not None:
            raise self.error
        self._complete(self._block[: self._filled])

    def _take(self, data: memoryview) -> None:
        while data:
            end = min(self._filled + len(data), len(self._block))
            taken = end - self._filled
            self._block[self._filled : end] = data[:taken]
            data = data[taken:]
            self._filled = end
            if end == len(self._block):
                self._block = self._exchange(self._block)
                self._filled = 0

    def _exchange(self, block: memoryview) -> memoryview:
        """Write the full `block`, or have it written; return one to fill."""
        self._complete(block)
        return block

    def _complete(self, rest: memoryview) -> None:
        write_all(self._descriptor, rest)
        self._see(rest)

    def _see(self, block: memoryview) -> None:
        if self._digest is not None:
            self._digest.update(block)
