"""get: a copy that is right, or none."""

import hashlib
import json
import os
import re
import signal
from pathlib import Path

import pytest
from conftest import Keys, Outcome, World
from sample_app import SampleApp
from shelf import POWERLESS, Shelf, named, shelf, under
from system_faults import OWN_MOUNTS, fault

CONTENT = b"age-encryption.org/v1\n" + bytes(range(256)) * 9000
NAME = named(1, 0x1F2E3D4C)


@pytest.fixture
def out(world: World) -> Shelf:
    """A folder with one archive that the ledger knows."""
    out = shelf(world)
    out.put(NAME, CONTENT)
    return out


def got(world: World, *words: object, below: tuple[str, ...] = ()) -> Outcome:
    """Run `get notes:latest WORDS…`, perhaps below another program."""
    return under(world, below, "get", "notes:latest", *words)


def nothing_made(world: World) -> bool:
    """Return whether there is no copy, and nothing left over."""
    return {path.name for path in world.directory.iterdir()} == {"out"} and not world.leftovers()


def test_a_copy_that_was_compared(world: World, out: Shelf) -> None:
    """The copy is the archive, for its owner alone, and the hash was the ledger's."""
    done = world.run("--json", "get", "latest", "-o", "copy.age")
    copy = world.directory / "copy.age"
    assert copy.read_bytes() == CONTENT and copy.stat().st_mode & 0o777 == 0o600
    told = json.loads(done.out)
    assert (told["compared"], told["size"]) == (True, len(CONTENT))
    assert told["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert (out.path / str(NAME)).read_bytes() == CONTENT and not world.leftovers()


def test_into_a_directory_under_its_own_name(world: World, out: Shelf) -> None:
    """-o DIR keeps the name, so that the copy can be listed and verified as the archive."""
    (world.directory / "stick").mkdir()
    done = got(world, "-o", "stick")
    assert done.code == 0 and done.out == f"stick/{NAME}\n"
    assert (world.directory / "stick" / str(NAME)).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("damaged", "by"),
    [
        (CONTENT[:-1], "path"),
        (CONTENT + b"x", "path"),
        (b"", "path"),
        (CONTENT[:-1] + b"x", "name"),
        (b"y" * len(CONTENT), "path"),
    ],
)
def test_what_is_not_what_was_published_is_not_copied(
    world: World, out: Shelf, damaged: bytes, by: str
) -> None:
    """Another hash is exit code 4, however the archive was named, and there is no copy."""
    (out.path / str(NAME)).write_bytes(damaged)
    done = world.run("get", f"out/{NAME}" if by == "path" else NAME.id, "-o", "copy.age")
    assert done.code == 4 and "ledger" in done.err and not done.out
    assert nothing_made(world)


def test_one_that_the_ledger_does_not_know_is_looked_at(
    world: World, app: SampleApp, keys: Keys
) -> None:
    """Without a hash the form and the exact size of an age file are what can be checked."""
    shelf(world)
    words = ("--to", "out", "-r", keys.recipient)
    assert world.run("create", *app.create_arguments, *words).code == 0
    (archive,) = (world.directory / "out").glob("*.age")
    for file in world.state.glob("ledger.db*"):
        file.unlink()
    done = world.run("get", "latest", "--to", "out", "-o", "copy.age")
    assert done.code == 0 and "no hash" in done.err
    archive.write_bytes(archive.read_bytes()[:-1])
    assert world.run("get", "latest", "--to", "out", "-o", "more.age").code == 4
    assert not (world.directory / "more.age").exists()


def test_a_freely_named_file_is_compared_too(world: World, app: SampleApp, keys: Keys) -> None:
    """The ledger knows what --to FILE.age named, the last one of that name."""
    shelf(world)
    for _ in range(2):
        words = ("--to", "out/backup.age", "-r", keys.recipient)
        assert world.run("create", *app.create_arguments, *words).code == 0
    file = world.directory / "out" / "backup.age"
    assert "hash is the ledger's" in world.run("get", "out/backup.age", "-o", "copy.age").err
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert world.run("get", "out/backup.age", "-o", "more.age").code == 4


@pytest.mark.parametrize(
    ("to", "code"),
    [
        ("taken", 13),
        ("link", 13),
        ("dangling", 13),
        ("pipe", 13),
        ("absent/copy", 10),
        ("absent/", 10),
        ("absent/.", 10),
        ("taken/", 10),
        ("-", 2),
        ("taken/copy", 1),
        ("out", 13),
        ("", 2),
        ("x" * 300, 1),
    ],
)
def test_where_no_copy_can_be_made(world: World, out: Shelf, to: str, code: int) -> None:
    """What exists is never replaced or followed, and what cannot be is said."""
    here = world.directory
    (here / "taken").write_bytes(b"mine")
    (here / "link").symlink_to("taken")
    (here / "dangling").symlink_to("nowhere")
    os.mkfifo(here / "pipe")
    before = sorted(here.rglob("*"))
    done = got(world, "-o", to)
    assert done.code == code and "Traceback" not in done.err and not done.out, done.err
    assert sorted(here.rglob("*")) == before and (here / "taken").read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "a\udcff", "-x", "-", " "])
