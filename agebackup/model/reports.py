"""What an operation found or did; the command line turns these values into text or JSON."""

from dataclasses import dataclass, field

from agebackup.model.manifest import Manifest
from agebackup.model.origin import Origin
from agebackup.model.records import ArchiveRecord, Figures


@dataclass(frozen=True)
class CreateReport:
    """A published archive. Sizes in bytes; `seconds` is the whole run.

    `problems` are why a published archive is not all that was asked for (exit code 3). `sha256` is
    the file's, `destination` the folder's real path, `stanzas` the recipients' types in the file's
    header, `signed_with` the signing key's kind and fingerprint, "" for none. `record` is what the
    ledger was told, or would have been; `before` is the record of the app's archive before this
    one.
    """

    archive: str
    path: str
    size: int
    recipients: int
    proof: str
    seconds: float
    manifest: Manifest
    sha256: str
    destination: str
    stanzas: tuple[str, ...]
    figures: Figures
    record: ArchiveRecord
    before: ArchiveRecord | None = None
    signed_with: str = ""
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verified:
    """An archive or an extracted bag that kept every promise that was looked at.

    `verdict` says in words how much that is worth.

    `checked` names what was looked at; `manifest` and `origin` are None after a check
    without a key.
    """

    archive: str
    size: int
    checked: tuple[str, ...]
    seconds: float
    verdict: str = "sound"
    manifest: Manifest | None = None
    warnings: tuple[str, ...] = ()
    origin: Origin | None = None


@dataclass(frozen=True)
class RestoreReport:
    """What a restore put into place, and where the state before it lies.

    `problems` are what the app's own check of the pointers found.
    """

    archive: str
    target: str
    files: int
    bytes: int
    seconds: float
    databases: tuple[str, ...]
    previous_state: str | None
    manifest: Manifest
    left_out: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    origin: Origin = field(default_factory=Origin)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class ListedFile:
    """A payload file: path inside `data/`, size in bytes, time in seconds since the epoch."""

    path: str
    size: int
    mtime: int
