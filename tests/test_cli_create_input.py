"""create: what it refuses before it writes anything, with the sentence and the exit code."""

import os
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from conftest import Keys, Outcome, World
from sample_app import SampleApp, command


def create(world: World, app: SampleApp, *more: object, to: object = "out") -> Outcome:
    """Run create on the sample's databases into the directory `to`."""
    return world.run("create", "--db", app.ledger, "--db", app.events, "--to", to, *more)


def refused(world: World, outcome: Outcome, code: int, *words: str) -> None:
    """Check that a run ended with `code`, one clear message, and nothing left behind."""
    assert outcome.code == code, outcome.err
    assert not outcome.out
    for word in words:
        assert word in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.err.startswith("agebackup: ")
    assert not world.leftovers()
    assert not list(world.directory.rglob("*.tar.age"))


@pytest.fixture
def out(world: World) -> Path:
    directory = world.directory / "out"
    directory.mkdir()
    return directory


def test_no_recipient(world: World, app: SampleApp, out: Path) -> None:
    """Without a recipient nothing is written, and the person learns how to give one."""
    refused(world, create(world, app), 2, "recipient", "-r")


@pytest.mark.parametrize("flag", ["-r", "-R"])
def test_recipient_file_absent(world: World, app: SampleApp, out: Path, flag: str) -> None:
    """A recipients file that does not exist is named."""
    refused(world, create(world, app, flag, "keys/backup.txt"), 2, "keys/backup.txt")


@pytest.mark.parametrize("flag", ["-r", "-R"])
def test_recipient_file_is_a_directory(world: World, app: SampleApp, out: Path, flag: str) -> None:
    """A directory given as recipients file is called a directory."""
    refused(world, create(world, app, flag, out), 2, "directory")


def test_recipient_file_is_a_loop(world: World, app: SampleApp, out: Path) -> None:
    """A loop of symlinks is said as itself, not taken for a bad key."""
    (world.directory / "loop").symlink_to("loop")
    refused(world, create(world, app, "-r", "loop"), 2, "symbolic links")


def test_recipient_file_empty(world: World, app: SampleApp, out: Path) -> None:
    """An empty recipients file is named as the reason why there is no recipient."""
    (world.directory / "keys.txt").write_text("# nobody yet\n\n")
    refused(world, create(world, app, "-r", "keys.txt"), 2, "keys.txt")


def test_recipient_file_with_a_bad_line(
    world: World, app: SampleApp, out: Path, keys: Keys
) -> None:
    """A bad line in a recipients file is named by file and line."""
    (world.directory / "keys.txt").write_text(f"{keys.recipient}\nage1nonsense\n")
    outcome = create(world, app, "-r", "keys.txt")
    refused(world, outcome, 2, "keys.txt")
    assert re.search(r"keys\.txt.*(:|line )\s*2", outcome.err)


@pytest.mark.parametrize("given", ["literal", "file"])
def test_secret_key_as_recipient(
    world: World, app: SampleApp, out: Path, keys: Keys, given: str
) -> None:
    """A private key given as recipient is refused without one character of it being shown."""
    secret = keys.identity.read_text().splitlines()[-1]
    (world.directory / "keys.txt").write_text(secret + "\n")
    outcome = create(world, app, "-r", secret if given == "literal" else "keys.txt")
    refused(world, outcome, 2)
    assert secret[20:40] not in outcome.err


def test_a_file_named_like_a_key_is_a_file(
    world: World, app: SampleApp, out: Path, keys: Keys
) -> None:
    """What exists as a file is a file, whatever its name begins with."""
    (world.directory / "age1-mine.txt").write_text(keys.recipient + "\n")
    assert create(world, app, "-r", "age1-mine.txt").code == 0


def test_destination_absent(world: World, app: SampleApp, keys: Keys) -> None:
    """An absent destination is not made by itself: an unmounted drive looks like this."""
    refused(world, create(world, app, "-r", keys.recipient), 10, "--mkdir")
    assert not (world.directory / "out").exists()
    assert create(world, app, "-r", keys.recipient, "--mkdir").code == 0
    assert (world.directory / "out").stat().st_mode & 0o777 == 0o700


@contextmanager
def mounted(point: Path, *options: str) -> Iterator[Path]:
    """Mount a file system in memory at `point`."""
    point.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", point], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", "-l", point], check=True)


@pytest.mark.linux
def test_destination_read_only(world: World, app: SampleApp, keys: Keys) -> None:
    """A destination that can only be read is called that, and nothing is left."""
    with mounted(world.directory / "out", "-o", "ro"):
        refused(world, create(world, app, "-r", keys.recipient), 1, "only be read")


@pytest.mark.linux
def test_destination_too_small(world: World, app: SampleApp, keys: Keys) -> None:
    """Too little space is refused before anything is written, with both figures."""
    with mounted(world.directory / "out", "-o", "size=16k"):
        outcome = create(world, app, "-r", keys.recipient)
        refused(world, outcome, 1, "too little space")
        assert len(re.findall(r"\d[\d,]* (?:bytes|are free)", outcome.err)) >= 2


