"""What a swap is made of, and which way one goes that was cut off: decided without a file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.errors import UsageError
from agebackup.model.standing import decide, paths, standing
from agebackup.model.swap import (
    COMPANIONS,
    Kind,
    Move,
    Part,
    Side,
    Swap,
    SwapRecord,
    Thing,
    kept_name,
    require_separate,
)

TIME = datetime(2026, 11, 21, 9, 15, tzinfo=UTC)
GROUND = Thing(1, None, 0)
STRANGER = Thing(99, 9, 9)


def test_a_kept_database_finds_its_companions() -> None:
    """The kept name is one that SQLite looks for the -wal beside, and says when and why."""
    swap = Swap("notes", TIME, "a.age", (Part(Path("/a/x.db"), None, "database"),))
    assert swap.id == "20261121T091500Z"
    assert kept_name(Path("/a/x.db"), swap.id) == Path("/a/x.db.pre_restore_20261121T091500Z")
    assert kept_name(Path("/a/x"), swap.id, undone=True) == Path("/a/x.undone_20261121T091500Z")


@pytest.mark.parametrize(
    "targets, said",
    [
        ((), "nothing to put into place"),
        ((("/a/x", "file"), ("/a/x", "file")), "twice"),
        ((("/a/x", "database"), ("/a/x-wal", "file")), "twice"),
        ((("/a/t", "tree"), ("/a/t/x.db", "database")), "lies in"),
        ((("/a/t/b/c", "file"), ("/a/t", "tree")), "lies in"),
    ],
)
def test_parts_lie_apart(targets: tuple[tuple[str, Kind], ...], said: str) -> None:
    """What is, or lies in, another part or belongs to it is refused before anything happens."""
    with pytest.raises(UsageError, match=said):
        require_separate(tuple(Part(Path(path), None, kind) for path, kind in targets))


def test_neighbours_are_apart() -> None:
    """Names that only begin alike are no part of each other."""
    targets = ("/a/t", "/a/t.db", "/a/t2/t", "/a/t-walker")
    require_separate(tuple(Part(Path(path), None, "tree") for path in targets))


@dataclass
class Disk:
    """Names and what they mean; `moves` are the renames that a swap consists of, in its order."""

    at: dict[str, Thing] = field(default_factory=dict)

    def rename(self, source: str, target: str) -> None:
        assert target not in self.at, "a rename must not replace"
        self.at[target] = self.at.pop(source)

    def exchange(self, one: str, other: str) -> None:
        self.at[one], self.at[other] = self.at[other], self.at[one]

    def seen(self, *moves: Move) -> Mapping[str, Thing | None]:
        found: dict[str, Thing | None] = {
            path: self.at.get(path) for move in moves for path in paths(move)
        }
        return found | {move.ground: GROUND for move in moves}


def steps(move: Move, disk: Disk, *, exchanging: bool) -> Iterator[None]:
    """Carry `move` out, with a pause after each rename."""
    for suffix in COMPANIONS:
        if suffix in move.old.companions:
            disk.rename(move.target + suffix, move.outgoing + suffix)
            yield
    if move.old.main and move.new.main and exchanging:
        disk.exchange(move.incoming, move.target)
        yield
        disk.rename(move.incoming, move.outgoing)
        yield
    else:
        if move.old.main:
            disk.rename(move.target, move.outgoing)
            yield
        if move.new.main:
            disk.rename(move.incoming, move.target)
            yield
    for suffix in reversed(COMPANIONS):
        if suffix in move.new.companions:
            disk.rename(move.incoming + suffix, move.target + suffix)
            yield


@st.composite
def moves(draw: st.DrawFn, name: str, first: int) -> Move:
    """A part's way: any kind, an old and a new state or one of them, companions of a database."""
    kind: Kind = draw(st.sampled_from(["database", "tree", "file"]))
    undo = draw(st.booleans())
    has_old, has_new = draw(st.sampled_from([(1, 1), (1, 0), (0, 1)]))
    suffixes = st.sets(st.sampled_from(COMPANIONS)) if kind == "database" else st.just(set())
    old_with, new_with = draw(suffixes), draw(suffixes) if undo and has_new else set()

    def side(begin: int, with_: set[str], *, there: int) -> Side:
        size = None if kind == "tree" else begin
        companions = {x: Thing(begin + 1 + i, 1, 1) for i, x in enumerate(sorted(with_))}
        return Side(Thing(begin, size, begin) if there else None, companions if there else {})

    return Move(
        kind=kind,
        target=f"/app/{name}",
        incoming=f"/app/{name}.in",
        outgoing=f"/app/{name}.out",
        new=side(first, new_with, there=has_new),
        old=side(first + 10, old_with, there=has_old),
        ground="/app",
        ground_inode=GROUND.inode,
        source="" if undo else f"/stage/{name}",
    )


def begun(move: Move) -> Disk:
    """Return the disk before anything of `move` happened."""
    disk = Disk()
    for path, side in ((move.target, move.old), (move.incoming, move.new)):
        if side.main:
            disk.at[path] = side.main
        disk.at |= {path + suffix: thing for suffix, thing in side.companions.items()}
    return disk


