"""restore --in-place: an archive goes into the application's own places, whole or not at all."""

import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Keys, World
from live_app import LiveApp, execute, script, toml, value
from sample_app import SampleApp, command
from system_faults import fault


@pytest.fixture
def live(world: World, app: SampleApp, keys: Keys) -> LiveApp:
    """The declared application with an archive, changed since."""
    live = LiveApp(world, app, keys, world.directory / "out")
    live.declare()
    live.create("--include-config", "--include-tokens")
    return live


def test_everything_comes_back_and_the_state_before_is_kept(live: LiveApp) -> None:
    """Databases, attachments, config and tokens are as archived; what was there lies beside them;
    an archive of that was made first; nothing else is left."""
    before = live.state()
    live.change()
    changed = live.state()
    done = live.restore()
    assert done.code == 0, done.err
    after = live.state()
    assert live.entries == 50 and after.keys() == before.keys()
    assert {name: after[name] for name in after if not name.endswith(".db")} == {
        name: before[name] for name in before if not name.endswith(".db")
    }
    kept = {path.name.partition(".pre_restore_")[0]: path for path in live.kept()}
    assert set(kept) == {"ledger.db", "events.db", "blobs", "app.toml", "token"}
    assert kept["ledger.db"].read_bytes() == changed["ledger.db"]
    assert (kept["blobs"] / "later").read_bytes() == b"made since"
    listed = json.loads(live.world.run("--json", "list", "notes").out)
    (folder,) = listed["destinations"]
    assert [one["tag"] for one in folder["archives"]].count("pre-restore") == 1
    assert "restore --undo notes" in done.err
    assert not live.world.leftovers()


def test_undo_is_byte_for_byte(live: LiveApp) -> None:
    """After --undo every byte of the application is as it was before the restore."""
    live.change()
    changed = live.state()
    assert live.restore().code == 0
    assert live.state() != changed
    undone = live.world.run("restore", "--undo", "notes", "--yes")
    assert undone.code == 0, undone.err
    assert live.state() == changed


def test_the_journal_mode_and_the_companions(live: LiveApp) -> None:
    """A database in WAL mode is in WAL mode again, and no old -wal can spoil it."""
    with closing(sqlite3.connect(live.app.ledger)) as connection:
        connection.execute("UPDATE entries SET cents = -1")
        connection.commit()
        wal = Path(f"{live.app.ledger}-wal")
        shutil.copy(wal, wal.with_name("copied"))
    shutil.move(wal.with_name("copied"), wal)
    assert live.restore().code == 0
    assert not wal.exists()
    assert value(live.app.ledger, "SELECT count(*) FROM entries WHERE cents = -1") == 0
    assert live.app.ledger.read_bytes()[18:20] == b"\x02\x02"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("restore", "notes"), "needs a place"),
        (("restore", "notes", "--in-place", "--target", "x"), "needs a place"),
        (("restore", "--in-place"), "Nothing says what"),
        (("restore", "--target", "x"), "Nothing says what"),
        (("restore", "notes", "--in-place", "--overwrite"), "--overwrite goes with --target"),
        (("restore", "notes", "--in-place", "--keep-bag"), "--keep-bag goes with --target"),
        (("restore", "a.age", "--target", "x", "--plan"), "--plan goes with --in-place"),
        (("restore", "a.age", "--target", "x", "--at", "latest"), "--at goes with --in-place"),
        (("restore", "a.age", "--target", "x", "--no-safety"), "--no-safety goes with"),
        (("restore", "a.age", "--target", "x", "--ignore-gate", "x"), "--ignore-gate goes with"),
        (("restore", "nots", "--in-place"), "declares no app 'nots'"),
        (("restore", "notes", "--in-place", "--at", "yesterday"), "is no day"),
        (("restore", "notes", "--in-place", "--ignore-gate", "x", "--yes"), "no gate 'x'"),
        (("restore", "notes", "--in-place", "--from-log", "--yes"), "event log"),
        (("restore", "notes", "--in-place", "--undo"), "--undo takes no other option"),
    ],
)
def test_what_cannot_be_asked_for(live: LiveApp, words: tuple[str, ...], said: str) -> None:
    """Contradictions and words that mean nothing are exit code 2, and nothing is touched."""
    before = live.state()
    done = live.world.run(*words, "-i", live.keys.identity)
    assert done.code == 2, done.err
    assert said in done.err
    assert live.state() == before and not live.kept()


