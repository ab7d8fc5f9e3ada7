"""prune on real folders with a real ledger: what it plans it does, and no more than that."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agebackup.destinations.folder import Folder
from agebackup.errors import FailedError, NotFoundError, RefusedError, StoppedError, UsageError
from agebackup.ledger import Ledger, open_ledger
from agebackup.model.inventory import FUTURE
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord, DatabaseFigures, Figures
from agebackup.model.retention import Policy
from agebackup.operations.prune import PruneOrder, prospect, prune, shrinkage
from agebackup.operations.removal import finish_deletions
from agebackup.system.progress import Progress, Stop

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)
LAST_TWO = Policy(last=2)
SIZE = 10


class Scene:
    """A folder of archives and the ledger that knows them."""

    def __init__(self, directory: Path, ledger: Ledger) -> None:
        (directory / "out").mkdir()
        self.folder, self.ledger = Folder(directory / "out"), ledger
        self.told: list[str] = []

    def night(self, hours: int, **fields: object) -> str:
        """Leave a proved archive that is so many hours old, `fields` of its row changed."""
        name = ArchiveName("notes", NOW - timedelta(hours=hours), f"{hours % (1 << 32):08x}")
        (self.folder.path / str(name)).write_bytes(b"x" * SIZE)
        known = {"size": SIZE, "proved": True, **fields}
        self.ledger.put(replace(ArchiveRecord.of(name, self.folder.key), **known))  # type: ignore[arg-type]
        return str(name)

    def prune(self, policy: Policy = LAST_TWO, progress: Progress | None = None) -> list[str]:
        """Prune by `policy` with every guard off; return what was told to have gone."""
        order = PruneOrder("notes", policy, NOW, allow_many=True)
        done = len(self.told)
        prune(order, self.folder, self.ledger, progress or Progress(), self.tell)
        return self.told[done:]

    def tell(self, name: str, why: str) -> None:
        assert why
        self.told.append(name)

    def names(self) -> list[str]:
        return sorted(os.listdir(self.folder.path), reverse=True)

    def pending(self) -> list[str]:
        return [row.name for row in self.ledger.archives(deleted=True) if row.pending]


@contextmanager
def made(directory: Path) -> Iterator[Scene]:
    with open_ledger(directory / "ledger.db") as ledger:
        yield Scene(directory, ledger)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with made(tmp_path) as one:
        yield one


AGES = st.lists(st.integers(-100, 2000), max_size=25, unique=True)
MARKS = st.sampled_from(
    [{}, {}, {}, {"proved": False}, {"bad": True}, {"kept": True}, {"foreign": True}, {"size": 9}]
)
POLICIES = st.builds(
    Policy, last=st.integers(1, 4), daily=st.integers(-1, 4), monthly=st.integers(-1, 4)
)


@settings(max_examples=40, deadline=None)
@given(st.data(), AGES, POLICIES)
def test_what_is_planned_is_done(data: st.DataObject, ages: list[int], policy: Policy) -> None:
    """What goes is what was planned, the rest is untouched, and a second prune finds nothing."""
    with TemporaryDirectory() as directory, made(Path(directory)) as scene:
        marks = {age: data.draw(MARKS) for age in ages}
        names = {scene.night(age, **marks[age]): age for age in ages}
        order = PruneOrder("notes", policy, NOW)
        planned = prospect(order, scene.folder, scene.ledger)
        assert scene.names() == sorted(names, reverse=True), "to plan is to do nothing"
        assert scene.prune(policy) == list(planned.deleted)
        assert set(scene.names()) == set(names) - set(planned.deleted)
        assert scene.prune(policy) == [] and not scene.pending()
        gone = {names[name] for name in planned.deleted}
        ahead = FUTURE.total_seconds() // 3600
        assert not [age for age in gone if age < -ahead or marks[age].keys() - {"proved"}]
        good = [age for age in ages if age >= -ahead and marks[age] in ({}, {"kept": True})]
        assert not good or min(good) not in gone
        rows = {one.name: one for one in scene.ledger.archives(deleted=True)}
        assert {name for name, one in rows.items() if one.deleted} == set(planned.deleted)


def test_the_newest_is_watched(scene: Scene) -> None:
    """Where the archive for whose sake others go vanishes meanwhile, the rest stays."""
    names = [scene.night(age) for age in range(6)]

    def vanish(name: str, why: str) -> None:
        (scene.folder.path / names[0]).unlink()

    order = PruneOrder("notes", LAST_TWO, NOW, allow_many=True)
    with pytest.raises(RefusedError, match="vanished"):
        prune(order, scene.folder, scene.ledger, Progress(), vanish)
    assert scene.names() == names[1:5] and not scene.pending()


def test_another_file_of_that_name_stays(scene: Scene) -> None:
    """What a sync client put in an archive's place meanwhile is not what was planned to go."""
    names = [scene.night(age) for age in range(5)]
    other = scene.folder.path / names[3]

    def replaced(name: str, why: str) -> None:
        other.rename(scene.folder.path / "aside")
        other.write_bytes(b"another file")

    order = PruneOrder("notes", LAST_TWO, NOW, allow_many=True)
    with pytest.raises(FailedError, match="replaced"):
        prune(order, scene.folder, scene.ledger, Progress(), replaced)
    assert other.read_bytes() == b"another file" and not scene.pending()
    assert {one.name for one in scene.ledger.archives()} == set(names[:4])


