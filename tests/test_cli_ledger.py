"""The ledger can be checked, and made again from what lies in the folders."""

import dataclasses
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sample_app
from conftest import Keys, Outcome, World
from system_faults import ROOT, calls, fault, kill_points, run

from agebackup.destinations.folder import listed_folder
from agebackup.errors import StoppedError
from agebackup.ledger import Ledger, open_ledger
from agebackup.ledger.schema import VERSION
from agebackup.model.records import ArchiveRecord, RunRecord
from agebackup.operations.adoption import Depth
from agebackup.operations.rebuild import RebuildOrder, rebuild
from agebackup.system.claims import Claims
from agebackup.system.progress import Progress, Stop

NOW = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Path:
    """A folder with two archives of one app that some machine made, the second one tagged."""
    directory, home = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("home")
    world = World(directory, home, sample_app.environment(home))
    app = sample_app.build(directory / "app", entries=5, attachments=2, attachment_bytes=200)
    for flags in ((), ("--tag", "gold", "--note", "before the move", "--manual")):
        arguments = ("--app", "notes", "--to", "out", "--mkdir", "-r", keys.recipient, *flags)
        outcome = world.run("create", *app.create_arguments, *arguments)
        assert outcome.code == 0, outcome.err
    return directory / "out"


@dataclass(frozen=True)
class Scene:
    """A machine without a ledger, and a folder with archives in order of age."""

    world: World
    folder: Path
    archives: tuple[Path, ...]

    @property
    def file(self) -> Path:
        return self.world.state / "ledger.db"

    def rebuild(self, *words: object) -> Outcome:
        return self.world.run("ledger", "rebuild", *(words or ("out",)))

    def told(self, *words: object) -> dict[str, Any]:
        outcome = self.rebuild("--json", *words)
        found: dict[str, Any] = json.loads(outcome.out)
        assert found["exit"] == outcome.code
        return found

    def ledger(self) -> Ledger:
        return open_ledger(self.file, make=False)

    def rows(self) -> tuple[ArchiveRecord, ...]:
        """The rows of the ledger in the order of `archives`, made within one second perhaps."""
        with self.ledger() as ledger:
            rows = reversed(ledger.archives(deleted=True, pending=True))
            return tuple(sorted(rows, key=lambda row: row.kind == "manual"))

    def amend(self, path: Path, **changes: Any) -> None:
        with self.ledger() as ledger:
            (row,) = (row for row in ledger.archives() if row.name == path.name)
            ledger.amend(row, **changes)


@pytest.fixture
def scene(world: World, made: Path) -> Scene:
    """A new machine in whose folder lie copies of the archives."""
    folder = world.directory / "out"
    shutil.copytree(made, folder)
    world.state.mkdir(parents=True)
    by_time = sorted(folder.glob("*.age"), key=lambda path: ("-manual" in path.name, path.name))
    return Scene(world, folder, tuple(by_time))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-500] ^= 1
    path.write_bytes(content)


# ---- what is adopted


def test_names_and_sizes_are_adopted(scene: Scene) -> None:
    """From names alone: every archive with its size, as another machine's, in a new series."""
    outcome = scene.rebuild()
    assert outcome.code == 0 and outcome.out.endswith("out: 2 adopted\n"), outcome
    assert "rebuild --mine" in outcome.err and "A new ledger was made" in outcome.err
    for row, path in zip(scene.rows(), scene.archives, strict=True):
        assert (row.name, row.file_name, row.size) == (path.name, path.name, path.stat().st_size)
        assert row.destination == os.path.realpath(scene.folder)
        assert row.foreign and not (row.sha256 or row.tag or row.checked or row.sequence)
    with scene.ledger() as ledger:
        assert [one.path for one in ledger.destinations()] == [os.path.realpath(scene.folder)]
        assert ledger.sequel("notes").sequence == 1


