"""A restore into places that are in use, as one transaction: its values, and its journal's content.

What is put into place as one is a part. Of each part two states exist during a swap, and each is
told from the other, and from anything else, by what the file system says of it (`Thing`), never by
its name alone.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from agebackup.errors import UsageError, printable

VERSION = 1
"""Of the journal's content; another one is not understood, and then nothing is guessed."""

Kind = Literal["database", "tree", "file"]

COMPANIONS = ("-shm", "-wal", "-journal")
"""What SQLite keeps beside a database, in the order in which it goes aside: first what is a mere
cache. What comes back does so in the opposite order."""
PRECIOUS = COMPANIONS[1:]
"""Companions that hold content, and that spoil a database which they do not belong to."""


@dataclass(frozen=True)
class Part:
    """Something that is put into place as one.

    `target` is the part's path in the application, whether there is anything or not; a database's
    companions there belong to it. `staged` is what takes its place, verified, on the same file
    system, a database without companions; None: nothing does, the old state only goes aside.
    """

    target: Path
    staged: Path | None
    kind: Kind


@dataclass(frozen=True)
class Swap:
    """The parts that change together. `archive` is where they come from, `safety` the archive of
    the state before, if one was made; both are for the record. `time` is in UTC, to the second."""

    app: str
    time: datetime
    archive: str
    parts: tuple[Part, ...]
    safety: str = ""

    @property
    def id(self) -> str:
        """The moment as it stands in names: 20261121T091500Z."""
        return stamp(self.time)


def stamp(time: datetime) -> str:
    """Return `time` as it stands in the names of states that are kept."""
    return time.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def kept_name(target: Path, id: str, *, undone: bool = False) -> Path:
    """Return where the state is kept that `target` had before a restore (`undone`: an undo)."""
    return target.with_name(f"{target.name}.{'undone' if undone else 'pre_restore'}_{id}")


def require_separate(parts: tuple[Part, ...]) -> None:
    """Raise `UsageError` where there is no part, or one is, or lies in, another or its companion.

    Who swaps a tree swaps what is in it.
    """
    if not parts:
        raise UsageError("There is nothing to put into place.", hint="Choose less narrowly.")
    taken: dict[Path, Part] = {}
    for part in parts:
        for path in belongings(part.target, part.kind):
            if path in taken:
                raise UsageError(
                    f"{printable(str(path))} would be put into place twice.",
                    hint="Declare it once, as a database, an attachment, config or tokens.",
                )
            taken[path] = part
    for path, part in taken.items():
        outer = next((above for above in path.parents if above in taken), None)
        if outer is not None:
            raise UsageError(
                f"{printable(str(part.target))} lies in {printable(str(outer))}, "
                "which is put into place as a whole.",
                hint="It comes along with that; leave it out as a part of its own.",
            )


def belongings(path: Path, kind: Kind) -> tuple[Path, ...]:
    """Return `path`, and of a database the paths of its companions there."""
    if kind != "database":
        return (path,)
    return (path, *(companion(path, suffix) for suffix in COMPANIONS))


def companion(path: Path, suffix: str) -> Path:
    """Return the path of the companion `suffix` of the database at `path`."""
    return path.with_name(path.name + suffix)


class Thing(msgspec.Struct, frozen=True):
    """What is at a path: its inode, size in bytes and time of its last change in nanoseconds.

    No device: its number may be another one after a reboot, and all of a part's paths lie in one
    directory. A directory has no size, and its time is that of its own entries alone.
    """

    inode: int
    size: int | None
    changed: int


class Side(msgspec.Struct, frozen=True):
    """One state of a part: the thing itself, None where there is none, companions by suffix."""

    main: Thing | None
    companions: dict[str, Thing] = {}

    @property
    def nothing(self) -> bool:
        """Whether there is neither."""
        return self.main is None and not self.companions

    @property
    def precious(self) -> bool:
        """Whether the main file is worth little without what lies beside it."""
        return any(suffix in self.companions for suffix in PRECIOUS)


class Move(msgspec.Struct, frozen=True):
    """One part's way. All paths lie in one directory, `folder`, which has that inode.

    `new` comes from `incoming` to `target`; `old`, which was at `target`, ends at `outgoing`. In
    between, where names can be exchanged, the old main thing has the name `incoming` for a moment.
    `ground` is the lowest directory above that was there; `made` are those below it that were not,
    outermost first. `source` is from where `incoming` was filled, "" where it was there before:
    only what was filled is removed after a rollback.
    """

    kind: Kind
    target: str
    incoming: str
    outgoing: str
    new: Side
    old: Side
    ground: str
    ground_inode: int
    made: tuple[str, ...] = ()
    source: str = ""

    @property
    def disposable(self) -> bool:
        """Whether the new state is a copy of what an archive holds."""
        return bool(self.source)


class SwapRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The journal of one swap, and afterwards the record by which it can be undone.

    `stage`: "swapping" from before the first change, "swapped" from the moment at which everything
    is in place (the commit), "done" once whoever swapped has no more to do; or "rolled-back" from
    the moment at which everything is back, until what came to nothing is removed. "removing": what
    it put aside was kept long enough. `undoes` is the id of the swap that this one takes back, ""
    for a restore.
    """

    version: int = VERSION
    app: str
    id: str
    stage: Literal["swapping", "swapped", "done", "rolled-back", "removing"]
    archive: str
    safety: str = ""
    undoes: str = ""
    moves: tuple[Move, ...]

    @property
    def key(self) -> str:
        """The record's own name: an undo may follow within the same second."""
        return f"{self.id}-undo" if self.undoes else self.id

    @property
    def open(self) -> bool:
        """Whether somebody is at work, or died."""
        return self.stage not in ("done", "removing")

    @property
    def time(self) -> datetime:
        """The moment of the swap, in UTC."""
        return datetime.strptime(self.id, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)

    @property
    def kept(self) -> tuple[Path, ...]:
        """Where the states lie that this swap put aside, without companions."""
        return tuple(Path(move.outgoing) for move in self.moves if move.old.main is not None)
