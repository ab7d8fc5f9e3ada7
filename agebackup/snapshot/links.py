"""Symlinks inside a tree: where they lead, opened without trusting what was just looked up."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from agebackup.errors import FailedError
from agebackup.model.source import Skipped

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
CHILD_DIRECTORY = DIRECTORY | os.O_NOFOLLOW

VANISHED = "vanished while the tree was read"
LOOP = "a symlink loop"
OUTSIDE = "a symlink that leads out of the tree"
DANGLING = "a symlink to nothing"
_KINDS = {
    stat.S_IFIFO: "a fifo",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFLNK: "a symlink",
}


def kind(mode: int) -> str | None:
    """Return what a file of `mode` is called when it is skipped for its kind; None for others."""
    return _KINDS.get(stat.S_IFMT(mode))


def unreadable(place: str, error: OSError) -> Skipped:
    """Return what became of the file or directory at `place` which `error` kept closed.

    Raises `FailedError` where the error says nothing about the file, but that this process ran
    out of descriptors or memory: going on would skip file after file.
    """
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        raise FailedError(
            f"The scan ran out of what the system gives it: {error.strerror}.",
            hint="Raise the limit of open files (ulimit -n), or free some memory.",
        ) from None
    if error.errno == errno.ENOENT:  # not ESTALE: a share that went away says that of all it has
        return Skipped(place, VANISHED)
    if error.errno in (errno.ELOOP, errno.EMLINK):  # EMLINK: FreeBSD's word for O_NOFOLLOW
        return Skipped(place, "a symlink")
    if error.errno in (errno.ENXIO, errno.EOPNOTSUPP):
        return Skipped(place, "a socket")
    if error.errno in (errno.EACCES, errno.EPERM):
        return Skipped(place, "permission denied", lost=True)
    if error.errno == errno.ENOTDIR:
        return Skipped(place, "changed its kind while the tree was read", lost=True)
    return Skipped(place, f"cannot be read: {error.strerror}", lost=True)


def unfollowed(place: str, error: OSError) -> Skipped:
    """Return what became of the symlink at `place`, whose target `error` kept from being found."""
    if error.errno == errno.ELOOP:
        return Skipped(place, LOOP)
    if error.errno == errno.ENOENT:
        return Skipped(place, DANGLING)
    return unreadable(place, error)


class OutsideError(Exception):
    """A symlink leads out of its tree."""


def target_inside(real: str, relative: str) -> str:
    """Return where `relative`, a link inside the tree at `real`, leads: a path inside the tree.

    "" is the tree itself. Raises `OutsideError`, and OSError where it leads nowhere. The answer
    is a text about the past: open it by `opened_parent` only.
    """
    target = os.path.realpath(os.path.join(real, relative), strict=True)
    if target == real:
        return ""
    if not target.startswith(real.rstrip("/") + "/"):
        raise OutsideError
    return target[len(real.rstrip("/")) + 1 :]


@contextmanager
def opened_parent(top: int, path: str) -> Iterator[tuple[int, str]]:
    """Open the directory that `path`, inside the tree open as `top`, lies in; give its name too.

    Step by step without following links: one that took a directory's place meanwhile is an
    OSError.
    """
    *parents, name = path.split("/")
    directory = os.dup(top)
    try:
        for parent in parents:
            child = os.open(parent, CHILD_DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = child
        yield directory, name
    finally:
        os.close(directory)
