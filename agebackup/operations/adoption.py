"""Take one archive of a folder into the ledger: what its name, its content and its manifest say."""

import hashlib
import os
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from agebackup.destinations.folder import Folder
from agebackup.errors import AgebackupError, NoIdentityError, StoppedError, VerificationError
from agebackup.model.figures import figures_of
from agebackup.model.findings import Finding
from agebackup.model.inventory import FolderEntry
from agebackup.model.manifest import Manifest
from agebackup.model.names import ArchiveName
from agebackup.model.origin import OriginError
from agebackup.model.records import ArchiveRecord
from agebackup.operations.reading import BEFORE_REKEY, Reading, check_from_outside
from agebackup.operations.verify import verify_archive
from agebackup.system.claims import Claims
from agebackup.system.progress import Progress
from agebackup.system.streams import pieces

_LAST_NUMBER = (1 << 63) - 1
"""What the ledger can hold; a manifest, which anybody may have written, can hold more."""


@dataclass(frozen=True)
class Depth:
    """How far archives are looked into: `read` hashes them, `reading` opens them as well.

    `mine`: what is adopted was made by this machine. `reading` goes with the `workspace` through
    which databases pass.
    """

    now: datetime
    claims: Claims
    mine: bool = False
    read: bool = False
    reading: Reading | None = None
    workspace: Path | None = None


@dataclass
class Adoption:
    """One archive on its way into the ledger. `record` is what will be known of it.

    `known` is its row so far, None for a new one; what that says is never contradicted, only
    completed. `findings` tell what does not fit.
    """

    folder: Folder
    entry: FolderEntry
    depth: Depth
    known: ArchiveRecord | None
    record: ArchiveRecord
    findings: list[Finding] = field(default_factory=list)
    hashed: bool = False
    verified: bool = False

    @property
    def path(self) -> Path:
        """Where the archive lies."""
        return self.folder.path / self.entry.name

    def changes(self) -> dict[str, Any]:
        """Return the fields in which the record differs from the row so far."""
        assert self.known is not None
        before = vars(self.known)
        return {name: value for name, value in vars(self.record).items() if value != before[name]}

    def change(self, **changes: Any) -> None:
        """Let the record say `changes` too."""
        self.record = replace(self.record, **changes)

    def complain(self, code: str, fact: str, remedy: str = "") -> None:
        """Note an error about this archive."""
        self.findings.append(Finding("error", code, str(self.path), fact, remedy))


def begin(
    name: ArchiveName,
    entry: FolderEntry,
    folder: Folder,
    depth: Depth,
    rows: tuple[ArchiveRecord, ...],
) -> Adoption:
    """Return the adoption of `entry` by what its name and size say, and `rows` of that archive.

    A row of another folder is believed where the size is the same: a folder that moved.
    """
    known = next((row for row in rows if row.destination == folder.key), None)
    size = entry.size if entry.name == str(name) else None  # a stub says nothing of it
    if known is not None:
        adoption = Adoption(folder, entry, depth, known, known)
        _complete(adoption, size)
        return adoption
    record = replace(ArchiveRecord.of(name, folder.key), size=size, foreign=not depth.mine)
    elsewhere = next((row for row in rows if row.size == size and not row.pending), None)
    if elsewhere is not None:
        record = replace(
            elsewhere,
            destination=folder.key,
            file_name=str(name),
            foreign=not depth.mine,
            bad=False,
            hashed=None,
            deleted=None,
            deleted_why="",
        )
    return Adoption(folder, entry, depth, None, record)


def _complete(adoption: Adoption, size: int | None) -> None:
    row = adoption.record
    if adoption.depth.mine and row.foreign:
        adoption.change(foreign=False)
    if adoption.depth.mine and row.deleted is not None and not row.pending:
        adoption.change(deleted=None, deleted_why="")
    if row.size is None:
        adoption.change(size=size)
    elif size is not None and row.size != size:
        adoption.complain(
            "size-differs",
            f"It has {size:,} bytes, but the ledger knows it with {row.size:,}.",
            "Do not rely on it; if another copy of it exists, put that in its place.",
        )
    elif row.pending == "publish":
        adoption.change(pending="")


