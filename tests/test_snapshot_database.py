"""Private copies of live databases: what is in them, how they were made, and what ends them."""

import os
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from live_databases import content, copied, copy_bytes, make, make_large, source

from agebackup.errors import FailedError, StoppedError
from agebackup.snapshot.database import copied_databases
from agebackup.system.progress import Progress, Stop

ROWIDS = ("SELECT rowid, * FROM tags", "SELECT rowid, * FROM plain", "SELECT * FROM entries")


class Interfering(Progress):
    """Does something at the first report of progress: a moment at which a copy is under way."""

    def __init__(self, action: Callable[[Stop], object]) -> None:
        super().__init__()
        self.action = action
        self.acted = False

    def advance(self, count: int) -> None:
        if not self.acted:
            self.acted = True
            self.action(self.stop)
        super().advance(count)


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_copy_holds_what_the_source_holds(tmp_path: Path, mode: str) -> None:
    """Rows, rowids and header figures are the source's; the journal mode is told apart."""
    path = make(tmp_path / "a.db", mode=mode)
    with closing(sqlite3.connect(path)) as application:
        application.execute("INSERT INTO plain VALUES ('only in the WAL')")
        application.commit()
        found = [application.execute(sql).fetchall() for sql in ROWIDS]
        with copied(path, consistency="single") as (copy,):
            assert [copy.connection.execute(sql).fetchall() for sql in ROWIDS] == found
            assert copy.connection.execute("PRAGMA user_version").fetchone() == (7,)
            assert copy.connection.execute("PRAGMA application_id").fetchone() == (4711,)
            assert (copy.method, copy.reason) == ("vacuum-into", "")
            assert copy.journal_mode == mode
            assert copy.source == source(path)


