"""What we rely on in SQLite and in Python's sqlite3: red when a new version changes it."""

import fcntl
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
import writers
from live_databases import content, crashed, make, make_endless

SHARED_LOCK = (510, 0x40000002)


def connect(path: Path, parameters: str = "mode=ro") -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.as_uri()}?{parameters}",
        uri=True,
        timeout=0,
        isolation_level=None,
        check_same_thread=False,
    )


def count(connection: sqlite3.Connection, table: str = "plain") -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_vacuum_sees_nothing_written_after_it_compiled_its_first_select(
    tmp_path: Path, mode: str
) -> None:
    """The moment at which we release the locks is late enough: the copy's view is fixed by then."""
    path = make(tmp_path / "a.db", mode=mode)
    outcomes: list[str] = []

    def write(action: int, *_: object) -> int:
        if action == sqlite3.SQLITE_SELECT and not outcomes:
            with closing(sqlite3.connect(path, timeout=0)) as application:
                try:
                    application.execute("INSERT INTO plain VALUES ('late')")
                    application.commit()
                    outcomes.append("committed")
                except sqlite3.OperationalError as error:
                    outcomes.append(error.sqlite_errorname)
        return sqlite3.SQLITE_OK

    with closing(connect(path)) as connection:
        before = count(connection)
        connection.set_authorizer(write)
        connection.execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
    with closing(connect(tmp_path / "copy.db")) as copy:
        assert count(copy) == before
    assert outcomes == ["committed" if mode == "wal" else "SQLITE_BUSY"]


def test_a_naive_uri_opens_another_database(tmp_path: Path) -> None:
    """Why paths are quoted: what follows a `?` in a name would silently vanish."""
    make(tmp_path / "a?mode=memory&b.db")
    with closing(sqlite3.connect(f"file:{tmp_path}/a?mode=memory&b.db", uri=True)) as naive:
        assert naive.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    with closing(connect(tmp_path / "a?mode=memory&b.db")) as quoted:
        assert count(quoted)


def test_reading_a_closed_wal_database_leaves_two_files(tmp_path: Path) -> None:
    """Why companions are removed afterwards: a read-only connection makes and leaves them."""
    path = make(tmp_path / "a.db", mode="wal")
    with closing(connect(path)) as connection:
        count(connection)
    assert sorted(os.listdir(tmp_path)) == ["a.db", "a.db-shm", "a.db-wal"]


def test_every_wal_connection_holds_the_shared_lock_while_it_is_open(tmp_path: Path) -> None:
    """Why companions may be removed under that lock: nobody else is connected then."""
    path = make(tmp_path / "a.db", mode="wal")
    with (
        writers.running(writers.Application((path,))),
        path.open("r+b") as file,
        pytest.raises(BlockingIOError),
    ):
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, *SHARED_LOCK)
    with path.open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, *SHARED_LOCK)


def test_closing_any_descriptor_drops_our_own_locks(tmp_path: Path) -> None:
    """Why nothing opens a source while a connection is open: POSIX locks belong to the process."""
    path = make(tmp_path / "a.db")

    def locked_for_others() -> bool:
        attempt = "connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
        words = f"import sys; from sqlite3 import connect; {attempt}"
        command = [sys.executable, "-c", words, path]
        return subprocess.run(command, stderr=subprocess.DEVNULL).returncode != 0

    with closing(connect(path, "mode=rw")) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert locked_for_others()
        os.close(os.open(path, os.O_RDONLY))
        assert not locked_for_others()


def test_an_immutable_connection_ignores_the_wal(tmp_path: Path) -> None:
    """Why live sources are never opened so, and restored ones always."""
    path = make(tmp_path / "a.db", mode="wal")
    with closing(sqlite3.connect(path)) as application:
        before = count(application)
        application.execute("INSERT INTO plain VALUES (1)")
        application.commit()
        with closing(connect(path, "mode=ro&immutable=1")) as immutable:
            assert count(immutable) == before


def test_a_vacuum_needs_a_connection_of_its_own(tmp_path: Path) -> None:
    """Why the pin cannot copy: VACUUM refuses a transaction and query_only."""
    path = make(tmp_path / "a.db")
    for spoiler in ("BEGIN", "PRAGMA query_only=ON"):
        with closing(connect(path)) as connection:
            connection.execute(spoiler)
            with pytest.raises(sqlite3.OperationalError):
                connection.execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))


