"""create and the ledger: what it is told is true, and whatever becomes of it, there is a backup."""

import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import Keys, Outcome, World
from nights import last_run
from sample_app import SampleApp, command
from system_faults import OWN_MOUNTS

from agebackup.ledger import open_ledger
from agebackup.model.records import ArchiveRecord, DestinationRecord


@pytest.fixture
def out(world: World) -> Path:
    directory = world.directory / "out"
    directory.mkdir()
    return directory


def creating(app: SampleApp, keys: Keys, to: str = "out") -> tuple[object, ...]:
    """Return a small run: one database."""
    return ("create", "--db", app.ledger, "--to", to, "-r", keys.recipient)


def created(world: World, *words: object) -> dict[str, Any]:
    outcome = world.run("--json", *words)
    assert outcome.code == 0, outcome.out
    (result,) = json.loads(outcome.out)["results"]
    return dict(result)


def rows(world: World, *, deleted: bool = False) -> tuple[ArchiveRecord, ...]:
    """Return the ledger's archives, oldest first."""
    with open_ledger(world.state / "ledger.db", make=False) as ledger:
        return ledger.archives(deleted=deleted, pending=True)[::-1]


def destinations(world: World) -> tuple[DestinationRecord, ...]:
    with open_ledger(world.state / "ledger.db", make=False) as ledger:
        return ledger.destinations()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def manifest(world: World, path: Path, keys: Keys) -> dict[str, Any]:
    outcome = world.run("--json", "inspect", path, "-i", keys.identity)
    assert outcome.code == 0, outcome.err
    return dict(json.loads(outcome.out)["manifest"])


# What it is told


def test_the_ledger_knows_what_was_published(
    world: World, app: SampleApp, keys: Keys, out: Path
) -> None:
    """Name, size, hash, labels, proof, recipients' types and figures are those of the archive."""
    words = ("create", *app.create_arguments, "--to", "out", "-r", keys.recipient)
    made = created(world, *words, "--tag", "before-upgrade", "--note", "a note", "--manual")
    (path,) = out.glob("*.age")
    (row,) = rows(world)
    assert (row.name, row.file_name, row.app) == (path.name, path.name, "ledger")
    assert (row.destination, row.size) == (os.path.realpath(out), path.stat().st_size)
    assert row.sha256 == sha256(path) == made["sha256"]
    assert (row.kind, row.tag, row.note) == ("manual", "before-upgrade", "a note")
    assert (row.proved, row.complete, row.check, row.pending) == (True, True, "proof", "")
    assert row.stanzas == ("X25519", "X25519") == tuple(made["stanzas"])
    assert row.hashed == row.checked == row.time
    assert row.figures is not None
    assert row.figures.databases["data/ledger.db"].rows == 50 + 8
    assert row.figures.trees["data/attachments"].files == 8
    assert made["figures"]["trees"]["data/attachments"]["files"] == 8
    assert made["destination"] == row.destination
    (seen,) = destinations(world)
    assert seen.path == row.destination and seen.device and seen.seen == row.time


def test_without_a_proof_nothing_counts_as_proved(
    world: World, app: SampleApp, keys: Keys, out: Path
) -> None:
    """Nobody has read back an archive that was not proved, and only the person's keys open it."""
    created(world, *creating(app, keys), "--no-proof")
    (row,) = rows(world)
    assert (row.proved, row.check, row.checked, row.hashed) == (False, "", None, None)
    assert row.stanzas == ("X25519",)


@pytest.mark.parametrize("more", [(), ("--no-proof",)], ids=["proof", "no proof"])
@pytest.mark.parametrize("level", [(), ("--compress", "zstd")], ids=["plain", "compressed"])
def test_the_hash_is_that_of_the_published_file(
    world: World, keys: Keys, out: Path, more: tuple[str, ...], level: tuple[str, ...]
) -> None:
    """`sha256sum` of the file says what create and ledger say, around every edge of a block."""
    tree = world.directory / "tree"
    tree.mkdir()
    for edge in (1 << 16, 1 << 20, 1 << 21):
        for size in (edge - 12_000, edge):
            (tree / "file").write_bytes(random.Random(size).randbytes(size))
            words = ("create", "--app", "x", "--attachments", tree, "--to", "out", *more, *level)
            made = created(world, *words, "-r", keys.recipient)
            said = subprocess.run(["sha256sum", made["path"]], capture_output=True, check=True)
            assert said.stdout.split()[0].decode() == made["sha256"] == rows(world)[-1].sha256


