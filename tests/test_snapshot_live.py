"""What is refused of a live database before SQLite touches it, and what is left beside it."""

import os
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from live_databases import (
    NOBODY,
    as_nobody,
    content,
    copied,
    crashed,
    make,
    public_directory,
    source,
)

from agebackup.errors import AgebackupError, FailedError, UsageError
from agebackup.snapshot.database import estimated_bytes
from agebackup.snapshot.live import all_files


def refusal(path: Path, *others: Path) -> AgebackupError:
    """Return what copying `path` raises; nothing beside it may have changed."""
    before = sorted(os.listdir(path.parent))
    with pytest.raises(AgebackupError) as error, copied(path, *others):
        pass
    assert sorted(os.listdir(path.parent)) == before
    return error.value


def encrypted(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(8192))


def header_in_plaintext(path: Path) -> None:
    make(path)
    intact = path.read_bytes()
    path.write_bytes(intact[:16] + random.Random(1).randbytes(len(intact) - 16))


def damaged_interior(path: Path) -> None:
    make(path, rows=2000)
    intact = path.read_bytes()
    path.write_bytes(intact[: 20 * 4096] + bytes(4096) + intact[21 * 4096 :])


def cut(path: Path) -> None:
    make(path)
    os.truncate(path, path.stat().st_size // 2)


def looped(path: Path) -> None:
    path.symlink_to(path.name)


def listening(path: Path) -> None:
    short = Path(os.path.relpath(path))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(short if len(str(short)) < len(str(path)) else path))


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (lambda path: None, "There is no database"),
        (lambda path: path.write_bytes(b""), "is empty: 0 bytes"),
        (lambda path: path.write_text("not a database\n" * 300), "is not a SQLite database"),
        (lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(50)), "was cut: only 66 bytes"),
        (lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(8000)), "encrypted or damaged"),
        (encrypted, "looks encrypted"),
        (header_in_plaintext, "is encrypted or damaged"),
        (damaged_interior, "is corrupt: "),
        (cut, "is corrupt: "),
        (Path.mkdir, "is not a regular file"),
        (os.mkfifo, "is not a regular file"),
        (looped, "leads back to itself"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_sound_database_is_refused_with_its_own_sentence(
    tmp_path: Path, prepare: Callable[[Path], object], sentence: str
) -> None:
    """A person is told what is wrong with a source, by name, and nothing is made of it."""
    path = tmp_path / "a\x1b.db"
    prepare(path)
    error = refusal(path)
    assert type(error) is FailedError
    assert sentence in error.message
    assert "a\\x1b.db" in error.message


def test_a_path_through_a_file_is_no_database(tmp_path: Path) -> None:
    """A mistyped path is not taken for anything else."""
    path = make(tmp_path / "a.db")
    with pytest.raises(FailedError, match="not a directory"), copied(path / "b.db"):
        pass


def test_what_integrity_check_said_of_a_corrupt_source_is_passed_on(tmp_path: Path) -> None:
    """The first finding is in the message, all of them are among the details."""
    damaged_interior(tmp_path / "a.db")
    error = refusal(tmp_path / "a.db")
    assert error.details
    assert error.details[0] in error.message
    assert "recover" in error.hint


def test_a_source_whose_copy_would_be_sound_is_looked_at_too(tmp_path: Path) -> None:
    """Damage that VACUUM INTO silently leaves behind is found in the source itself."""
    path = make(tmp_path / "a.db")
    intact = path.read_bytes()
    path.write_bytes(intact[:36] + (9).to_bytes(4, "big") + intact[40:])  # a freelist of 9 pages
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(tmp_path / "sound.db"),))
    with copied(tmp_path / "sound.db"):
        pass
    assert "is corrupt: " in refusal(path).message