def test_without_a_configuration(world: World, keys: Keys) -> None:
    """Where no app is declared, its places are not known."""
    done = world.run("restore", "notes", "--in-place", "-i", keys.identity)
    assert done.code == 2 and "There is no configuration" in done.err


def test_nobody_is_overrun_without_being_asked(live: LiveApp) -> None:
    """Without a terminal and without --yes nothing happens, and what it would replace is named."""
    live.change()
    before = live.state()
    done = live.restore(yes=False)
    assert done.code == 2 and "Give --yes" in done.err
    assert str(live.app.ledger) in done.err
    assert live.state() == before


@pytest.mark.parametrize("form", ["name", "id", "path", "day", "moment", "latest"])
def test_at_chooses_the_archive(live: LiveApp, form: str) -> None:
    """A name, an id, a path, a day or a moment choose; without, it is the newest."""
    (first,) = live.destination.glob("*.tar.age")
    stamp, id = first.name.split("-")[1:3]
    clock = f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}"
    words = {
        "name": first.name,
        "id": id.partition(".")[0],
        "path": str(first),
        "day": clock,
        "moment": f"{clock}T{stamp[9:11]}:{stamp[11:13]}:{stamp[13:15]}Z",
        "latest": "latest",
    }
    live.change()
    done = live.restore("--at", words[form])
    assert done.code == 0, done.err
    assert live.entries == 50


def test_the_state_that_was_replaced_is_not_the_latest(live: LiveApp) -> None:
    """A second restore brings the same archive back, not the one that the first one made of what
    was to be left behind."""
    (original,) = live.destination.glob("*.age")
    seconds = {original.name.split("-")[1]}
    while len(seconds) == 1:  # within one second chance decides
        live.change()
        assert live.restore().code == 0
        seconds = {path.name.split("-")[1] for path in live.destination.glob("*.age")}
    live.change()
    done = live.restore()
    assert done.code == 0 and live.entries == 50
    assert "state that a restore replaced" in done.err


def test_plan_touches_nothing(live: LiveApp) -> None:
    """--plan prints every step with paths and sizes; no command runs, nothing is made or opened."""
    marker = live.world.directory / "ran"
    touch = toml("touch", marker)
    live.declare(
        f"pause = {touch}\nresume = {touch}\nrunning = {touch}\nmigrate = {touch}\n"
        f"check = {touch}\n"
        f"[apps.notes.restore.gates]\nformat = {{argv = {touch}}}\n"
    )
    live.change()
    before, inodes = live.state(), sorted(os.listdir(live.app.root))
    done = live.restore("--plan", "--ignore-gate", "format", yes=False)
    assert done.code == 0, done.err
    for word in ("pause", "stage", "migrate", "safety", "exchange", "resume", "check"):
        assert f". {word}: " in done.out
    assert str(live.app.ledger) in done.out and "bytes)" in done.out
    assert live.state() == before and sorted(os.listdir(live.app.root)) == inodes
    assert not marker.exists() and not live.world.leftovers()
    printed = json.loads(live.world.run(
        "--json", "restore", "notes", "--in-place", "--plan", "--ignore-gate", "format",
        "-i", live.keys.identity,
    ).out)  # fmt: skip
    assert printed["status"] == "planned" and len(printed["steps"]) >= 8


def test_parts_can_be_chosen(live: LiveApp) -> None:
    """--only takes whole parts, --no-config and --no-tokens leave theirs: the rest stays."""
    live.change()
    before = live.state()
    done = live.restore("--only", "ledger.db")
    assert done.code == 0, done.err
    after = live.state()
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"ledger.db"}
    assert live.restore("--no-config", "--no-tokens").code == 0
    after = live.state()
    assert after["app.toml"] == before["app.toml"] and after["token"] == before["token"]
    assert after["events.db"] and len(list(live.app.blobs.iterdir())) == 8


