"""What is refused before anything is written: harmful places, and too little space."""

import os
from pathlib import Path

from agebackup.destinations.folder import Folder
from agebackup.errors import FailedError, RefusedError
from agebackup.model.names import printable
from agebackup.model.source import Source
from agebackup.operations.order import Site
from agebackup.snapshot.attachments import measure
from agebackup.snapshot.database import estimated_bytes
from agebackup.system.mounts import contains
from agebackup.system.progress import Progress
from agebackup.system.workspace import free_bytes, ground, used_bytes

OVERHEAD = 1.02
"""Headers, padding, hashes and age's tags beside the content; small files cost more (MEMBER)."""
MEMBER = 1024
TAG_FILES = 16
ROOM = 1 << 30


def guard_places(source: Source, destination: Folder, workspace: Path) -> None:
    """Raise `RefusedError` where the destination or the workspace lies in what is backed up.

    Paths, symlinks, hard links and bind mounts to the same place are all recognised.
    """
    for tree in source.trees:
        for what, path in (("destination", destination.path), ("workspace", workspace)):
            if tree.path.is_dir() and contains(tree.path, path):
                raise RefusedError(
                    f"The {what} {printable(str(path))} lies inside {printable(str(tree.path))}, "
                    "which is being backed up.",
                    hint="Every archive would hold the ones before it: choose a place outside.",
                )
    if contains(destination.path, workspace):
        raise RefusedError(
            f"The workspace {printable(str(workspace))} lies inside the destination.",
            hint="Private copies are not encrypted: choose a --workspace that is not synced.",
        )
    if destination.file_name is not None:
        _guard_target(source, destination.path / destination.file_name)


def _guard_target(source: Source, target: Path) -> None:
    files = [database.path for database in source.databases]
    files += [tree.path for tree in source.trees if not tree.path.is_dir()]
    for path in files:
        if _same(path, target):
            raise RefusedError(
                f"The archive {printable(str(target))} would replace "
                f"{printable(str(path))}, which is being backed up.",
                hint="Choose another name for the archive.",
            )


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.realpath(one) == os.path.realpath(other) or os.path.samefile(one, other)
    except OSError:
        return False


def expected_bytes(source: Source, progress: Progress) -> tuple[int, int, int]:
    """Return what the databases take in bytes, what the trees do, and how many files these hold."""
    progress.phase("looking", None)
    databases = estimated_bytes(source.databases)
    trees = files = 0
    for tree in source.trees:
        measured = measure(tree, source, progress)
        trees += measured.bytes
        files += measured.files
    return databases, trees, files


def guard_space(source: Source, site: Site, progress: Progress) -> int | None:
    """Raise `FailedError` with both figures where the copies or the archive would not fit.

    Returns how many bytes the archive may take, None where it was not measured: a destination
    with more free space than the sources' disks hold at all is large enough, and looking at a
    hundred thousand files takes half a second. A mount that reports no blocks is not judged.
    """
    destination, workspace = ground(site.destination.path), ground(site.workspace)
    copies = estimated_bytes(source.databases)
    require_space("the private copies", workspace, copies)
    free = free_bytes(destination)
    for place in dict.fromkeys((destination, workspace)):
        if free_bytes(place) is None:
            progress.warn(f"{printable(str(place))} does not say how much space is free.")
    if not progress.shows_totals and (free is None or _plenty(source, free)):
        return None
    _, trees, files = expected_bytes(source, progress)
    members = files + len(source.databases) + TAG_FILES
    archive = int((copies + trees) * OVERHEAD) + members * MEMBER
    if os.stat(destination).st_dev == os.stat(workspace).st_dev:
        require_space("the archive and the private copies", destination, archive + copies)
    else:
        require_space("the archive", destination, archive)
    return archive


def _plenty(source: Source, free: int) -> bool:
    held = 0
    try:
        places = {os.stat(tree.path).st_dev: tree.path for tree in source.trees}
        for place in places.values():
            used = used_bytes(place)
            if used is None:
                return False
            held += used
    except OSError:
        return False  # whoever measures the tree says what is wrong with it
    return free > OVERHEAD * (held + 2 * estimated_bytes(source.databases)) + ROOM


def require_space(what: str, place: Path, needed: int) -> None:
    """Raise `FailedError` with both figures where `place` has less than `needed` bytes free."""
    free = free_bytes(place)
    if free is not None and free < needed:
        raise FailedError(
            f"There is too little space in {printable(str(place))}: "
            f"{what} may take {needed:,} bytes, {free:,} are free.",
            hint="Free some space, or choose another place.",
        )
