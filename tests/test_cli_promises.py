"""Promises that a careless change would break in silence, each seen being kept."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Keys, Outcome, World
from sample_app import SampleApp


@pytest.fixture
def out(world: World) -> Path:
    directory = world.directory / "out"
    directory.mkdir()
    return directory


def profile(world: World, app: SampleApp, keys: Keys, name: str = "notes", more: str = "") -> str:
    """Return the configuration of one app."""
    return f"""
[apps.{name}]
root = "{app.root}"
attachments = ["blobs"]
recipients = ["{keys.recipient}"]
destination = "{world.directory / "out"}"
{more}
[apps.{name}.databases.ledger]
path = "ledger.db"
"""


def configure(world: World, *apps: str) -> None:
    world.config.parent.mkdir(parents=True, exist_ok=True)
    world.config.write_text("".join(apps))


def archive_of(outcome: Outcome) -> Path:
    assert outcome.code == 0, outcome.err
    return Path(outcome.out.strip())


def test_one_app_without_its_disk_stops_no_other(
    world: World, app: SampleApp, keys: Keys, out: Path
) -> None:
    """A missing attachments directory fails its own app, in a sentence, and no other."""
    lost = profile(world, app, keys, "lost").replace('"blobs"', '"nope"')
    configure(world, lost, profile(world, app, keys, "notes"))
    outcome = world.run("--json", "create", "--all")
    assert outcome.code == 1
    report = json.loads(outcome.out)
    assert [(one["app"], one["exit"]) for one in report["results"]] == [("lost", 1), ("notes", 0)]
    assert "nope cannot be read" in report["error"]["message"]


def test_a_single_failure_has_results_too(world: World, keys: Keys, out: Path) -> None:
    """Scripts find the same shape for one app and for many, for success and failure."""
    outcome = world.run("--json", "create", "--db", "nope.db", "--to", out, "-r", keys.recipient)
    report = json.loads(outcome.out)
    assert report["exit"] == outcome.code == 1
    assert len(report["results"]) == 1 and report["error"]["message"]


def test_cat_takes_paths_as_ls_shows_them(world: World, app: SampleApp, keys: Keys) -> None:
    """A directory that is called data is no trap: cat gives the very file that ls names."""
    state = world.directory / "state"
    (state / "data").mkdir(parents=True)
    (state / "f.txt").write_text("outer")
    (state / "data" / "f.txt").write_text("inner")
    (world.directory / "out").mkdir()
    configure(
        world,
        f'[apps.x]\nroot = "{state}"\nattachments = ["."]\nrecipients = ["{keys.recipient}"]\n',
    )
    archive = archive_of(world.run("create", "x", "--to", "out"))
    listed = world.run("ls", archive, "-i", keys.identity).out.split()
    assert "data/f.txt" in listed and "f.txt" in listed
    for path, text in (("f.txt", "outer"), ("data/f.txt", "inner")):
        assert world.run("cat", archive, path, "-i", keys.identity).out == text


@pytest.mark.parametrize(
    "flags",
    [
        ("notes", "--app", "other"),
        ("notes", "--attachments-named-by", "sha256"),
        ("notes", "--referenced-by", "ledger: SELECT 1"),
        ("notes", "--db", "x.db"),
        ("--db", "app/ledger.db", "--include-tokens"),
        ("--db", "app/ledger.db", "--include-config"),
    ],
)
def test_no_flag_is_ignored(
    world: World, app: SampleApp, keys: Keys, out: Path, flags: tuple[str, ...]
) -> None:
    """A flag that cannot have an effect is refused, not silently dropped."""
    configure(world, profile(world, app, keys))
    outcome = world.run("create", *flags, "--to", out, "-r", keys.recipient)
    assert outcome.code == 2 and not list(out.iterdir())


def test_the_profile_guards_a_restore(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """A database newer than the profile's max_user_version is refused, unless a flag allows it."""
    configure(world, profile(world, app, keys) + "max_user_version = 2\n")
    archive = archive_of(world.run("create", "notes"))
    words = ("restore", archive, "-i", keys.identity, "--target", world.directory / "back")
    outcome = world.run(*words)
    assert outcome.code == 13 and "user_version 3" in outcome.err
    assert world.run(*words, "--max-user-version", "ledger=3").code == 0