def test_read_adds_hashes(scene: Scene) -> None:
    """With --read each archive's hash and its recipients' kinds are known, and since when."""
    told = scene.told("--read", "out")
    assert told["status"] == "ok" and told["destinations"][0]["hashed"] == 2
    for row, path in zip(scene.rows(), scene.archives, strict=True):
        assert row.sha256 == digest(path) and row.hashed and row.check == "quick"
        assert row.stanzas == ("X25519", "X25519") and not row.proved


def test_a_key_adds_everything(scene: Scene, keys: Keys) -> None:
    """With a key all that only the manifest says is known again, each archive being verified."""
    told = scene.told("-i", keys.identity, "out")
    assert told["destinations"][0]["verified"] == 2, told
    first, second = scene.rows()
    assert (second.tag, second.note, second.kind) == ("gold", "before the move", "manual")
    assert (first.sequence, second.sequence) == (1, 2) and second.previous == first.name
    assert first.series == second.series not in ("", told["series"])
    for row, path in zip((first, second), scene.archives, strict=True):
        assert row.proved and row.complete and row.check == "verify" and row.checked
        assert row.sha256 == digest(path) and row.figures and row.figures.databases
    with scene.ledger() as ledger:
        assert ledger.sequel("notes").sequence == 1


def test_the_environment_may_name_the_key(scene: Scene, keys: Keys) -> None:
    """The identity file of the environment counts as if -i had named it."""
    env = {**scene.world.env, "AGEBACKUP_IDENTITY_FILE": str(keys.identity)}
    assert scene.world.run("ledger", "rebuild", "out", env=env).code == 0
    assert scene.rows()[1].tag == "gold"


def test_mine_at_once_or_later(scene: Scene) -> None:
    """--mine makes what is adopted this machine's; given later it does so with what was adopted."""
    scene.rebuild()
    outcome = scene.rebuild("--mine", "out")
    assert outcome.code == 0 and "2 of them now this machine's" in outcome.out
    assert not any(row.foreign for row in scene.rows())
    scene.file.unlink()
    assert "rebuild --mine" not in scene.rebuild("--mine", "out").err
    assert not any(row.foreign for row in scene.rows())


def test_a_series_begins_where_something_was_adopted_or_lost(scene: Scene) -> None:
    """Numbers go on where all is known, and begin anew where nobody knows what was counted."""
    first = scene.told("out")["series"]
    outcome = scene.rebuild("--read", "--mine", "out")
    assert outcome.code == 0 and "anew" not in outcome.err
    with scene.ledger() as ledger:
        assert ledger.series == first
        ledger.forget(ledger.archives(limit=1))
    second = scene.told("out")["series"]
    assert second not in (None, first)
    scene.amend(scene.archives[0], series=second, sequence=3)  # where are 1 and 2?
    third = scene.told("out")["series"]
    assert third not in (None, first, second) and scene.told("out")["series"] is None


def test_other_names_are_left_alone(scene: Scene) -> None:
    """Conflict copies, links, half files, strangers and the future are counted, never adopted."""
    first = scene.archives[0]
    stem = first.name.removesuffix(".tar.age")
    for name in (f"{stem} (1).tar.age", "letters.age", ".~agebackup-0123456789abcdef.nosync.tmp"):
        shutil.copy(first, scene.folder / name)
    shutil.copy(first, scene.folder / "notes-20990101T000000Z-00000001.tar.age")
    os.symlink(first, scene.folder / "notes-20260101T000000Z-00000002.tar.age")
    told = scene.told("out")
    assert (told["exit"], told["destinations"][0]["others"]) == (0, 5), told
    assert [row.name for row in scene.rows()] == [path.name for path in scene.archives]


