"""inspect, ls, cat: look into an archive without restoring it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agebackup.errors import NotFoundError, VerificationError
from agebackup.model.layout import DATA
from agebackup.model.manifest import Manifest
from agebackup.model.names import ArchiveName, printable
from agebackup.model.origin import Origin
from agebackup.model.reports import ListedFile
from agebackup.operations.reading import (
    Reading,
    check_from_outside,
    name_warnings,
    open_archive,
    read_archive,
)
from agebackup.operations.receivers import HashOnly, Listing, OneFile
from agebackup.snapshot.bag import BagContents
from agebackup.snapshot.sealed import quick_check
from agebackup.system.claims import Claims
from agebackup.system.workspace import private_directory


@dataclass(frozen=True)
class Outside:
    """What can be known of an archive without a key. `whole` is false where the size is wrong."""

    archive: str
    size: int
    recipients: tuple[str, ...]
    whole: bool
    problem: str
    name: ArchiveName | None


def inspect_outside(path: Path) -> Outside:
    """Return what `path` shows without a key; raise `VerificationError` if it is no age file."""
    with open_archive(path) as descriptor:
        size = os.fstat(descriptor).st_size
        header = quick_check(descriptor, size_matters=False)
        try:
            check_from_outside(path, descriptor)
            problem = ""
        except VerificationError as error:
            problem = error.message
    name = ArchiveName.parse(path.name)
    return Outside(str(path), size, header.recipients, not problem, problem, name)


@dataclass(frozen=True)
class Inside:
    """What can be known of an archive with a key."""

    manifest: Manifest
    origin: Origin
    warnings: tuple[str, ...]


def inspect_inside(path: Path, reading: Reading) -> Inside:
    """Return the manifest of `path` and warnings, after every hash in the archive was checked."""
    contents = _sound(path, read_archive(path, HashOnly(), reading))
    manifest = contents.manifest
    return Inside(manifest, contents.origin, name_warnings(path, manifest))


def list_files(path: Path, reading: Reading) -> tuple[ListedFile, ...]:
    """Return the payload files of `path` in their order, after every hash was checked."""
    listing = Listing()
    _sound(path, read_archive(path, listing, reading))
    return tuple(listing.files)


@contextmanager
def one_file(
    path: Path, wanted: str, workspace: Path, claims: Claims, reading: Reading
) -> Iterator[int]:
    """Yield a descriptor, at its beginning, of a private copy of the file `wanted`.

    `wanted` is the path inside `data/`. The copy has no name by then; it is handed out only after
    the archive was read to its end and its hashes were checked.
    """
    with private_directory(workspace, claims, prefix="cat") as private:
        descriptor, name = tempfile.mkstemp(dir=private)
        os.unlink(name)
        try:
            receiver = OneFile(DATA + wanted, descriptor)
            _sound(path, read_archive(path, receiver, reading))
            if not receiver.digest:
                raise NotFoundError(
                    f"{printable(str(path))} holds no file {printable(wanted)}.",
                    hint="agebackup ls lists what it holds.",
                )
            os.lseek(descriptor, 0, os.SEEK_SET)
            yield descriptor
        finally:
            os.close(descriptor)


def _sound(path: Path, contents: BagContents) -> BagContents:
    if contents.differences:
        raise VerificationError(
            f"{printable(str(path))} does not keep its promises.",
            hint="Use another archive; verify says all that is wrong with this one.",
            details=contents.differences,
        )
    return contents
