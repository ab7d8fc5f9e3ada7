"""The log: what happened is in it, readable for people and programs, and nothing secret."""

import json
import os
import signal
import stat
import subprocess
from pathlib import Path

import pytest
from conftest import Keys, World
from nights import declare, events
from sample_app import SampleApp

from agebackup.system.rotation import append


@pytest.fixture
def log(world: World) -> Path:
    """The log's place."""
    directory = world.state / "log"
    directory.mkdir(parents=True)
    return directory / "agebackup.log"


def entry(number: int, app: str = "notes", **more: object) -> bytes:
    content = {"time": "2026-11-21T03:00:00Z", "event": "run-ended", "app": app, "outcome": "ok"}
    content |= {"exit": 0, "archive": f"archive-{number}", "size": 1234, "seconds": 1.5}
    return json.dumps({**content, **more}).encode() + b"\n"


def test_runs_are_logged(world: World, app: SampleApp, keys: Keys) -> None:
    """Each run, configured or not, good or bad, is a line with outcome, size and seconds."""
    out = declare(world, app, keys)
    assert world.run("create", "notes").code == 0
    words = ("create", "--db", app.events, "--to", out, "-r", keys.recipient)
    assert world.run(*words).code == 0
    assert world.run("create", "notes", "--to", "/nowhere/at/all").code == 10
    first, second, third = events(world)
    assert [one["app"] for one in events(world)] == ["notes", "events", "notes"]
    assert first["outcome"] == second["outcome"] == "ok" and third["exit"] == 10
    assert first["size"] == (out / first["archive"]).stat().st_size
    outcome = world.run("log")
    assert outcome.code == 0 and len(outcome.out.splitlines()) == 3
    assert "failed (exit 10)" in outcome.out and "/nowhere/at/all" in outcome.out
    assert f"{first['size']:,} bytes" in outcome.out
    assert [len(world.run("log", "events").out.splitlines())] == [1]
    file = world.state / "log" / "agebackup.log"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_json(world: World, log: Path) -> None:
    """--json gives the events as they are in the file."""
    append(log, entry(1))
    append(log, entry(2, app="other"))
    content = json.loads(world.run("log", "--json").out)
    assert content["schema"] == "agebackup/log/v1" and content["status"] == "ok"
    assert [one["archive"] for one in content["events"]] == ["archive-1", "archive-2"]
    content = json.loads(world.run("log", "--json", "other").out)
    assert [one["archive"] for one in content["events"]] == ["archive-2"]


def test_how_many_lines(world: World, log: Path) -> None:
    """-n gives the last lines, also those that were rotated away; 50 by default."""
    for number in range(120):
        append(log, entry(number), limit=5000)
    assert len(world.run("log").out.splitlines()) == 50
    assert "archive-119" in world.run("log", "-n", 1).out
    assert world.run("log", "-n", 0).out == ""
    assert len(world.run("log", "-n", 1000).out.splitlines()) == 120
    assert world.run("log", "-n", "-1").code == 2
    assert world.run("log", "-n", "x").code == 2


def test_there_is_no_log_yet(world: World) -> None:
    """Before the first run there is nothing to show, and that is no failure."""
    outcome = world.run("log")
    assert (outcome.code, outcome.out) == (0, "") and "Nothing" in outcome.err
    assert json.loads(world.run("log", "--json").out)["events"] == []
    assert world.run("log", "../notes").code == 2


DAMAGED = (b"", b"{", b"null", b"[1]", b'{"event": 1}', b"\xff\x00", b"[" * 100_000, b'{"a":"b"}')


def test_a_damaged_log(world: World, log: Path) -> None:
    """Lines that are none are left out; the others are shown."""
    log.write_bytes(b"\n".join((*DAMAGED, entry(7), entry(8, size="x", seconds=[]), b"{")))
    outcome = world.run("log")
    assert outcome.code == 0 and "Traceback" not in outcome.err
    assert "archive-7" in outcome.out and "archive-8" in outcome.out


def test_hostile_names(world: World, app: SampleApp, keys: Keys, log: Path) -> None:
    """No name that got into the log can act on the terminal, or forge a line."""
    declare(world, app, keys)
    evil = "\x1b]0;owned\x07\nnotes  ok: all is well\u202e"
    assert world.run("create", "notes", "--to", f"/nowhere/{evil}").code == 10
    append(log, entry(1, message=evil, app=evil))
    assert len(log.read_bytes().splitlines()) == 2
    for words in (("log",), ("log", "--json")):
        out = world.run(*words).out.replace("\n", "")
        assert out.isprintable() and "owned" in out


def test_no_key_gets_in(world: World, app: SampleApp, keys: Keys) -> None:
    """A private key that was given in the wrong place is not kept in log, ledger or reports."""
    secret = keys.identity.read_text().splitlines()[-1]
    declare(world, app, keys)
    assert world.run("create", "notes", "--to", f"/nowhere/{secret}").code == 10
    for file in world.state.rglob("*"):
        if file.is_file():
            assert secret.encode() not in file.read_bytes(), file


@pytest.mark.parametrize("kind", ["directory", "link", "pipe", "unwritable"])
def test_an_impossible_log(world: World, app: SampleApp, keys: Keys, log: Path, kind: str) -> None:
    """A log that cannot be written is a warning: the archive is made, and the exit code is 0."""
    out = declare(world, app, keys)
    {
        "directory": log.mkdir,
        "link": lambda: log.symlink_to(world.directory / "elsewhere"),
        "pipe": lambda: os.mkfifo(log),
        "unwritable": lambda: (log.parent.rmdir(), log.parent.write_text("in the way")),
    }[kind]()
    outcome = world.run("create", "notes", seconds=20)
    assert outcome.code == 0 and "log" in outcome.err, outcome.err
    assert len(list(out.glob("notes-*"))) == 1
    assert not (world.directory / "elsewhere").exists()
    assert "Traceback" not in world.run("log", seconds=20).err


def follow(world: World, *words: str) -> "subprocess.Popen[str]":
    return world.start("log", "--follow", *words)


def test_follow(world: World, log: Path) -> None:
    """--follow goes on with what comes, across rotations; SIGINT ends it with 130, in silence."""
    append(log, entry(0))
    with follow(world) as process:
        assert process.stdout and process.stderr
        assert "archive-0," in process.stdout.readline()
        for number in range(1, 10):
            append(log, entry(number), limit=400)
            assert f"archive-{number}," in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert process.stdout.read() == process.stderr.read() == ""


def test_follow_one_app_as_json(world: World, log: Path) -> None:
    """With --json each event is an object in a line of its own."""
    with follow(world, "notes", "--json") as process:
        assert process.stdout
        append(log, entry(1, app="other"))
        append(log, entry(2))
        content = json.loads(process.stdout.readline())
        assert content["schema"] == "agebackup/log-event/v1"
        assert content["archive"] == "archive-2"
        process.terminate()
        assert process.wait(10) == 143


def test_the_reader_goes_away(world: World, log: Path) -> None:
    """When nobody reads any more --follow ends by itself, without a word."""
    append(log, entry(0))
    with follow(world) as process:
        assert process.stdout and process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


def test_into_head(world: World, log: Path) -> None:
    """In a pipe whose reader stops early there is no traceback."""
    for number in range(5000):
        append(log, entry(number), limit=10_000_000)
    with world.start("log", "-n", 5000) as process:
        assert process.stdout and process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
