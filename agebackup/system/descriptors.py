"""How many files this process may hold open."""

import resource
from contextlib import suppress


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open files to the hard one; each database of a run takes several."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else _PLENTY
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, _PLENTY), hard))


_PLENTY = 1 << 16