def test_a_file_that_went_by_itself(scene: Scene) -> None:
    """An archive that somebody else removed meanwhile is gone: that is what was wanted."""
    names = [scene.night(age) for age in range(5)]

    def helped(name: str, why: str) -> None:
        (scene.folder.path / names[3]).unlink(missing_ok=True)

    order = PruneOrder("notes", LAST_TWO, NOW, allow_many=True)
    report = prune(order, scene.folder, scene.ledger, Progress(), helped)
    assert report.deleted == tuple(names[4:1:-1])
    assert scene.names() == names[:2] and not scene.pending()


def test_a_stop_between_two(scene: Scene) -> None:
    """Who asks for the end gets it after the archive that is just going; the next prune goes on."""
    names = [scene.night(age) for age in range(6)]
    stop = Stop()

    def ask(name: str, why: str) -> None:
        stop.request(15)

    order = PruneOrder("notes", LAST_TWO, NOW, allow_many=True)
    with pytest.raises(StoppedError):
        prune(order, scene.folder, scene.ledger, Progress(stop), ask)
    assert scene.names() == names[:5] and not scene.pending()
    assert scene.prune() == names[4:1:-1]


@pytest.mark.parametrize("policy", [Policy(), Policy(tags=("x",)), Policy(manual=3)])
def test_a_policy_that_keeps_nothing(scene: Scene, policy: Policy) -> None:
    """Rules that would keep but the newest are a mistake."""
    names = [scene.night(age) for age in range(3)]
    with pytest.raises(UsageError):
        scene.prune(policy)
    assert scene.names() == names


def test_an_absent_folder(scene: Scene) -> None:
    """A drive that is not there is no empty folder: the ledger keeps every row."""
    for age in range(4):
        scene.night(age)
    scene.folder.path.rename(scene.folder.path.with_name("unmounted"))
    with pytest.raises(NotFoundError):
        scene.prune()
    assert len(scene.ledger.archives("notes")) == 4


@pytest.mark.parametrize(
    ("going", "limit", "held", "refused"),
    [
        (3, None, "", False),
        (4, None, "", True),
        (5, 5, "", False),
        (5, 4, "", True),
        (1, 0, "", True),
        (0, 0, "", False),
        (1, None, "Much was lost.", True),
        (0, None, "Much was lost.", False),
    ],
)
def test_the_guards(scene: Scene, going: int, limit: int | None, held: str, refused: bool) -> None:
    """More than may go at once, or a loss, refuses all of it; the person's yes lets it go."""
    for age in range(going + 2):
        scene.night(age)
    order = PruneOrder("notes", replace(LAST_TWO, max_prune=limit), NOW, held_back=held)
    assert bool(prospect(order, scene.folder, scene.ledger).refusal) == refused
    if refused:
        with pytest.raises(RefusedError, match=held or "at once"):
            prune(order, scene.folder, scene.ledger, Progress(), scene.tell)
        assert len(scene.names()) == going + 2 and not scene.told
    prune(replace(order, allow_many=True), scene.folder, scene.ledger, Progress(), scene.tell)
    assert len(scene.told) == going and len(scene.names()) == 2


