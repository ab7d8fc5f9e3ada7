"""Whether a live database is in use, what it says, and that neither question leaves a trace."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from live_app import execute, value
from test_cli_inplace_guards import holding

from agebackup.errors import BusyError, FailedError, RefusedError
from agebackup.model.source import DatabaseSource
from agebackup.operations.unused import require_unused
from agebackup.snapshot.closing import bring_to_rest
from agebackup.snapshot.holding import is_locked
from agebackup.snapshot.present import ask
from agebackup.system.progress import Stop


@pytest.fixture(params=["wal", "delete"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A database at rest, in either journal mode."""
    path = tmp_path / "a.db"
    execute(path, f"PRAGMA journal_mode = {request.param}", "CREATE TABLE t(x)")
    execute(path, "INSERT INTO t VALUES (7)")
    return path


def traces(directory: Path) -> dict[str, tuple[bytes, int]]:
    """Return each file's content and time."""
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in directory.iterdir()}


def test_a_database_at_rest_is_free(database: Path) -> None:
    """Nobody holds it, and asking changes neither it nor what lies beside it."""
    before = traces(database.parent)
    assert not is_locked(database)
    assert not require_unused([database]) or sys.platform != "linux" or os.geteuid()
    assert traces(database.parent) == before


def test_an_absent_database_is_free(tmp_path: Path) -> None:
    """What is not there is used by nobody."""
    assert not is_locked(tmp_path / "absent.db")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_a_writer_holds_it(database: Path, statement: str) -> None:
    """A transaction that writes is found in either journal mode, without a look at /proc."""
    with holding(database, statement):
        before = traces(database.parent)
        assert is_locked(database)
        assert traces(database.parent) == before
    assert not is_locked(database)


def test_an_idle_connection_in_wal_mode_holds_it(tmp_path: Path) -> None:
    """In WAL mode who is merely connected is found by the lock alone."""
    path = tmp_path / "a.db"
    execute(path, "PRAGMA journal_mode = wal", "CREATE TABLE t(x)")
    with holding(path, "SELECT * FROM t"):
        assert is_locked(path)


def test_the_wal_of_a_dead_application_stays(tmp_path: Path) -> None:
    """A -wal that a killed application left is neither recovered nor removed by the question."""
    path = tmp_path / "a.db"
    program = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('PRAGMA journal_mode = wal'); c.execute('CREATE TABLE t(x)'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program, path], check=True)
    before = traces(tmp_path)
    assert before["a.db-wal"][0] and not is_locked(path)
    assert traces(tmp_path) == before


@pytest.mark.linux
def test_an_idle_connection_is_found_by_its_open_file(database: Path) -> None:
    """A process that holds no lock is found by what it has open, and named."""
    with holding(database, "SELECT * FROM t") as pid:
        with pytest.raises(RefusedError) as refusal:
            require_unused([database])
        assert f"process {pid} " in refusal.value.message


@pytest.mark.linux
def test_a_process_that_has_only_a_companion_open(database: Path) -> None:
    """Companions count as the database does."""
    beside = Path(f"{database}-wal")
    beside.touch()
    process = subprocess.Popen(["tail", "-f", beside], stdout=subprocess.DEVNULL)
    try:
        while not any(os.path.realpath(fd) == str(beside) for fd in descriptors(process.pid)):
            os.sched_yield()
        with pytest.raises(RefusedError, match="-wal open"):
            require_unused([database])
    finally:
        process.kill()
        process.wait()


def descriptors(pid: int) -> list[str]:
    """Return the paths of what a process has open, in /proc."""
    return [f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")]


def test_a_database_that_may_not_be_asked(database: Path) -> None:
    """Where this user cannot even ask, that is said."""
    directory = database.with_name("directory.db")
    directory.mkdir()
    with pytest.raises(FailedError, match="cannot be found out"):
        is_locked(directory)


def source(path: Path) -> DatabaseSource:
    """Return the database as a source."""
    return DatabaseSource("a", path, "data/a.db")


def test_a_question_leaves_no_trace(database: Path) -> None:
    """A live database answers, and is byte for byte what it was, with nothing new beside it."""
    before = {name: content for name, (content, _) in traces(database.parent).items()}
    assert ask(source(database), "SELECT x FROM t", Stop()) == [(7,)]
    assert {name: content for name, (content, _) in traces(database.parent).items()} == before


def test_a_question_that_cannot_be_answered(database: Path, tmp_path: Path) -> None:
    """A wrong query, a missing file, a locked database: each is said in words."""
    for path, sql in ((database, "SELECT nothing"), (tmp_path / "absent.db", "SELECT 1")):
        with pytest.raises(FailedError):
            ask(source(path), sql, Stop())
    execute(database, "PRAGMA journal_mode = delete")
    with holding(database, "BEGIN EXCLUSIVE"), pytest.raises((BusyError, FailedError)):
        ask(source(database), "SELECT x FROM t", Stop())


def test_what_a_command_left_is_taken_in(tmp_path: Path) -> None:
    """A -wal with content is checkpointed; afterwards the file stands alone."""
    path = tmp_path / "a.db"
    program = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('PRAGMA journal_mode = wal'); c.execute('CREATE TABLE t(x)');"
        "c.execute('INSERT INTO t VALUES (7)'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program, path], check=True)
    bring_to_rest(path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.db"]
    assert value(path, "SELECT x FROM t") == 7


def test_what_cannot_be_taken_in(tmp_path: Path) -> None:
    """A database that a process still has open, and what is none, are refused."""
    path = tmp_path / "a.db"
    execute(path, "PRAGMA journal_mode = wal", "CREATE TABLE t(x)")
    with holding(path, "BEGIN IMMEDIATE"), pytest.raises(FailedError, match="not left at rest"):
        bring_to_rest(path)
    broken = tmp_path / "b.db"
    broken.write_bytes(b"no database at all" * 100)
    Path(f"{broken}-wal").write_bytes(b"x")
    with pytest.raises(FailedError, match="not left at rest"):
        bring_to_rest(broken)


def test_a_hot_journal_is_rolled_back(tmp_path: Path) -> None:
    """What a killed command had begun is undone, not taken for done."""
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE t(x); INSERT INTO t VALUES (7);")
    program = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('PRAGMA cache_size = 2'); c.execute('BEGIN');"
        "c.execute('UPDATE t SET x = 8'); c.execute('INSERT INTO t SELECT zeroblob(100000)');"
        "c.execute('INSERT INTO t SELECT zeroblob(100000)'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program, path], check=True)
    assert Path(f"{path}-journal").exists()
    bring_to_rest(path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.db"]
    assert value(path, "SELECT group_concat(x) FROM t") == "7"