def test_the_bytes_of_a_copy_are_a_database(tmp_path: Path) -> None:
    """What the archive takes from the descriptor opens as a database, twice the same."""
    path = make(tmp_path / "a.db")
    with copied(path) as (copy,):
        taken = copy_bytes(copy)
        assert len(taken) == copy.size
    with copied(path) as (copy,):
        assert copy_bytes(copy) == taken
    (tmp_path / "taken.db").write_bytes(taken)
    with closing(sqlite3.connect(tmp_path / "taken.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_copy_has_no_name_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    """Plaintext lies in the workspace only under 0600, and without a name once it is complete."""
    modes = []

    def look(_: Stop) -> None:
        modes.extend(path.stat().st_mode & 0o777 for path in workspace.iterdir())

    path = make_large(tmp_path / "a.db", megabytes=5)
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    old = os.umask(0)
    try:
        with copied_databases(
            [source(path)],
            workspace,
            consistency="single",
            lock_seconds=1,
            progress=Interfering(look),
        ) as (copy,):
            assert os.fstat(copy.descriptor).st_nlink == 0
            assert os.fstat(copy.descriptor).st_mode & 0o777 == 0o600
    finally:
        os.umask(old)
    assert modes
    assert set(modes) == {0o600}


@pytest.mark.parametrize(
    "name", ["a?b.db", "a#b.db", "a%20b.db", "a b.db", "a&mode=rwc.db", "ä.db"]
)
def test_any_name_leads_to_its_own_database(tmp_path: Path, name: str) -> None:
    """Characters that mean something in a URI do not lead to another, empty database."""
    directory = tmp_path / f"in {name}"
    directory.mkdir()
    path = make(directory / name)
    with copied(path) as (copy,):
        assert copy.connection.execute("SELECT count(*) FROM entries").fetchone() == (200,)
    assert os.listdir(directory) == [name]


def test_a_name_that_is_no_text_leads_to_its_own_database(tmp_path: Path) -> None:
    """A path that is not UTF-8 is a path like any other."""
    made = make(tmp_path / "a.db")
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.db"))
    made.rename(path)
    with copied(path) as (copy,):
        assert copy.connection.execute("SELECT count(*) FROM entries").fetchone() == (200,)


def test_a_symlinked_database_is_copied_with_its_wal(tmp_path: Path) -> None:
    """The -wal lies beside the file that a link leads to, and is in the copy."""
    (tmp_path / "real").mkdir()
    path = make(tmp_path / "real" / "a.db", mode="wal")
    (tmp_path / "link.db").symlink_to(path)
    with closing(sqlite3.connect(path)) as application:
        application.execute("INSERT INTO plain VALUES ('newest')")
        application.commit()
        with copied(tmp_path / "link.db") as (copy,):
            rows = copy.connection.execute("SELECT count(*) FROM plain WHERE value = 'newest'")
            assert rows.fetchone() == (1,)
    assert sorted(os.listdir(tmp_path)) == ["link.db", "real"]


MISSING = {
    "collation of an index": (
        "CREATE INDEX by_note ON tags (note COLLATE app);",
        "no such collation sequence: app",
    ),
    "collation of a key": (
        "CREATE TABLE keyed (k TEXT COLLATE app PRIMARY KEY) WITHOUT ROWID;"
        "INSERT INTO keyed VALUES ('a'), ('b');",
        "no such collation sequence: app",
    ),
    "function of a CHECK": ("CREATE TABLE checked (x, CHECK (app(x)));", "app"),
    "function of a generated column": ("CREATE TABLE made (x, y AS (app(x)));", "app"),
    "function of an index": ("CREATE INDEX by_app ON tags (app(note));", "app"),
}


@pytest.mark.parametrize("case", MISSING)
def test_a_database_that_needs_its_application_is_copied_page_by_page(
    tmp_path: Path, case: str
) -> None:
    """Where only the application has a collation or function, the backup API copies instead."""
    script, reason = MISSING[case]
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as application:
        application.create_collation("app", lambda one, other: (one > other) - (one < other))
        application.create_function("app", 1, lambda _: 1, deterministic=True)
        make_with(application, script)
    before = content(tmp_path)
    with copied(path) as (copy,):
        assert copy.method == "backup"
        assert reason in copy.reason
        assert copy.connection.execute("SELECT rowid, note FROM tags").fetchall() == [(1, "note")]
    assert content(tmp_path) == before


def make_with(application: sqlite3.Connection, script: str) -> None:
    application.executescript("PRAGMA journal_mode=wal; CREATE TABLE tags (note);" + script)
    application.execute("INSERT INTO tags VALUES ('note')")
    application.commit()


def test_a_writer_that_never_pauses_does_not_cost_the_rowids(tmp_path: Path) -> None:
    """Where no moment is quiet enough to compare rowids, the pinned instant is copied instead."""
    path = make(tmp_path / "a.db", mode="wal")

    class Writing(Stop):
        def check(self) -> None:
            application.execute("INSERT INTO plain VALUES ('once more')")
            application.commit()
            super().check()

    with (
        closing(sqlite3.connect(path)) as application,
        copied(path, consistency="single", progress=Progress(Writing())) as (copy,),
    ):
        assert (copy.method, copy.reason) == ("backup", "the application wrote without a pause")
        assert copy.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("how", ["other file", "link elsewhere", "removed"])
def test_a_database_replaced_during_the_copy_is_refused(tmp_path: Path, how: str) -> None:
    """A copy of what lies no longer there is not taken for the database."""
    path, other = make(tmp_path / "real.db"), make(tmp_path / "other.db")
    link = tmp_path / "a.db"
    link.symlink_to(path)

    def replace(_: Stop) -> None:
        if how == "other file":
            other.rename(path)
        elif how == "removed":
            path.unlink()
        else:
            link.unlink()
            link.symlink_to(other)

    with (
        pytest.raises(FailedError, match="was replaced or removed while it was copied"),
        copied(link, progress=Interfering(replace)),
    ):
        pass


@pytest.mark.parametrize("consistency", ["single", "atomic", "per-database"])
def test_a_stop_ends_a_copy_at_once_and_leaves_nothing(tmp_path: Path, consistency: str) -> None:
    """A signal during the copy acts within half a second; sources and workspace are clean."""
    paths = [make_large(tmp_path / "a.db")]
    if consistency != "single":
        paths.append(make_large(tmp_path / "b.db", megabytes=1))
    begun = []

    def stop(flag: Stop) -> None:
        begun.append(time.monotonic())
        flag.request(15)

    with (
        pytest.raises(StoppedError),
        copied(*paths, consistency=consistency, progress=Interfering(stop)),  # type: ignore[arg-type]
    ):
        pass
    assert time.monotonic() - begun[0] < 0.5
    assert sorted(os.listdir(tmp_path)) == [path.name for path in paths]


def test_a_stop_ends_the_fallback_at_once(tmp_path: Path) -> None:
    """The page by page copy is left between two of its steps."""
    path = make_large(tmp_path / "a.db")
    with closing(sqlite3.connect(path)) as application:
        application.create_collation("app", lambda *_: 0)
        application.execute("CREATE INDEX by_name ON blobs (name COLLATE app)")
    reports = []

    class Late(Progress):
        def advance(self, count: int) -> None:
            reports.append(count)
            if len([size for size in reports if size > 1 << 20]) == 2:
                self.stop.request(2)
            super().advance(count)

    with pytest.raises(StoppedError), copied(path, progress=Late()):
        pass
    assert sum(reports) < path.stat().st_size / 2
    assert os.listdir(tmp_path) == ["a.db"]


def test_the_bytes_of_a_copy_are_reported(tmp_path: Path) -> None:
    """Progress counts what was copied, and never more."""
    path = make_large(tmp_path / "a.db", megabytes=30)
    counts = []

    class Counting(Progress):
        def advance(self, count: int) -> None:
            counts.append(count)
            super().advance(count)

    with copied(path, progress=Counting()) as (copy,):
        assert min(counts) >= 0
        assert sum(counts) <= copy.size


@pytest.mark.linux
def test_a_full_workspace_is_named_as_the_reason(tmp_path: Path) -> None:
    """A disk that fills up during the copy is not mistaken for a bad source."""
    path = make_large(tmp_path / "a.db", megabytes=5)
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", workspace], check=True)
    try:
        with (
            pytest.raises(FailedError, match="There is no room for the private copy"),
            copied_databases(
                [source(path)],
                workspace,
                consistency="single",
                lock_seconds=1,
                progress=Progress(),
            ),
        ):
            pass
        assert os.listdir(workspace) == []
    finally:
        subprocess.run(["umount", workspace], check=True)


def test_no_databases_are_no_copies(tmp_path: Path) -> None:
    """An app without databases needs no special case."""
    with copied() as copies:
        assert copies == ()
