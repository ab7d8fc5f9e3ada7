"""Keep a process that holds a private key from leaving it lying about."""

import resource
from contextlib import suppress


def forbid_core_dumps() -> None:
    """Let a crash of this process, and of those it starts, write no memory image to disk."""
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
