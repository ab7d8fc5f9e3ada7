"""`agebackup audit` with the real command, real archives, and people who tamper with the folder."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import Keys, World
from sample_app import SampleApp
from saved_machine import as_it_was, create, saved_machine

from agebackup.ledger import open_ledger
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> tuple[World, Path]:
    """A machine with three archives of one app, all in the ledger; and a copy of all its files."""
    return saved_machine(tmp_path_factory.mktemp("machine"), keys)


@pytest.fixture
def world(template: tuple[World, Path]) -> World:
    """That machine as it was, whatever the test before did to it."""
    return as_it_was(template)


@pytest.fixture
def app(world: World) -> SampleApp:
    """Its application."""
    return SampleApp.at(world.directory / "app")


@pytest.fixture
def folder(world: World) -> Path:
    """Its destination."""
    return world.directory / "cloud"


def _archives(folder: Path) -> list[Path]:
    return sorted(folder.glob("notes-*.age"), key=lambda path: path.stat().st_mtime_ns)


def _audit(world: World, *arguments: object) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Return the exit code, the whole object, and the problems' subjects by code."""
    outcome = world.run("audit", "--json", *arguments)
    said = json.loads(outcome.out)
    assert said["schema"] == "agebackup/audit/v1"
    problems = [one for one in said.get("findings", ()) if one["severity"] != "note"]
    assert all(one["fact"] and one["remedy"] for one in problems)
    return outcome.code, said, {one["code"]: one["subject"] for one in problems}


def test_an_untouched_folder_is_in_order(world: World, folder: Path) -> None:
    """After honest runs the audit ends with 0, and every archive has had its turn."""
    code, said, problems = _audit(world)
    assert (code, problems, said["problems"], said["status"]) == (0, {}, 0, "ok")
    (destination,) = said["destinations"]
    assert destination["destination"] == str(folder.resolve())
    assert destination["archives"] == destination["hashed"] == destination["turns"] == 3


def test_the_person_reads_one_line_per_destination(world: World, folder: Path) -> None:
    """Without --json the result is words on stdout, and nothing on stderr."""
    outcome = world.run("audit", "notes")
    assert outcome.code == 0
    assert "3 archives; 3 files read whole" in outcome.out
    assert "nothing wrong" in outcome.out
    assert outcome.err == ""


def test_no_identity_is_needed_and_nothing_is_changed(world: World, folder: Path) -> None:
    """Neither a key nor a write access is asked for: the folder is as it was."""
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    folder.chmod(0o500)
    assert _audit(world, "--full")[0] == 0
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def _swap(folder: Path, archives: list[Path]) -> None:
    aside = folder / "aside"
    archives[0].rename(aside)
    archives[1].rename(archives[0])
    aside.rename(archives[1])


def _link(path: Path) -> None:
    target = path.with_name("elsewhere")
    path.rename(target)
    path.symlink_to(target)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _clear(folder: Path, archives: list[Path]) -> None:
    for path in archives:
        path.unlink()


def _conflict(path: Path) -> None:
    copy = path.with_name(path.name.replace(".tar", " (1).tar"))
    copy.write_bytes(path.read_bytes()[:-1] + b"?")


def _future(path: Path) -> None:
    shutil.copy(path, path.with_name("notes-20991231T000000Z-0123abcd.tar.age"))


def _renamed_copy(path: Path) -> None:
    shutil.copy(path, path.with_name("notes-20261001T000000Z-0123abcd.tar.age"))


