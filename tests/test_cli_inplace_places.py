"""restore --in-place where places are odd: globs, trees around databases, links, small disks."""

import os
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Keys, World
from live_app import LiveApp, execute, script, toml, value
from sample_app import SampleApp, command
from system_faults import OWN_MOUNTS


@pytest.fixture
def live(world: World, app: SampleApp, keys: Keys) -> LiveApp:
    """The declared application; each test declares the rest of it."""
    live = LiveApp(world, app, keys, world.directory / "out")
    live.declare()
    return live


def declare(live: LiveApp, text: str) -> None:
    """Declare the application so, with its recipient and destination."""
    live.world.config.parent.mkdir(parents=True, exist_ok=True)
    live.world.config.write_text(
        f'[apps.notes]\nrecipients = ["{live.keys.recipient}"]\n'
        f'destination = "{live.destination}"\n{text}'
    )


def test_databases_that_a_glob_found(live: LiveApp) -> None:
    """Databases of a glob come back, those too that are gone; one that came later is a mixture."""
    root = live.world.directory / "many"
    for name in ("one", "two"):
        (root / name).mkdir(parents=True)
        execute(root / name / "a.db", "CREATE TABLE t(x)", f"INSERT INTO t VALUES ('{name}')")
    declare(live, f'root = "{root}"\n[apps.notes.databases.w]\nglob = "{{name}}/a.db"\n')
    live.create()
    shutil.rmtree(root / "two")
    execute(root / "one" / "a.db", "DELETE FROM t")
    done = live.restore()
    assert done.code == 0, done.err
    for name in ("one", "two"):
        assert value(root / name / "a.db", "SELECT x FROM t") == name
    (root / "three").mkdir()
    execute(root / "three" / "a.db", "CREATE TABLE t(x)")
    done = live.restore()
    assert done.code == 13 and "w-three" in done.err


def test_a_database_inside_a_tree(live: LiveApp) -> None:
    """Without a root a database that lies among the attachments comes back inside their tree; the
    tree alone, without it, is refused."""
    inner = live.app.blobs / "deep" / "inner.db"
    inner.parent.mkdir()
    execute(inner, "CREATE TABLE t(x)", "INSERT INTO t VALUES (7)")
    declare(
        live,
        f'attachments = ["{live.app.blobs}"]\n[apps.notes.databases]\ninner = "{inner}"\n',
    )
    live.create()
    execute(inner, "UPDATE t SET x = 8")
    (live.app.blobs / "later").write_text("later")
    done = live.restore()
    assert done.code == 0, done.err
    assert value(inner, "SELECT x FROM t") == 7 and not (live.app.blobs / "later").exists()
    execute(inner, "UPDATE t SET x = 9")
    done = live.restore("--only", "attachments/")
    assert done.code == 13 and "exchanged as a whole" in done.err
    done = live.restore("--only", "inner")
    assert done.code == 0 and value(inner, "SELECT x FROM t") == 7, done.err


def test_an_open_database_inside_a_tree_is_not_taken_back(live: LiveApp) -> None:
    """While a process has a database open that lies among the attachments, nothing is undone."""
    inner = live.app.blobs / "inner.db"
    execute(inner, "CREATE TABLE t(x)", "INSERT INTO t VALUES (7)")
    declare(
        live,
        f'attachments = ["{live.app.blobs}"]\n[apps.notes.databases]\ninner = "{inner}"\n',
    )
    live.create()
    execute(inner, "UPDATE t SET x = 8")
    assert live.restore().code == 0
    with closing(sqlite3.connect(inner)) as connection:
        connection.execute("SELECT * FROM t").fetchall()
        done = live.world.run("restore", "--undo", "notes", "--yes")
        assert done.code == 13 and "inner.db open" in done.err, done.err
    assert value(inner, "SELECT x FROM t") == 7
    assert live.world.run("restore", "--undo", "notes", "--yes").code == 0
    assert value(inner, "SELECT x FROM t") == 8