def test_evicted_archives_are_adopted_unread(scene: Scene, keys: Keys) -> None:
    """What is only in the cloud is known by its name, and never read, whatever was asked for."""
    first, second = scene.archives
    size = second.stat().st_size
    second.unlink()
    with open(second, "wb") as hole:
        hole.truncate(size)
    stub = scene.folder / f".{first.name}.icloud"
    stub.write_bytes(b"bplist")
    first.unlink()
    (scene.folder / "something.txt").write_bytes(bytes(9000))
    told = scene.told("--read", "-i", keys.identity, "out")
    counts = told["destinations"][0]
    assert (told["exit"], counts["adopted"], counts["evicted"], counts["hashed"]) == (0, 2, 2, 0)
    by_stub, by_hole = scene.rows()
    assert (by_stub.name, by_stub.file_name, by_stub.size) == (first.name, first.name, None)
    assert (by_hole.size, by_hole.sha256, by_hole.bad) == (size, "", False)


def test_a_damaged_archive_is_marked(scene: Scene, keys: Keys) -> None:
    """What does not verify is bad and named, with exit code 4; the others are adopted as usual."""
    damage(scene.archives[0])
    outcome = scene.rebuild("-i", keys.identity, "out")
    assert outcome.code == 4 and scene.archives[0].name in outcome.out
    bad, good = scene.rows()
    assert bad.bad and bad.check == "verify" and not bad.proved
    assert good.proved and not good.bad


def test_a_cut_archive_is_marked_without_a_key(scene: Scene) -> None:
    """--read notices what the header and the size tell."""
    with open(scene.archives[0], "r+b") as file:
        file.truncate(scene.archives[0].stat().st_size - 77)
    told = scene.told("--read", "out")
    assert (told["exit"], told["status"]) == (4, "problems")
    (finding,) = told["destinations"][0]["findings"]
    assert finding["code"] == "archive-damaged" and scene.archives[0].name in finding["subject"]
    assert [row.bad for row in scene.rows()] == [True, False]
    assert scene.rows()[0].check == "quick"


def test_a_wrong_key_leaves_archives_unproved(scene: Scene, other_keys: Keys) -> None:
    """Without the right key nothing is said against an archive, but that it was not opened."""
    told = scene.told("-i", other_keys.identity, "out")
    assert told["exit"] == 4
    codes = {finding["code"] for finding in told["destinations"][0]["findings"]}
    assert codes == {"no-identity"}
    assert all(row.sha256 and not row.bad and not row.proved for row in scene.rows())


def test_exchanged_archives_are_noticed(scene: Scene, keys: Keys) -> None:
    """Two archives whose names were exchanged are bad: each is not what its name says."""
    first, second = scene.archives
    between = scene.folder / "between"
    first.rename(between)
    second.rename(first)
    between.rename(second)
    told = scene.told("-i", keys.identity, "out")
    findings = told["destinations"][0]["findings"]
    assert [finding["code"] for finding in findings] == ["renamed", "renamed"]
    assert all(row.bad and not row.tag for row in scene.rows())


# ---- destinations


def test_a_folder_without_archives_is_told(scene: Scene) -> None:
    """Where no archive lies and none is known there is nothing to rebuild from: exit code 10."""
    (scene.world.directory / "empty").mkdir()
    told = scene.told("empty")
    assert (told["exit"], told["made"], told["changed"]) == (10, False, False)
    assert "No archive lies in" in told["error"]["message"] and not scene.file.exists()
    assert scene.told("out", "empty")["exit"] == 10 and len(scene.rows()) == 2
    for path in scene.archives:
        path.unlink()
    outcome = scene.rebuild("out")
    assert outcome.code == 0 and "no archive lies there, though the ledger" in outcome.out


def test_an_absent_folder_stops_no_other(scene: Scene) -> None:
    """A destination that is not there is exit code 10; what the others hold is adopted."""
    told = scene.told("absent", "out", scene.archives[0])
    assert (told["exit"], told["status"], told["changed"]) == (10, "failed", True)
    assert "does not exist" in told["error"]["message"]
    assert [one.get("exit") for one in told["destinations"]].count(10) == 1
    assert len(scene.rows()) == 2