def record(*moves: Move, stage: str = "swapping") -> SwapRecord:
    """Return a journal of `moves`."""
    raw = {"app": "notes", "id": "20261121T091500Z", "stage": stage, "archive": "a.age"}
    return msgspec.convert({**raw, "moves": msgspec.to_builtins(moves)}, SwapRecord)


@given(moves("a", 100), st.booleans(), st.integers(0, 12))
def test_wherever_it_was_cut_off_the_way_back_is_open(
    move: Move, exchanging: bool, done: int
) -> None:
    """After any number of steps everything is known again, and nothing bars the way back."""
    disk = begun(move)
    left = list(islice(steps(move, disk, exchanging=exchanging), done))
    seen = disk.seen(move)
    verdict = decide(record(move), seen)
    assert verdict.way == "roll-back", verdict
    where = standing(move, seen)
    if not left:
        assert where.state == "old"
    remaining = sum(1 for _ in steps(move, begun(move), exchanging=exchanging)) - len(left)
    if not remaining:
        assert where.state == "new"
    for stage, way in (("swapped", "finish"), ("done", "nothing"), ("removing", "nothing")):
        assert decide(record(move, stage=stage), seen).way == way


@given(moves("a", 100), moves("b", 200), st.booleans(), st.integers(1, 12), st.data())
def test_a_stranger_bars_the_way(
    move: Move, other: Move, exchanging: bool, done: int, data: st.DataObject
) -> None:
    """Whatever stands where a begun part has to go, of its own or another, nothing is touched."""
    disk = begun(move)
    disk.at |= begun(other).at
    list(islice(steps(move, disk, exchanging=exchanging), done))
    if standing(move, disk.seen(move, other)).state == "old":
        return  # a cache alone went aside
    free = [path for path in paths(move)[1:] if path not in disk.at]
    place = data.draw(st.sampled_from(free))
    disk.at[place] = STRANGER
    verdict = decide(record(move, other), disk.seen(move, other))
    assert verdict.way == "refuse"
    assert place in {obstacle.path for obstacle in verdict.obstacles}


@given(moves("a", 100), st.data())
def test_what_the_app_does_to_an_untouched_part_is_its_own_business(
    move: Move, data: st.DataObject
) -> None:
    """A part that was not begun is as the application wants it, whatever came or went there."""
    disk = begun(move)
    for path in (move.target, *(move.target + suffix for suffix in COMPANIONS)):
        if data.draw(st.booleans()):
            disk.at[path] = STRANGER
        else:
            disk.at.pop(path, None)
    assert decide(record(move), disk.seen(move)).way == "roll-back"


def database(*companions: str) -> Move:
    """Return a move of a database whose old state has `companions`."""
    old = Side(Thing(10, 10, 10), {x: Thing(20 + i, 1, 1) for i, x in enumerate(companions)})
    new = Side(Thing(5, 5, 5))
    return Move("database", "/a/x", "/a/x.in", "/a/x.out", new, old, "/a", 1, (), "/stage/x")


def test_a_main_file_that_changed_without_its_wal_is_not_joined_with_it() -> None:
    """SQLite would take the frames of the -wal for newer: the person has to look."""
    move, disk = database("-wal"), begun(database("-wal"))
    next(steps(move, disk, exchanging=True))
    disk.at["/a/x"] = Thing(10, 10, 11)
    (obstacle,) = decide(record(move), disk.seen(move)).obstacles
    assert obstacle.path == "/a/x" and "written to" in obstacle.why


def test_a_restored_file_that_was_written_to_is_not_removed() -> None:
    """What an application put into a half restored state is for the person to judge."""
    move, disk = database(), begun(database())
    for _ in steps(move, disk, exchanging=True):
        pass
    disk.at["/a/x"] = Thing(5, 6, 6)
    (obstacle,) = decide(record(move), disk.seen(move)).obstacles
    assert obstacle.path == "/a/x" and "move it elsewhere" in obstacle.remedy
    disk.at.pop("/a/x")
    assert decide(record(move), disk.seen(move)).way == "roll-back"


def test_what_is_nowhere_is_missed() -> None:
    """A kept state that somebody moved away is asked for; a lost copy of the archive is not."""
    move, disk = database("-wal"), begun(database("-wal"))
    for _ in steps(move, disk, exchanging=True):
        pass
    away = disk.at.pop("/a/x.out-wal")
    (obstacle,) = decide(record(move), disk.seen(move)).obstacles
    assert obstacle.path == "/a/x-wal" and "x.out-wal" in obstacle.why
    disk.at["/a/x.out-wal"] = away
    disk.at.pop("/a/x")
    assert decide(record(move), disk.seen(move)).way == "roll-back"


def test_a_drive_that_is_away_is_waited_for() -> None:
    """Where the place itself is not there, nothing is said of what lies in it."""
    move, disk = database(), begun(database())
    seen = {**disk.seen(move), "/a": None}
    (obstacle,) = decide(record(move), seen).obstacles
    assert obstacle.path == "/a" and "Mount" in obstacle.remedy
