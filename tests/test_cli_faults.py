"""Files that change, files that cannot be read, and file size limits at every boundary."""

import json
import os
import subprocess
import threading
from pathlib import Path

import pytest
from conftest import Keys, World
from sample_app import SampleApp, command

pytestmark = pytest.mark.linux

PAGE = 4096


@pytest.fixture
def out(world: World) -> Path:
    directory = world.directory / "out"
    directory.mkdir()
    return directory


def limited(world: World, limit: int, *words: object) -> "subprocess.CompletedProcess[str]":
    """Run agebackup with every file's size limited to `limit` bytes, as a full disk would be."""
    return subprocess.run(
        ["prlimit", f"--fsize={limit}", *command(), *map(str, words)],
        cwd=world.directory,
        env=dict(world.env),
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_room_for_the_last_bytes(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """Wherever near its end the archive no longer fits, it is not published and nothing is left."""
    words = ("create", *app.create_arguments, "--to", "latest.age", "-r", keys.recipient)
    assert world.run(*words).code == 0
    target = world.directory / "latest.age"
    before = target.read_bytes()
    size = len(before)
    limits = {size - 1, size - 16, size - 17}
    limits |= {size // PAGE * PAGE - step * PAGE for step in range(5)}
    for limit in sorted(limits):
        done = limited(world, limit, *words)
        if done.returncode == 0:  # headers vary by some bytes, so this one may just have fitted
            before = target.read_bytes()
            assert len(before) <= limit
            assert world.run("verify", target, "-i", keys.identity).code == 0
            continue
        assert done.returncode == 1, (limit, size, done.stderr)
        assert "Traceback" not in done.stderr and "too large" in done.stderr
        assert target.read_bytes() == before
        assert not world.leftovers()
    assert limited(world, size + 2 * PAGE, *words).returncode == 0


def test_no_room_for_the_restore(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """A restore that does not fit leaves the target as it was."""
    outcome = world.run("create", *app.create_arguments, "--to", "out", "-r", keys.recipient)
    archive = outcome.out.strip()
    target = world.directory / "target"
    target.mkdir()
    (target / "mine").write_text("old")
    for limit in (1, PAGE, 5 * PAGE - 1):
        done = limited(
            world,
            limit,
            *("restore", archive, "-i", keys.identity, "--target", target, "--overwrite"),
        )
        assert done.returncode == 1, done.stderr
        assert "Traceback" not in done.stderr
        assert os.listdir(target) == ["mine"]
        assert not world.leftovers()


def test_a_file_that_grows_while_it_is_read(
    world: World, app: SampleApp, keys: Keys, out: Path
) -> None:
    """A log that is written all the time comes as it was at one moment, and verifies."""
    log = app.blobs / "app.log"
    log.write_bytes(b"x" * 3_000_000)
    stop = threading.Event()

    def grow() -> None:
        with log.open("ab", buffering=0) as file:
            while not stop.is_set():
                file.write(b"line\n")
                stop.wait(0.02)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        outcome = world.run(
            *("--json", "create", "--db", app.ledger, "--attachments", app.blobs),
            *("--to", "out", "-r", keys.recipient, "--allow-missing"),
        )
    finally:
        stop.set()
        writer.join()
    assert outcome.code in (0, 3), outcome.out
    (result,) = json.loads(outcome.out)["results"]
    assert world.run("verify", result["path"], "-i", keys.identity).code == 0
    lost = [one for one in result["manifest"]["skipped"] if one["lost"]]
    assert bool(lost) == (outcome.code == 3)
    assert not world.leftovers()


def test_an_unreadable_file(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """A file that cannot be read fails the run and is named; --allow-missing publishes, exit 3."""
    secret = app.blobs / "unreadable"
    secret.write_text("x")
    secret.chmod(0)
    words = ("create", "--attachments", app.blobs, "--app", "x", "--to", "out", "-r")
    powerless = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--", *command()]

    def run(*more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*powerless, *map(str, words), keys.recipient, *more],
            cwd=world.directory,
            env=dict(world.env),
            capture_output=True,
            text=True,
            check=False,
        )

    done = run()
    assert done.returncode == 1 and "unreadable" in done.stderr
    assert not list(out.iterdir())
    done = run("--allow-missing")
    assert done.returncode == 3, done.stderr
    outcome = world.run("verify", done.stdout.strip(), "-i", keys.identity)
    assert outcome.code == 0 and "incomplete" in outcome.err


def test_what_is_left_out_is_counted(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """Links and pipes are left out with their reason, empty directories come back."""
    (app.blobs / "link").symlink_to("/etc/passwd")
    os.mkfifo(app.blobs / "pipe")
    (app.blobs / "empty" / "deeper").mkdir(parents=True)
    outcome = world.run(
        *("--json", "create", "--attachments", app.blobs, "--app", "x"),
        *("--to", "out", "-r", keys.recipient),
    )
    assert outcome.code == 0, outcome.out
    (result,) = json.loads(outcome.out)["results"]
    reasons = {one["path"]: one["reason"] for one in result["manifest"]["skipped"]}
    assert reasons == {"data/attachments/link": "a symlink", "data/attachments/pipe": "a fifo"}
    target = world.directory / "restored"
    done = world.run("restore", result["path"], "-i", keys.identity, "--target", target)
    assert done.code == 0, done.err
    assert (target / "attachments" / "empty" / "deeper").is_dir()


def test_a_clock_in_1970(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """A machine whose clock starts in 1970 still gets its backup, and a warning about the time."""
    words = ("create", *app.create_arguments, "--to", "out", "-r", keys.recipient)
    done = subprocess.run(
        ["faketime", "-m", "1970-01-01 00:01:30 UTC", *command(), *map(str, words)],
        cwd=world.directory,
        env={**world.env, "FAKETIME_DONT_FAKE_MONOTONIC": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "-19700101T" in done.stdout and "clock" in done.stderr
    assert world.run("verify", done.stdout.strip(), "-i", keys.identity).code == 0