TAMPERED: dict[str, tuple[Callable[[Path, list[Path]], object], str]] = {
    "deleted": (lambda _, a: a[1].unlink(), "archive-gone"),
    "newest deleted": (lambda _, a: a[2].unlink(), "rolled-back"),
    "cut off": (lambda _, a: _cut(a[1]), "size-differs"),
    "emptied": (lambda _, a: a[1].write_bytes(b""), "size-differs"),
    "one bit changed": (lambda _, a: _flip(a[1]), "content-differs"),
    "names exchanged": (_swap, "swapped"),
    "overwritten": (lambda _, a: shutil.copy(a[0], a[1]), "holds-another"),
    "made a link": (lambda _, a: _link(a[1]), "not-a-file"),
    "made a pipe": (lambda _, a: _pipe(a[1]), "not-a-file"),
    "made a directory": (lambda _, a: _directory(a[1]), "not-a-file"),
    "conflict copy": (lambda _, a: _conflict(a[1]), "conflict-differs"),
    "from the future": (lambda _, a: _future(a[1]), "future-dated"),
    "old under a new name": (lambda _, a: _renamed_copy(a[1]), "duplicate"),
    "all deleted": (_clear, "destination-empty"),
    "unmounted": (lambda f, _: f.rename(f.with_name("gone")), "destination-missing"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_each_tampering_is_told_with_code_4(world: World, folder: Path, what: str) -> None:
    """Whoever can write to the folder cannot do so unseen."""
    act, expected = TAMPERED[what]
    act(folder, _archives(folder))
    code, _, problems = _audit(world, "--to", folder)
    assert code == 4
    assert expected in problems, problems


def test_a_touched_file_is_no_problem(world: World, folder: Path) -> None:
    """A time of change says nothing of the content."""
    os.utime(_archives(folder)[1], (0, 0))
    assert _audit(world)[0] == 0


def test_a_changed_archive_is_known_as_bad_from_then_on(world: World, folder: Path) -> None:
    """What the audit proved false stays known, even to one that reads nothing."""
    victim = _archives(folder)[1]
    _flip(victim)
    assert _audit(world)[2] == {"content-differs": victim.name}
    assert _audit(world, "--budget", "0")[2] == {"known-bad": victim.name}


def test_an_archive_that_cannot_be_read_is_not_called_bad(world: World, folder: Path) -> None:
    """Permissions are no proof of damage: once they are mended, nothing is wrong."""
    if os.geteuid() == 0:
        victim = _archives(folder)[1]
        with closing(sqlite3.connect(world.state / "ledger.db")) as ledger:
            assert ledger.execute("SELECT sum(bad) FROM archives").fetchone() == (0,)
        assert victim.exists()
        return
    victim = _archives(folder)[1]
    victim.chmod(0)
    assert _audit(world)[2] == {"unreadable": victim.name}
    victim.chmod(0o600)
    assert _audit(world)[0] == 0


def test_every_archive_gets_its_turn_however_small_the_budget(world: World, folder: Path) -> None:
    """Three audits with room for one archive read all three, the oldest turn first."""
    begun = datetime.now(UTC).isoformat()
    for turn in (1, 2, 3):
        _, said, _ = _audit(world, "--budget", "1K")
        assert said["destinations"][0]["hashed"] == 1
        assert (said["destinations"][0]["oldest_turn"] > begun) is (turn == 3)


def test_full_reads_all_and_0_reads_none(world: World, folder: Path) -> None:
    """The two ends of the budget."""
    for option, hashed in ((("--full",), 3), (("--budget", "0"), 0)):
        _, said, _ = _audit(world, *option)
        assert said["destinations"][0]["hashed"] == hashed


@pytest.mark.parametrize(
    "arguments",
    [
        ("--budget", "much"),
        ("--budget", "1g"),
        ("--full", "--budget", "1G"),
        ("No_App",),
        ("--to", ""),
    ],
)
def test_nonsense_is_refused(world: World, arguments: tuple[str, ...]) -> None:
    """Bad input is exit code 2 with one sentence and a hint."""
    outcome = world.run("audit", *arguments)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err


def test_nothing_known_and_nothing_named_is_not_found(world: World) -> None:
    """On a machine without config and ledger there is nothing to audit; a wrong --to says so."""
    shutil.rmtree(world.state)
    assert world.run("audit").code == 10
    assert world.run("audit", "--to", world.directory / "nowhere").code == 10


def test_a_lost_ledger_is_an_error_and_the_files_are_still_looked_at(
    world: World, folder: Path
) -> None:
    """Without the ledger what can be seen of the files themselves is still said."""
    for file in world.state.glob("ledger.db*"):
        file.unlink()
    _archives(folder)[1].write_bytes(b"no age file")
    code, _, problems = _audit(world, "--to", folder)
    assert code == 4
    assert set(problems) == {"ledger-absent", "damaged"}


def test_a_damaged_ledger_is_an_error(world: World, folder: Path) -> None:
    """A ledger that makes no sense is told with the way to a new one."""
    for file in world.state.glob("ledger.db-*"):
        file.unlink()
    (world.state / "ledger.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    code, said, problems = _audit(world, "--to", folder)
    assert (code, set(problems)) == (4, {"ledger-unusable"})
    assert "rebuild" in json.dumps(said)


def test_names_that_would_act_on_a_terminal_are_escaped(world: World, folder: Path) -> None:
    """A hostile name in the folder reaches the terminal as text only."""
    (folder / "evil\x1b[2J\n.age").write_bytes(b"x")
    (folder / os.fsdecode(b"bytes-\xff")).write_bytes(b"x")
    outcome = world.run("audit", "--to", folder)
    assert outcome.code == 0
    assert "\x1b" not in outcome.out
    assert "[foreign]" in outcome.out


def test_a_flood_of_names_ends_in_a_short_report(world: World, folder: Path) -> None:
    """Thousands of planted archives do not bury the one line that matters."""
    for number in range(2_000):
        (folder / f"notes-20261001T000000Z-{number:08x}.tar.age").write_bytes(b"?")
    _archives(folder)
    outcome = world.run("audit", "--to", folder)
    assert outcome.code == 4
    assert outcome.out.count("\n") < 100
    assert "more of the same kind [damaged]" in outcome.out


@pytest.mark.linux
def test_a_stop_ends_it_and_what_was_read_is_remembered(world: World, folder: Path) -> None:
    """SIGINT ends the reading of a huge archive at once, with exit code 130."""
    huge = folder / "notes-20261001T000000Z-0123abcd.tar.age"
    shutil.copy(_archives(folder)[0], huge)
    os.truncate(huge, 1 << 40)
    with open_ledger(world.state / "ledger.db") as ledger:
        row = ArchiveRecord.of(
            ArchiveName("notes", datetime(2026, 10, 1, tzinfo=UTC), "0123abcd"), str(folder)
        )
        ledger.put(replace(row, size=1 << 40))
    with world.start("audit", "--full", "--to", folder) as process:
        until_open(process, huge)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    with closing(sqlite3.connect(world.state / "ledger.db")) as database:
        assert database.execute("SELECT count(hashed) FROM archives").fetchone() == (3,)


def until_open(process: "subprocess.Popen[str]", file: Path) -> None:
    """Wait until the process has read of `file`."""
    while process.poll() is None:
        for link in Path(f"/proc/{process.pid}/fd").iterdir():
            with suppress(OSError):
                if link.readlink() != file:
                    continue
                info = Path(f"/proc/{process.pid}/fdinfo/{link.name}").read_text()
                if int(info.split()[1]) > 0:
                    return
    raise AssertionError(process.communicate())


def test_archives_of_another_machine_are_told_apart(
    world: World, folder: Path, app: SampleApp, keys: Keys, tmp_path: Path
) -> None:
    """What the ledger never saw is a warning: anybody with the public key can make it."""
    (tmp_path / "other").mkdir()
    other = World(
        world.directory,
        tmp_path / "other",
        {**world.env, "XDG_STATE_HOME": str(tmp_path / "other")},
    )
    create(other, app, keys, folder)
    code, _, problems = _audit(world)
    assert (code, set(problems)) == (4, {"unrecorded"})


def test_fewer_recipients_than_before_are_noticed(
    world: World, folder: Path, app: SampleApp, keys: Keys, other_keys: Keys
) -> None:
    """A recipient that somebody added shows in the header of the next archive."""
    create(world, app, keys, folder, "-r", other_keys.recipient)
    code, _, problems = _audit(world)
    assert (code, set(problems)) == (4, {"recipients-changed"})


def test_a_run_without_its_proof_is_no_change_of_recipients(
    world: World, folder: Path, app: SampleApp, keys: Keys
) -> None:
    """The key of the proof is nobody's, and its absence no finding."""
    create(world, app, keys, folder, "--no-proof")
    assert _audit(world)[0] == 0


def test_a_freely_named_archive_is_held_to_the_last_one_written(
    world: World, app: SampleApp, keys: Keys
) -> None:
    """`--to FILE.age`: what replaces it is its new content, an older copy is a rollback."""
    file = world.directory / "cloud" / "latest.age"
    create(world, app, keys, file)
    old = file.read_bytes()
    create(world, app, keys, file)
    assert _audit(world)[0] == 0
    file.write_bytes(old)
    assert set(_audit(world)[2]) == {"rolled-back"}


def test_audits_and_runs_beside_each_other_find_nothing_false(
    world: World, folder: Path, app: SampleApp, keys: Keys
) -> None:
    """Runs that publish while audits read are no findings."""
    arguments = ("--db", app.ledger, "--app", "notes", "--to", folder, "-r", keys.recipient)
    for _ in range(3):
        with world.start("create", *arguments) as run:
            while run.poll() is None:
                assert _audit(world)[0] == 0
            run.communicate()
        assert run.returncode == 0
    assert _audit(world)[0] == 0


def test_what_was_pruned_or_deleted_is_not_missed(
    world: World, folder: Path, app: SampleApp, keys: Keys
) -> None:
    """Archives that a rule or the person removed are no findings; brought back, they are a note."""
    first, *_ = _archives(folder)
    content = first.read_bytes()
    assert world.run("delete", first, "--yes").code == 0
    pruned = world.run("prune", "notes", "--to", folder, "--keep-last", "1", "--yes")
    assert pruned.code == 0, pruned.err
    assert len(_archives(folder)) == 1
    assert _audit(world)[0] == 0
    first.write_bytes(content)
    code, said, _ = _audit(world)
    assert (code, [one["code"] for one in said["findings"]]) == (0, ["brought-back"])


def test_a_rebuilt_ledger_is_in_order(world: World, folder: Path) -> None:
    """After the ledger was lost and made again from the folder, nothing is amiss."""
    for file in world.state.glob("ledger.db*"):
        file.unlink()
    rebuilt = world.run("ledger", "rebuild", folder, "--read")
    assert rebuilt.code == 0, rebuilt.err
    assert _audit(world, "--to", folder)[0] == 0


def test_the_repair_of_a_lost_ledger_leaves_no_alarm(
    world: World, folder: Path, app: SampleApp, keys: Keys
) -> None:
    """Ledger lost, a backup, rebuilt as the next backup advises: the audit is in order again."""
    for file in world.state.glob("ledger.db*"):
        file.unlink()
    create(world, app, keys, folder)
    for deeper in ((), ("--read",), ("-i", keys.identity)):
        assert world.run("ledger", "rebuild", "--mine", folder, *deeper).code == 0
        code, said, problems = _audit(world, "--full")
        assert (code, problems) == (0, {}), said
        create(world, app, keys, folder)
        assert _audit(world)[0] == 0


def test_counts_are_those_of_list(world: World, folder: Path, app: SampleApp, keys: Keys) -> None:
    """What is called an archive is one in `list` as well; other files that were read are files."""
    first, *rest = _archives(folder)
    for path in rest:
        assert world.run("delete", path, "--yes").code == 0
    shutil.copy(first, folder / first.name.replace(".tar", " (1).tar"))
    create(world, app, keys, folder / "latest.age")
    outcome = world.run("audit", "--to", folder, "--full")
    assert "1 archive; 3 files read whole" in outcome.out
    assert "2 of 2 files with a known hash had a turn so far" in outcome.out
    assert ": 1 archive" in world.run("list", "--to", folder).out


def test_a_full_audit_does_not_advise_a_full_audit(world: World, folder: Path) -> None:
    """Who read everything is told something else than to read everything."""
    first, *_ = _archives(folder)
    shutil.copy(first, _renamed(first, "aaaaaaaa"))
    shutil.copy(first, folder / "notes-20261001T000000Z-00000001.tar (1).age")
    said = {}
    for words in (("--budget", "0"), ("--full",)):
        said[words[0]] = world.run("audit", "--to", folder, *words).out
    assert "audit --full" in said["--budget"] and "[duplicate]" in said["--budget"]
    assert "audit --full" not in said["--full"]
    assert "[duplicate]" in said["--full"] and "[conflict-unread]" in said["--full"]


def _renamed(path: Path, number: str) -> Path:
    name = ArchiveName.parse(path.name)
    assert name is not None
    return path.with_name(str(replace(name, id=number)))
