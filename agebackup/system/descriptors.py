"""How many files this process may hold open, and whether it does."""

import errno
import os
import resource
from contextlib import suppress

from agebackup.errors import FailedError

_PLENTY = 1 << 16
"""For any run; macOS and some containers name a hard limit that the system would not grant."""
_FEW = 4


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open files towards the hard one: each database takes several."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _PLENTY if hard == resource.RLIM_INFINITY else min(hard, _PLENTY)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def descriptors_are_short() -> bool:
    """Return whether hardly another file can be opened; what failed may have closed some again."""
    taken: list[int] = []
    try:
        for _ in range(_FEW):
            taken.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    finally:
        for descriptor in taken:
            os.close(descriptor)
    return False


def too_few_descriptors(what: str) -> FailedError:
    """Return the failure of `what` (the beginning of a sentence) for want of descriptors."""
    return FailedError(
        f"{what}: this process may not open more files at once.",
        hint="Raise the limit of open files (ulimit -n), or the system's.",
    )
