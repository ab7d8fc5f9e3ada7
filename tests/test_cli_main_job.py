"""The main job, as the README shows it: create while the app writes, verify, restore, by hand."""

import json
import os
import sqlite3
import subprocess
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
from conftest import Keys, World
from sample_app import PLAINTEXT_MARK, SampleApp, last_pair, running_writer
from waiting import until_locked


def tree(directory: Path) -> dict[str, bytes]:
    """Return the hash of every file below `directory`."""
    return {
        str(path.relative_to(directory)): sha256(path.read_bytes()).digest()
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def archive(world: World, app: SampleApp, keys: Keys) -> Path:
    """An archive of the whole sample, config and token included."""
    (world.directory / "out").mkdir()
    outcome = world.run("create", *app.create_arguments, "--to", "out", "-r", keys.recipient)
    assert outcome.code == 0, outcome.err
    return Path(outcome.out.strip())


def test_create_while_the_app_writes_then_by_hand(world: World, app: SampleApp, keys: Keys) -> None:
    """An archive made under a busy writer opens with stock age and tar, and nothing is torn."""
    (world.directory / "out").mkdir()
    with running_writer(app) as writer:
        outcome = world.run("create", *app.create_arguments, "--to", "out", "-r", keys.recipient)
    assert outcome.code == 0, outcome.err
    assert writer.errors == []
    by_hand = world.directory / "hand"
    by_hand.mkdir()
    recipe = 'set -eo pipefail; age -d -i "$0" "$1" | tar x'
    archive = outcome.out.strip()
    subprocess.run(["bash", "-c", recipe, keys.identity, archive], cwd=by_hand, check=True)
    for manifest in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
        subprocess.run(["sha256sum", "-c", "--quiet", manifest], cwd=by_hand / "ledger", check=True)
    data = by_hand / "ledger" / "data"
    entry, event = last_pair(data / "ledger.db", data / "events.db")
    assert entry == event >= 50
    assert tree(data / "attachments") == tree(app.blobs)
    assert (data / "config" / "app.toml").read_bytes() == app.config.read_bytes()
    assert (data / "tokens" / "token").read_bytes() == app.token.read_bytes()
    assert not world.leftovers()


def test_verify_says_sound(world: World, archive: Path, keys: Keys) -> None:
    """A good archive is called sound, with and without the key, whole or extracted."""
    outcome = world.run("verify", archive, "-i", keys.identity)
    assert (outcome.code, outcome.out) == (0, f"{archive}: sound\n"), outcome.err
    assert world.run("verify", "--quick", archive).code == 0
    target = world.directory / "bag"
    assert (
        world.run("restore", archive, "-i", keys.identity, "--target", target, "--keep-bag").code
        == 0
    )
    outcome = world.run("verify", target)
    assert outcome.code == 0, outcome.err
    (target / "data" / "tokens" / "token").write_text("changed")
    assert world.run("verify", target).code == 4
    assert not world.leftovers()


def test_restore_gives_the_application_back(
    world: World, archive: Path, app: SampleApp, keys: Keys
) -> None:
    """A restored tree holds the app's databases in their journal mode, and all its files."""
    target = world.directory / "restored"
    outcome = world.run("restore", archive, "-i", keys.identity, "--target", target)
    assert outcome.code == 0, outcome.err
    assert outcome.out == f"{target}\n"
    with closing(sqlite3.connect(target / "ledger.db")) as ledger:
        assert ledger.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert ledger.execute("SELECT count(*) FROM entries").fetchone() == (50,)
        assert ledger.execute("PRAGMA user_version").fetchone() == (3,)
        assert ledger.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert tree(target / "attachments") == tree(app.blobs)
    modes = {path: path.stat().st_mode & 0o777 for path in target.rglob("*")}
    assert set(modes.values()) == {0o600, 0o700}
    blob = next(app.blobs.iterdir())
    assert int((target / "attachments" / blob.name).stat().st_mtime) == int(blob.stat().st_mtime)
    assert not world.leftovers()


def test_sources_stay_byte_for_byte(world: World, app: SampleApp, keys: Keys) -> None:
    """The application's files are the same before and after, and none is added beside them."""
    (world.directory / "out").mkdir()
    before = tree(app.root)
    for _ in range(2):
        outcome = world.run("create", *app.create_arguments, "--to", "out", "-r", keys.recipient)
        assert outcome.code == 0, outcome.err
        assert tree(app.root) == before


def test_restore_keeps_the_old_state(world: World, archive: Path, keys: Keys) -> None:
    """A target that is not empty is refused; --overwrite keeps its old state beside it."""
    target = world.directory / "restored"
    target.mkdir()
    (target / "mine").write_text("old state")
    arguments = ("restore", archive, "-i", keys.identity, "--target", target)
    outcome = world.run(*arguments)
    assert outcome.code == 13 and tree(target).keys() == {"mine"}
    outcome = world.run("--json", *arguments, "--overwrite")
    assert outcome.code == 0, outcome.err
    kept = Path(json.loads(outcome.out)["previous_state"])
    assert kept.name.startswith("restored.pre_restore_")
    assert (kept / "mine").read_text() == "old state"
    assert (target / "ledger.db").exists() and not (target / "mine").exists()


def test_restore_in_part(world: World, archive: Path, keys: Keys) -> None:
    """--only restores what matches, --no-config and --no-tokens leave those out, and say so."""
    target = world.directory / "part"
    arguments = ("restore", archive, "-i", keys.identity, "--target")
    assert world.run(*arguments, target, "--only", "*.db").code == 0
    assert tree(target).keys() == {"ledger.db", "events.db"}
    outcome = world.run(*arguments, world.directory / "bare", "--no-config", "--no-tokens")
    assert outcome.code == 0 and "Left out as asked" in outcome.err
    assert {name.split("/")[0] for name in tree(world.directory / "bare")} == {
        "ledger.db",
        "events.db",
        "attachments",
    }


@pytest.mark.parametrize(("limit", "code"), [("ledger=3", 0), ("ledger=2", 13), ("nothing=1", 13)])
def test_schema_guard(world: World, archive: Path, keys: Keys, limit: str, code: int) -> None:
    """A database newer than the application understands is not restored under it."""
    target = world.directory / "restored"
    arguments = ("restore", archive, "-i", keys.identity, "--target", target)
    assert world.run(*arguments, "--max-user-version", limit).code == code
    assert target.exists() == (code == 0)


def test_inspect_ls_cat(world: World, archive: Path, app: SampleApp, keys: Keys) -> None:
    """One can look into an archive, and take one file out, without restoring it."""
    outcome = world.run("inspect", archive)
    assert outcome.code == 0 and "X25519" in outcome.out and "ledger" in outcome.out
    outcome = world.run("inspect", archive, "-i", keys.identity, "--json")
    found = json.loads(outcome.out)
    assert found["schema"] == "agebackup/inspect/v1"
    assert found["manifest"]["consistency"] == "atomic"
    assert found["manifest"]["proof"] == "before-publishing"
    assert [d["rows"] for d in found["manifest"]["databases"]] == [
        {"attachments": 8, "entries": 50},
        {"events": 50},
    ]
    outcome = world.run("ls", archive, "-i", keys.identity)
    listed = [line.split()[-1] for line in outcome.out.splitlines()]
    assert listed[:2] == ["ledger.db", "events.db"] and "tokens/token" in listed
    outcome = world.run("cat", archive, "tokens/token", "-i", keys.identity)
    assert (outcome.code, outcome.out) == (0, app.token.read_text())
    assert world.run("cat", archive, "no/such", "-i", keys.identity).code == 10
    assert not world.leftovers()


def test_the_report_says_what_was_written(world: World, app: SampleApp, keys: Keys) -> None:
    """--json gives one object on stdout with the archive and its manifest, and nothing else."""
    (world.directory / "out").mkdir()
    outcome = world.run(
        *("--json", "create", *app.create_arguments, "--to", "out", "-r", keys.recipient),
        *("--manual", "--tag", "before-upgrade", "--note", "by hand", "--app-version", "7.1"),
    )
    assert outcome.code == 0, outcome.err
    report = json.loads(outcome.out)
    assert report["schema"] == "agebackup/create/v1" and report["status"] == "ok"
    (result,) = report["results"]
    path = Path(result["path"])
    assert path.stat().st_size == result["size"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.name == result["archive"] and "-manual.tar.age" in path.name
    manifest = result["manifest"]
    assert manifest["kind"] == "manual" and manifest["tag"] == "before-upgrade"
    assert manifest["versions"]["app"] == "7.1"
    assert manifest["payload_files"] == 12
    assert (world.directory / "out" / "AGEBACKUP-RECOVER.txt").exists()


def test_what_was_not_asked_for_is_not_taken(world: World, app: SampleApp, keys: Keys) -> None:
    """Without their flags neither config nor token enter the archive."""
    (world.directory / "out").mkdir()
    outcome = world.run("create", "--db", app.ledger, "--to", "out", "-r", keys.recipient)
    assert outcome.code == 0, outcome.err
    outcome = world.run("ls", outcome.out.strip(), "-i", keys.identity)
    assert [line.split()[-1] for line in outcome.out.splitlines()] == ["ledger.db"]


def test_nothing_readable_in_the_archive(archive: Path) -> None:
    """Not a byte of the application's content is in the archive in plain."""
    assert PLAINTEXT_MARK.encode() not in archive.read_bytes()


def test_compressed(world: World, app: SampleApp, keys: Keys) -> None:
    """--compress zstd says so in the name, verifies, and opens with age, zstd and tar."""
    (world.directory / "out").mkdir()
    outcome = world.run(
        *("create", *app.create_arguments, "--to", "out", "-r", keys.recipient),
        *("--compress", "zstd:5"),
    )
    assert outcome.code == 0, outcome.err
    archive = Path(outcome.out.strip())
    assert archive.name.endswith(".tar.zst.age")
    assert world.run("verify", archive, "-i", keys.identity).code == 0
    assert world.run("verify", "--quick", archive).code == 0
    recipe = 'set -eo pipefail; age -d -i "$0" "$1" | zstd -d | tar x'
    subprocess.run(["bash", "-c", recipe, keys.identity, archive], cwd=world.directory, check=True)
    assert (world.directory / "ledger" / "data" / "ledger.db").exists()


def test_a_named_file_is_replaced(world: World, app: SampleApp, keys: Keys) -> None:
    """--to FILE.age holds the newest archive, 0600, whatever mode the one before had."""
    target = world.directory / "latest.age"
    for mode in (None, 0o644):
        if mode:
            os.chmod(target, mode)
        outcome = world.run("create", "--db", app.ledger, "--to", target, "-r", keys.recipient)
        assert outcome.code == 0, outcome.err
        assert target.stat().st_mode & 0o777 == 0o600
        assert world.run("verify", target, "-i", keys.identity).code == 0


def test_dry_run_touches_nothing(world: World, app: SampleApp, keys: Keys) -> None:
    """--dry-run says what would be done, and writes nothing at all."""
    (world.directory / "out").mkdir()
    outcome = world.run(
        *("create", *app.create_arguments, "--to", "out", "-r", keys.recipient, "--dry-run")
    )
    assert outcome.code == 0, outcome.err
    assert "ledger.db" in outcome.out and "bytes" in outcome.out
    assert not list((world.directory / "out").iterdir())
    assert not world.leftovers()


def test_referenced_attachments(world: World, app: SampleApp, keys: Keys) -> None:
    """A referenced attachment that is missing or different fails the run, and all are named."""
    (world.directory / "out").mkdir()
    arguments = (
        *("create", *app.create_arguments, "--to", "out", "-r", keys.recipient),
        *("--referenced-by", "ledger: SELECT path, sha256 FROM attachments"),
    )
    (app.blobs / "orphan").write_text("nobody names me")
    outcome = world.run("--json", *arguments)
    assert outcome.code == 0, outcome.err
    (tree_record,) = [
        one
        for one in json.loads(outcome.out)["results"][0]["manifest"]["trees"]
        if one["role"] == "attachments"
    ]
    assert (tree_record["referenced"], tree_record["orphans"]) == (8, 1)
    gone, changed, *_ = sorted(path for path in app.blobs.iterdir() if path.name != "orphan")
    gone.unlink()
    changed.write_text("not what its name says")
    outcome = world.run(*arguments)
    assert outcome.code == 1
    assert gone.name in outcome.err and changed.name in outcome.err
    outcome = world.run(*arguments, "--allow-missing")
    assert outcome.code == 3, outcome.err
    outcome = world.run("verify", outcome.out.strip(), "-i", keys.identity)
    assert outcome.code == 0 and "incomplete" in outcome.err


def test_two_runs_of_one_app(world: World, app: SampleApp, keys: Keys) -> None:
    """While one run of an app is at work a second one exits with 11 at once."""
    (world.directory / "out").mkdir()
    arguments = ("create", "--db", app.ledger, "--to", "out", "-r", keys.recipient)
    assert world.run(*arguments).code == 0
    with closing(sqlite3.connect(app.events)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with world.start(*arguments, "--db", app.events, "--app", "ledger") as first:
            until_locked(world, first)
            outcome = world.run(*arguments)
            assert outcome.code == 11, outcome.err
            assert "another run" in outcome.err.lower()
            holder.rollback()
            first.communicate()
    assert first.returncode == 0
