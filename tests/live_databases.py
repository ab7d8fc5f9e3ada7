"""Databases to copy in tests, and the shortest way to copy them."""

import os
import pickle
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from agebackup.model.source import Consistency, DatabaseSource
from agebackup.snapshot.database import DatabaseCopy, copied_databases
from agebackup.system.progress import Progress

T = TypeVar("T")
NOBODY = 65534

SCHEMA = """
CREATE TABLE entries (id INTEGER PRIMARY KEY, name TEXT NOT NULL, body BLOB);
CREATE INDEX entries_by_name ON entries (name);
CREATE TABLE tags (name TEXT PRIMARY KEY, note TEXT);
CREATE TABLE plain (value);
PRAGMA user_version = 7;
PRAGMA application_id = 4711;
"""


def make(path: Path, *, mode: str = "delete", rows: int = 200, script: str = "") -> Path:
    """Make a database with holes in its rowids; it is closed and nobody uses it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(f"PRAGMA journal_mode={mode}")
        connection.executescript(SCHEMA + script)
        connection.execute("BEGIN")
        for number in range(rows):
            name = f"name {number}"
            connection.execute("INSERT INTO entries VALUES (?, ?, ?)", (number, name, b"x" * 300))
            connection.execute("INSERT INTO tags VALUES (?, 'note')", (name,))
            connection.execute("INSERT INTO plain VALUES (?)", (number,))
        connection.execute("DELETE FROM tags WHERE rowid % 3 = 0")
        connection.execute("DELETE FROM plain WHERE rowid % 5 = 0")
        connection.execute("COMMIT")
    return path


def make_large(path: Path, *, mode: str = "wal", megabytes: int = 60) -> Path:
    """Make a database whose copy takes long enough to be interrupted."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(f"PRAGMA journal_mode={mode}")
        connection.execute("CREATE TABLE blobs (name TEXT PRIMARY KEY, content BLOB)")
        connection.execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
            "INSERT INTO blobs SELECT 'blob ' || i, zeroblob(10000) FROM n",
            (megabytes * 100,),
        )
    return path


def make_endless(path: Path) -> Path:
    """Make a small database whose integrity check takes minutes: a hostile one."""
    index = "length(hex(zeroblob(300000 + x)))"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(f"CREATE TABLE slow (x); CREATE INDEX i ON slow ({index});")
        row = connection.execute("SELECT * FROM sqlite_master WHERE name = 'i'").fetchone()
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("DELETE FROM sqlite_master WHERE name = 'i'")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO slow VALUES (?)", ((n,) for n in range(50000)))
        connection.execute("COMMIT")
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)
    return path


def crashed(directory: Path) -> Path:
    """Return a database as it lies on the disk after a crash in the middle of a write."""
    (directory / "before").mkdir()
    path = make(directory / "before" / "a.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as application:
        application.execute("PRAGMA cache_size=1")
        application.execute("BEGIN")
        application.execute("UPDATE entries SET body = randomblob(400)")
        for name in ("a.db", "a.db-journal"):
            (directory / name).write_bytes((directory / "before" / name).read_bytes())
    return directory / "a.db"


def source(path: Path) -> DatabaseSource:
    """Declare the database at `path` under its file's name."""
    return DatabaseSource(path.name, path, f"data/{path.name}")


@contextmanager
def copied(
    *paths: Path,
    consistency: Consistency = "atomic",
    seconds: float = 10,
    progress: Progress | None = None,
) -> Iterator[tuple[DatabaseCopy, ...]]:
    """Copy `paths` by way of a workspace of their own, which must be empty while they are open."""
    workspace = Path(tempfile.mkdtemp(prefix="workspace-"))
    try:
        with copied_databases(
            [source(path) for path in paths],
            workspace,
            consistency=consistency,
            lock_seconds=seconds,
            progress=progress or Progress(),
        ) as copies:
            assert os.listdir(workspace) == []
            yield copies
        assert os.listdir(workspace) == []
    finally:
        shutil.rmtree(workspace)


def content(directory: Path) -> dict[str, bytes]:
    """Return every file in `directory` but the `-shm` ones, which are SQLite's shared memory."""
    return {
        path.name: b"" if path.name.endswith("-shm") else path.read_bytes()
        for path in directory.iterdir()
    }


def copy_bytes(copy: DatabaseCopy) -> bytes:
    """Return the bytes that the archive would take from `copy`."""
    return os.pread(copy.descriptor, copy.size + 1, 0)


@contextmanager
def public_directory() -> Iterator[Path]:
    """Yield a directory that every user may enter, which pytest's own are not."""
    path = Path(tempfile.mkdtemp(prefix="public-"))
    try:
        path.chmod(0o777)
        yield path
    finally:
        shutil.rmtree(path)


def as_nobody(function: Callable[[], T]) -> T:
    """Run `function` as a user without rights, in a child; return or raise what it does."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            outcome: object = function()
        except Exception as error:
            outcome = error
        os.write(writing, pickle.dumps(outcome))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        outcome = pickle.loads(pipe.read())
    os.waitpid(child, 0)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome  # type: ignore[return-value]
