"""Whether a cloud client took a file's content away: then reading it would download it."""

import errno
import os

_DATALESS = 0x40000000
"""SF_DATALESS of macOS's <sys/stat.h>."""


def is_dataless(status: os.stat_result) -> bool:
    """Return whether macOS says so."""
    return bool(getattr(status, "st_flags", 0) & _DATALESS)


def is_evicted(descriptor: int, status: os.stat_result) -> bool:
    """Return whether the open file, whose fstat is `status`, has no content here; reads nothing.

    Some file systems report no blocks for any file: the whole file must be a hole as well.
    """
    if is_dataless(status):
        return True
    if not status.st_size or status.st_blocks:
        return False
    try:
        os.lseek(descriptor, 0, os.SEEK_DATA)
    except OSError as error:
        return error.errno == errno.ENXIO  # lseek(2): there is no data up to the end
    os.lseek(descriptor, 0, os.SEEK_SET)
    return False
