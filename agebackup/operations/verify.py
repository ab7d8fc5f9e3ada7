"""verify: say whether an archive, or a bag extracted from one, keeps every promise it makes."""

import os
from pathlib import Path

from agebackup.errors import VerificationError
from agebackup.model.layout import BAGIT
from agebackup.model.names import printable
from agebackup.model.reports import Verified
from agebackup.operations.reading import (
    Examiner,
    Reading,
    check_from_outside,
    incompleteness,
    name_warnings,
    naming,
    open_archive,
    read_archive,
)
from agebackup.operations.receivers import EVERYTHING, DatabaseSpool, HashOnly, Selection
from agebackup.snapshot.bag import BagContents, read_extracted
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
    ):
        contents = read_archive(path, DatabaseSpool(private, examiner.arrived), reading)
        judge(path, contents, examiner, EVERYTHING)
    return Verified(
        archive=str(path),
        size=os.stat(path).st_size,
        checked=CHECKED,
        seconds=watch.seconds,
        manifest=contents.manifest,
        warnings=name_warnings(path, contents.manifest) + incompleteness(contents.manifest),
    )


def verify_extracted(directory: Path, reading: Reading) -> Verified:
    """Do the same for a bag that was extracted to `directory`; no key is needed."""
    watch = Stopwatch()
    if not (directory / BAGIT).exists():
        raise VerificationError(
            f"{printable(str(directory))} is no extracted bag: it holds no {BAGIT}.",
            hint="To verify the archives in a folder, name them: verify FOLDER/*.age",
        )
    with Examiner(reading) as examiner, naming(directory):
        contents = read_extracted(
            directory, HashOnly(), limits=reading.limits, progress=reading.progress
        )
        for record in contents.manifest.databases:
            if contents.digest_of(record.path) is not None:
                examiner.arrived(record.path, directory / record.path)
        judge(directory, contents, examiner, EVERYTHING)
    return Verified(
        archive=str(directory),
        size=contents.bytes,
        checked=CHECKED[1:],
        seconds=watch.seconds,
        manifest=contents.manifest,
        warnings=incompleteness(contents.manifest),
    )


def verify_quickly(path: Path) -> Verified:
    """Check what can be checked without a key: a well-formed header, and a possible exact size."""
    watch = Stopwatch()
    with open_archive(path) as descriptor:
        check_from_outside(path, descriptor)
        size = os.fstat(descriptor).st_size
    verdict = "whole, as far as its header and size tell"
    return Verified(str(path), size, ("header", "size"), watch.seconds, verdict)


def judge(path: Path, contents: BagContents, examiner: Examiner, selection: Selection) -> None:
    """Raise `VerificationError` with every difference between promise and content.

    Databases that `selection` leaves out were hashed, but not opened.
    """
    differences = [*contents.differences, *examiner.differences(contents, selection)]
    if differences:
        raise VerificationError(
            f"{printable(str(path))} does not keep its promises: "
            f"{len(differences)} difference{'s' if len(differences) > 1 else ''}.",
            hint="Do not rely on it: use another archive, and make a new one.",
            details=differences,
        )
