"""Give what is to take a thing's place the owner and the permissions that the thing has."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from agebackup.system.syncing import explained

_OF_FILE, _OF_DIRECTORY = 0o777, 0o3777
"""The bits that are taken over: never those that let a program run as another user."""
_EXECUTABLE = 0o111


def liken(staged: Path, present: Path) -> int:
    """Give `staged`, and all in it, the owners and permissions that `present` has; return how
    many of them this user may not give away, or join to their group.

    Whatever has no counterpart of its kind gets what its directory has. Whether a file can be run
    it keeps. Where there is no `present`, nothing happens. Raises `FailedError` where the disk
    refuses.
    """
    refused = 0
    with explained(staged.parent):
        if not os.path.lexists(present):
            return 0
        for path, model in _pairs(staged, present):
            refused += not _likened(path, model)
    return refused


def _pairs(staged: Path, present: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield each path with the status of what it shall be like, directories before their content.

    A model that is a directory tells a file whose it is.
    """
    top = os.lstat(present)
    yield staged, top
    if not stat.S_ISDIR(os.lstat(staged).st_mode):
        return
    models = {str(staged): top}
    for directory, folders, files in os.walk(staged):
        above = models.pop(directory)
        below = present / os.path.relpath(directory, staged)
        for name in (*folders, *files):
            path = Path(directory, name)
            model = _counterpart(path, below / name) or above
            if name in folders:
                models[str(path)] = model
            yield path, model


def _counterpart(path: Path, present: Path) -> os.stat_result | None:
    try:
        found = os.lstat(present)
    except OSError:
        return None
    same = stat.S_IFMT(found.st_mode) == stat.S_IFMT(os.lstat(path).st_mode)
    return found if same else None


def _likened(path: Path, model: os.stat_result) -> bool:
    """Return whether `path` could be given the owner of `model`; its permissions it gets anyway."""
    own = os.lstat(path)
    if stat.S_ISLNK(own.st_mode):
        return True
    owned = (own.st_uid, own.st_gid) == (model.st_uid, model.st_gid)
    if not owned:
        try:
            os.chown(path, model.st_uid, model.st_gid, follow_symlinks=False)
            owned = True
        except PermissionError:
            owned = False
    mode = _mode(own, model)
    os.chmod(path, mode if owned else mode & ~0o070)  # that group is another one here
    return owned


def _mode(own: os.stat_result, model: os.stat_result) -> int:
    if stat.S_ISDIR(own.st_mode):
        return stat.S_IMODE(model.st_mode) & _OF_DIRECTORY
    mode = stat.S_IMODE(model.st_mode) & _OF_FILE & ~_EXECUTABLE
    return mode | (mode & 0o444) >> 2 if own.st_mode & _EXECUTABLE else mode