def test_a_part_of_a_tree_is_refused(live: LiveApp) -> None:
    """--only within a tree would lose the rest of it: refused, and nothing is changed."""
    live.change()
    before = live.state()
    done = live.restore("--only", "blobs/*a*")
    assert done.code == 13, done.err
    assert live.state() == before and not live.kept()


def test_owners_and_permissions_stay_the_applications(live: LiveApp) -> None:
    """What is put into place is as accessible to the application as what was there."""
    live.app.ledger.chmod(0o640)
    live.app.blobs.chmod(0o2750)
    assert live.restore().code == 0
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (live.app.ledger, live.app.blobs)]
    assert modes == [0o640, 0o2750]
    assert {stat.S_IMODE(p.stat().st_mode) for p in live.app.blobs.iterdir()} <= {0o640, 0o644}


def test_config_and_tokens_in_an_exchanged_tree_stay(
    world: World, app: SampleApp, keys: Keys
) -> None:
    """A token that lies among the attachments and is not in the archive is there afterwards too."""
    live = LiveApp(world, app, keys, world.directory / "out")
    token = app.blobs / "secrets" / "token"
    token.parent.mkdir()
    token.write_text("mine")
    live.declare(keys="")
    text = world.config.read_text().replace('tokens = ["token"]', 'tokens = ["blobs/secrets"]')
    world.config.write_text(text)
    live.create()
    (app.blobs / "later").write_bytes(b"x")
    token.chmod(0o600)
    done = live.restore()
    assert done.code == 0, done.err
    assert token.read_text() == "mine" and stat.S_IMODE(token.stat().st_mode) == 0o600
    assert not (app.blobs / "later").exists()
    assert "Stays as it is: tokens" in done.err


def test_onto_a_machine_that_has_nothing(live: LiveApp) -> None:
    """With the configuration and the archive alone, the application's places are made."""
    shutil.rmtree(live.app.root)
    done = live.restore()
    assert done.code == 0, done.err
    assert live.entries == 50 and len(list(live.app.blobs.iterdir())) == 8
    assert "no safety archive was made" in done.err


def test_what_is_missing_cannot_be_archived_first(live: LiveApp) -> None:
    """Where a part is gone the safety archive fails: said, refused, and done with --no-safety."""
    live.app.events.unlink()
    before = live.state()
    done = live.restore()
    assert done.code == 1 and "cannot be archived first" in done.err and "--no-safety" in done.err
    assert live.state() == before and not live.kept()
    done = live.restore("--no-safety")
    assert done.code == 0 and live.app.events.exists(), done.err


def test_an_archive_of_another_app(live: LiveApp) -> None:
    """An archive of another app is refused, whatever it is called."""
    other = live.world.run(
        *("create", "--db", live.app.ledger, "--app", "other", "--to", "out"),
        *("-r", live.keys.recipient),
    )
    done = live.restore("--at", other.out.strip())
    assert done.code == 13 and "is of other, not of notes" in done.err


def test_a_mixture_is_refused(live: LiveApp) -> None:
    """Where a database is declared and there that the archive lacks, old and new would be mixed:
    refused, unless it is to stay."""
    extra = live.app.root / "extra.db"
    execute(extra, "CREATE TABLE t(x)")
    text = live.world.config.read_text()
    live.world.config.write_text(text + 'extra = "extra.db"\n')
    before = live.state()
    done = live.restore()
    assert done.code == 13 and "mixed" in done.err and "extra.db" in done.err
    assert live.state() == before
    done = live.restore("--leave-others")
    assert done.code == 0 and "Stays as it is: database extra" in done.err


def test_what_nothing_declares_is_refused(live: LiveApp) -> None:
    """A database of the archive that the configuration no longer declares has no place."""
    text = live.world.config.read_text()
    live.world.config.write_text(text.replace('events = "events.db"\n', ""))
    done = live.restore()
    assert done.code == 13 and "does not declare" in done.err and "events.db" in done.err


def test_a_config_that_names_the_old_machine(live: LiveApp) -> None:
    """A restored config file that names where the application was before is pointed out."""
    live.app.config.write_text(f'data = "{live.app.root}/blobs"\n')
    made = live.create("--include-config")
    moved = live.app.root.with_name("moved")
    live.app.root.rename(moved)
    text = live.world.config.read_text().replace(str(live.app.root), str(moved))
    live.world.config.write_text(text)
    done = live.restore("--at", made)
    assert done.code == 0, done.err
    assert f"{moved}/app.toml names {live.app.root}, where the application was" in done.err


