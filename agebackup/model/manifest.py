"""`manifest.json`, agebackup's own record inside the bag: typed, strict where it must be.

Unknown keys are ignored, because a later writer whose `minimum_reader` we meet may add some.
The record states what was written; nothing in it was only planned.
"""

from typing import Literal

import msgspec

from agebackup.errors import RefusedError, VerificationError

FORMAT = 1
MAX_RECORDED_SKIPS = 10_000


class Record(msgspec.Struct, frozen=True):
    """Base of every part of the manifest: immutable."""


class CountRecord(Record, frozen=True, kw_only=True):
    """An app-declared figure with the SQL that found it."""

    name: str
    sql: str
    value: int | float | str | None


class ReferenceRecord(Record, frozen=True, kw_only=True):
    """A query naming attachments (path relative to the tree, then optionally its SHA-256)."""

    sql: str
    rows: int


class GateRecord(Record, frozen=True, kw_only=True):
    """A value that is compared before a restore into the live application; `sql` may be ""."""

    name: str
    sql: str = ""
    value: int | float | str | None


class HeadsRecord(Record, frozen=True, kw_only=True):
    """What the app's query for its heads (how far it has synced, say) selected, row by row."""

    sql: str
    rows: list[list[int | float | str | None]]


class DatabaseRecord(Record, frozen=True, kw_only=True):
    """What one database's copy held. `journal_mode` is the source's, for restore to set again.

    `reason` says why `method` had to be "backup", `unchecked` what integrity_check could not see.
    """

    name: str
    path: str
    bytes: int
    sha256: str
    method: Literal["vacuum-into", "backup"]
    reason: str = ""
    unchecked: str = ""
    user_version: int
    application_id: int
    schema_sha256: str
    page_size: int
    encoding: str
    journal_mode: str
    rows: dict[str, int]
    foreign_key_violations: int
    counts: list[CountRecord] = []
    references: list[ReferenceRecord] = []
    max_user_version: int | None = None
    gates: list[GateRecord] = []
    heads: HeadsRecord | None = None


class TreeRecord(Record, frozen=True, kw_only=True):
    """What one tree gave. `source` is its absolute path where the archive was made, with which
    queries may name its files. `referenced` and `orphans` are null where no query does."""

    name: str
    path: str
    role: Literal["attachments", "config", "tokens"]
    files: int
    bytes: int
    source: str = ""
    named_by: str | None = None
    referenced: int | None = None
    orphans: int | None = None


class SkippedRecord(Record, frozen=True, kw_only=True):
    """A file left out and why; `lost` marks one that should have been in the archive."""

    path: str
    reason: str
    lost: bool = False


class PreviousRecord(Record, frozen=True, kw_only=True):
    """The archive before this one, as the ledger knew it."""

    name: str
    sha256: str


class ProvenanceRecord(Record, frozen=True, kw_only=True):
    """The application's checkout when the snapshot was begun. `branch` is "" where none was checked
    out; `dirty` says whether a file under version control was changed, null where nobody knows."""

    commit: str
    branch: str = ""
    dirty: bool | None = None


class PointerRecord(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Something that the application needs and the archive does not hold (model/pointers.py)."""

    location: str
    bytes: int | None = None
    hash: str = ""
    count: int | None = None
    note: str = ""


class PointersRecord(Record, frozen=True, kw_only=True):
    """What one query or file pointed to: `count` pointers, of which `entries` are the first.

    `database` and `sql` say what was asked, or `file` where it was read; `hint` is for the person.
    """

    name: str
    database: str = ""
    sql: str = ""
    file: str = ""
    hint: str = ""
    count: int
    entries: list[PointerRecord] = []


class Versions(Record, frozen=True, kw_only=True):
    """Programs that had a part in the archive."""

    agebackup: str
    python: str
    sqlite: str
    pyrage: str
    app: str = ""


class Manifest(Record, frozen=True, kw_only=True):
    """The whole of `manifest.json`. Times are RFC 3339 in UTC, sizes bytes."""

    format: int
    minimum_reader: int
    archive: str
    app: str
    id: str
    time: str
    kind: Literal["auto", "manual"]
    tag: str = ""
    note: str = ""
    series: str | None = None
    sequence: int | None = None
    previous: PreviousRecord | None = None
    versions: Versions
    host: str
    consistency: Literal["single", "atomic", "per-database"]
    complete: bool
    proof: Literal["before-publishing", "none"]
    payload_files: int
    payload_bytes: int
    databases: list[DatabaseRecord] = []
    trees: list[TreeRecord] = []
    config_included: bool = False
    tokens_included: bool = False
    derived: list[str] = []
    excluded: list[str] = []
    skipped: list[SkippedRecord] = []
    skipped_count: int = 0
    missing: list[str] = []
    missing_count: int = 0
    empty_directories: list[str] = []
    clashing_names: int = 0
    gates: list[GateRecord] = []
    provenance: ProvenanceRecord | None = None
    pointers: list[PointersRecord] = []


class _Readers(msgspec.Struct):
    format: int
    minimum_reader: int


def encode_manifest(manifest: Manifest) -> bytes:
    """Return `manifest` as indented UTF-8 JSON with a final newline."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def decode_manifest(text: bytes) -> Manifest:
    """Return the manifest in `text`.

    Raises `RefusedError` (13) for a newer format or minimum reader, `VerificationError` (4) for
    anything that is not a manifest. The versions are looked at first, so that a newer format is
    recognised even where its other keys changed their types.
    """
    try:
        readers = msgspec.json.decode(text, type=_Readers)
        if readers.minimum_reader > FORMAT:
            raise RefusedError(
                f"The archive needs a reader of format {readers.minimum_reader}; "
                f"this agebackup reads up to format {FORMAT}.",
                hint="Upgrade agebackup, or take the archive apart with age and tar "
                "(RECOVER.md inside says how).",
            )
        return msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise VerificationError(f"manifest.json is not a manifest: {error}.") from None