@pytest.mark.linux
def test_destination_unwritable(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """A destination where this user may not write is called that."""
    os.chmod(out, 0o555)
    powerless = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--")
    words = ("create", "--db", app.ledger, "--to", out, "-r", keys.recipient)
    done = subprocess.run(
        [*powerless, *command(), *map(str, words)],
        cwd=world.directory,
        env=dict(world.env),
        capture_output=True,
        text=True,
        check=False,
    )
    refused(world, Outcome(done.returncode, done.stdout, done.stderr), 1, "not allowed")


def test_destination_is_the_database(world: World, app: SampleApp, keys: Keys) -> None:
    """The live database is never the archive's target: by path, symlink or hard link."""
    named = app.root / "ledger.db.age"
    for make in (os.link, os.symlink):
        make(app.ledger, named)
        before = app.ledger.read_bytes()
        outcome = create(world, app, "-r", keys.recipient, "--overwrite", to=named)
        refused(world, outcome, 13, "being backed up")
        assert app.ledger.read_bytes() == before
        named.unlink()
    os.rename(app.ledger, named)
    outcome = world.run(
        *("create", "--db", named, "--to", named, "--overwrite", "-r", keys.recipient)
    )
    refused(world, outcome, 13, "being backed up")


@pytest.mark.linux
def test_destination_is_the_database_by_bind_mount(
    world: World, app: SampleApp, keys: Keys, out: Path
) -> None:
    """The live database is recognised under a bind mount."""
    target = out / "x.age"
    target.touch()
    subprocess.run(["mount", "--bind", app.ledger, target], check=True)
    try:
        outcome = create(world, app, "-r", keys.recipient, "--overwrite", to=target)
        refused(world, outcome, 13, "being backed up")
    finally:
        subprocess.run(["umount", target], check=True)


@pytest.mark.parametrize("way", ["path", "symlink", "same"])
def test_destination_inside_the_source(world: World, app: SampleApp, keys: Keys, way: str) -> None:
    """A destination inside the attachments is refused: each archive would hold the others."""
    to = app.blobs if way == "same" else app.blobs / "backups"
    to.mkdir(exist_ok=True)
    if way == "symlink":
        (world.directory / "link").symlink_to(to)
        to = world.directory / "link"
    outcome = create(world, app, "--attachments", app.blobs, "-r", keys.recipient, to=to)
    refused(world, outcome, 13, "inside")


def test_workspace_inside_the_destination(
    world: World, app: SampleApp, keys: Keys, out: Path
) -> None:
    """Private copies are never put where a cloud client would carry them away."""
    outcome = create(world, app, "-r", keys.recipient, "--workspace", out / "work")
    refused(world, outcome, 13, "not encrypted")


def test_a_file_in_the_way(world: World, app: SampleApp, keys: Keys) -> None:
    """--to FILE.age replaces no file that is not an age file."""
    (world.directory / "thesis.age").write_text("years of work")
    outcome = create(world, app, "-r", keys.recipient, to="thesis.age")
    refused(world, outcome, 13, "--overwrite")
    assert (world.directory / "thesis.age").read_text() == "years of work"


@pytest.mark.parametrize(
    ("content", "word"),
    [(None, "no database"), (b"", "empty"), (b"no database at all, just text" * 40, "not a")],
)
def test_database_that_is_none(
    world: World, keys: Keys, out: Path, content: bytes | None, word: str
) -> None:
    """A missing, empty or foreign file is never backed up as if it were the database."""
    path = world.directory / "app.db"
    if content is not None:
        path.write_bytes(content)
    outcome = world.run("create", "--db", path, "--to", out, "-r", keys.recipient)
    refused(world, outcome, outcome.code, word)
    assert outcome.code in (1, 2, 10)


def test_database_locked(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """A database that stays locked is named, with exit code 11, after the time-out."""
    with closing(sqlite3.connect(app.events)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        outcome = create(world, app, "-r", keys.recipient, "--lock-timeout", "0.2")
    refused(world, outcome, 11, "events.db")


def test_undeclared_database_among_attachments(
    world: World, app: SampleApp, keys: Keys, out: Path
) -> None:
    """A live database among attachments is not copied as bytes, which would tear it."""
    (app.blobs / "sub").mkdir()
    for number in range(25):
        with closing(sqlite3.connect(app.blobs / "sub" / f"{number:02}.db")) as other:
            other.execute("CREATE TABLE t (x)")
            if number == 3:  # larger than what is read at once
                other.execute("INSERT INTO t VALUES (zeroblob(3000000))")
            other.commit()
    words = ("--attachments", app.blobs, "-r", keys.recipient)
    outcome = create(world, app, *words)
    refused(world, outcome, 13, "attachments/sub/03.db", "and 5 more", "--raw-sqlite")
    assert create(world, app, *words, "--exclude", "sub/").code == 0
    assert create(world, app, *words, "--raw-sqlite").code == 0


@pytest.mark.parametrize("name", ["Notes", "-x", "a_b", "", "a" * 41])
def test_app_names(world: World, app: SampleApp, keys: Keys, out: Path, name: str) -> None:
    """A name that would not survive every file system is refused as an app's name."""
    refused(world, create(world, app, "-r", keys.recipient, "--app", name), 2, "app's name")


def test_a_stem_without_letters_needs_a_name(world: World, keys: Keys, out: Path) -> None:
    """Where no app name can be made of the database's, one is asked for."""
    path = world.directory / "…….db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE t (x)")
    outcome = world.run("create", "--db", path, "--to", out, "-r", keys.recipient)
    refused(world, outcome, 2, "--app")


def test_two_sources_at_one_place(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """Two databases that would lie at one place are refused, and NAME=PATH is the way out."""
    other = world.directory / "other"
    other.mkdir()
    with closing(sqlite3.connect(other / "ledger.db")) as made:
        made.execute("CREATE TABLE t (x)")
    more = ("--db", other / "ledger.db", "-r", keys.recipient)
    refused(world, create(world, app, *more), 2, "ledger.db")
    named = ("--db", f"second={other / 'ledger.db'}", "-r", keys.recipient)
    assert create(world, app, *named).code == 0


def test_nothing_to_back_up(world: World, keys: Keys, out: Path) -> None:
    """A run without any source is a mistake, not an empty backup."""
    refused(world, world.run("create", "--to", out, "-r", keys.recipient), 2)
