"""Trying again what a network or a server failed at, a few times and with growing pauses."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from agebackup.destinations.interface import OutOfReachError, StoodStillError
from agebackup.system.clock import wait
from agebackup.system.progress import Progress

Result = TypeVar("Result")

PAUSES = (2.0, 10.0)
"""Seconds before the second attempt and before the third: a name server or a server that starts
again is back within them, and nobody waits long for what stays away."""


def persistently(
    attempt: Callable[[], Result], progress: Progress, pauses: Sequence[float] = PAUSES
) -> Result:
    """Return what `attempt` returns, called again after each of `pauses` (seconds) where it failed.

    Only `OutOfReachError` is worth another attempt, and not where everything stood still; anything
    else passes at once, and so does `StoppedError`, which also ends a pause. The last failure comes
    out with its own message and hint, and says how often it was tried where that was more than
    once.
    """
    for seconds in pauses:
        try:
            return attempt()
        except StoodStillError:
            raise
        except OutOfReachError as error:
            progress.warn(f"{error.message} Trying again in {seconds:g} seconds.")
        wait(seconds, progress.stop)
    try:
        return attempt()
    except OutOfReachError as error:
        if not pauses or isinstance(error, StoodStillError):
            raise
        raise type(error)(
            f"{error.message} It was tried {len(pauses) + 1} times.",
            hint=error.hint,
            details=error.details,
        ) from error
