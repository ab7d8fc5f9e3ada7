"""What is said to a command and what it says, so that neither side ever stands still."""

import os
import select
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from agebackup.system.clock import Deadline
from agebackup.system.progress import Progress

TICK = 0.02
"""Seconds between two looks at the wish to stop."""
OUTPUT_LIMIT = 1 << 20
"""Bytes that are kept of the end of each output, unless another limit is given."""
_PIECE = 1 << 16


class Conversation:
    """The three pipes of a command: `said` goes in, the last `limit` bytes of each output are kept.

    A command that does not read, or closes its input early, loses the rest and nothing more. The
    function `heard`, if it is given, gets each line of the last output as it comes.
    """

    def __init__(
        self,
        stdin: IO[bytes] | None,
        outputs: tuple[IO[bytes], ...],
        said: bytes,
        limit: int = OUTPUT_LIMIT,
        heard: Callable[[str], None] | None = None,
    ) -> None:
        self._stdin, self._rest = stdin, memoryview(said)
        self._limit, self._heard = limit, heard
        self._line = b""
        self._texts = tuple(bytearray() for _ in outputs)
        self._open = {pipe.fileno(): text for pipe, text in zip(outputs, self._texts, strict=True)}
        self._poller = select.poll()
        for descriptor in self._open:
            os.set_blocking(descriptor, False)
            self._poller.register(descriptor, select.POLLIN)
        if stdin is not None:
            os.set_blocking(stdin.fileno(), False)
            self._poller.register(stdin.fileno(), select.POLLOUT)

    def follow(self, deadline: Deadline, progress: Progress, *, ended: Callable[[], bool]) -> bool:
        """Talk until the command `ended`, or return False when `deadline` came first.

        What the command left running in the background may keep the pipes open: its own end
        counts, not theirs. Raises `StoppedError` when a stop is asked for.
        """
        while not ended():
            progress.stop.check()
            if deadline.expired:
                return False
            self._turn(TICK)
        for _ in range(OUTPUT_LIMIT // _PIECE):
            self._turn(0)
        return True

    def text(self, index: int) -> str:
        """Return what came out of output `index`."""
        return self._texts[index].decode(errors="replace")

    def _turn(self, seconds: float) -> None:
        for descriptor, _ in self._poller.poll(seconds * 1000):
            if descriptor in self._open:
                self._read(descriptor)
            else:
                self._write(descriptor)

    def _read(self, descriptor: int) -> None:
        text, piece = self._open[descriptor], os.read(descriptor, _PIECE)
        text += piece
        del text[: -self._limit]
        if self._heard is not None and text is self._texts[-1]:
            *lines, self._line = (self._line + piece).split(b"\n")
            self._line = self._line[-self._limit :]
            for line in lines:
                self._heard(line.decode(errors="replace"))
        if not piece:
            self._poller.unregister(descriptor)

    def _write(self, descriptor: int) -> None:
        try:
            self._rest = self._rest[os.write(descriptor, self._rest[:_PIECE]) :]
        except BlockingIOError:
            return
        except OSError:  # it reads no more
            self._rest = memoryview(b"")
        if not self._rest:
            self._poller.unregister(descriptor)
            assert self._stdin
            with suppress(OSError):
                self._stdin.close()
