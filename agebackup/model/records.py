"""What the ledger knows: runs, archives, destinations. Times are UTC, sizes bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from agebackup.model.names import ArchiveName

Kind = Literal["auto", "manual"]
RunOutcome = Literal["running", "ok", "incomplete", "failed", "stopped"]
PushOutcome = Literal["running", "ok", "failed", "stopped"]
Pending = Literal["", "publish", "delete", "rekey"]
Check = Literal["", "proof", "quick", "verify", "restore"]
"""How an archive was last looked at: its own proof, `verify --quick`, `verify`, a restore."""


@dataclass(frozen=True)
class DatabaseFigures:
    """How much one database of an archive held; `rows` of all its tables together."""

    bytes: int
    rows: int


@dataclass(frozen=True)
class TreeFigures:
    """How much one tree of an archive held."""

    files: int
    bytes: int


@dataclass(frozen=True)
class Figures:
    """How much an archive holds, by place inside the bag: what sudden changes are noticed by."""

    databases: Mapping[str, DatabaseFigures] = field(default_factory=dict)
    trees: Mapping[str, TreeFigures] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRecord:
    """One run of one app, begun and perhaps ended. `message` holds no secret.

    `phase` is the last one reached. A run that is "running" and holds no lock was killed.
    """

    id: str
    app: str
    kind: Kind
    begun: datetime
    phase: str = ""
    outcome: RunOutcome = "running"
    ended: datetime | None = None
    exit_code: int | None = None
    message: str = ""
    archive: str = ""
    destination: str = ""
    size: int | None = None
    seconds: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ArchiveRecord:
    """One archive in one destination: the real path of a folder, or another place's key.

    `file_name` is what it is called there: `name`, unless the person named the file freely.
    `pending` is "publish" from shortly before it gets its name until that is known to have
    happened, "delete" from the decision until the file is known to be gone, and "rekey" while the
    file may have the last of the `former` hashes, or `sha256` already; its size is then not known.
    `sha256` is the ciphertext's, lower-case hex; `former` are those that the file had before it was
    encrypted to other keys, oldest first. `sequence` counts the archives of an app within the
    ledger's `series`; `previous` names the one before. `proved`: decrypted before it was published.
    `bad`: a check found it damaged. `foreign`: adopted from a folder, and perhaps made by another
    machine.
    `recipients` are the public keys it was encrypted to, the proof's left out; () where unknown.
    `hashed` is when the file was last read whole and found to have this `sha256`. `stanzas` are the
    recipients' types in its header, sorted. `deleted` is when that was decided.
    """

    name: str
    app: str
    id: str
    time: datetime
    destination: str
    file_name: str
    kind: Kind = "auto"
    tag: str = ""
    note: str = ""
    kept: bool = False
    size: int | None = None
    sha256: str = ""
    series: str = ""
    sequence: int | None = None
    previous: str = ""
    proved: bool = False
    complete: bool = True
    pending: Pending = ""
    foreign: bool = False
    bad: bool = False
    check: Check = ""
    checked: datetime | None = None
    hashed: datetime | None = None
    deleted: datetime | None = None
    deleted_why: str = ""
    stanzas: tuple[str, ...] = ()
    figures: Figures | None = None
    former: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: ArchiveName, destination: str, file_name: str = "") -> "ArchiveRecord":
        """Return what the name alone says."""
        return cls(
            name=str(name),
            app=name.app,
            id=name.id,
            time=name.time,
            destination=destination,
            file_name=file_name or str(name),
            kind="manual" if name.manual else "auto",
        )


@dataclass(frozen=True)
class DestinationRecord:
    """A folder as it was last seen: on which device, and when. `device` is "" where unknown."""

    path: str
    device: str
    seen: datetime


@dataclass(frozen=True)
class KeycheckRecord:
    """When a private key was last seen to open an archive, by the public key it belongs to."""

    recipient: str
    checked: datetime
    archive: str


@dataclass(frozen=True)
class DrillRecord:
    """One drill: an archive restored for the sake of proof, and how that went.

    `seconds` is how long it took to bring everything back. `receipt` is the text of what was
    done and asserted, `signature` an SSH signature over it or "".
    """

    id: str
    app: str
    archive: str
    begun: datetime
    seconds: float | None = None
    outcome: Literal["ok", "failed"] = "ok"
    message: str = ""
    receipt: str = ""
    signature: str = ""


@dataclass(frozen=True)
class PushRecord:
    """The last time that copies of an app's archives were carried to one place.

    `pushed` archives of together `bytes` were. "failed": something is owed still, as `message`
    says; "running" where it was killed, or is at work.
    """

    app: str
    destination: str
    begun: datetime
    ended: datetime | None = None
    outcome: PushOutcome = "running"
    message: str = ""
    pushed: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Sequel:
    """What the next archive of an app says of the one before it."""

    series: str
    sequence: int
    previous_name: str = ""
    previous_sha256: str = ""
