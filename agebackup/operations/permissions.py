"""Who may read and change what agebackup keeps on this machine, and setting that right."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agebackup.errors import printable
from agebackup.model.findings import Finding

_OTHERS = 0o077
_OTHERS_WRITE = 0o022


@dataclass(frozen=True)
class Kept:
    """A file or directory that is to be protected, and what it is for the person.

    `private`: others may not read it either; else they may only not change it.
    """

    path: Path
    what: str
    private: bool = True

    @property
    def forbidden(self) -> int:
        """The permission bits that it must not have."""
        return _OTHERS if self.private else _OTHERS_WRITE


def of_permissions(things: Iterable[Kept], *, fix: bool) -> tuple[Finding, ...]:
    """Return which of `things` others may read or change; with `fix` take that away.

    What was mended is a note. Links are not followed, what is absent is in order.
    """
    return tuple(finding for kept in things for finding in _of_one(kept, fix=fix))


def _of_one(kept: Kept, *, fix: bool) -> Iterator[Finding]:
    try:
        status = kept.path.lstat()
    except OSError:
        return
    if stat.S_ISLNK(status.st_mode):
        return
    subject = str(kept.path)
    if status.st_uid != os.geteuid():
        yield Finding(
            "warning",
            "owner",
            subject,
            f"The {kept.what} belongs to the user with the number {status.st_uid}.",
            "Run backups and agebackup doctor as one user, or give it to the one that makes them.",
        )
        return
    mode = stat.S_IMODE(status.st_mode)
    if not mode & kept.forbidden:
        return
    right = mode & ~kept.forbidden
    if fix and _set(kept.path, right):
        yield Finding(
            "note",
            "permissions-mended",
            subject,
            f"It had mode {mode:04o}, and has {right:04o} now.",
        )
        return
    may = "read or change" if kept.private else "change"
    yield Finding(
        "warning",
        "permissions",
        subject,
        f"Others than you may {may} the {kept.what} (mode {mode:04o}).",
        f"chmod {right:04o} {printable(subject)}, or agebackup doctor --fix",
        fixable=True,
    )


def _set(path: Path, mode: int) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return True
