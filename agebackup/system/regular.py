"""Reading agebackup's own small files, whatever has their names by now."""

import errno
import os
import stat
from pathlib import Path


def content(file: Path, limit: int) -> bytes:
    """Return the first `limit` bytes of the regular file `file`.

    Raises OSError where it is absent, cannot be read, or is something else: a pipe of that name
    would let its reader wait for ever.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with open(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        return opened.read(limit)
