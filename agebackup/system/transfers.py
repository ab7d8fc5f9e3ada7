"""Commands that carry much: their streams pass through us, and they end when nothing moves."""

import os
import select
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from agebackup.errors import FailedError
from agebackup.system.clock import Deadline
from agebackup.system.commands import CommandResult, Surroundings, end_group, launch
from agebackup.system.conversation import TICK
from agebackup.system.progress import Progress
from agebackup.system.streams import PIPE_BYTES, enlarge_pipe

STALL_SECONDS = 600.0
_GRACE = 0.3
_STDERR_LIMIT = 1 << 16


class StalledError(FailedError):
    """Not a byte went through a command for a long time."""


@dataclass(frozen=True)
class Traffic:
    """What goes into a command and what becomes of what it says.

    `given` yields what it reads on its stdin; `taken` gets every piece of its stdout, in order. An
    exception of either ends the command and comes out. `stall` is after how many seconds without a
    byte either way it counts as stuck.
    """

    given: Iterator[bytes] | None = None
    taken: Callable[[bytes], None] = field(default=lambda _: None)
    stall: float = STALL_SECONDS


def run_transfer(
    argv: Sequence[str],
    traffic: Traffic,
    *,
    environment: Mapping[str, str],
    progress: Progress,
) -> CommandResult:
    """Run `argv`, without a shell, in a process group of its own, until it ends by itself.

    Returns how it ended, whatever its code; `stdout` is "", `stderr` its last 64 KiB. It need not
    read all that is given. When this process is killed its stdin ends early. Raises
    `NotStartedError`, `StalledError`, and `StoppedError` when a stop is asked for; in the last two
    cases the whole group was ended.
    """
    stdin = subprocess.DEVNULL if traffic.given is None else subprocess.PIPE
    child = launch(argv, Surroundings(environment=environment), stdin=stdin)
    with child:
        try:
            passage = _Passage(child, traffic)
            while passage.open:
                progress.stop.check()
                passage.turn()
            child.wait()
        except BaseException:
            end_group(child, _GRACE)
            raise
    return CommandResult(child.returncode, "", passage.stderr.decode(errors="replace"))


class _Passage:
    """The three pipes of a command, each read or written as soon as it can be."""

    def __init__(self, child: "subprocess.Popen[bytes]", traffic: Traffic) -> None:
        assert child.stdout and child.stderr
        self._child, self._traffic = child, traffic
        self._rest: memoryview | None = None
        self._out, self._err = child.stdout.fileno(), child.stderr.fileno()
        self.stderr = bytearray()
        self.open = {self._out, self._err}
        self._poller = select.poll()
        for descriptor in self.open:
            os.set_blocking(descriptor, False)
            self._poller.register(descriptor, select.POLLIN)
        enlarge_pipe(self._out)
        if child.stdin is not None:
            os.set_blocking(child.stdin.fileno(), False)
            enlarge_pipe(child.stdin.fileno())
            self._poller.register(child.stdin.fileno(), select.POLLOUT)
        self._deadline = Deadline(traffic.stall)

    def turn(self) -> None:
        """Move what can be moved now, waiting a moment for it."""
        ended = self._child.poll() is not None
        ready = self._poller.poll(0 if ended else TICK * 1000)
        for descriptor, _ in ready:
            if descriptor in self.open:
                self._read(descriptor)
            else:
                self._write(descriptor)
        if ready:
            self._deadline = Deadline(self._traffic.stall)
        elif ended:
            self.open = set()  # what it left running in the background keeps the pipes
        elif self._deadline.expired:
            raise StalledError(
                f"Nothing has moved for {self._traffic.stall:g} seconds.",
                hint="Look whether the network is there, and try again.",
            )

    def _read(self, descriptor: int) -> None:
        piece = os.read(descriptor, PIPE_BYTES)
        if not piece:
            self._poller.unregister(descriptor)
            self.open.discard(descriptor)
        elif descriptor == self._out:
            self._traffic.taken(piece)
        else:
            self.stderr += piece
            del self.stderr[:-_STDERR_LIMIT]

    def _write(self, descriptor: int) -> None:
        assert self._child.stdin and self._traffic.given is not None
        rest = self._rest or memoryview(next(self._traffic.given, b""))
        try:
            self._rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            self._rest = rest
            return
        except OSError:  # it reads no more
            rest = memoryview(b"")
        if not rest:
            self._poller.unregister(descriptor)
            with suppress(OSError):
                self._child.stdin.close()
