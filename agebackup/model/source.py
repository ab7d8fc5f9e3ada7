"""What one run backs up, resolved and checked: the value that wiring hands to `create`.

`place` is always where something lies inside the bag, beginning with `data/`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agebackup.errors import UsageError, printable
from agebackup.model.names import clash_key

Role = Literal["attachments", "config", "tokens"]
Consistency = Literal["single", "atomic", "per-database"]


@dataclass(frozen=True)
class Count:
    """An app-declared figure: SQL that returns one value, recorded and compared later."""

    name: str
    sql: str


@dataclass(frozen=True)
class PointerSource:
    """Where pointers called `name` come from: `sql` asked of `database`, or the file `path`.

    Pointers name what the app needs and the archive does not hold (`model.pointers`); `hint` is a
    sentence for the person who has to fetch it.
    """

    name: str
    database: str = ""
    sql: str = ""
    path: Path | None = None
    hint: str = ""


@dataclass(frozen=True)
class DatabaseSource:
    """One live SQLite database. `references` are queries that name attachments.

    `gates` are values that a restore compares, `heads` is a query whose rows it compares, or "".
    `pointers` are queries for what lies outside the archive.
    """

    name: str
    path: Path
    place: str
    counts: tuple[Count, ...] = ()
    references: tuple[str, ...] = ()
    max_user_version: int | None = None
    gates: tuple[Count, ...] = ()
    heads: str = ""
    pointers: tuple[PointerSource, ...] = ()


@dataclass(frozen=True)
class TreeSource:
    """A directory (or, for config and tokens, also a single file) whose files are carried.

    `named_by` is "sha256", "md5" or "sha1" where files carry their own hash as their name.
    `below_root` is the tree's path below the app's root with a final "/", "" without a root:
    excluded globs are matched against it and the path inside the tree, joined.
    """

    name: str
    path: Path
    place: str
    role: Role = "attachments"
    named_by: str | None = None
    below_root: str = ""


@dataclass(frozen=True)
class Source:
    """Everything one snapshot of `app` consists of.

    `derived` are globs of what the app can rebuild, `excluded` of what else stays out. `withheld`
    are absolute paths (declared tokens and config that were not asked for) that never enter the
    archive, wherever they lie. `pointers` are the files that say what lies outside of it.
    """

    app: str
    databases: tuple[DatabaseSource, ...] = ()
    trees: tuple[TreeSource, ...] = ()
    consistency: Consistency = "single"
    derived: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    withheld: tuple[Path, ...] = ()
    follow_symlinks: bool = False
    raw_sqlite: bool = False
    allow_missing: bool = False
    pointers: tuple[PointerSource, ...] = ()


def require_distinct_places(source: Source) -> Source:
    """Return `source` if no two of its parts want one place in the bag; else `UsageError`.

    A database inside an attachments tree's place is no clash: that tree leaves its file out.
    """
    taken: dict[str, Path] = {}
    parts: list[DatabaseSource | TreeSource] = [*source.databases, *source.trees]
    for part in parts:
        first = taken.setdefault(clash_key(part.place), part.path)
        if first is not part.path:
            place = printable(part.place.removeprefix("data/"))
            raise UsageError(
                f"{printable(str(first))} and {printable(str(part.path))} would both be "
                f"{place} in the archive.",
                hint="Name one of them otherwise: NAME=PATH, or another key in the configuration.",
            )
    if not source.databases and not source.trees:
        raise UsageError(
            "There is nothing to back up.",
            hint="Name a database with --db, or an app of the configuration.",
        )
    return source


@dataclass(frozen=True)
class Labels:
    """What the person says about a snapshot."""

    manual: bool = False
    tag: str = ""
    note: str = ""


@dataclass(frozen=True)
class Skipped:
    """A file that is not in the archive, and why. `lost` marks one that should have been."""

    path: str
    reason: str
    lost: bool = False
