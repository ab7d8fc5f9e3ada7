"""Keep a process that holds a private key from leaving it lying about."""

import resource
from contextlib import suppress

from agebackup.system import libc

_PR_SET_DUMPABLE = 4


def forbid_core_dumps() -> None:
    """Let a crash of this process, and of those it starts, write no memory image to disk.

    On Linux no other process of this user can read its memory or its environment from then on,
    and none can be attached to it (PR_SET_DUMPABLE(2const), ptrace(2)); root's can.
    """
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if libc.LINUX:
        with suppress(OSError):
            libc.call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)
