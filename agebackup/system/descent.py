"""Through a tree of our own, to any depth: no recursion, and two descriptors at a time."""

import errno
import os
from collections.abc import Iterator
from typing import NamedTuple

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Folder(NamedTuple):
    """An open directory and the names in it; those of `directories` were given before."""

    descriptor: int
    files: list[str]
    directories: list[str]


class _Level(NamedTuple):
    identity: tuple[int, int]
    files: list[str]
    directories: list[str]
    pending: list[str]


def folders_below(top: int) -> Iterator[Folder]:
    """Yield every directory of the tree open as `top`, itself last; no symlink is followed.

    A descriptor is valid until the iteration goes on. Raises OSError where a directory cannot be
    listed, or was moved meanwhile: the way back up leads to where it came from, or nowhere.
    """
    here = os.dup(top)
    try:
        levels = [_listed(here)]
        while True:
            level = levels[-1]
            if level.pending:
                here = _step(here, level.pending.pop())
                levels.append(_listed(here))
                continue
            yield Folder(here, level.files, level.directories)
            levels.pop()
            if not levels:
                return
            here = _step(here, "..")
            if _identity(here) != levels[-1].identity:
                raise OSError(errno.EBUSY, "a directory was moved meanwhile")
    finally:
        os.close(here)


def _step(here: int, name: str) -> int:
    """Return a descriptor of the directory `name` in `here`, which is closed."""
    there = os.open(name, _DIRECTORY, dir_fd=here)
    os.close(here)
    return there


def _listed(directory: int) -> _Level:
    files: list[str] = []
    directories: list[str] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            (directories if entry.is_dir(follow_symlinks=False) else files).append(entry.name)
    return _Level(_identity(directory), files, directories, list(directories))


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino
