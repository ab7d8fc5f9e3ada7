"""Private directories for copies in plaintext, and the room that there is for them."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agebackup.system.claims import Claim, Claims
from agebackup.system.durable import temporary_name
from agebackup.system.syncing import explained

_MOUNTS = Path("/proc/self/mountinfo")
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})


@contextmanager
def private_directory(parent: Path, claims: Claims, *, prefix: str) -> Iterator[Path]:
    """Yield a new directory in `parent` that only this user may enter; remove it at the end.

    `prefix`, up to 20 small letters, tells people what it is for. It is removed with all its
    content whatever happens in the body; after SIGKILL the next run's sweep does that. `parent`
    is made, 0700, where it is absent. Raises `FailedError` where the disk refuses.
    """
    with claimed_directory(parent, claims, prefix=prefix) as claim:
        yield claim.path


@contextmanager
def claimed_directory(parent: Path, claims: Claims, *, prefix: str) -> Iterator[Claim]:
    """Do what `private_directory` does, and yield the claim, for `durable.place_directory`."""
    with explained(parent):
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with claims.claim(parent / temporary_name(prefix)) as claim:
        with explained(parent):
            os.mkdir(claim.path, 0o700)
            if stat.S_IMODE(claim.path.lstat().st_mode) != 0o700:  # a umask took bits away
                os.chmod(claim.path, 0o700)
        claim.identify()
        yield claim


def free_bytes(path: Path) -> int | None:
    """Return how many bytes this user may still write where `path` lies, or will lie.

    None where the mount reports no blocks at all, as some network mounts do. Raises OSError.
    """
    status = os.statvfs(ground(path))
    return status.f_bavail * status.f_frsize if status.f_blocks else None


def ground(path: Path) -> Path:
    """Return `path`, or the nearest directory above it that exists: whose disk it will be on."""
    return next(place for place in (path, *path.parents) if os.path.lexists(place))


def used_bytes(path: Path) -> int | None:
    """Return how many bytes are in use on the file system of `path`; None where it does not say.

    No tree on it takes more, but for sparse files and links. Raises OSError.
    """
    status = os.statvfs(path)
    return (status.f_blocks - status.f_bfree) * status.f_frsize if status.f_blocks else None


def is_tmpfs(path: Path) -> bool:
    """Return whether `path` lies in memory, and with swap perhaps on a disk in plaintext.

    Source: proc_pid_mountinfo(5). False where there is no /proc. Raises OSError.
    """
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = _MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return False
    mounts = [(line.split()[2], line.split(" - ", 1)[1].split()[0]) for line in lines]
    return any(at == number and kind in _IN_MEMORY for at, kind in mounts)
