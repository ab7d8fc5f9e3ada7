"""What a restore into the live application did; the command line makes text or JSON of it."""

from dataclasses import dataclass
from typing import Literal

from agebackup.model.manifest import Manifest
from agebackup.model.origin import Origin

Outcome = Literal["ok", "check-failed", "rolled-back"]


@dataclass(frozen=True)
class PlacedPart:
    """A part that is in place: `kept` is where the state before it lies, None if there was none.

    `with_it` are the places of further parts that came along inside it. Sizes are bytes.
    """

    role: str
    name: str
    place: str
    target: str
    files: int
    size: int
    kept: str | None
    with_it: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatabaseChange:
    """What a migration or a rebuild made of a database: tables it added, rows that it may lose."""

    name: str
    how: Literal["migrated", "rebuilt"]
    added_tables: tuple[str, ...] = ()
    tolerated: tuple[str, ...] = ()


@dataclass(frozen=True)
class InPlaceReport:
    """How a restore into the live application ended.

    `outcome`: "ok"; "check-failed": the restored state is in place, but `problems` came up;
    "rolled-back": the same, and the state before is in place again. `safety` is the archive of
    that state, None where none was made. `seconds` is the whole run, `standstill` from `pause` to
    the end of `resume`. `heads` are the databases whose heads were compared.
    """

    app: str
    archive: str
    id: str
    outcome: Outcome
    parts: tuple[PlacedPart, ...]
    seconds: float
    standstill: float
    safety: str | None
    changes: tuple[DatabaseChange, ...]
    heads: tuple[str, ...]
    manifest: Manifest
    origin: Origin
    problems: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlannedStep:
    """A step of a restore: what is done, in words, and the paths that it is about."""

    step: str
    text: str
    paths: tuple[str, ...] = ()
    size: int | None = None


@dataclass(frozen=True)
class InPlacePlan:
    """What a restore would do, step by step; nothing was touched to find that out."""

    app: str
    archive: str
    steps: tuple[PlannedStep, ...]
    manifest: Manifest
    origin: Origin
    warnings: tuple[str, ...] = ()
