"""Time that only goes forward: deadlines and durations, in seconds."""

import time

from agebackup.system.progress import Stop

_STEP = 0.1
"""Seconds between two looks at the wish to stop."""


class Stopwatch:
    """Counts from its making."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since this stopwatch was made."""
        return time.monotonic() - self._start


class Deadline:
    """A moment `seconds` from now; with 0 it has come at once."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.renew()

    def renew(self) -> None:
        """Count its seconds from now."""
        self._end = time.monotonic() + self.seconds

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - time.monotonic())

    @property
    def expired(self) -> bool:
        """Whether the moment has come."""
        return self.remaining == 0.0


def pause(seconds: float) -> None:
    """Sleep for `seconds`; meant for the short steps between two looks at something."""
    time.sleep(seconds)


def wait(seconds: float, stop: Stop) -> None:
    """Do nothing for `seconds`; raise `StoppedError` when a stop is asked for meanwhile."""
    deadline = Deadline(seconds)
    while True:
        stop.check()
        if deadline.expired:
            return
        pause(min(_STEP, deadline.remaining))