def test_without_any_folder_nothing_changes(scene: Scene) -> None:
    """Where no destination can be looked at, no ledger is made and a damaged one stays."""
    outcome = scene.rebuild("absent")
    assert outcome.code == 10 and "does not exist" in outcome.err
    assert not scene.file.exists()
    scene.file.write_bytes(b"damaged" * 1000)
    assert scene.told("absent")["set_aside"] is None
    assert scene.file.read_bytes() == b"damaged" * 1000


@pytest.mark.parametrize("words", [(), ("",), ("--wait", "-1", "out"), ("--limit", "out")])
def test_nonsense_is_a_usage_error(scene: Scene, words: tuple[str, ...]) -> None:
    """Without a folder, or with options that mean nothing, nothing is done."""
    assert scene.world.run("ledger", "rebuild", *words).code == 2
    assert not scene.file.exists()


def test_a_folder_named_twice_is_looked_at_once(scene: Scene) -> None:
    """Two names of one folder are one destination."""
    (scene.world.directory / "link").symlink_to("out")
    assert len(scene.told("out", "link", f"{scene.folder}/.")["destinations"]) == 1
    assert len(scene.rows()) == 2


# ---- what was known


def test_what_is_known_is_kept(scene: Scene, keys: Keys) -> None:
    """Tags, notes, kept and own archives, runs and rows of lost files survive a rebuild."""
    first, second = scene.archives
    scene.rebuild("--mine", "--read", "out")
    scene.amend(first, kept=True, tag="mine", previous="x")
    lost = dataclasses.replace(scene.rows()[0], name="notes-20260101T000000Z-00000009.tar.age")
    with scene.ledger() as ledger:
        ledger.put(lost, RunRecord("r", "notes", "auto", NOW, outcome="ok"))
    told = scene.told("-i", keys.identity, "out")
    counts = told["destinations"][0]
    assert (told["exit"], told["made"], counts["adopted"], counts["known"]) == (0, False, 0, 2)
    rows = {row.name: row for row in scene.rows()}
    one, two = rows[first.name], rows[second.name]
    assert one.kept and one.tag == "mine" and not one.foreign and one.proved
    assert two.tag == "" and two.sequence == 2, "an untagged archive stays untagged"
    assert rows[lost.name] == lost
    with scene.ledger() as ledger:
        assert [one.id for one in ledger.runs()] == ["r"]


def test_a_deletion_that_was_decided_stays(scene: Scene) -> None:
    """A row that says deleted or about to be is not contradicted by a file that is still there."""
    scene.rebuild()
    scene.amend(scene.archives[0], deleted=NOW, deleted_why="count", pending="delete")
    scene.rebuild("--read", "--mine", "out")
    row = scene.rows()[0]
    assert (row.deleted, row.deleted_why, row.pending) == (NOW, "count", "delete")


def test_an_announced_archive_that_is_there_was_published(scene: Scene) -> None:
    """A row of a killed run is settled where the file has the size that was announced."""
    scene.rebuild()
    scene.amend(scene.archives[0], pending="publish")
    scene.rebuild()
    assert [row.pending for row in scene.rows()] == ["", ""]


def test_contradictions_are_told(scene: Scene) -> None:
    """A size or a hash that is not the one the ledger knows is an error, and the ledger's stays."""
    scene.rebuild("--read", "out")
    first, second = scene.archives
    known = scene.rows()
    first.write_bytes(first.read_bytes() + b"x")
    damage(second)
    told = scene.told("--read", "out")
    found = told["destinations"][0]["findings"]
    assert told["exit"] == 4
    assert {finding["code"] for finding in found} == {"size-differs", "hash-differs"}
    for before, after in zip(known, scene.rows(), strict=True):
        assert (after.size, after.sha256) == (before.size, before.sha256) and after.bad


