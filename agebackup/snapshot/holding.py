"""Whether somebody has a live database locked, found out without SQLite and without a trace.

Opening it with SQLite would recover a `-wal`, or checkpoint and remove it when closing. So the
locks themselves are asked for, on the bytes that SQLite has for them (sqlite.org/src, os.h), and
given back at once. Not to be called while this process has a connection to the database.
"""

import errno
import fcntl
import os
from pathlib import Path

from agebackup.errors import FailedError, printable

_PENDING, _SIZE = 0x40000000, 512
"""Pending, reserved and shared bytes. In WAL mode every connection holds a shared one as long as
it is open; in the rollback modes whoever reads or writes just now does."""
_BUSY = (errno.EACCES, errno.EAGAIN)


def is_locked(path: Path) -> bool:
    """Return whether another process holds any lock of SQLite on the database at `path`.

    False where there is none. Raises `FailedError` where this user cannot ask. Neither the file nor
    anything beside it is changed.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unasked(path, error) from None
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, _SIZE, _PENDING)
    except OSError as error:
        if error.errno in _BUSY:
            return True
        raise _unasked(path, error) from None
    finally:
        os.close(descriptor)
    return False


def _unasked(path: Path, error: OSError) -> FailedError:
    return FailedError(
        f"Whether {printable(str(path))} is in use cannot be found out: {error.strerror}.",
        hint="Run as the database's owner.",
    )
