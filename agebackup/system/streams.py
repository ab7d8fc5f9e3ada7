"""Bytes through descriptors: pipes, sources and sinks that never lose an error.

pyrage swallows or rewords what its Python objects raise. Hence sources and sinks keep their first
exception in `error`, fail for ever after, and count: the caller compares, then raises `error`.
"""

import fcntl
import os
from contextlib import suppress

from agebackup.errors import VerificationError
from agebackup.system.progress import Progress

PIPE_BYTES = 1 << 20


def open_pipe() -> tuple[int, int]:
    """Return the read end and the write end of a pipe of 1 MiB, where the system allows it.

    Neither is inherited by commands. The caller owns both.
    """
    reading, writing = os.pipe()
    resize = getattr(fcntl, "F_SETPIPE_SZ", None)
    if resize is not None:
        with suppress(OSError):  # EPERM above the user's limit: a small pipe only costs speed
            fcntl.fcntl(writing, resize, PIPE_BYTES)
    return reading, writing


def write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    """Write the whole of `data`; raises OSError, after which an unknown part is written."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def read_exactly(descriptor: int, size: int) -> bytes:
    """Return exactly `size` bytes; raises `VerificationError` where the stream ends before."""
    pieces = bytearray()
    while len(pieces) < size:
        piece = os.read(descriptor, min(size - len(pieces), 1 << 20))
        if not piece:
            raise VerificationError("The stream ended early.")
        pieces += piece
    return bytes(pieces)


class DescriptorSource:
    """Reads from a descriptor for pyrage; `count` is how many bytes it gave."""

    def __init__(self, descriptor: int, progress: Progress | None = None) -> None:
        self._descriptor = descriptor
        self._progress = progress or Progress()
        self.count = 0
        self.error: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes (1 MiB where it is negative), b"" at the end."""
        if self.error is not None:
            raise self.error
        try:
            data = os.read(self._descriptor, size if size >= 0 else 1 << 20)
            self._progress.advance(len(data))
        except BaseException as error:
            self.error = error
            raise
        self.count += len(data)
        return data


class DescriptorSink:
    """Writes to a descriptor for pyrage; `count` is how many bytes it took."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.count = 0
        self.error: BaseException | None = None

    def write(self, data: bytes) -> int:
        """Take the whole of `data` and return its length."""
        if self.error is not None:
            raise self.error
        try:
            self._put(data)
        except BaseException as error:
            self.error = error
            raise
        self.count += len(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: pyrage never calls it, and `finish` is what counts."""

    def finish(self) -> None:
        """Bring what was taken to the file; raises the first error, if there was one."""
        if self.error is not None:
            raise self.error
        self._complete()

    def _put(self, data: bytes) -> None:
        write_all(self._descriptor, data)

    def _complete(self) -> None:
        pass


def sink_for(descriptor: int) -> DescriptorSink:
    """Return the fastest sink for `descriptor`."""
    return DescriptorSink(descriptor)