def test_a_vacuum_fills_an_empty_file_and_keeps_its_mode(tmp_path: Path) -> None:
    """Why the copy's file is made first: SQLite itself would make it readable by others."""
    path = make(tmp_path / "a.db")
    (tmp_path / "copy.db").touch(mode=0o600)
    with closing(connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600


def test_a_vacuum_keeps_rowids_and_the_settings_of_the_file(tmp_path: Path) -> None:
    """Why VACUUM INTO may stand for the database: rowids stay, and the header's figures."""
    script = "PRAGMA page_size=8192; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA encoding='UTF-16le';"
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    make(path)
    asked = [
        "SELECT rowid, * FROM tags",
        "SELECT rowid, value FROM plain",
        *(f"PRAGMA {name}" for name in ("page_size", "auto_vacuum", "encoding", "user_version")),
        "PRAGMA application_id",
    ]
    with closing(connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
        found = [connection.execute(sql).fetchall() for sql in asked]
    with closing(connect(tmp_path / "copy.db")) as copy:
        assert [copy.execute(sql).fetchall() for sql in asked] == found


def test_a_vacuum_drops_what_was_deleted_and_a_backup_does_not(tmp_path: Path) -> None:
    """Why VACUUM INTO comes first, and why the method is recorded."""
    path = make(tmp_path / "a.db", script="CREATE TABLE secrets (word);")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA secure_delete=OFF")
        connection.execute("INSERT INTO secrets VALUES ('deleted-but-not-gone')")
        connection.commit()
        connection.execute("DELETE FROM secrets")
        connection.commit()
        connection.execute("VACUUM INTO ?", (str(tmp_path / "vacuumed.db"),))
        with closing(sqlite3.connect(tmp_path / "backup.db")) as backup:
            connection.backup(backup)
    assert b"deleted-but-not-gone" not in (tmp_path / "vacuumed.db").read_bytes()
    assert b"deleted-but-not-gone" in (tmp_path / "backup.db").read_bytes()


def test_a_lock_that_is_given_back_leaves_no_trace(tmp_path: Path) -> None:
    """Why locking a source does not change it: not in WAL mode, with an open WAL, nor without."""
    make(tmp_path / "rollback.db")
    wal = make(tmp_path / "wal.db", mode="wal")
    with closing(sqlite3.connect(wal)) as application:
        application.execute("INSERT INTO plain VALUES (1)")
        application.commit()
        before = content(tmp_path)
        for path in (tmp_path / "rollback.db", wal):
            with closing(connect(path, "mode=rw")) as locker:
                locker.execute("BEGIN IMMEDIATE")
                locker.rollback()
        assert content(tmp_path) == before


def test_a_lock_without_the_right_to_write_is_none(tmp_path: Path) -> None:
    """Why the right is looked at before: SQLite reports success, and nothing is locked."""
    path = make(tmp_path / "a.db")
    with closing(connect(path)) as locker, closing(connect(path, "mode=rw")) as application:
        locker.execute("BEGIN IMMEDIATE")
        application.execute("BEGIN IMMEDIATE")


def test_a_pinned_backup_in_steps_is_not_restarted_by_writers(tmp_path: Path) -> None:
    """Why the fallback can go step by step: it ends, and shows the instant of its pin."""
    path = make(tmp_path / "a.db", mode="wal", rows=1000)
    steps = []
    with (
        closing(connect(path)) as pin,
        closing(sqlite3.connect(tmp_path / "copy.db")) as copy,
        closing(sqlite3.connect(path)) as application,
    ):
        pin.execute("BEGIN")
        before = count(pin)

        def write(_: int, remaining: int, total: int) -> None:
            application.execute("INSERT INTO plain VALUES (1)")
            application.commit()
            steps.append((remaining, total))

        pin.backup(copy, pages=20, progress=write)
        assert count(copy) == before
    assert len(steps) == -(-steps[0][1] // 20)


def test_a_read_only_connection_cannot_roll_back_a_hot_journal(tmp_path: Path) -> None:
    """Why hot journals are found without changing anything: the error has a name of its own."""
    with (
        closing(connect(crashed(tmp_path))) as connection,
        pytest.raises(sqlite3.OperationalError) as error,
    ):
        count(connection)
    assert error.value.sqlite_errorname == "SQLITE_READONLY_ROLLBACK"


def test_a_read_only_connection_can_still_create_files(tmp_path: Path) -> None:
    """Why an authorizer guards untrusted databases: mode=ro binds the main database alone."""
    with closing(connect(make(tmp_path / "a.db"))) as connection:
        connection.execute("ATTACH ? AS made", (f"file:{tmp_path}/made.db?mode=rwc",))
        connection.execute("CREATE TABLE made.t (x)")
    assert (tmp_path / "made.db").exists()


def test_an_interrupt_from_another_thread_ends_a_check(tmp_path: Path) -> None:
    """Why long statements run in a thread of their own: no progress handler reaches all of them."""
    with closing(connect(make_endless(tmp_path / "slow.db"))) as connection:
        ended = threading.Event()
        errors: list[sqlite3.Error] = []

        def check() -> None:
            try:
                connection.execute("PRAGMA integrity_check").fetchall()
            except sqlite3.Error as error:
                errors.append(error)
            ended.set()

        thread = threading.Thread(target=check)
        thread.start()
        while not ended.wait(0.005):
            connection.interrupt()
        thread.join()
    assert [error.sqlite_errorname for error in errors] == ["SQLITE_INTERRUPT"]
