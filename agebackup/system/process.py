"""Child processes: a forked worker that hands its outcome over whole. Commands are beside it."""

import gc
import os
import select
import signal
from collections.abc import Callable, Collection
from contextlib import suppress
from types import TracebackType
from typing import NoReturn, Self

from agebackup.errors import FailedError
from agebackup.system import libc, outcome
from agebackup.system.commands import CommandError as CommandError
from agebackup.system.commands import CommandResult as CommandResult
from agebackup.system.commands import Listener as Listener
from agebackup.system.commands import NotStartedError as NotStartedError
from agebackup.system.commands import ask_command as ask_command
from agebackup.system.commands import follow_command as follow_command
from agebackup.system.commands import run_command as run_command
from agebackup.system.commands import tell_command as tell_command
from agebackup.system.conversation import TICK as TICK
from agebackup.system.outcome import Result
from agebackup.system.progress import Progress
from agebackup.system.secrecy import forbid_core_dumps

_PR_SET_PDEATHSIG = 1
_SETTLED = b" "
"""A worker's first word: white space, which JSON allows before the outcome."""

_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)


class Worker:
    """A forked child that computes one result, and whose end the parent always sees.

    The child holds no descriptor but those it was given, ignores the signals that stop the
    parent (which kills it instead), writes no core dump, and on Linux dies with its parent.
    Used as a context manager it is killed and reaped at the end, if it still lives.
    """

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        self._descriptor = descriptor
        self._received = bytearray()
        self._status: int | None = None

    @classmethod
    def start(cls, function: Callable[[], Result], *, keep: Collection[int] = ()) -> "Worker":
        """Fork a child that runs `function`; it inherits only the descriptors in `keep`.

        Must be called from the main thread, because on Linux the child dies with the *thread*
        that made it. Connections to SQLite databases may be open: the child closes their
        descriptors before anything else, has none of the locks (fcntl(2)), never collects what
        was the parent's and ends by _exit; `function` must not touch them
        (sqlite.org/howtocorrupt.html, 2.6). The result must be what JSON can carry. Raises
        `FailedError` where no process can be made.
        """
        reading, writing = os.pipe()
        libc.call("getpid")  # loads the library here, not between fork and prctl
        parent = os.getpid()
        # A signal between fork and the child's own settings would run the parent's handlers there.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                _work(function, parent, writing, {*keep, writing})
        except OSError as error:
            os.close(reading)
            raise FailedError(
                f"No further process can be started: {error.strerror}.",
                hint="The system, or your account, is at its limit of processes or memory.",
            ) from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            os.close(writing)
        worker = cls(pid, reading)
        # Until it has closed what it inherited, locks would outlive a parent that is killed now.
        worker.receive(1)
        return worker

    def result(self, progress: Progress) -> Result:
        """Wait for the child's end and return its result, or raise its error.

        An `AgebackupError` comes out as its own class, an OSError as OSError with its errno;
        a crash, by signal or by an unforeseen exception, is a `FailedError`. Raises
        `StoppedError` when a stop is asked for meanwhile; the child then still lives.
        """
        poller = select.poll()
        if self._descriptor >= 0:
            poller.register(self._descriptor, select.POLLIN)
        while self._descriptor >= 0:
            progress.stop.check()
            if poller.poll(TICK * 1000):
                self.receive()
        return outcome.unpack(bytes(self._received), self._reap())

    def kill(self) -> None:
        """End the child now, if it has not ended, and reap it; may be called at any time."""
        if self._status is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._reap()
        self._close()

    def abandon(self) -> None:
        """End the child without waiting for that, for it may never come."""
        if self._status is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self.pid, os.WNOHANG)
        self._close()

    def fileno(self) -> int:
        """Return the descriptor that its outcome comes through, -1 once all of it has come."""
        return self._descriptor

    def receive(self, limit: int = 1 << 16) -> None:
        """Take in what has come of its outcome, waiting for the first byte."""
        piece = os.read(self._descriptor, limit)
        self._received += piece
        if not piece:
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _reap(self) -> int:
        if self._status is None:
            self._status = 0
            with suppress(ChildProcessError):  # whoever started us has SIGCHLD ignored
                self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._status


def _work(function: Callable[[], Result], parent: int, writing: int, keep: set[int]) -> NoReturn:
    """Be the child: nothing, not even an exception, may return into the parent's code."""
    code = 1
    try:
        _settle(parent, keep)
        os.write(writing, _SETTLED)
        try:
            message = outcome.of_result(function())
        except BaseException as error:  # a panic of pyrage derives from BaseException
            message = outcome.of_error(error)
        rest = memoryview(message)
        while rest:
            rest = rest[os.write(writing, rest) :]
        code = 0
    finally:
        os._exit(code)


def _settle(parent: int, keep: set[int]) -> None:
    gc.freeze()  # nothing of the parent's is finalised here, and its objects stay shared pages
    signal.set_wakeup_fd(-1)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    if libc.LINUX:
        libc.call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # it died before prctl, so no signal will come
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    forbid_core_dumps()
    _close_all_but(keep)


def _close_all_but(keep: set[int]) -> None:
    """Close what was inherited; 0 to 2 become /dev/null, for a panic prints to stderr."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in {0, 1, 2} - keep:
        os.dup2(null, standard)
    limit = os.sysconf("SC_OPEN_MAX")
    last = limit if 0 < limit < 1 << 20 else 1 << 20
    below = 2
    for descriptor in [*sorted(fd for fd in keep if fd > 2), last]:
        os.closerange(below + 1, descriptor)
        below = descriptor
