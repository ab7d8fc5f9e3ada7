"""verify: say whether an archive, or a bag extracted from one, keeps every promise it makes."""

import os
from contextlib import closing
from pathlib import Path

from agebackup.errors import VerificationError
from agebackup.model.layout import BAGIT
from agebackup.model.names import printable
from agebackup.model.reports import Verified
from agebackup.operations.examining import Examiner, judge
from agebackup.operations.reading import (
    Reading,
    check_from_outside,
    incompleteness,
    name_warnings,
    naming,
    open_archive,
    read_archive,
    with_origin,
)
from agebackup.operations.receivers import EVERYTHING, DatabaseSpool
from agebackup.snapshot.bag import read_extracted
from agebackup.system.claims import Claims
from agebackup.system.clock import Stopwatch
from agebackup.system.workspace import private_directory

CHECKED = (
    "decrypted to the end",
    "bag complete",
    "hashes",
    "manifest",
    "databases",
    "references",
)


def verify_archive(path: Path, workspace: Path, claims: Claims, reading: Reading) -> Verified:
    """Return the record of a sound archive; raise `VerificationError` with all differences.

    Only databases pass through `workspace`, privately; nothing is left there.
    """
    watch = Stopwatch()
    with (
        private_directory(workspace, claims, prefix="verify") as private,
        Examiner(reading) as examiner,
        closing(DatabaseSpool(private, examiner.arrived)) as spool,
    ):
        contents = read_archive(path, spool, reading)
        judge(path, contents, examiner, EVERYTHING)
    return Verified(
        archive=str(path),
        size=os.stat(path).st_size,
        checked=CHECKED,
        seconds=watch.seconds,
        manifest=contents.manifest,
        warnings=name_warnings(path, contents.manifest) + incompleteness(contents.manifest),
        origin=contents.origin,
    )


def verify_extracted(
    directory: Path, workspace: Path, claims: Claims, reading: Reading
) -> Verified:
    """Do the same for a bag that was extracted to `directory`; no key is needed.

    Databases are examined as the private copies whose bytes were hashed: nobody can exchange them.
    """
    watch = Stopwatch()
    if not (directory / BAGIT).exists():
        raise VerificationError(
            f"{printable(str(directory))} is no extracted bag: it holds no {BAGIT}.",
            hint="To verify the archives in a folder, name them: verify FOLDER/*.age",
        )
    with (
        private_directory(workspace, claims, prefix="verify") as private,
        Examiner(reading) as examiner,
        closing(DatabaseSpool(private, examiner.arrived)) as spool,
        naming(directory),
    ):
        found = read_extracted(directory, spool, limits=reading.limits, progress=reading.progress)
        contents = with_origin(found, None, reading)
        judge(directory, contents, examiner, EVERYTHING)
    return Verified(
        archive=str(directory),
        size=contents.bytes,
        checked=CHECKED[1:],
        seconds=watch.seconds,
        manifest=contents.manifest,
        warnings=incompleteness(contents.manifest),
        origin=contents.origin,
    )


def verify_quickly(path: Path) -> Verified:
    """Check what can be checked without a key: a well-formed header, and a possible exact size."""
    watch = Stopwatch()
    with open_archive(path) as descriptor:
        check_from_outside(path, descriptor)
        size = os.fstat(descriptor).st_size
    verdict = "whole, as far as its header and size tell"
    return Verified(str(path), size, ("header", "size"), watch.seconds, verdict)