def look_inside(adoption: Adoption, progress: Progress) -> None:
    """Read the archive as far as `Depth` asks; what is wrong with it becomes a finding.

    What is only in the cloud is never read, nor what has not the size of the archive that has this
    name: a hole of a terabyte is soon made. Raises `StoppedError` alone.
    """
    depth, entry = adoption.depth, adoption.entry
    row = adoption.record
    false = row.sha256 and row.size not in (None, entry.size) and not row.former
    if entry.evicted or not (depth.read or depth.reading):
        return
    if false:
        adoption.change(bad=True)
        return
    try:
        sound = _hash(adoption, progress)
        if sound and depth.reading is not None:
            _verify(adoption, depth.reading)
    except StoppedError:
        raise
    except VerificationError as error:
        check = "verify" if adoption.hashed and depth.reading else "quick"
        adoption.change(bad=True, check=check, checked=depth.now)
        adoption.complain("archive-damaged", error.message, "Do not rely on it.")
    except NoIdentityError as error:
        adoption.complain("no-identity", error.message, "Give the key that opens it with -i.")
    except OriginError as error:
        if adoption.known is None or not adoption.known.sha256:
            adoption.change(sha256="", hashed=None)  # a restore would believe it
        adoption.complain("origin-refused", error.message, error.hint)
    except AgebackupError as error:
        adoption.complain("unread", error.message, error.hint)
    except OSError as error:
        fact = f"It cannot be read: {error.strerror}."
        adoption.complain("unread", fact, "Check the drive or share that it lies on.")


def _hash(adoption: Adoption, progress: Progress) -> bool:
    """Hash the file and look at its header; return whether it may be what the ledger knows."""
    depth, known = adoption.depth, adoption.record.sha256
    descriptor = adoption.folder.open(adoption.entry)
    try:
        progress.phase(f"hashing {adoption.entry.name}", adoption.entry.size)
        digest, rest = hashlib.sha256(), adoption.entry.size
        for piece in pieces(descriptor, rest, progress):
            digest.update(piece)
            rest -= len(piece)
        if rest or os.fstat(descriptor).st_size != adoption.entry.size:
            adoption.complain("unread", "It changed while it was read.", "Try again.")
            return False
        adoption.hashed = True
        if digest.hexdigest() in adoption.record.former:
            adoption.complain("rolled-back", BEFORE_REKEY, "Look what brought it back.")
            return False
        if known and digest.hexdigest() != known:
            adoption.change(bad=True)
            adoption.complain(
                "hash-differs",
                "Its content is not the one whose hash the ledger knows.",
                "Somebody or something changed it: do not rely on it.",
            )
            return False
        adoption.change(sha256=digest.hexdigest(), hashed=depth.now)
        header = check_from_outside(adoption.path, descriptor)
    finally:
        os.close(descriptor)
    if not adoption.record.stanzas:
        adoption.change(stanzas=tuple(sorted(header.recipients)))
    if not adoption.record.check:
        adoption.change(check="quick", checked=depth.now)
    return True


def _verify(adoption: Adoption, reading: Reading) -> None:
    depth, entry = adoption.depth, adoption.entry
    assert depth.workspace is not None
    verified = verify_archive(adoption.path, depth.workspace, depth.claims, reading)
    status = adoption.path.lstat()
    if (status.st_dev, status.st_ino) != entry.inode or verified.manifest is None:
        adoption.complain("unread", "It was replaced while it was read.", "Try again.")
        return
    manifest = verified.manifest
    if manifest.archive != adoption.record.name:
        adoption.change(bad=True, check="verify", checked=depth.now)
        adoption.complain(
            "renamed",
            f"It was made as {manifest.archive}: somebody renamed or exchanged it.",
            "Give it that name again, if nothing else has it.",
        )
        return
    adoption.verified = True
    adoption.change(bad=False, check="verify", checked=depth.now, complete=manifest.complete)
    _learn(adoption, manifest)


def _learn(adoption: Adoption, manifest: Manifest) -> None:
    """Take over what only the manifest says, where the ledger does not know better."""
    row = adoption.record
    proved = row.proved or manifest.proof == "before-publishing"
    adoption.change(proved=proved, figures=row.figures or figures_of(manifest))
    if adoption.known is None and not (row.tag or row.note):
        adoption.change(tag=manifest.tag, note=manifest.note)
    number = manifest.sequence
    if row.sequence is None and manifest.series and number and 0 < number <= _LAST_NUMBER:
        adoption.change(
            series=manifest.series,
            sequence=number,
            previous=manifest.previous.name if manifest.previous else "",
        )
