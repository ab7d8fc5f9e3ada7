"""Confine a worker that takes apart what a stranger may have made.

The libraries under it (age, Zstandard, SQLite) are large; whatever a hostile input can bring them
to do, it happens in a process that can reach one file, and take only so much. On Linux its kernel
sees to that with Landlock: a ruleset that handles everything and allows the reading of one file
(landlock(7)). Where the kernel has none, the limits of setrlimit(2) remain.
"""

import codecs
import errno
import os
import resource
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agebackup.errors import FailedError
from agebackup.system import libc
from agebackup.system.outcome import Result

_DESCRIPTORS = 16
"""So many files may be open that it opens itself; those it was given do not count."""
_NO_NEW_PRIVS = 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""System calls of Landlock, the same on every architecture; the C library has no names for them."""
_VERSION, _PATH_BENEATH = 1, 1
_READ_FILE = 1 << 2


def confined(work: Callable[[], Result], *, memory: int, readable: int) -> Result:
    """Do `work` in this worker process, which is confined from now on as `confine` says.

    Raises what `work` raises, and `FailedError` where it needs more memory than it may have.
    """
    confine(memory=memory, readable=readable)
    try:
        return work()
    except (MemoryError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.ENOMEM:
            raise
        raise FailedError("There is too little memory to look into it.") from None


def confine(*, memory: int, readable: int) -> None:
    """Let this process, for good, do no more than compute, read one file and use what is open.

    It gets `memory` bytes of address space beyond what it has. No file can be made longer, and on
    Linux with Landlock none can be opened, made, changed in name or removed, no program started,
    no TCP connection made and no other process signalled; the file behind the descriptor `readable`
    may be opened again for reading. A system that does not know one of these leaves it out. To be
    called before the process has threads, which would keep their freedom.
    """
    with suppress(OSError, ValueError):  # macOS has no /proc, and does not heed RLIMIT_AS either
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _limit(resource.RLIMIT_AS, pages * os.sysconf("SC_PAGE_SIZE") + memory)
    codecs.lookup("unicode_escape")  # `printable` needs it, and Python loads it from a file
    if libc.LINUX:
        with suppress(OSError):  # an old kernel, or a container that forbids to ask
            _restrict(readable)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, _DESCRIPTORS)


def _limit(which: int, value: int) -> None:
    with suppress(OSError, ValueError):
        _, hard = resource.getrlimit(which)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))


def _restrict(readable: int) -> None:
    libc.call("prctl", _NO_NEW_PRIVS, 1, 0, 0, 0)
    handled = _everything(libc.call("syscall", _CREATE_RULESET, 0, 0, _VERSION))
    ruleset = libc.call("syscall", _CREATE_RULESET, handled, len(handled), 0)
    try:
        rule = struct.pack("=Qi", _READ_FILE, readable)
        libc.call("syscall", _ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
        libc.call("syscall", _RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _everything(version: int) -> bytes:
    """Return the attributes of a ruleset that handles all that Landlock's `version` knows."""
    files = 13 + (version >= 2) + (version >= 3) + (version >= 5)
    words = [(1 << files) - 1] + [3] * (version >= 4) + [3] * (version >= 6)
    return struct.pack(f"={len(words)}Q", *words)
