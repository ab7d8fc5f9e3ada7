"""The files of a tree, opened one by one for the archive, with every other entry accounted for.

Carried are regular files: hard links each as a file of its own, sparse ones with their holes as
zeros, what lies on file systems mounted inside the tree like the rest, names as their bytes are.
What is left out is a `Skipped` with its reason, never silent. `lost` marks what should have been
carried: unreadable, still changing, or under a name that a bag cannot carry.
"""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from agebackup.errors import FailedError, RefusedError, printable, shortened
from agebackup.model.source import Skipped, Source, TreeSource
from agebackup.snapshot.links import kind, unreadable
from agebackup.snapshot.scanrules import Bounds, Identity, ScanRules
from agebackup.snapshot.walk import Candidate, EmptyDirectory, Walk
from agebackup.system.progress import Progress
from agebackup.system.streams import write_all

__all__ = [
    "EmptyDirectory",
    "FoundFile",
    "Measured",
    "ScanRules",
    "StableCopy",
    "measure",
    "scan",
    "stable_copy",
    "undeclared",
]

TRIES = 3
"""How often a private copy is begun because its file changed meanwhile."""
# O_NONBLOCK: what became a fifo after it was listed would otherwise block the open for ever.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_PIECE = 1 << 20


class FoundFile(NamedTuple):
    """An open regular file and where it goes; closed when the iteration goes on."""

    place: str
    descriptor: int
    status: os.stat_result


@dataclass(frozen=True)
class StableCopy:
    """A private, already unlinked copy of a file at one moment; closed at the end of `with`."""

    descriptor: int
    status: os.stat_result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)


@dataclass(frozen=True)
class Measured:
    """What a tree holds, as listed: number of files and their sizes in bytes."""

    files: int
    bytes: int


def scan(
    tree: TreeSource, rules: ScanRules, progress: Progress
) -> Iterator[FoundFile | EmptyDirectory | Skipped]:
    """Yield the files of `tree` opened for reading, its empty directories, and what is left out.

    The order is the same for the same tree. Nothing but regular files is opened, a declared
    database never; other SQLite files are for who reads them to notice (`undeclared`). Raises
    `FailedError` where attachments cannot be read at all.
    """
    walk = Walk(tree, rules, progress)
    with closing(walk.items()) as items:
        for item in items:
            if not isinstance(item, Candidate):
                yield item
                continue
            found = _opened(item, walk.bounds)
            if isinstance(found, Skipped):
                walk.missed()
                yield found
                continue
            try:
                yield found
            finally:
                os.close(found.descriptor)


def measure(tree: TreeSource, source: Source, progress: Progress) -> Measured:
    """Return what a scan of `tree` would carry, without opening a file.

    Raises `FailedError` where attachments cannot be read at all.
    """
    inodes: list[Identity] = []
    for database in source.databases:
        with suppress(OSError):
            status = os.stat(database.path)
            inodes.append((status.st_dev, status.st_ino))
    walk = Walk(tree, ScanRules.of(source, inodes), progress)
    files = size = 0
    with closing(walk.items()) as items:
        for item in items:
            if isinstance(item, Candidate):
                with suppress(OSError):
                    status = os.stat(item.name, dir_fd=item.directory, follow_symlinks=False)
                    files, size = files + 1, size + status.st_size
    return Measured(files, size)


def stable_copy(found: FoundFile, workspace: Path, progress: Progress) -> StableCopy | Skipped:
    """Copy a file that keeps changing to one that does not, in the private `workspace`.

    A copy counts when the file's size and times were the same before and after; after three that
    do not, the file is `Skipped` as lost. Raises `FailedError` where the copy cannot be written.
    """
    with ExitStack() as stack:
        descriptor = _private_file(workspace)
        stack.callback(os.close, descriptor)
        for _ in range(TRIES):
            before = os.fstat(found.descriptor)
            try:
                _copy(found.descriptor, descriptor, before.st_size, progress)
            except OSError as error:
                return unreadable(found.place, error)
            if _version(before) == _version(os.fstat(found.descriptor)):
                os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
                os.utime(descriptor, ns=(before.st_atime_ns, before.st_mtime_ns))
                stack.pop_all()
                return StableCopy(descriptor, os.fstat(descriptor))
    return Skipped(found.place, "kept changing while it was read", lost=True)


def _opened(candidate: Candidate, bounds: Bounds) -> FoundFile | Skipped:
    try:
        descriptor = os.open(candidate.name, _FILE, dir_fd=candidate.directory)
    except OSError as error:
        return unreadable(candidate.place, error)
    try:
        status = os.fstat(descriptor)
    except OSError as error:
        os.close(descriptor)
        return unreadable(candidate.place, error)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        reason = kind(status.st_mode)
        return Skipped(candidate.place, reason or "became a directory", lost=reason is None)
    if bounds.barred and (reason := bounds.barred.get((status.st_dev, status.st_ino))):
        os.close(descriptor)
        return Skipped(candidate.place, reason)
    return FoundFile(candidate.place, descriptor, status)


def undeclared(tree: TreeSource, places: list[str]) -> RefusedError:
    """Return the refusal of SQLite files at `places` that nobody declared.

    A live one that is read as bytes would be torn.
    """
    shown = ", ".join(shortened([printable(place.removeprefix("data/")) for place in places]))
    return RefusedError(
        f"{printable(str(tree.path))} holds SQLite files that are not declared as databases: "
        f"{shown}.",
        hint="Declare a live one with --db, leave it out with --exclude, "
        "or take all of them as mere bytes with --raw-sqlite.",
    )


def _private_file(workspace: Path) -> int:
    try:
        descriptor, path = tempfile.mkstemp(dir=workspace)
        os.unlink(path)
    except OSError as error:
        raise _uncopied(error) from None
    return descriptor


def _copy(source: int, target: int, size: int, progress: Progress) -> None:
    os.ftruncate(target, 0)
    os.lseek(target, 0, os.SEEK_SET)
    offset = 0
    while offset < size:
        piece = os.pread(source, min(_PIECE, size - offset), offset)
        if not piece:
            break
        try:
            write_all(target, piece)
        except OSError as error:
            raise _uncopied(error) from None
        offset += len(piece)
        progress.advance(0)


def _version(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _uncopied(error: OSError) -> FailedError:
    return FailedError(
        f"A private copy of a changing file cannot be written: {error.strerror}.",
        hint="Name another place with --workspace, or free some space there.",
    )