def test_the_whole_root_as_one_tree(live: LiveApp) -> None:
    """An application whose root is its tree is exchanged as one, databases and all."""
    declare(
        live,
        f'root = "{live.app.root}"\nattachments = ["."]\n'
        '[apps.notes.databases]\nledger = "ledger.db"\nevents = "events.db"\n',
    )
    live.create()
    before = live.state()
    live.change()
    done = live.restore()
    assert done.code == 0, done.err
    after = live.state()
    assert after.keys() == before.keys() and live.entries == 50
    (kept,) = live.app.root.parent.glob("app.pre_restore_*")
    assert (kept / "blobs" / "later").read_bytes() == b"made since"


def test_a_place_that_is_a_link(live: LiveApp) -> None:
    """A place that is a link means what it leads to; the link stays."""
    elsewhere = live.world.directory / "elsewhere"
    live.app.blobs.rename(elsewhere)
    live.app.blobs.symlink_to(elsewhere)
    declare(
        live,
        f'attachments = ["{live.app.blobs}"]\n[apps.notes.databases]\nl = "{live.app.ledger}"\n',
    )
    live.create()
    (elsewhere / "later").write_text("later")
    done = live.restore()
    assert done.code == 0, done.err
    assert live.app.blobs.is_symlink() and not (elsewhere / "later").exists()
    assert list(live.world.directory.glob("elsewhere.pre_restore_*"))


def test_a_stop_during_the_checks(live: LiveApp) -> None:
    """A signal while the checks run ends them; the restored state counts, and that is said."""
    ready = live.world.directory / "ready"
    check = script(live.world.directory, "check", f"touch {ready}; exec sleep 60")
    live.declare(f"check = {toml(check)}\n")
    live.create()
    live.change()
    key = ("-i", str(live.keys.identity), "--yes")
    with live.world.start("restore", "notes", "--in-place", *key) as process:
        while not ready.exists() and process.poll() is None:
            os.sched_yield()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 143 and live.entries == 50
    assert "restored state is in place" in said and "restore --undo notes" in said
    listed = live.world.run("list", "notes")
    assert "cut off" not in listed.err


@pytest.mark.linux
def test_too_little_space(live: LiveApp, tmp_path: Path) -> None:
    """Where both states do not fit beside each other, that is said before anything is staged."""
    live.create()
    root, saved = live.app.root, tmp_path / "saved"
    shutil.copytree(root, saved)
    prepare = 'mount -t tmpfs -o size=128k x "$1" && cp -r "$2/." "$1" && shift 2 && exec "$@"'
    words = ("restore", "notes", "--in-place", "-i", str(live.keys.identity), "--yes")
    done = subprocess.run(
        [*OWN_MOUNTS, "sh", "-c", prepare, "", root, saved, *command(), *words],
        env=dict(live.world.env),
        cwd=live.world.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "too little space" in done.stderr and not live.world.leftovers()


@pytest.mark.linux
def test_a_mount_point_as_a_place(live: LiveApp) -> None:
    """A place that cannot be exchanged because something is mounted there is refused at once."""
    live.create()
    blobs = live.app.blobs
    prepare = 'mount -t tmpfs x "$1" && shift && exec "$@"'
    words = ("restore", "notes", "--in-place", "-i", str(live.keys.identity), "--yes")
    done = subprocess.run(
        [*OWN_MOUNTS, "sh", "-c", prepare, "", blobs, *command(), *words],
        env=dict(live.world.env),
        cwd=live.world.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 13 and "mount point" in done.stderr, done.stderr


def test_an_archive_does_not_choose_the_program_that_migrates_it(live: LiveApp) -> None:
    """A PATH that leads into the current directory finds no program in what is restored."""
    ran = live.world.directory / "ran"
    program = script(live.app.root, "migrate-it", f"touch {ran}")
    text = (
        f'root = "{live.app.root}"\nconfig = ["migrate-it"]\n[apps.notes.databases]\n'
        'ledger = "ledger.db"\nevents = "events.db"\n'
    )
    declare(live, text)
    live.create("--include-config")
    declare(live, f'{text}[apps.notes.restore]\nmigrate = ["{program.name}"]\n')
    live.world.env["PATH"] += ":"
    done = live.restore()
    assert not ran.exists()
    assert done.code == 1 and "migrate-it cannot be started" in done.err, done.err
