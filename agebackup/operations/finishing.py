"""Make of a verified staging directory exactly what the target of a restore shall be."""

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from agebackup.errors import printable
from agebackup.model.layout import DATA
from agebackup.model.manifest import Manifest
from agebackup.operations.staging import Staging
from agebackup.snapshot.bag import BagContents
from agebackup.snapshot.bag_contents import parse_lines
from agebackup.system.progress import Stop
from agebackup.system.streams import write_all

JOURNAL_VERSIONS = 18
"""Offset of the two header bytes that say WAL (2, 2) or rollback journal (1, 1).

Source: https://www.sqlite.org/fileformat2.html#file_format_version_numbers
"""
_EDIT = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_TAG = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_POLL = 4096


@dataclass
class LeftOut:
    """What a restore does not put into place: trees ("role: path"), and their files and bytes."""

    names: tuple[str, ...] = ()
    files: int = 0
    size: int = 0
    trees: set[str] = field(default_factory=set)


def leave_out(
    staging: Staging, contents: BagContents, roles: Collection[str], stop: Stop
) -> LeftOut:
    """Remove the files of all trees of `roles`, and the directories that are empty then.

    A file belongs to the innermost tree around it, a database to none (FORMAT.md section 6).
    """
    left_out = LeftOut()
    manifest = contents.manifest
    if not any(tree.role in roles for tree in manifest.trees):
        return left_out
    directories: dict[str, None] = {}
    databases = {record.path for record in manifest.databases}
    owners = {tree.path: tree.role for tree in manifest.trees}
    for count, (name, _) in enumerate(parse_lines(contents.lines)):
        if count % _POLL == 0:
            stop.check()
        place = name.decode()
        if place in databases or not staging.only.wants(place.removeprefix(DATA)):
            continue
        owner = innermost(place, owners)
        if owner is not None and owners[owner] in roles:
            left_out.size += staging.remove(staging.path_of(place))
            left_out.files += 1
            left_out.trees.add(owner)
            directories[staging.path_of(place).rpartition("/")[0]] = None
    for directory in directories:
        staging.prune(directory)
    left_out.names = tuple(
        f"{tree.role}: {printable(tree.path.removeprefix(DATA))}"
        for tree in manifest.trees
        if tree.path in left_out.trees
    )
    return left_out


def make_empty_directories(
    staging: Staging, manifest: Manifest, roles: Collection[str], stop: Stop
) -> None:
    """Make the directories in which no file lies, but for those in trees of `roles`."""
    owners = {tree.path: tree.role for tree in manifest.trees}
    for count, place in enumerate(manifest.empty_directories):
        if count % _POLL == 0:
            stop.check()
        owner = innermost(place, owners)
        unwanted = owner is not None and owners[owner] in roles
        if staging.only.wants(place.removeprefix(DATA)) and not unwanted:
            os.close(staging.made(staging.path_of(place)))


def innermost(place: str, trees: Collection[str]) -> str | None:
    """Return which of `trees` is `place` or the nearest directory above it, None where none is."""
    return next((name for name in _upwards(place) if name in trees), None)


def _upwards(place: str) -> Iterator[str]:
    while place:
        yield place
        place = place[: max(place.rfind("/"), 0)]


def write_tag_files(staging: Staging, contents: BagContents) -> None:
    """Make a whole bag of the staging directory, in which the payload lies in data/."""
    for name, content in contents.tag_files.items():
        descriptor = os.open(name, _TAG, 0o600, dir_fd=staging.top)
        try:
            write_all(descriptor, content)
        finally:
            os.close(descriptor)


def set_journal_modes(staging: Staging, manifest: Manifest) -> None:
    """Give databases that were in WAL mode their mode back, as the header records it."""
    for record in manifest.databases:
        wanted = staging.only.wants(record.path.removeprefix(DATA))
        if record.journal_mode != "wal" or not wanted:
            continue
        with staging.within(staging.path_of(record.path)) as (folder, name):
            descriptor = os.open(name, _EDIT, dir_fd=folder)
        try:
            times = os.fstat(descriptor)
            os.pwrite(descriptor, b"\x02\x02", JOURNAL_VERSIONS)
            with suppress(OSError, OverflowError):
                os.utime(descriptor, ns=(times.st_atime_ns, times.st_mtime_ns))
        finally:
            os.close(descriptor)