def test_a_hot_journal_is_refused_and_not_rolled_back(tmp_path: Path) -> None:
    """A crash's traces are the application's to mend; also when several databases are locked."""
    path = crashed(tmp_path)
    other = make(tmp_path / "other.db")
    before = {name: (tmp_path / name).read_bytes() for name in ("a.db", "a.db-journal")}
    for paths in ((path,), (path, other), (other, path)):
        error = refusal(*paths)
        assert "hot rollback journal" in error.message
        assert {name: (tmp_path / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_one_database_under_two_names_is_refused(
    tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    """Naming a database twice, by hard link or symlink, is a mistake that is pointed out."""
    path = make(tmp_path / "a.db")
    link(path, tmp_path / "b.db")
    error = refusal(path, tmp_path / "b.db")
    assert isinstance(error, UsageError)
    assert "same database" in error.message


def test_an_unreadable_database_is_refused() -> None:
    """Permission denied is said as itself."""
    with public_directory() as directory:
        make(directory / "a.db").chmod(0o600)
        with pytest.raises(FailedError, match="may not be read by this user"):
            as_nobody(lambda: refusal_raised(directory / "a.db"))


def refusal_raised(path: Path, *others: Path) -> None:
    with copied(path, *others):
        pass


@pytest.mark.parametrize("directory_mode", [0o777, 0o755])
def test_a_wal_database_of_somebody_else_is_refused_where_files_would_be_made(
    directory_mode: int,
) -> None:
    """A `-wal` or `-shm` made by another user would lock the owner out of his own database."""
    with public_directory() as directory:
        make(directory / "a.db", mode="wal").chmod(0o666)
        directory.chmod(directory_mode)
        with pytest.raises(FailedError, match="WAL mode, and this user may not make or remove"):
            as_nobody(lambda: refusal_raised(directory / "a.db"))
        assert os.listdir(directory) == ["a.db"]


def test_a_wal_that_may_not_be_read_is_refused() -> None:
    """The newest rows are in the -wal: a copy without them would be an old state."""
    with public_directory() as directory:
        path = make(directory / "a.db", mode="wal")
        with closing(sqlite3.connect(path)) as application:
            application.execute("INSERT INTO plain VALUES (1)")
            application.commit()
            os.chmod(f"{path}-wal", 0o600)
            with pytest.raises(FailedError, match="its -wal may not be read"):
                as_nobody(lambda: refusal_raised(path))


def test_somebody_elses_running_wal_database_can_be_copied() -> None:
    """A backup user who may read everything gets the newest rows of a running application."""
    with public_directory() as directory:
        path = make(directory / "a.db", mode="wal", rows=10)
        with closing(sqlite3.connect(path)) as application:
            application.execute("INSERT INTO plain VALUES ('newest')")
            application.commit()
            before = content(directory)
            assert as_nobody(lambda: has_newest(path))
            assert content(directory) == before


def has_newest(path: Path) -> bool:
    with copied(path) as (copy,):
        row = copy.connection.execute("SELECT count(*) FROM plain WHERE value = 'newest'")
        return bool(row.fetchone()[0])


def test_databases_that_may_not_be_written_can_be_copied_one_by_one_only() -> None:
    """One instant needs locks, and those need the right to write: said, with the way out."""
    with public_directory() as directory:
        paths = [make(directory / name) for name in ("a.db", "b.db")]
        error = as_nobody(lambda: explanation(*paths))
        assert "may not be written by this user" in error
        assert "per-database" in error
        assert as_nobody(lambda: copied_one_by_one(paths)) == 2


def explanation(*paths: Path) -> str:
    with pytest.raises(FailedError) as error, copied(*paths):
        pass
    return f"{error.value.message} {error.value.hint}"


def copied_one_by_one(paths: list[Path]) -> int:
    with copied(*paths, consistency="per-database") as copies:
        return len(copies)


@pytest.mark.parametrize("mode", ["wal", "delete", "truncate", "persist"])
@pytest.mark.parametrize("names", [("a.db",), ("a.db", "b.db")])
def test_sources_at_rest_stay_as_they_were(
    tmp_path: Path, mode: str, names: tuple[str, ...]
) -> None:
    """Not a byte, not a time, not a file more: no -wal and no -shm where there was none."""
    paths = [make(tmp_path / name, mode=mode) for name in names]
    before, times = content(tmp_path), [path.stat().st_mtime_ns for path in paths]
    with copied(*paths):
        assert content(tmp_path) == before
    assert [path.stat().st_mtime_ns for path in paths] == times


@pytest.mark.parametrize("with_shm", [True, False])
def test_a_wal_left_by_a_crash_stays_and_is_in_the_copy(tmp_path: Path, with_shm: bool) -> None:
    """What only the -wal holds is copied, and the -wal neither emptied nor joined by a -shm."""
    running, left = tmp_path / "running", tmp_path / "left"
    for directory in (running, left):
        directory.mkdir()
    path = make(running / "a.db", mode="wal")
    with closing(sqlite3.connect(path)) as application:
        application.execute("INSERT INTO plain VALUES ('newest')")
        application.commit()
        for suffix in ("", "-wal", "-shm") if with_shm else ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{left}/a.db{suffix}")
    before = content(left)
    assert has_newest(left / "a.db")
    assert content(left) == before


def test_what_a_running_application_needs_is_not_removed(tmp_path: Path) -> None:
    """An application that starts during the copy keeps the -wal and -shm that it shares with us."""
    path = make(tmp_path / "a.db", mode="wal")
    with closing(sqlite3.connect(path)) as application:
        with copied(path):
            pass
        application.execute("INSERT INTO plain VALUES ('later')")
        application.commit()
        assert sorted(os.listdir(tmp_path)) == ["a.db", "a.db-shm", "a.db-wal"]
    assert os.listdir(tmp_path) == ["a.db"]


def test_what_a_killed_run_made_is_removed_by_the_next(tmp_path: Path) -> None:
    """An empty -wal with its -shm, as a reader that was killed leaves them, goes with the next."""
    path = make(tmp_path / "a.db", mode="wal")
    script = "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], uri=True); "
    script += "c.execute('SELECT * FROM plain'); os._exit(0)"
    uri = f"{path.as_uri()}?mode=ro"
    subprocess.run([sys.executable, "-c", script, uri], check=True)
    assert sorted(os.listdir(tmp_path)) == ["a.db", "a.db-shm", "a.db-wal"]
    with copied(path):
        pass
    assert os.listdir(tmp_path) == ["a.db"]


def test_identities_and_sizes_of_a_database_and_its_companions(tmp_path: Path) -> None:
    """A tree that holds a database leaves out all its files; the space needed is never too low."""
    path = make(tmp_path / "a.db", mode="wal")
    with closing(sqlite3.connect(path)) as application:
        application.execute("INSERT INTO plain VALUES (1)")
        application.commit()
        stats = [(tmp_path / name).stat() for name in ("a.db", "a.db-wal", "a.db-shm")]
        assert all_files(path) == tuple((status.st_dev, status.st_ino) for status in stats)
        assert estimated_bytes([source(path)]) == stats[0].st_size + stats[1].st_size
        with copied(path) as (copy,):
            assert copy.files == all_files(path)
            assert copy.size <= estimated_bytes([source(path)])


def test_files_made_for_reading_are_not_taken_for_the_databases_own(tmp_path: Path) -> None:
    """Their inodes are free again and may be a new attachment's, which must not be left out."""
    path = make(tmp_path / "a.db", mode="wal")
    with copied(path) as (copy,):
        assert copy.files == all_files(path)
        assert len(copy.files) == 1


def test_root_leaves_the_companions_to_their_owner() -> None:
    """Root's copy of somebody's WAL database leaves nothing that the owner could not open."""
    with public_directory() as directory:
        path = make(directory / "a.db", mode="wal")
        os.chown(path, NOBODY, NOBODY)
        assert not has_newest(path)
        assert os.listdir(directory) == ["a.db"]
