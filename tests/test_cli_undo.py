"""Restores into an application that were cut off, undone, or kept: what the person meets."""

import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import live_parts
import msgspec
import pytest
from conftest import Keys, World
from live_parts import after_swap, after_undo, half_swapped, half_undone, state, swapped
from sample_app import command
from system_faults import OWN_MOUNTS
from test_json_documents import WORDS, undescribed

from agebackup.system.lock import exclusive
from agebackup.system.progress import Progress

pytestmark = pytest.mark.linux


@pytest.fixture
def here(world: World) -> Path:
    """A machine with a live application."""
    here = world.home.parent
    live_parts.build(here)
    return here


def declared(world: World, here: Path, keys: Keys) -> None:
    """Declare the live application, so that it can be backed up."""
    done = world.run(
        *("config", "init", "live", "--db", here / "live" / "ledger.db"),
        *("--to", "out", "--mkdir", "-r", keys.recipient),
    )
    assert done.code == 0, done.err


def test_undo_on_a_terminal_less_machine_needs_yes(world: World, here: Path) -> None:
    """Without a terminal and --yes nothing is undone (2), and the question is shown."""
    swapped(here)
    now = state(here / "live")
    done = world.run("restore", "--undo", "live")
    assert done.code == 2 and "Bring back the state of live" in done.err
    assert state(here / "live") == now


def test_undo(world: World, here: Path) -> None:
    """One command brings every byte back and prints the places; the state since lies aside."""
    old, new = state(here / "live"), live_parts.staged_state(here)
    swapped(here)
    done = world.run("restore", "--undo", "--yes")
    assert done.code == 0, done.err
    assert str(here / "live" / "ledger.db") in done.out.splitlines()
    assert "The state before this is in" in done.err
    now = state(here / "live")
    assert now == now | old and len(now) == len(after_undo(old, new))
    log = world.run("log", "--json").out
    assert "restore-undone" in log


def test_undo_in_json(world: World, here: Path) -> None:
    """Programs are told what is back, what lies aside, and what was written since."""
    swapped(here)
    (here / "live" / "app.toml").write_text("since")
    done = world.run("restore", "--undo", "live", "--yes", "--json")
    said = json.loads(done.out)
    assert (said["schema"], said["status"]) == ("agebackup/restore-undo/v1", "ok")
    assert said["app"] == "live" and said["restore"] == live_parts.ID
    assert [Path(path).name for path in said["removed"]] == ["first.toml"]
    (changed,) = said["changed"]
    assert Path(changed).read_text() == "since" and changed in said["aside"]
    assert undescribed(said, WORDS["restore-undo"] | WORDS[""]) == set()


def test_there_is_nothing_to_undo(world: World, here: Path) -> None:
    """Where no restore can be undone the exit code is 10; a name that is none is 2."""
    assert world.run("restore", "--undo", "--yes").code == 10
    done = world.run("restore", "--undo", "live", "--yes", "--json")
    assert done.code == 10
    assert json.loads(done.out)["schema"] == "agebackup/restore-undo/v1"
    assert world.run("restore", "--undo", "../live", "--yes").code == 2


def test_undo_goes_with_nothing_else(world: World, here: Path) -> None:
    """Options of a restore make no sense with --undo, and none of them is ignored silently."""
    swapped(here)
    now = state(here / "live")
    for words in (("--target", "x"), ("--overwrite",), ("--only", "*"), ("-i", "key.txt")):
        done = world.run("restore", "--undo", "live", "--yes", *words)
        assert done.code == 2 and "takes no other option" in done.err, words
    assert world.run("restore").code == 2
    assert state(here / "live") == now


def test_of_several_apps_one_is_named(world: World, here: Path) -> None:
    """Where restores of several apps can be undone, the person says which."""
    swapped(here)
    restores = live_parts.machine(here) / "restores"
    shutil.copytree(restores / "live", restores / "other")
    for journal in (restores / "other").iterdir():
        journal.write_text(journal.read_text().replace('"app": "live"', '"app": "other"'))
    done = world.run("restore", "--undo", "--yes")
    assert done.code == 2 and "live, other" in done.err


