"""A wish for an archive at the next run, due or not: how an installed timer is tried out by day.

The same command must run by day that runs at night. So the wish lies in a small file of the state
directory, and the run that takes it removes it.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from agebackup.system.claims import Claims
from agebackup.system.durable import write_durably

VALID = timedelta(hours=1)
"""An older wish is nobody's any more: the run that it was meant for never came."""


def leave_wish(file: Path, now: datetime, claims: Claims) -> None:
    """Write a wish into `file`, durably; raises `FailedError`."""
    write_durably(file, f"{now.isoformat()}\n".encode(), claims, replace=True)


def take_wish(file: Path, now: datetime) -> bool:
    """Remove the wish in `file`; return whether there was one that is still valid.

    Of several runs that look at once one gets it. What cannot be read or removed is no wish.
    """
    with suppress(OSError, ValueError, TypeError):
        moment = datetime.fromisoformat(file.read_text().strip())
        file.unlink()
        return abs(now - moment) <= VALID
    with suppress(OSError):
        file.unlink()
    return False