def test_a_stop_before_the_exchange(live: LiveApp) -> None:
    """A signal while the application stands still changes nothing, and lets it go on."""
    ready = live.world.directory / "ready"
    resumed = live.world.directory / "resumed"
    pause = script(live.world.directory, "pause", f"touch {ready}; exec sleep 60")
    live.declare(f"pause = {toml(pause)}\nresume = {toml('touch', resumed)}\n")
    before = live.state()
    key = ("-i", str(live.keys.identity), "--yes")
    with live.world.start("restore", "notes", "--in-place", *key) as process:
        while not ready.exists() and process.poll() is None:
            os.sched_yield()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 143
    assert resumed.exists() and live.state() == before and not live.kept()
    assert not live.world.leftovers()


def test_two_at_once(live: LiveApp) -> None:
    """While a restore is at work, another run of the app is busy."""
    command = "if agebackup create notes; then exit 1; else test $? -eq 11; fi"
    inner = script(live.world.directory, "inner", command)
    live.declare(f"pause = {toml(inner)}\nresume = {toml('true')}\n")
    path = f"{Path(sys.executable).parent}:{live.world.env['PATH']}"
    done = live.world.run(
        *("restore", "notes", "--in-place", "--yes", "-i", live.keys.identity),
        env={**live.world.env, "PATH": path},
    )
    assert done.code == 0, done.err


def test_json_tells_all_of_it(live: LiveApp) -> None:
    """With --json every part has its place and where the state before lies."""
    done = live.world.run(
        "--json", "restore", "notes", "--in-place", "--yes", "-i", live.keys.identity
    )
    printed = json.loads(done.out)
    assert printed["schema"] == "agebackup/restore-in-place/v1" and printed["status"] == "ok"
    assert {part["role"] for part in printed["parts"]} == {
        "database",
        "attachments",
        "config",
        "tokens",
    }
    assert all(Path(part["kept"]).exists() for part in printed["parts"])
    assert Path(printed["safety"]).exists()


def test_another_file_system(live: LiveApp, tmp_path: Path) -> None:
    """Parts on another file system than the rest are copied there, compared, and exchanged too."""
    shm = Path("/dev/shm")
    place = shm / f"agebackup-test-{os.getpid()}"
    if os.stat(shm).st_dev == os.stat(tmp_path).st_dev:
        place = tmp_path / "same"
    place.mkdir()
    try:
        events = place / "events.db"
        subprocess.run(["cp", live.app.events, events], check=True)
        text = live.world.config.read_text()
        text = text.replace(f'root = "{live.app.root}"\n', "")
        for name in ("ledger.db", "blobs", "app.toml", "token"):
            text = text.replace(f'"{name}"', f'"{live.app.root / name}"')
        live.world.config.write_text(text.replace('"events.db"', f'"{events}"'))
        live.create("--include-config", "--include-tokens")
        live.change()
        execute(events, "DELETE FROM events")
        done = live.restore()
        assert done.code == 0, done.err
        assert value(events, "SELECT count(*) FROM events") == 50 and live.entries == 50
        assert sorted(p.name.partition(".pre")[0] for p in place.iterdir()) == ["events.db"] * 2
    finally:
        shutil.rmtree(place)


@pytest.mark.linux
def test_where_names_cannot_be_exchanged(live: LiveApp) -> None:
    """On a file system that exchanges no names it is said beforehand, and everything comes back."""
    live.create()
    live.change()
    words = ("restore", "notes", "--in-place", "-i", live.keys.identity, "--yes", "--no-safety")
    done = subprocess.run(
        [*fault("renameat2:error=EINVAL"), *command(), *map(str, words)],
        cwd=live.world.directory,
        env=dict(live.world.env),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "cannot exchange two names in one step" in done.stderr and live.entries == 50
    assert live.world.run("restore", "--undo", "notes", "--yes").code == 0
    assert live.entries == 10
