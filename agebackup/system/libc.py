"""Calls of the C library that Python does not offer, by name, with errno as OSError."""

import errno
import os
import sys
from functools import cache
from typing import Any

LINUX = sys.platform == "linux"
DARWIN = sys.platform == "darwin"

UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY})
"""What a system, or a file system, answers to a technique that it does not know."""


@cache
def _library() -> Any:
    import ctypes  # costs 10 ms, which `--help` must not pay

    return ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: int | bytes) -> int:
    """Call the C function `name` and return its result, never negative.

    Integers are passed as 64 bits wide, so that offsets are whole. Raises OSError with the errno
    that it set, ENOSYS where the library has no such function.
    """
    import ctypes

    function = getattr(_library(), name, None)
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    wide = [a if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
    while (result := int(function(*wide))) < 0:
        number = ctypes.get_errno()
        if number != errno.EINTR:  # as Python itself does in its own calls (PEP 475)
            raise OSError(number, os.strerror(number))
    return result
