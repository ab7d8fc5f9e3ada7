"""Watches a target at each input: what it raises, its time and memory, and where it writes.

The process that runs inputs is bound to an amount of memory. A hook on Python's own audit events
(PEP 578) sees every file that is opened for writing, made, renamed or removed, and every program
and connection, before it happens.
"""

import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agebackup.errors import AgebackupError
from fuzzing.targets import Target

SECONDS = 5.0
"""Processor time that one input may take; all of them are small."""
HUNG = 60.0
"""Seconds after which an input is given up, however loaded the machine is."""
GROWTH = 192 << 20
"""Bytes of memory that may be held after all inputs beyond what was held after the first ones."""
MEMORY = 1 << 30
"""Address space, in bytes, that a process may take beyond what it has when it begins."""
WARM = 500
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CHANGING = {
    *("os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir", "os.truncate"),
    *("os.chmod", "os.chown", "os.utime", "os.chdir", "os.mkfifo", "os.mknod"),
}
_FORBIDDEN = (
    *("subprocess.", "os.exec", "os.system", "os.posix_spawn", "os.fork", "os.symlink"),
    *("socket.connect", "socket.bind"),
)


class FindingError(Exception):
    """What one input did that no input may do."""


class Watch:
    """Runs inputs of `target`, which may write below the new directory `private` alone."""

    def __init__(self, target: Target, private: Path) -> None:
        self.runs = self.refused = 0
        self._target = target
        self._private = private
        self._strayed: list[str] = []
        self._armed = False
        self._warm = 0
        sys.addaudithook(self._heard)
        signal.signal(signal.SIGALRM, _ring)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))

    def run(self, data: bytes) -> str:
        """Give `data` to the target; return what it was refused with, "" where it was not.

        Raises `FindingError`.
        """
        self._strayed.clear()
        begun, said = time.process_time(), ""
        try:
            with self._watching():
                self._target.run(data, self._private)
        except AgebackupError as error:
            said = f"{type(error).__name__} {error.message}"
            self.refused += 1
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raise FindingError(f"{type(error).__name__}: {error}") from error
        self._require(time.process_time() - begun)
        return said

    def _require(self, seconds: float) -> None:
        self.runs += 1
        if self._strayed:
            raise FindingError(f"it strayed: {self._strayed.pop()}")
        if seconds > SECONDS:
            raise FindingError(f"it took {seconds:.1f} s")
        left = [path.name for path in self._private.iterdir()]
        if left:
            raise FindingError(f"it left {left}")
        held = _resident()
        if self.runs == WARM:
            self._warm = held
        elif self.runs > WARM and held > self._warm + GROWTH:
            raise FindingError(f"memory grew from {self._warm >> 20} to {held >> 20} MiB")

    @contextmanager
    def _watching(self) -> Iterator[None]:
        signal.setitimer(signal.ITIMER_REAL, HUNG)
        self._armed = True
        try:
            yield
        finally:
            self._armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _heard(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self._armed:
            return
        if event.startswith(_FORBIDDEN):
            self._stray(event, arguments)
        elif event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITING and path != os.devnull:
                self._look(event, path)
        elif event in _CHANGING:
            for path in arguments[: 2 if event in ("os.rename", "os.link") else 1]:
                self._look(event, path)
        elif event == "shutil.rmtree":
            self._look(event, arguments[0])

    def _look(self, event: str, path: object) -> None:
        """Relative names are meant from a descriptor inside: they must only not lead out of it."""
        if not isinstance(path, str | bytes | os.PathLike):
            return
        name = os.fsdecode(path)
        within = name.startswith(f"{self._private}/") or not name.startswith("/")
        if not within or ".." in name.split("/"):
            self._stray(event, (name,))

    def _stray(self, event: str, arguments: tuple[object, ...]) -> None:
        self._strayed.append(f"{event}{arguments!r}")
        raise FindingError(self._strayed[-1])


def _resident() -> int:
    """Return how many bytes of memory this process has now.

    The largest figure so far (ru_maxrss) stays over an exec: it may be that of whoever started us.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except FileNotFoundError:  # macOS
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return pages * os.sysconf("SC_PAGE_SIZE")


def _ring(number: int, frame: object) -> None:
    raise FindingError(f"it hung for more than {HUNG:g} s")
