"""A drill that is killed at any moment: the next command leaves nothing of the plaintext."""

import os
import re
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from conftest import Keys, World
from nights import declare, script
from sample_app import PLAINTEXT_MARK, SampleApp, command
from system_faults import fault

pytestmark = pytest.mark.linux

CALLS = ("mkdir", "openat", "link", "linkat", "utimensat", "write", "unlink", "unlinkat", "rmdir")
CALLS += ("execve", "clone", "vfork", "fork", "flock", "fsync", "fdatasync", "pwrite64")
POINTS = 16
"""So many moments of a drill are tried."""


@pytest.fixture
def notes(world: World, app: SampleApp, keys: Keys) -> World:
    """A machine with an archive of a declared app, whose assertions leave traces of their own."""
    body = (
        "import os, shutil\n"
        "shutil.copy('ledger', os.environ['TMPDIR'] + '/spill')\n"
        "shutil.copy('ledger', 'more')\n"
    )
    asserted = (
        "[apps.notes.assertions]\n"
        'some = {database = "ledger", sql = "SELECT count(*) FROM entries", minimum = 1}\n'
        f"opens = {{command = {script(world, 'check', body)}}}\n"
    )
    declare(world, app, keys, asserted)
    assert world.run("create", "notes").code == 0
    return world


def traced(world: World, keys: Keys, *under: str) -> "subprocess.CompletedProcess[str]":
    words = ("drill", "notes", "-i", str(keys.identity))
    return subprocess.run(
        [*under, *command(), *words],
        cwd=world.directory,
        env=dict(world.env),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def moments(world: World, keys: Keys) -> list[str]:
    """Return injections that kill at moments spread evenly over a drill's own system calls."""
    log = world.directory / "strace.log"
    names = ("-e", f"trace={','.join(CALLS)}")
    done = traced(world, keys, "strace", "-f", "-qq", "-o", str(log), *names)
    assert done.returncode == 0, done.stderr
    seen: Counter[str] = Counter()
    found, began = [], False
    for line in log.read_text().splitlines():
        match = re.match(r"\d+ +(\w+)\(", line)
        if match is None:
            continue
        seen[match[1]] += 1
        began = began or "agebackup-drill" in line
        if began:
            found.append(f"{match[1]}:signal=SIGKILL:when={seen[match[1]]}")
    log.unlink()
    return found


def plaintext(world: World) -> list[Path]:
    """Return every file of agebackup's own places that holds what was backed up."""
    mark = PLAINTEXT_MARK.encode()
    files = [path for path in world.home.rglob("*") if path.is_file()]
    return [path for path in files if mark in path.read_bytes()]


def test_nothing_stays_after_a_kill(notes: World, keys: Keys) -> None:
    """Killed when any system call is about to be made, a drill leaves what the next one removes.

    What is hit may be the drill itself or a process that works for it; then the drill fails.
    """
    found = moments(notes, keys)
    assert len(found) > 100
    killed = left = 0
    for point in found[:: len(found) // POINTS]:
        done = traced(notes, keys, *fault(point))
        killed += done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
        left += bool(plaintext(notes))
        assert "Traceback" not in done.stderr, (point, done.stderr)
        swept = notes.run("clean")
        assert swept.code in (0, 4), (point, swept.err)
        assert plaintext(notes) == [] and not notes.leftovers(), point
        assert not os.listdir(notes.cache), point
    assert killed >= POINTS // 3 and left >= 3, (killed, left)


def test_a_disk_that_fails(notes: World, keys: Keys) -> None:
    """Where the disk refuses at any call, the drill fails in a sentence, and nothing is left."""
    found = [one.split(":")[0] for one in moments(notes, keys)]
    for name, error in (("write", "ENOSPC"), ("mkdir", "EIO"), ("linkat", "EIO")):
        count = found.count(name)
        for number in {1, max(count // 2, 1), max(count, 1)} if count else ():
            done = traced(notes, keys, *fault(f"{name}:error={error}:when={number}"))
            assert "Traceback" not in done.stderr, (name, number, done.stderr)
            assert plaintext(notes) == [], (name, number)