def test_an_open_database_is_not_exchanged(world: World, here: Path) -> None:
    """While a process has one of the databases open, nothing is undone (13)."""
    swapped(here)
    now = state(here / "live")
    with closing(sqlite3.connect(here / "live" / "events.db")) as connection:
        connection.execute("SELECT * FROM t").fetchall()
        done = world.run("restore", "--undo", "live", "--yes")
    assert done.code == 13 and "events.db" in done.err, done.err
    assert state(here / "live") == now


def test_a_run_of_the_app_is_not_disturbed(world: World, here: Path) -> None:
    """While another command works on the app, an undo does not begin (11)."""
    swapped(here)
    lock = live_parts.machine(here) / "locks" / "live.lock"
    with exclusive(lock, wait_seconds=0, what="the test", progress=Progress()):
        assert world.run("restore", "--undo", "live", "--yes").code == 11


@pytest.mark.parametrize("words", [("list",), ("audit",), ("clean",), ("log",)])
def test_the_next_command_settles(world: World, here: Path, words: tuple[str, ...]) -> None:
    """Whatever command is next, it takes a swap back that was cut off, and says so on a line."""
    old = state(here / "live")
    half_swapped(here)
    done = world.run(*words)
    assert done.err.count("is rolled back: everything is as it was before") == 1, done.err
    left = {name for name in state(here / "live") if name.startswith(".~agebackup")}
    assert {n: c for n, c in state(here / "live").items() if n not in left} == old
    assert "rolled back" not in world.run(*words).err


def test_what_is_said_of_it_in_json(world: World, here: Path) -> None:
    """With --json the result of that command tells it as well."""
    swapped(here)
    half = live_parts.records(here)
    (record,) = half.all()
    half.put(msgspec.structs.replace(record, stage="swapped"))
    done = world.run("clean", "--json")
    (settled,) = json.loads(done.out)["settled"]
    assert (settled["app"], settled["way"], settled["id"]) == ("live", "finished", live_parts.ID)
    assert "restore --undo live" in settled["message"]
    assert undescribed(settled, WORDS[""]) == set()
    assert "settled" not in json.loads(world.run("clean", "--json").out)
    assert world.run("restore", "--undo", "live", "--yes").code == 0


def test_commands_that_have_nothing_to_do_with_it_leave_it(world: World, here: Path) -> None:
    """--help, keygen and config check neither wait for it nor touch it."""
    half_undone(here)
    now = state(here / "live")
    for words in (("status", "--help"), ("create", "-h"), ("config", "check"), ("--version",)):
        assert "undo of live" not in world.run(*words).err
    assert state(here / "live") == now


def test_a_restore_at_work_is_told_and_left_alone(world: World, here: Path) -> None:
    """A command that cannot have the app's lock says that a restore is under way."""
    half_swapped(here)
    now = state(here / "live")
    lock = live_parts.machine(here) / "locks" / "live.lock"
    with exclusive(lock, wait_seconds=0, what="the test", progress=Progress()):
        done = world.run("clean", "--json")
        assert world.run("restore", "--undo", "live", "--yes").code in (10, 11)
    (told,) = json.loads(done.out)["settled"]
    assert told["way"] == "under-way" and "is under way" in done.err
    kept = {name: content for name, content in state(here / "live").items() if name in now}
    assert kept == {name: now[name] for name in kept}


def test_what_cannot_be_settled_is_not_backed_up(world: World, here: Path, keys: Keys) -> None:
    """Where a stranger bars the way back, status ends with 13 and says what to do, and a backup
    of what may be a mixture is refused; once the way is free, all goes on."""
    declared(world, here, keys)
    assert world.run("create", "live").code == 0
    half_swapped(here)
    stranger = here / "live" / "torn.db-journal"
    stranger.write_text("somebody else's")
    done = world.run("status")
    assert done.code == 13 and "torn.db-journal" in done.err and "move it" in done.err
    done = world.run("status", "--json")
    said = json.loads(done.out)
    assert (done.code, said["exit"], said["status"]) == (13, 13, "failed")
    assert said["settled"][0]["way"] == "refused" and said["settled"][0]["exit"] == 13
    found = json.loads(world.run("doctor", "--json").out)["findings"]
    assert "restore-unsettled" in {one["code"] for one in found}
    for words in (("create", "live"), ("run", "live", "--now")):
        done = world.run(*words)
        assert done.code == 13, done.err
    assert len(list((world.directory / "out").glob("*.age"))) == 1
    stranger.unlink()
    assert world.run("create", "live").code == 0
    assert not live_parts.records(here).open()