def test_any_name_will_do(world: World, out: Shelf, name: str) -> None:
    """The copy may be called anything; nothing of it is performed by the terminal."""
    done = got(world, "-o", f"./{name}")
    assert done.code == 0 and "\x1b" not in done.out + done.err and len(done.out.splitlines()) == 1
    assert (world.directory / name).read_bytes() == CONTENT


@pytest.mark.parametrize("kind", ["link", "directory", "pipe", "dangling"])
def test_what_has_an_archives_name_and_is_none(world: World, out: Shelf, kind: str) -> None:
    """Neither a link nor a directory nor a pipe is taken for an archive, nor waited for."""
    fake = out.path / str(named(0.5, 7))
    if kind == "directory":
        fake.mkdir()
    elif kind == "pipe":
        os.mkfifo(fake)
    else:
        fake.symlink_to("nowhere" if kind == "dangling" else str(NAME))
    assert world.run("get", "00000007", "-o", "copy.age", seconds=30).code == 10
    assert f"{fake.name} is newer, but it is no regular file" in got(world, "-o", "copy.age").err
    if kind in ("directory", "pipe"):
        assert world.run("get", f"out/{fake.name}", "-o", "more", seconds=30).code == 4


def nth(world: World, call: str, about: str) -> int:
    """Return which of the calls named `call` is the first `about` something."""
    log = world.directory.parent / "strace.log"
    assert got(world, "-o", "copy.age", below=fault(f"{call}:delay_exit=1", log=log)).code == 0
    (world.directory / "copy.age").unlink()
    calls = [line for line in log.read_text().splitlines() if f" {call}(" in f" {line}"]
    return next(number for number, line in enumerate(calls, start=1) if about in line)


POINTS = {
    "read": f"{NAME}>",
    "write": "age-encryption",
    "fsync": "/world/.~agebackup",
    "renameat2": ".~agebackup",
}
"""By call, what marks the first one that get makes for the copy itself."""


@pytest.mark.linux
@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        ("read", "EIO", "cannot be read to its end: Input/output error"),
        ("write", "ENOSPC", "is full"),
        ("write", "EIO", "failed to write"),
        ("fsync", "EIO", "failed to write"),
    ],
)
def test_a_disk_that_refuses(world: World, out: Shelf, call: str, error: str, told: str) -> None:
    """A read, write or sync that fails leaves no copy and no half of one."""
    number = nth(world, call, POINTS[call])
    done = got(world, "-o", "copy.age", below=fault(f"{call}:error={error}:when={number}"))
    assert done.code == 1 and told in done.err and "Traceback" not in done.err, done.err
    assert nothing_made(world)


@pytest.mark.linux
@pytest.mark.parametrize("call", POINTS)
def test_killed_on_the_way(world: World, out: Shelf, call: str) -> None:
    """After SIGKILL there is no file under the copy's name but a whole one; the next run cleans."""
    number = nth(world, call, POINTS[call])
    done = got(world, "-o", "copy.age", below=fault(f"{call}:signal=KILL:when={number}"))
    assert done.code in (-signal.SIGKILL, 128 + signal.SIGKILL)
    copy = world.directory / "copy.age"
    assert not copy.exists() or copy.read_bytes() == CONTENT
    copy.unlink(missing_ok=True)
    assert got(world, "-o", "copy.age").code == 0
    assert not world.leftovers() and copy.read_bytes() == CONTENT


@pytest.mark.linux
def test_a_full_disk(world: World, out: Shelf) -> None:
    """Where the copy does not fit, nothing of it stays."""
    point = world.directory / "stick"
    point.mkdir()
    script = (
        'mount -t tmpfs -o size=1m none "$1" && shift && "$@"; code=$?; ls -A stick; exit $code'
    )
    done = got(world, "-o", "stick", below=(*OWN_MOUNTS, "sh", "-c", script, "sh", str(point)))
    assert done.code == 1 and done.out == "" and "space" in done.err
    assert not world.leftovers()


@pytest.mark.linux
def test_the_copy_is_on_the_disk_before_it_has_its_name(world: World, out: Shelf) -> None:
    """Synced, renamed, and the directory synced: a power cut leaves it whole, or nothing."""
    log = world.directory.parent / "strace.log"
    traced = ("strace", "-qq", "-y", "-o", str(log), "-e", "trace=fsync,renameat2,rename,link")
    assert got(world, "-o", "copy.age", below=traced).code == 0
    calls = [line for line in log.read_text().splitlines() if str(world.directory) in line]
    assert [re.match(r"\w+", call)[0] for call in calls] == ["fsync", "renameat2", "fsync"]  # type: ignore[index]
    assert ".nosync.tmp" in calls[0] and calls[2].endswith(" = 0")


@pytest.mark.parametrize("words", [(), ("-o",), ("-o", "a", "b"), ("--output",), ("-o", "a", "-x")])
def test_a_call_without_sense(world: World, out: Shelf, words: tuple[str, ...]) -> None:
    """Exit code 2 and a sentence."""
    done = got(world, *words)
    assert done.code == 2 and done.err and nothing_made(world)


def test_a_copy_of_what_nobody_can_read(world: World, out: Shelf) -> None:
    """An archive without read permission is named."""
    path: Path = out.path / str(NAME)
    path.chmod(0)
    done = got(
        world,
        *("-o", "copy.age"),
        below=POWERLESS,
    )
    assert done.code == 1 and "Permission denied" in done.err and nothing_made(world)
