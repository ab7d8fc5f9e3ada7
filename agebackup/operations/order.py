"""What `create` is asked to do, and where it works: ready values, made by the wiring."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agebackup.destinations.folder import Folder
from agebackup.model.command import Command
from agebackup.model.manifest import GateRecord, PointersRecord, ProvenanceRecord, Versions
from agebackup.model.names import ArchiveName
from agebackup.model.provenance import Checkout, Version
from agebackup.model.records import Sequel
from agebackup.model.rules import Gate
from agebackup.model.source import Labels, Source
from agebackup.operations.bookkeeping import Bookkeeping
from agebackup.operations.swap_records import SwapRecords
from agebackup.snapshot.keys import Recipients
from agebackup.snapshot.signatures import SigningKey
from agebackup.system.claims import Claims
from agebackup.system.progress import Progress


@dataclass(frozen=True)
class Order:
    """What to back up and how it is to be written. `level` is Zstandard's, None for none.

    The app's commands, `prepare` and `finish` around the snapshot among them, run in `directory`.
    Without `sequel` the site's books are asked for it. `gates` are those whose commands are asked
    for a value, `passed` are values. The archive is signed with `signing`, if there is one. Of
    `checkout` git is asked, with some variables of `environment`; `provenance` is what it said, and
    `pointers` are what the app's queries and files point to.
    """

    source: Source
    labels: Labels
    name: ArchiveName
    recipients: Recipients
    versions: Versions
    host: str
    level: int | None = None
    proof: bool = True
    app_version: Version = ""
    prepare: Command | None = None
    finish: Command | None = None
    directory: Path | None = None
    sequel: Sequel | None = None
    signing: SigningKey | None = None
    gates: tuple[Gate, ...] = ()
    passed: tuple[GateRecord, ...] = ()
    checkout: Checkout | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    provenance: ProvenanceRecord | None = None
    pointers: tuple[PointersRecord, ...] = ()


@dataclass(frozen=True)
class Site:
    """Where a run works: destination, private copies, the app's lock, the claims, the books.

    `swaps` are the journals of restores into the app.
    """

    destination: Folder
    workspace: Path
    lock_file: Path
    claims: Claims
    lock_seconds: float = 30.0
    wait_seconds: float = 0.0
    books: Bookkeeping = field(default_factory=Bookkeeping)
    swaps: SwapRecords | None = None


@dataclass(frozen=True)
class Attempt:
    """One attempt at an archive. `expected` is about how many bytes it will have, if known.

    `volatile` are places of files that changed under an earlier attempt: these are copied
    privately before they are carried; in a `careful` attempt all large files are.
    """

    order: Order
    site: Site
    progress: Progress
    expected: int | None = None
    volatile: frozenset[str] = frozenset()
    careful: bool = False