@pytest.mark.parametrize("ending", ["file there", "file gone", "last good one", "larger"])
def test_what_a_killed_run_had_decided(scene: Scene, ending: str) -> None:
    """It is ended where it still makes sense, and else taken back."""
    old, new = scene.night(50), scene.night(1)
    decide(scene, old)
    path = scene.folder.path / old
    if ending == "file gone":
        path.unlink()
    elif ending == "larger":
        path.write_bytes(b"y" * 99)
    elif ending == "last good one":
        (scene.folder.path / new).unlink()
    ended = finished(scene)
    done = ending.startswith("file")
    assert ended == ((old,) if done else ()) and not scene.pending()
    assert path.exists() == (not done)
    assert (old in {one.name for one in scene.ledger.archives()}) == (not done)
    assert finished(scene) == ()


def test_a_deletion_of_what_is_in_the_cloud_alone_is_taken_back(scene: Scene) -> None:
    """A stub is never removed: what the cloud client would make of that, it alone knows."""
    old, _ = scene.night(50), scene.night(1)
    decide(scene, old)
    (scene.folder.path / old).rename(scene.folder.path / f".{old}.icloud")
    assert finished(scene) == () and not scene.pending()
    assert (scene.folder.path / f".{old}.icloud").exists()
    assert old in {row.name for row in scene.ledger.archives()}


def test_on_an_unmounted_drive_no_deletion_is_ended(scene: Scene) -> None:
    """An empty folder in the drive's place ends nothing, and later the deletion goes on."""
    old, _ = scene.night(50), scene.night(1)
    decide(scene, old)
    away = scene.folder.path.with_name("away")
    scene.folder.path.rename(away)
    scene.folder.path.mkdir()
    assert finished(scene) == () and scene.pending() == [old]
    scene.folder.path.rmdir()
    away.rename(scene.folder.path)
    assert finished(scene) == (old,) and not scene.pending()


@pytest.mark.parametrize("fields", [{"deleted": NOW}, {"foreign": True}, {"proved": False}])
def test_only_what_counts_lets_a_deletion_end(scene: Scene, fields: dict[str, object]) -> None:
    """What somebody brought back, what another machine made, what nobody proved: no successor."""
    old, _ = scene.night(50), scene.night(1, **fields)
    decide(scene, old)
    assert finished(scene) == () and not scene.pending()
    assert (scene.folder.path / old).exists()


def test_a_loss_is_seen_behind_an_adopted_archive(scene: Scene) -> None:
    """Rows without figures, of other machines or damaged do not hide that rows were lost."""
    full, empty = ({"notes.db": DatabaseFigures(bytes=1, rows=rows)} for rows in (1000, 10))
    scene.night(30, figures=Figures(full, {}))
    scene.night(3, figures=Figures(empty, {}))
    scene.night(2, bad=True, figures=Figures(full, {}))
    scene.night(1, foreign=True, proved=False)
    order = PruneOrder("notes", LAST_TWO, NOW)
    assert "99%" in shrinkage(order, scene.folder.key, scene.ledger)


def test_the_archive_that_was_just_made_stays(scene: Scene) -> None:
    """Where the clock went back, the run's own archive is an old one, and is not pruned at once."""
    made, *others = scene.night(90), *(scene.night(age) for age in (1, 2, 3))
    prune(
        PruneOrder("notes", LAST_TWO, NOW, made=made),
        scene.folder,
        scene.ledger,
        Progress(),
        scene.tell,
    )
    assert scene.told == others[2:] and made in scene.names()


def decide(scene: Scene, name: str) -> None:
    """Let a run have decided that the archive goes, and been killed."""
    (row,) = [one for one in scene.ledger.archives() if one.name == name]
    scene.ledger.amend(row, deleted=NOW, deleted_why="pruned: x", pending="delete")


def finished(scene: Scene) -> tuple[str, ...]:
    return tuple(finish_deletions("notes", scene.folder, scene.ledger, NOW, Progress()))
