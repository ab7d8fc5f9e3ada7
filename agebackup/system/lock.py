"""One run at a time: a lock that ends with its holder, however that ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agebackup.errors import BusyError
from agebackup.system.clock import Deadline, pause
from agebackup.system.progress import Progress
from agebackup.system.syncing import explained

_STEP = 0.02


WAIT_OPTION = "Wait for it, or use --wait."
"""The hint of commands that have that option."""


@contextmanager
def exclusive(
    path: Path,
    *,
    wait_seconds: float,
    what: str,
    progress: Progress,
    hint: str = "Try again when it is done.",
) -> Iterator[None]:
    """Hold the lock file `path` (made 0600, never removed) during the body.

    Waits up to `wait_seconds` for who holds it, then raises `BusyError` naming `what`, which is
    at work, with `hint`; raises `StoppedError` when a stop is asked for meanwhile. The lock is
    flock(2)'s: the system itself gives it back when the holder dies, so that no stale lock can be
    left.
    """
    with explained(path.parent):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
    try:
        deadline = Deadline(wait_seconds)
        while not _taken(descriptor, path):
            progress.stop.check()
            if deadline.expired:
                raise BusyError(f"Busy: {what} is at work.", hint=hint)
            pause(min(_STEP, deadline.remaining))
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int, path: Path) -> bool:
    with explained(path.parent):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