def test_archives_are_numbered_and_name_the_one_before(
    world: World, app: SampleApp, keys: Keys, out: Path
) -> None:
    """Numbers count each app's archives from 1; a failed run uses up none."""
    first = created(world, *creating(app, keys))
    other = created(world, *creating(app, keys), "--app", "other")
    app.ledger.rename(app.ledger.with_name("away"))
    assert world.run(*creating(app, keys), "--app", "ledger").code == 1
    app.ledger.with_name("away").rename(app.ledger)
    second = created(world, *creating(app, keys))
    manifests = [manifest(world, Path(made["path"]), keys) for made in (first, other, second)]
    assert [one["sequence"] for one in manifests] == [1, 1, 2]
    assert len({one["series"] for one in manifests}) == 1
    assert [one["previous"] for one in manifests] == [
        None,
        None,
        {"name": first["archive"], "sha256": sha256(Path(first["path"]))},
    ]
    named = [row for row in rows(world) if row.app == "ledger"]
    assert [(row.sequence, row.previous) for row in named] == [(1, ""), (2, first["archive"])]
    assert {row.series for row in rows(world)} == {manifests[0]["series"]}


def test_a_freely_named_file_has_a_row_until_it_is_replaced(
    world: World, app: SampleApp, keys: Keys, out: Path
) -> None:
    """The row says what the file is called, and the one before says what replaced it."""
    made = [created(world, *creating(app, keys, "out/latest.age")) for _ in range(2)]
    gone, there = rows(world, deleted=True)
    assert (there.name, there.file_name) == (made[1]["archive"], "latest.age")
    assert there.sha256 == sha256(out / "latest.age") and there.deleted is None
    assert gone.deleted is not None and gone.deleted_why == f"replaced by {there.name}"
    assert manifest(world, out / "latest.age", keys)["previous"]["name"] == made[0]["archive"]


@contextmanager
def drive(point: Path) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "a-drive", point], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", point], check=True)


