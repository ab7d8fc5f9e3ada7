"""A wish for an archive at the next run, due or not: how an installed timer is tried out by day.

The same command must run by day that runs at night. So the wish lies in a small file of the state
directory, and the run that takes it removes it.
"""

import os
import stat
from datetime import datetime, timedelta
from pathlib import Path

from agebackup.system.claims import Claims
from agebackup.system.durable import write_durably

VALID = timedelta(hours=1)
"""An older wish is nobody's any more: the run that it was meant for never came."""

_LONGEST = 64


def leave_wish(file: Path, now: datetime, claims: Claims) -> None:
    """Write a wish into `file`, durably; raises `FailedError`."""
    write_durably(file, f"{now.isoformat()}\n".encode(), claims, replace=True)


def take_wish(file: Path, now: datetime) -> bool:
    """Remove the wish in `file`; return whether there was one that is still valid.

    Of several runs that look at once one gets it. What cannot be read or removed is no wish, nor is
    what somebody else made.
    """
    try:
        made = _made(file)
        file.unlink()
    except OSError:
        return False
    return made is not None and abs(now - made) <= VALID


def _made(file: Path) -> datetime | None:
    """Return when this user made the wish; None for what is no wish of this user's."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
            return None
        content = os.read(descriptor, _LONGEST)
    finally:
        os.close(descriptor)
    try:
        made = datetime.fromisoformat(content.decode("ascii").strip())
    except ValueError:
        return None
    return made if made.tzinfo else None