def test_a_damaged_journal_stops_what_depends_on_it(world: World, here: Path, keys: Keys) -> None:
    """Nothing is guessed from a journal that cannot be read (13); the hint names what is kept."""
    declared(world, here, keys)
    half_swapped(here)
    (journal,) = (live_parts.machine(here) / "restores" / "live").glob("*.json")
    journal.write_text("{")
    now = state(here / "live")
    for words in (("status",), ("create", "live"), ("restore", "--undo", "live", "--yes")):
        done = world.run(*words)
        assert done.code == 13 and f"pre_restore_{live_parts.ID}" in done.err, done.err
    assert state(here / "live") == now


def test_a_state_directory_that_cannot_be_written(world: World, here: Path) -> None:
    """Where the journal's disk can only be read nothing is moved, and the person is told so."""
    half_swapped(here)
    now = state(here / "live")
    machine = live_parts.machine(here)
    readonly = f'mount --bind "{machine}" "{machine}" && mount -o remount,bind,ro "{machine}"'
    done = subprocess.run(
        [*OWN_MOUNTS, "sh", "-c", f'{readonly} && exec "$@"', "", *command(), "list"],
        cwd=world.directory,
        env=dict(world.env),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "live that was cut off is not settled" in done.stderr, done.stderr
    assert "Read-only file system" in done.stderr and "Traceback" not in done.stderr
    assert state(here / "live") == now


def test_clean_removes_what_was_kept_long_enough(world: World, here: Path, keys: Keys) -> None:
    """`clean` lists with --dry-run, then removes, what keep_pre_restore no longer keeps."""
    declared(world, here, keys)
    new = live_parts.staged_state(here)
    old = state(here / "live")
    swapped(here, live_parts.TIME.replace(year=2025))
    kept = state(here / "live")
    world.config.write_text(
        world.config.read_text().replace("[apps.live]", '[apps.live]\nkeep_pre_restore = "9999w"')
    )
    assert "pre_restore" not in world.run("clean").out
    world.config.write_text(world.config.read_text().replace("9999w", "2w"))
    planned = world.run("clean", "--dry-run")
    assert planned.out.count("kept for more than 14d") == 6
    assert state(here / "live") == kept and len(kept) == len(after_swap(old, new))
    assert world.run("clean").out.count("kept for more than 14d") == 6
    assert state(here / "live") == new
    assert world.run("restore", "--undo", "live", "--yes").code == 10


def test_a_span_that_is_none_is_refused(world: World, here: Path, keys: Keys) -> None:
    """A misspelt keep_pre_restore is a fault of the configuration (2) that names the key."""
    declared(world, here, keys)
    world.config.write_text(
        world.config.read_text().replace("[apps.live]", '[apps.live]\nkeep_pre_restore = "soon"')
    )
    done = world.run("clean")
    assert done.code == 2 and "keep_pre_restore" in done.err


def test_a_swap_is_not_taken_back_under_an_application(world: World, here: Path) -> None:
    """While a process has an exchanged database open nothing is settled: what it writes would be
    lost. Once it has ended, the next command settles."""
    half_swapped(here)
    now = state(here / "live")
    with closing(sqlite3.connect(here / "live" / "ledger.db")) as connection:
        connection.execute("SELECT * FROM t").fetchall()
        done = world.run("clean")
        assert "still at work" in done.err and "ledger.db open" in done.err, done.err
        assert state(here / "live") == now
    assert "is rolled back" in world.run("clean").err


def test_what_was_written_deep_in_a_tree_is_not_taken_back(world: World, here: Path) -> None:
    """A swap that was cut off with its tree in place is not rolled back once the application has
    written into that tree, however deep: the new tree would be removed."""
    swapped(here)
    known = live_parts.records(here)
    (record,) = known.all()
    known.remove(record.key)
    known.put(msgspec.structs.replace(record, stage="swapping"))
    (here / "live" / "blobs" / "b").write_text("written since")
    now = state(here / "live")
    done = world.run("clean")
    assert "was written to after the swap" in done.err and "blobs/b" in done.err, done.err
    assert state(here / "live") == now