@pytest.mark.linux
def test_an_unmounted_drive_is_noticed(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """A backup into the directory where the drive used to be says that something is wrong."""
    with drive(out):
        assert "another device" not in world.run(*creating(app, keys)).err
    outcome = world.run(*creating(app, keys))
    assert outcome.code == 0
    assert "another device than last time" in outcome.err and "tmpfs a-drive" in outcome.err


def test_what_vanished_is_noticed_in_any_run(
    world: World, app: SampleApp, keys: Keys, out: Path
) -> None:
    """The ledger remembers what the last archive held, wherever it lies, ad hoc runs included."""
    tail = ("--app", "x", "-r", keys.recipient)
    words = ("create", "--db", app.ledger, "--attachments", app.blobs)
    assert world.run(*words, "--db", app.events, "--to", "out", *tail).code == 0
    for file in app.blobs.iterdir():
        file.unlink()
    (world.directory / "elsewhere").mkdir()
    outcome = world.run(*words, "--to", "elsewhere", *tail)
    assert outcome.code == 0
    assert "events.db was in the last archive and is not in this one" in outcome.err
    assert "has no files now; the last archive had 8" in outcome.err
    outcome = world.run(*words, "--to", "elsewhere", *tail)
    assert outcome.code == 0 and "last archive" not in outcome.err


# A ledger that cannot be used


def _garbage(file: Path) -> None:
    file.write_bytes(random.Random(1).randbytes(20_000))
    for name in ("-wal", "-shm"):
        file.with_name(file.name + name).unlink(missing_ok=True)


def _newer(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 99")


def _directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _hole(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DROP TABLE archives")


HARMS: dict[str, tuple[Callable[[Path], None], str]] = {
    "damaged": (_garbage, "agebackup ledger rebuild DEST"),
    "newer": (_newer, "Upgrade agebackup"),
    "a directory": (_directory, "Move it away"),
    "without a table": (_hole, "agebackup ledger rebuild DEST"),
}


def require_published(world: World, outcome: Outcome, keys: Keys) -> str:
    """Return what was said beside an archive that is whole, and has no number."""
    assert outcome.code == 0, outcome.err
    path = Path(outcome.out.strip())
    assert world.run("verify", path, "-i", keys.identity).code == 0
    found = manifest(world, path, keys)
    assert (found["series"], found["sequence"], found["previous"]) == (None, None, None)
    assert not world.leftovers()
    assert "Traceback" not in outcome.err
    return outcome.err


@pytest.mark.parametrize("harm, hint", HARMS.values(), ids=HARMS.keys())
def test_a_ledger_that_cannot_be_used_costs_no_backup(
    world: World, app: SampleApp, keys: Keys, out: Path, harm: Callable[[Path], None], hint: str
) -> None:
    """The archive is published, exit 0, and it is said what is lost and what to do."""
    assert world.run(*creating(app, keys)).code == 0
    harm(world.state / "ledger.db")
    said = require_published(world, world.run(*creating(app, keys)), keys)
    assert f"The ledger {world.state / 'ledger.db'} cannot be used" in said
    assert "no sequence number" in said and "prune leaves it alone" in said
    assert hint in said
    warnings = created(world, *creating(app, keys))["warnings"]
    assert any("no sequence number" in text for text in warnings)
    assert any("no sequence number" in text for text in last_run(world, "ledger")["warnings"])


def test_a_locked_ledger_costs_no_backup(
    world: World, app: SampleApp, keys: Keys, out: Path
) -> None:
    """Another process that holds the ledger is waited for a little, not for ever."""
    assert world.run(*creating(app, keys)).code == 0
    with closing(sqlite3.connect(world.state / "ledger.db", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        outcome = world.run(*creating(app, keys))
    assert outcome.code == 0, outcome.err
    assert "another process holds it" in outcome.err and "prune leaves it alone" in outcome.err
    assert len(list(out.glob("*.age"))) == 2


@pytest.mark.linux
@pytest.mark.parametrize("room", ["0k", "16k", "48k", "56k"])
def test_a_full_disk_below_the_ledger_costs_no_backup(
    world: World, app: SampleApp, keys: Keys, out: Path, room: str
) -> None:
    """Where the ledger's disk has no more room, the archive is published all the same."""
    script = """
        state=$1; room=$2; shift 2
        mkdir -p "$state" && mount -t tmpfs -o size=400k none "$state" || exit 99
        for own in claims locks apps log; do
            mkdir "$state/$own" && mount -t tmpfs none "$state/$own" || exit 99
        done
        "$@" && head -c 400k /dev/zero > "$state/full" 2> /dev/null
        truncate -s "-$room" "$state/full"; "$@"
    """
    done = subprocess.run(
        [
            *(*OWN_MOUNTS, "sh", "-c", script, "sh", str(world.state), room),
            *(*command(), *map(str, creating(app, keys))),
        ],
        cwd=world.directory,
        env=dict(world.env),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(list(out.glob("*.age"))) == 2
    assert "cannot be used: its disk" in done.stderr and "Traceback" not in done.stderr
    assert not world.leftovers()


@pytest.mark.linux
def test_a_directory_without_rights_costs_no_backup(
    world: World, app: SampleApp, keys: Keys, out: Path
) -> None:
    """Where no ledger can be made, the archive is published all the same."""
    assert world.run(*creating(app, keys)).code == 0
    for file in world.state.glob("ledger.db*"):
        file.unlink()
    world.state.chmod(0o500)
    powerless = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--", *command())
    done = subprocess.run(
        [*powerless, *map(str, creating(app, keys))],
        cwd=world.directory,
        env=dict(world.env),
        capture_output=True,
        text=True,
        check=False,
    )
    world.state.chmod(0o700)
    require_published(world, Outcome(done.returncode, done.stdout, done.stderr), keys)
    assert "cannot be used" in done.stderr and "prune leaves it alone" in done.stderr


def test_a_ledger_that_is_gone_is_said_once(
    world: World, app: SampleApp, keys: Keys, out: Path
) -> None:
    """A new ledger where there was one says so, and how to make the old archives known again."""
    outcome = world.run(*creating(app, keys))
    assert outcome.code == 0 and "knows no archive" not in outcome.err
    (name,) = (path.name for path in out.glob("*.age"))
    shutil.rmtree(world.state / "log")
    for file in world.state.glob("ledger.db*"):
        file.unlink()
    outcome = world.run(*creating(app, keys))
    assert outcome.code == 0
    assert f"knows no archive of ledger, although {name} was published" in outcome.err
    assert "agebackup ledger rebuild DEST" in outcome.err
    assert [row.sequence for row in rows(world)] == [1]
    outcome = world.run(*creating(app, keys))
    assert outcome.code == 0 and "knows no archive" not in outcome.err


@pytest.mark.parametrize("how", ["removed", "emptied"])
@pytest.mark.parametrize(
    "first", [("tag", "latest", "gold"), ("keep", "latest")], ids=["tag", "keep"]
)
def test_no_other_command_swallows_that_the_ledger_is_gone(
    world: World, app: SampleApp, keys: Keys, out: Path, how: str, first: tuple[str, ...]
) -> None:
    """Whatever is done between, the next run says that the old archives are not known."""
    assert world.run(*creating(app, keys)).code == 0
    for file in world.state.glob("ledger.db*"):
        file.unlink()
    if how == "emptied":
        (world.state / "ledger.db").touch(0o600)
        assert world.run("ledger", "check").code == 10
        assert "NEVER" not in world.run("status", "ledger", "--to", "out").out
    assert world.run(*first, "--to", "out").code == 0
    outcome = world.run(*creating(app, keys))
    assert outcome.code == 0 and "knows no archive of ledger" in outcome.err
    assert "knows no archive" not in world.run(*creating(app, keys)).err


def test_after_a_rebuild_nothing_is_missed(
    world: World, app: SampleApp, keys: Keys, out: Path
) -> None:
    """Who made the ledger again from the folder is not told that it knows nothing."""
    assert world.run(*creating(app, keys)).code == 0
    for file in world.state.glob("ledger.db*"):
        file.unlink()
    assert world.run("ledger", "rebuild", "out").code == 0
    assert "knows no archive" not in world.run(*creating(app, keys)).err


# Killed in between

SYNCS = ("renameat2", "fsync", "fdatasync")


def around_the_rename(world: World, *words: object) -> list[tuple[str, int]]:
    """Return calls of a run, each by name and number: the fourth gives the archive its name."""
    log = world.directory / "strace.log"
    assert run_traced(world, *words, options=("-o", str(log))) == 0
    counts, points, renamed = dict.fromkeys(SYNCS, 0), [], 0
    for line in log.read_text().splitlines():
        name = line.partition("(")[0]
        if name in counts:
            counts[name] += 1
            points.append((name, counts[name]))
            if ".tar.age" in line and name == "renameat2":
                renamed = len(points)
    return points[renamed - 4 : renamed + 4]


def run_traced(world: World, *words: object, options: tuple[str, ...]) -> int:
    names = ("strace", "-qq", "-y", "-s", "200", "-e", f"trace={','.join(SYNCS)}")
    return subprocess.run(
        [*names, *options, *command(), *map(str, words)],
        cwd=world.directory,
        env=dict(world.env),
        capture_output=True,
        check=False,
    ).returncode


@pytest.mark.linux
def test_a_kill_at_any_point_leaves_books_that_the_next_run_makes_true(
    world: World, app: SampleApp, keys: Keys, out: Path
) -> None:
    """After each kill and one more run, rows and files are the same, and no number is missing."""
    words, kept = creating(app, keys), []
    assert world.run(*words).code == 0
    for name, number in around_the_rename(world, *words):
        before = set(out.glob("*.age"))
        options = ("-o", os.devnull, "-e", f"inject={name}:signal=SIGKILL:when={number}")
        assert run_traced(world, *words, options=options) in (-9, 137)
        kept.append(bool(set(out.glob("*.age")) - before))
        assert world.run(*words).code == 0
        known = rows(world)
        assert {row.file_name: row.sha256 for row in known} == {
            path.name: sha256(path) for path in out.glob("*.age")
        }
        assert {row.pending for row in known} == {""}
        assert [row.sequence for row in known] == [*range(1, len(known) + 1)]
        assert [row.previous for row in known] == ["", *(row.name for row in known[:-1])]
    assert True in kept and False in kept


@pytest.mark.linux
def test_an_archive_that_does_not_get_its_name_leaves_no_row(
    world: World, app: SampleApp, keys: Keys, out: Path
) -> None:
    """Where the rename fails, or its directory cannot be synced, the ledger knows of no archive."""
    words = creating(app, keys)
    assert world.run(*words).code == 0
    *_, rename, sync, _, _, _ = around_the_rename(world, *words)
    before = rows(world)
    for name, number in (rename, sync):
        options = ("-o", os.devnull, "-e", f"inject={name}:error=EIO:when={number}")
        assert run_traced(world, *words, options=options) == 1
        assert rows(world) == before and len(list(out.glob("*.age"))) == len(before)
    assert rename[0] == "renameat2" and sync[0] == "fsync"
    assert world.run(*words).code == 0
    assert rows(world)[-1].sequence == len(before) + 1