def test_a_moved_folder_takes_its_knowledge_along(scene: Scene) -> None:
    """Archives that are known in another folder, by name and size, bring tag and hash along."""
    scene.rebuild("--mine", "--read", "out")
    scene.amend(scene.archives[0], tag="gold", kept=True)
    shutil.copytree(scene.folder, scene.world.directory / "moved")
    scene.rebuild("moved")
    moved = os.path.realpath(scene.world.directory / "moved")
    (row,) = (row for row in scene.rows() if row.destination == moved and row.tag)
    assert row.kept and row.sha256 == digest(scene.archives[0]) and row.foreign


# ---- damaged ledgers


def page_of(file: Path, table: str) -> int:
    """Return where the first page of `table` begins."""
    with closing(sqlite3.connect(file)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        (page,) = connection.execute(query, (table,)).fetchone()
    return (int(page) - 1) * 4096


def spoil(file: Path, begin: int, length: int) -> bytes:
    content = bytearray(file.read_bytes())
    content[begin : begin + length] = b"\xaa" * length
    file.write_bytes(content)
    return bytes(content)


def filled(scene: Scene) -> None:
    """Give the scene a ledger of its own archives and of a run."""
    scene.rebuild("--mine", "--read", "out")
    scene.amend(scene.archives[0], tag="gold")
    with scene.ledger() as ledger:
        ledger.put(RunRecord("r", "notes", "auto", NOW, outcome="ok", message="all well"))


def test_a_damaged_ledger_is_set_aside(scene: Scene) -> None:
    """A damaged ledger is kept under a clear name, and what can be read of it is carried over."""
    filled(scene)
    damaged = spoil(scene.file, page_of(scene.file, "destinations"), 4096)
    assert scene.world.run("ledger", "check").code == 4
    outcome = scene.rebuild("out")
    assert outcome.code == 0 and "1 run and 2 archives" in outcome.err, outcome
    (aside,) = scene.world.state.glob("ledger.damaged-*.db")
    assert aside.read_bytes() == damaged and str(aside) in outcome.err
    assert aside.stat().st_mode & 0o777 == scene.file.stat().st_mode & 0o777 == 0o600
    assert scene.world.run("ledger", "check").code == 0
    assert scene.rows()[0].tag == "gold" and not scene.rows()[0].foreign
    with scene.ledger() as ledger:
        assert [one.message for one in ledger.runs()] == ["all well"]
    assert not scene.world.leftovers()


def test_a_ledger_beyond_reading_is_made_anew(scene: Scene) -> None:
    """Of a file that is no database at all nothing is carried over; each one is kept."""
    for count in (1, 2):
        scene.file.write_bytes(b"no database at all " * 500)
        told = scene.told("out")
        assert told["exit"] == 0 and told["made"] and told["damage"], told
        assert told["saved"] == {"runs": 0, "archives": 0}
        assert Path(told["set_aside"]).read_bytes() == b"no database at all " * 500
        assert len(list(scene.world.state.glob("ledger.damaged-*.db"))) == count
        assert all(row.foreign for row in scene.rows())


def test_damage_in_the_middle_costs_the_middle(scene: Scene) -> None:
    """Rows before and behind a damaged page are saved."""
    scene.rebuild()
    template = scene.rows()[0]
    with scene.ledger() as ledger:
        names = [f"notes-20260101T000000Z-{number:08x}.tar.age" for number in range(300)]
        ledger.put(*(dataclasses.replace(template, name=name, tag=name) for name in names))
    content, name = scene.file.read_bytes(), names[150].encode()
    row = next(at for at in range(0, len(content), 4096) if content[at : at + 4096].count(name) > 1)
    spoil(scene.file, row, 4096)
    told = scene.told("out")
    assert 200 < told["saved"]["archives"] < 302, told
    tags = {row.tag for row in scene.rows()}
    assert names[0] in tags and names[299] in tags and names[150] not in tags


def test_a_senseless_row_costs_itself_alone(scene: Scene) -> None:
    """A row that was edited into nonsense is damage; every other row is saved."""
    filled(scene)
    with closing(sqlite3.connect(scene.file)) as connection:
        connection.execute("UPDATE archives SET kept = 9, tag = 'odd' WHERE tag = ''")
        connection.commit()
    told = scene.told("out")
    assert told["damage"] and told["saved"] == {"runs": 1, "archives": 1}
    assert {row.tag for row in scene.rows()} == {"gold", ""}


def test_garbage_beside_the_ledger_is_kept(scene: Scene) -> None:
    """A -wal that is damaged is set aside with its ledger, and never applied to the new one."""
    filled(scene)
    wal = scene.file.with_name("ledger.db-wal")
    wal.write_bytes(b"garbage " * 1000)
    told = scene.told("out")
    assert told["damage"] and told["saved"]["archives"] == 2
    assert Path(told["set_aside"] + "-wal").read_bytes() == b"garbage " * 1000
    assert scene.world.run("ledger", "check").code == 0


@pytest.fixture
def held(scene: Scene) -> Iterator[Path]:
    """The lock of a run that is at work."""
    lock = scene.world.state / "locks" / "notes.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield lock


def test_a_damaged_ledger_waits_for_runs(scene: Scene, held: Path) -> None:
    """While a run is at work its ledger is not replaced; a sound one can be added to."""
    scene.file.write_bytes(b"damaged" * 1000)
    outcome = scene.rebuild()
    assert outcome.code == 11 and "a run of notes is at work" in outcome.err
    assert scene.file.read_bytes() == b"damaged" * 1000
    scene.file.unlink()
    assert scene.rebuild().code == 0


def test_one_rebuild_at_a_time(scene: Scene) -> None:
    """A second rebuild beside the first is busy, and changes nothing."""
    with (scene.world.state / "ledger-rebuild.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        told = scene.told("out")
    assert told["exit"] == 11 and not scene.file.exists()
    assert "--wait" in told["error"]["hint"]


@pytest.mark.parametrize("what, code", [("newer", 13), ("link", 1), ("other", 1)])
def test_what_is_no_damage_is_not_replaced(scene: Scene, what: str, code: int) -> None:
    """A newer ledger, a link or another database stays where it is."""
    if what == "link":
        scene.file.symlink_to(scene.world.directory / "elsewhere")
    else:
        filled(scene)
        mark = f"user_version = {VERSION + 1}" if what == "newer" else "application_id = 1"
        with closing(sqlite3.connect(scene.file)) as connection:
            connection.execute(f"PRAGMA {mark}")
    outcome = scene.rebuild()
    assert outcome.code == code and "ledger.db cannot be used" in outcome.err
    assert scene.file.is_symlink() == (what == "link")
    assert not list(scene.world.state.glob("ledger.damaged*"))


# ---- while it is at work


def order(scene: Scene, **depth: Any) -> RebuildOrder:
    claims = Claims(scene.world.state / "claims")
    return RebuildOrder(scene.file, scene.world.state / "locks", Depth(NOW, claims, **depth))


def test_a_stop_changes_nothing(scene: Scene) -> None:
    """A rebuild that is interrupted while it reads leaves the ledger, even a damaged one."""
    scene.file.write_bytes(b"damaged" * 1000)
    stop = Stop()
    stop.request(signal.SIGTERM)
    with pytest.raises(StoppedError):
        rebuild(order(scene, read=True), [listed_folder(str(scene.folder))], Progress(stop))
    assert scene.file.read_bytes() == b"damaged" * 1000


def test_what_others_write_meanwhile_stays(scene: Scene) -> None:
    """A run that writes into the ledger while a rebuild reads for hours loses nothing."""
    scene.rebuild()
    first, second = scene.archives

    class Meanwhile(Progress):
        def advance(self, count: int) -> None:
            scene.amend(first, kept=True)
            with scene.ledger() as ledger:
                ledger.add(dataclasses.replace(ledger.archives()[0], name=NEW, tag="by a run"))

    (scene.folder / NEW).write_bytes(first.read_bytes())
    rebuild(order(scene, read=True), [listed_folder(str(scene.folder))], Meanwhile())
    rows = {row.name: row for row in scene.rows()}
    assert rows[first.name].kept and rows[first.name].sha256 == digest(first)
    assert rows[NEW].tag == "by a run" and second.name in rows


NEW = "notes-20260202T000000Z-00000007.tar.age"

REBUILD = f"""
sys.path.insert(0, {str(ROOT / "tests")!r})
from datetime import UTC, datetime
from agebackup.destinations.folder import listed_folder
from agebackup.operations.adoption import Depth
from agebackup.operations.rebuild import RebuildOrder, rebuild
depth = Depth(datetime(2027, 1, 1, tzinfo=UTC), claims)
order = RebuildOrder(here / "state" / "ledger.db", here / "state" / "locks", depth)
rebuild(order, [listed_folder(str(here / "out"))], Progress())
"""


@pytest.mark.linux
@pytest.mark.parametrize("sound", [True, False], ids=["sound", "damaged"])
def test_a_kill_leaves_the_old_ledger_or_the_new(tmp_path: Path, sound: bool) -> None:
    """Killed at any step that changes a name, the ledger is the old one or the whole new one."""
    file = tmp_path / "state" / "ledger.db"
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / NEW).write_bytes(b"an archive by its name")

    def fresh() -> bytes:
        shutil.rmtree(tmp_path / "state", ignore_errors=True)
        with open_ledger(file) as ledger:
            ledger.put(RunRecord("r", "notes", "auto", NOW))
        return file.read_bytes() if sound else spoil(file, page_of(file, "destinations"), 4096)

    fresh()
    steps = [one for one in calls(REBUILD, tmp_path) if re.match("link|unlink|rename", one)]
    ends = set()
    for injection in kill_points(steps):
        old = fresh()
        assert not run(REBUILD, tmp_path, under=fault(injection)).stdout
        if not sound and file.read_bytes() == old:
            ends.add("old")
        else:
            with open_ledger(file, make=False) as ledger:
                assert [one.id for one in ledger.runs()] == ["r"] and not ledger.problems()
                ends.add("new" if ledger.archives() else "old")
        assert run(REBUILD, tmp_path).stdout == "done\n"
    assert "old" in ends and (sound or "new" in ends)


# ---- check and path


def test_check_counts_what_is_there(scene: Scene) -> None:
    """A sound ledger is told with what it holds."""
    filled(scene)
    outcome = scene.world.run("ledger", "check", "--json")
    told = json.loads(outcome.out)
    with scene.ledger() as ledger:
        assert told == {
            "schema": "agebackup/ledger-check/v1",
            "status": "ok",
            "path": str(scene.file),
            "runs": 1,
            "archives": 2,
            "destinations": 1,
            "series": ledger.series,
        }
    assert "sound (1 run, 2 archives, 1 destination)" in scene.world.run("ledger", "check").out


def test_check_finds_damage(scene: Scene) -> None:
    """A damaged ledger is exit code 4, and what to do is said; an absent one is 10."""
    outcome = scene.world.run("ledger", "check")
    assert outcome.code == 10 and "there is none yet" in outcome.err
    filled(scene)
    spoil(scene.file, page_of(scene.file, "runs_by_app") + 8, 40)
    outcome = scene.world.run("ledger", "check", "--json")
    told = json.loads(outcome.out)
    assert (outcome.code, told["exit"], told["status"]) == (4, 4, "failed")
    assert "ledger rebuild" in told["error"]["hint"]


def test_path_is_printed(scene: Scene) -> None:
    """Whoever wants to copy the ledger learns where it is."""
    assert scene.world.run("ledger", "path").out == f"{scene.file}\n"
    told = json.loads(scene.world.run("ledger", "path", "--json").out)
    assert (told["path"], told["exists"]) == (str(scene.file), False)
