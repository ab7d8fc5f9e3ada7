"""Several databases at one instant, while their application writes on and notices nothing."""

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
import writers
from live_databases import copied, make

from agebackup.errors import BusyError, StoppedError
from agebackup.system.progress import Progress, Stop

SNAPSHOTS = 20


@pytest.mark.parametrize("mode", ["wal", "delete"])
@pytest.mark.parametrize("order", ["forward", "backward", "changing"])
def test_databases_written_together_are_never_torn(tmp_path: Path, mode: str, order: str) -> None:
    """Every snapshot shows one instant, and the application's writer never fails because of us.

    It writes without a pause, and locks its databases in our order, in the other, or in both.
    """
    paths = (tmp_path / "b.db", tmp_path / "a.db")
    pairs = []
    with writers.running(writers.Application(paths, mode=mode, order=order)) as writer:
        for _ in range(SNAPSHOTS):
            with copied(*paths, seconds=30) as copies:
                pairs.append([writers.last_pair(copy.connection) for copy in copies])
                assert [copy.method for copy in copies] == ["vacuum-into"] * 2
    assert [first for first, second in pairs if first != second] == []
    assert pairs == sorted(pairs)
    assert pairs[0] < pairs[-1]
    assert writer.outcome.errors == []
    assert writer.outcome.longest_wait < 2
    assert sorted(os.listdir(tmp_path)) == ["a.db", "b.db"]


def test_copies_one_after_the_other_show_why_the_lock_is_needed(tmp_path: Path) -> None:
    """The guard is not idle: without it, the same writer tears the snapshots."""
    paths = (tmp_path / "a.db", tmp_path / "b.db")
    torn = 0
    with writers.running(writers.Application(paths)):
        for _ in range(SNAPSHOTS):
            with copied(*paths, consistency="per-database") as copies:
                first, second = (writers.last_pair(copy.connection) for copy in copies)
                torn += first != second
    assert torn


def test_many_databases_show_one_instant(tmp_path: Path) -> None:
    """More databases than copies at once: those that wait for their turn show the same instant."""
    paths = tuple(tmp_path / f"{number}.db" for number in range(7))
    with writers.running(writers.Application(paths)) as writer:
        for _ in range(3):
            with copied(*paths, seconds=30) as copies:
                assert [copy.source.path for copy in copies] == list(paths)
                assert len({writers.last_pair(copy.connection) for copy in copies}) == 1
    assert writer.outcome.errors == []


def test_a_single_database_needs_no_lock(tmp_path: Path) -> None:
    """In WAL mode a copy is made even while the application holds the write lock."""
    path = make(tmp_path / "a.db", mode="wal")
    with closing(sqlite3.connect(path, isolation_level=None)) as application:
        application.execute("BEGIN IMMEDIATE")
        application.execute("INSERT INTO plain VALUES ('not committed')")
        with copied(path, consistency="single", seconds=0) as (copy,):
            rows = copy.connection.execute("SELECT * FROM plain WHERE value = 'not committed'")
            assert rows.fetchall() == []
        application.execute("COMMIT")


@pytest.mark.parametrize("held", ["a.db", "b.db"])
def test_a_database_that_stays_locked_is_named(tmp_path: Path, held: str) -> None:
    """After the time given the run ends with exit code 11, naming the database that was held."""
    paths = [make(tmp_path / name, mode="wal") for name in ("a.db", "b.db")]
    with closing(sqlite3.connect(tmp_path / held, isolation_level=None)) as application:
        application.execute("BEGIN IMMEDIATE")
        with pytest.raises(BusyError, match=held) as error, copied(*paths, seconds=0.1):
            pass
        application.execute("INSERT INTO plain VALUES (1)")
        application.execute("COMMIT")
    assert error.value.code == 11
    assert sorted(os.listdir(tmp_path)) == ["a.db", "b.db"]


def test_a_database_under_an_exclusive_lock_is_named(tmp_path: Path) -> None:
    """Also a single database, whose application does not even let it be read."""
    path = make(tmp_path / "a.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as application:
        application.execute("BEGIN EXCLUSIVE")
        with (
            pytest.raises(BusyError, match=r"a\.db"),
            copied(path, consistency="single", seconds=0.1),
        ):
            pass


def test_no_lock_is_kept_while_another_is_awaited(tmp_path: Path) -> None:
    """While one database is held, the application can lock and write the other at any time."""
    paths = [make(tmp_path / name, mode="wal") for name in ("a.db", "b.db")]
    written = []

    class Writing(Stop):
        def check(self) -> None:
            with closing(sqlite3.connect(paths[0], timeout=0)) as other:
                other.execute("INSERT INTO plain VALUES ('meanwhile')")
                other.commit()
            written.append(True)
            super().check()

    with closing(sqlite3.connect(paths[1], isolation_level=None)) as application:
        application.execute("BEGIN IMMEDIATE")
        with (
            pytest.raises(BusyError, match=r"b\.db"),
            copied(*paths, seconds=0.1, progress=Progress(Writing())),
        ):
            pass
    assert len(written) > 2


def test_a_stop_ends_the_wait_for_a_lock(tmp_path: Path) -> None:
    """A signal acts at once while a database is locked by somebody else."""
    paths = [make(tmp_path / name) for name in ("a.db", "b.db")]

    class Stopping(Stop):
        checks = 0

        def check(self) -> None:
            self.checks += 1
            if self.checks == 5:
                self.request(2)
            super().check()

    with closing(sqlite3.connect(paths[1], isolation_level=None)) as application:
        application.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        with (
            pytest.raises(StoppedError),
            copied(*paths, seconds=60, progress=Progress(Stopping())),
        ):
            pass
    assert time.monotonic() - begun < 0.5


def slow(path: Path, rows: int = 5000) -> Path:
    """Make a small database whose check takes seconds, while a copy of it takes milliseconds.

    A check computes the column that is nowhere stored, to see that it is not NULL.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN")
        database.execute("CREATE TABLE slow (value, made AS (1) NOT NULL)")
        database.executemany("INSERT INTO slow VALUES (?)", [(n,) for n in range(rows)])
        database.execute("PRAGMA writable_schema=ON")
        costly = "(replace(hex(zeroblob(100000 + value)), '0', '11'))"
        database.execute("UPDATE sqlite_master SET sql = replace(sql, '(1)', ?)", (costly,))
        database.execute("COMMIT")
    return path


def test_a_stop_ends_checks_and_those_that_wait_for_their_turn(tmp_path: Path) -> None:
    """A signal acts at once while several large databases are checked, and others wait for it."""
    paths = [slow(tmp_path / f"{number}.db") for number in range(6)]

    class Stopping(Stop):
        checks, asked = 0, 0.0

        def check(self) -> None:
            self.checks += 1
            if self.checks == 40 and not self.asked:
                self.asked = time.monotonic()
                self.request(2)
            super().check()

    stop = Stopping()
    with pytest.raises(StoppedError), copied(*paths, progress=Progress(stop)):
        pytest.fail("the checks take seconds")
    assert time.monotonic() - stop.asked < 0.5