def test_a_dry_run_makes_nothing(world: World, app: SampleApp, keys: Keys) -> None:
    """--dry-run makes no destination, runs no command of the app, and refuses what would fail."""
    words = ("create", "--dry-run", "--mkdir", "--to", "new/backups", "-r", keys.recipient)
    assert world.run(*words, "--db", app.ledger).code == 0
    assert not (world.directory / "new").exists()
    assert world.run(*words, "--db", app.config).code == 1
    assert world.run(*words, "--db", "nope.db").code == 1
    version = f'version = ["touch", "{world.directory / "ran"}"]'
    configure(world, profile(world, app, keys, more=version))
    assert world.run("create", "--dry-run", "notes", "--mkdir").code == 0
    assert not (world.directory / "ran").exists()


def test_a_version_that_cannot_be_had(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """The app's version is only for the record: without it the backup is made all the same."""
    configure(world, profile(world, app, keys, more='version = ["false"]'))
    outcome = world.run("create", "notes")
    assert outcome.code == 0 and "version" in outcome.err


def test_only_what_matches_nothing(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """A misspelt --only restores nothing and says so, and never empties a target."""
    words = ("create", "--db", app.ledger, "--db", app.events, "--to", out, "-r", keys.recipient)
    archive = archive_of(world.run(*words))
    target = world.directory / "target"
    target.mkdir()
    (target / "mine").touch()
    restore = ("restore", archive, "-i", keys.identity, "--target", target, "--overwrite")
    outcome = world.run(*restore, "--only", "legder.db")
    assert outcome.code == 10 and os.listdir(target) == ["mine"]
    outcome = world.run(*restore, "--only", "ledger.db")
    assert outcome.code == 0 and "databases: ledger.db." in outcome.err


@pytest.mark.linux
def test_a_restore_that_cannot_be_told(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """A full stdout does not turn a restore that is done into a failure."""
    archive = archive_of(world.run("create", "--db", app.ledger, "--to", out, "-r", keys.recipient))
    target = world.directory / "back"
    with open("/dev/full", "w") as full:
        outcome = world.run(
            "restore", archive, "-i", keys.identity, "--target", target, stdout=full
        )
    assert outcome.code == 0 and (target / "ledger.db").exists()


def test_an_empty_attachments_directory_is_noticed(
    world: World, app: SampleApp, keys: Keys, out: Path
) -> None:
    """A tree that had files in the last run and has none now is said: its disk may be missing."""
    words = ("create", "--attachments", app.blobs, "--app", "x", "--to", out, "-r", keys.recipient)
    assert "Is its disk mounted" not in world.run(*words).err
    for file in app.blobs.iterdir():
        file.unlink()
    outcome = world.run(*words)
    assert outcome.code == 0 and "the last archive had 8" in outcome.err


def test_a_secret_in_the_wrong_place_is_not_echoed(
    world: World, app: SampleApp, keys: Keys, out: Path
) -> None:
    """A private key given where a file was expected is never shown."""
    secret = keys.identity.read_text().splitlines()[-1]
    archive = archive_of(world.run("create", "--db", app.ledger, "--to", out, "-r", keys.recipient))
    for words in (
        ("restore", archive, secret, "--target", "x"),
        ("verify", secret),
        ("--json", "verify", secret),
        ("ls", secret, "-i", keys.identity),
        ("verify", archive, "-i", secret),
        ("verify", archive, "--passphrase-fd", secret),
        ("verify", archive, "-i", keys.identity, "--passphrase-fd", secret[16:]),
        ("create", "--db", secret, "--to", out, "-r", keys.recipient),
    ):
        outcome = world.run(*words)
        assert outcome.code
        assert secret[16:] not in outcome.out + outcome.err, words


def test_declared_recipients_are_keys(
    world: World, app: SampleApp, keys: Keys, other_keys: Keys, out: Path
) -> None:
    """A file that is called like a declared recipient does not change who can read the archive."""
    (world.directory / keys.recipient).write_text(other_keys.recipient)
    configure(world, profile(world, app, keys))
    archive = archive_of(world.run("create", "notes"))
    assert world.run("verify", archive, "-i", keys.identity).code == 0
    assert world.run("verify", archive, "-i", other_keys.identity).code == 12


def test_nothing_is_imported_from_the_current_directory(world: World) -> None:
    """Files in the current directory, a cloud folder perhaps, are never run as code."""
    for name in ("agebackup.py", "click.py", "platformdirs.py", "msgspec.py"):
        (world.directory / name).write_text("raise SystemExit('HIJACKED')")
    script = Path(sys.executable).with_name("agebackup")
    start = [str(script)] if script.exists() else [sys.executable, "-P", "-m", "agebackup"]
    env = {**world.env, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [*start, "keygen", "-o", "key.txt"],
        cwd=world.directory,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("age1")


def test_a_workspace_in_the_destination_is_not_made(
    world: World, app: SampleApp, keys: Keys, out: Path
) -> None:
    """What is refused is refused before anything is made."""
    words = ("create", "--db", app.ledger, "--to", out, "-r", keys.recipient)
    assert world.run(*words, "--workspace", out / "work").code == 13
    assert not list(out.iterdir())


def test_a_count_that_cannot_be_recorded(
    world: World, app: SampleApp, keys: Keys, out: Path
) -> None:
    """A count that gives infinity or no text fails with its name, not as a broken proof."""
    for sql in ("SELECT 9e999", "SELECT CAST(x'ff' AS TEXT)", "SELECT 1, 2"):
        configure(world, profile(world, app, keys) + f'counts = {{odd = "{sql}"}}\n')
        outcome = world.run("create", "notes")
        assert outcome.code == 1 and "count" in outcome.err
        assert not list(out.glob("*.age"))


@pytest.mark.parametrize(("flag", "text"), [("--note", "a\x1b[2Jb"), ("--tag", "two words")])
def test_labels_are_plain(
    world: World, app: SampleApp, keys: Keys, out: Path, flag: str, text: str
) -> None:
    """A note or tag that could not be shown or found again is refused."""
    words = ("create", "--db", app.ledger, "--to", out, "-r", keys.recipient)
    assert world.run(*words, flag, text).code == 2


def test_many_databases(world: World, keys: Keys, out: Path) -> None:
    """A hundred and more workspaces fit into one archive under the usual limit of open files."""
    arguments: list[object] = []
    for number in range(120):
        path = world.directory / f"space{number}.db"
        with closing(sqlite3.connect(path)) as made:
            made.execute("CREATE TABLE t (x)")
        arguments += ["--db", path]
    limited = ["prlimit", "--nofile=256:4096", sys.executable, "-m", "agebackup"]
    words = ["create", *map(str, arguments), "--to", str(out), "-r", keys.recipient]
    done = subprocess.run(
        [*limited, *words],
        cwd=world.directory,
        env=dict(world.env),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_database_with_an_index_over_json(world: World, keys: Keys, out: Path) -> None:
    """What SQLite keeps of JSON is backed up, verified and restored like anything else."""
    with closing(sqlite3.connect(world.directory / "a.db")) as connection:
        connection.execute("CREATE TABLE notes (body TEXT)")
        connection.execute("CREATE INDEX by_title ON notes (json_extract(body, '$.title'))")
        connection.execute("INSERT INTO notes VALUES ('{\"title\": 1}')")
        connection.commit()
    made = world.run("create", "--db", "a.db", "--to", out, "-r", keys.recipient)
    assert made.code == 0, made.err
    archive = made.out.strip()
    assert world.run("verify", archive, "-i", keys.identity).code == 0
    done = world.run("restore", archive, "-i", keys.identity, "--target", "back")
    assert done.code == 0, done.err
