"""Databases of archives are examined in processes of their own: what they cannot do to the rest."""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from hostile import manifest_for

from agebackup.errors import FailedError, StoppedError
from agebackup.model.limits import GIB, Limits
from agebackup.model.manifest import CountRecord, DatabaseRecord, Manifest, ReferenceRecord
from agebackup.operations.answering import MAX_QUERIES, bounded, facts_from, facts_of
from agebackup.operations.examining import Examiner, Workers
from agebackup.operations.reading import Reading
from agebackup.operations.receivers import EVERYTHING
from agebackup.snapshot.bag import BagContents
from agebackup.snapshot.keys import Identities
from agebackup.system.process import Worker
from agebackup.system.progress import Progress

ENDLESS = "instr(hex(zeroblob(500000)), hex(zeroblob(250000)) || '1')"
"""Some ten seconds in one step of SQLite's, which no interrupt ends."""


@dataclass
class Archive:
    """An archive of one database, as far as an examiner looks at it."""

    path: Path
    record: DatabaseRecord
    files: dict[str, bytes] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    missing_count: int = 0

    def contents(self) -> BagContents:
        said = manifest_for({}) | {"complete": not self.missing}
        manifest = msgspec.structs.replace(
            msgspec.convert(said, Manifest),
            databases=[self.record],
            missing=self.missing,
            missing_count=self.missing_count,
        )
        lines = b"".join(
            b"%b  %b\n" % (sha256(content).hexdigest().encode(), name.encode())
            for name, content in self.files.items()
        )
        return BagContents("app", {}, manifest, len(self.files), 0, bytearray(lines), ())

    def declaring(self, *, counts: tuple[str, ...] = (), references: tuple[str, ...] = ()) -> None:
        """Let the manifest declare queries; counts of 1 and references of one row."""
        self.record = msgspec.structs.replace(
            self.record,
            counts=[CountRecord(name=f"count {sql}", sql=sql, value=1) for sql in counts],
            references=[ReferenceRecord(sql=sql, rows=1) for sql in references],
        )

    def differences(self, *, seconds: int = 60) -> list[str]:
        """Examine it and return what differs."""
        with examiner(seconds=seconds) as examining:
            examining.arrived("data/a.db", self.path)
            return examining.differences(self.contents(), EVERYTHING)


def examiner(*, seconds: int = 3600) -> Examiner:
    return Examiner(Reading(Identities((), ()), Limits(seconds=seconds), Progress()))


def made(path: Path, *statements: str) -> Archive:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    named = {
        "name": "a.db",
        "path": "data/a.db",
        "bytes": path.stat().st_size,
        "sha256": "0" * 64,
        "method": "vacuum-into",
        "journal_mode": "wal",
    }
    return Archive(path, msgspec.convert(named | KNOWN, DatabaseRecord))


KNOWN = {
    "user_version": 0,
    "application_id": 0,
    "schema_sha256": "",
    "page_size": 4096,
    "encoding": "UTF-8",
    "rows": {},
    "foreign_key_violations": 0,
}


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """A sound database whose manifest says what it holds."""
    archive = made(tmp_path / "a.db", "CREATE TABLE t(x)", "INSERT INTO t VALUES ('a')")
    facts = facts_from(facts_of(archive.path))
    archive.record = msgspec.structs.replace(
        archive.record, schema_sha256=facts.schema_sha256, rows=facts.rows
    )
    return archive


@pytest.fixture
def busy(tmp_path: Path) -> Archive:
    """A database whose index was made to keep integrity_check busy in one step of SQLite's."""
    path = tmp_path / "busy.db"
    index = "CREATE INDEX i ON t(instr(hex(zeroblob(x)), hex(zeroblob(x / 2)) || '1'))"
    made(path, "CREATE TABLE t(x)", index, "INSERT INTO t VALUES (10)")
    with closing(sqlite3.connect(path)) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'i'").fetchone()
    unlocked = "PRAGMA writable_schema = ON"
    made(path, unlocked, "DELETE FROM sqlite_master WHERE name = 'i'")
    made(path, "UPDATE t SET x = 500000")
    entry = f"'index', 'i', 't', {root[0]}, '{index.replace(chr(39), chr(39) * 2)}'"
    return made(path, unlocked, f"INSERT INTO sqlite_master VALUES ({entry})")


def no_child_is_left() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG) == ()
    except ChildProcessError:
        return True


def test_what_is_true_and_what_is_not(archive: Archive) -> None:
    """A database that is as the manifest says has no differences; each lie about it is one."""
    archive.declaring(counts=("SELECT count(*) FROM t",), references=("SELECT x FROM t",))
    archive.files = {"data/attachments/a": b"a"}
    assert archive.differences() == []
    archive.record = msgspec.structs.replace(archive.record, rows={"t": 2, "u": 0}, user_version=7)
    assert archive.differences() == [
        "a.db: user version is 0, the manifest says 7",
        "a.db: table t has 1 rows, the manifest says 2",
        "a.db: table u has no rows, the manifest says 0",
    ]
    assert no_child_is_left()


def test_a_query_without_end_is_ended(archive: Archive) -> None:
    """A query that no interrupt of SQLite's can end is ended all the same when its time is over."""
    archive.declaring(counts=(f"SELECT {ENDLESS}",))
    begun = time.monotonic()
    assert archive.differences(seconds=1) == ["a.db: took longer than 1 seconds (--max-seconds)"]
    assert time.monotonic() - begun < 5
    assert no_child_is_left()


def test_a_check_without_end_is_ended(busy: Archive) -> None:
    """A database made to keep integrity_check busy for hours is left when its time is over."""
    assert busy.differences(seconds=1) == ["a.db: took longer than 1 seconds (--max-seconds)"]


def test_a_stop_ends_it_at_once(archive: Archive) -> None:
    """SIGTERM ends the run although SQLite is amid a step that takes hours."""
    archive.declaring(counts=(f"SELECT {ENDLESS}",))
    begun = time.monotonic()
    with pytest.raises(StoppedError), examiner() as examining:
        examining.arrived("data/a.db", archive.path)
        examining.reading.progress.stop.request(15)
        examining.differences(archive.contents(), EVERYTHING)
    assert time.monotonic() - begun < 2
    assert no_child_is_left()


def test_an_error_waits_for_no_examination(busy: Archive) -> None:
    """Where reading fails, databases that are still being examined do not hold up the news."""
    begun = time.monotonic()
    with pytest.raises(FailedError, match="reading failed"), examiner() as examining:
        for number in range(3):
            examining.arrived(f"data/{number}", busy.path)
        raise FailedError("reading failed")
    assert time.monotonic() - begun < 2
    assert no_child_is_left()


def test_memory_is_bounded(archive: Archive) -> None:
    """What would fill the machine's memory fails in its worker, in words."""
    work = partial(bounded, lambda path: {"n": len(bytearray(3 * GIB))}, archive.path, 60)
    with Worker.start(work) as worker, pytest.raises(FailedError, match="too little memory"):
        worker.result(Progress())


def test_the_time_ends_with_the_work(archive: Archive) -> None:
    """A result that is fetched long after it was found is not thrown away."""
    workers = Workers(Progress().stop)
    large: Callable[[Path], dict[str, object]] = lambda path: {"text": "x" * 1_000_000}  # noqa: E731
    jobs = [workers.submit(partial(bounded, large, archive.path, 1)) for _ in range(4)]
    time_over = time.monotonic() + 1.2
    while time.monotonic() < time_over:
        os.sched_yield()
    assert all(len(str(workers.result(job)["text"])) == 1_000_000 for job in jobs)
    assert no_child_is_left()


def test_too_many_queries_are_not_asked(archive: Archive) -> None:
    """A manifest cannot keep a reader busy with queries by the hundred thousand."""
    archive.declaring(counts=("SELECT 1",) * (MAX_QUERIES + 1))
    assert archive.differences() == [f"a.db: declares more than {MAX_QUERIES:,} queries"]


@pytest.mark.parametrize(
    "sql", ["SELECT nothing", "DELETE FROM t", "SELECT 1; SELECT 2", "", "ATTACH 'x' AS y"]
)
def test_a_query_that_is_none(archive: Archive, sql: str) -> None:
    """What is no query, or fails, is a difference that quotes it."""
    archive.declaring(references=(sql,))
    (line,) = archive.differences()
    assert "cannot be answered" in line and sql in line


def test_broken_references_are_counted(archive: Archive) -> None:
    """A flood of broken references is told in a bounded number of lines; each file counts once."""
    numbers = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000)"
    archive.declaring(references=(f"{numbers} SELECT 'gone' || (i % 500) FROM n",))
    lines = archive.differences()
    assert "1000 rows" in lines[0]
    assert "a.db" not in lines[1] and lines[1] == "referenced but missing: attachments/gone1"
    assert lines[-1] == "and 480 more"
    assert len(lines) == 22


@pytest.mark.parametrize(("beyond", "sound"), [(500, True), (499, False)])
def test_more_are_missing_than_can_be_listed(archive: Archive, beyond: int, *, sound: bool) -> None:
    """An archive of --allow-missing that lists its first 10,000 lost files alone verifies."""
    numbers = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10500)"
    archive.declaring(references=(f"{numbers} SELECT 'gone' || i FROM n",))
    (query,) = archive.record.references
    queries = [msgspec.structs.replace(query, rows=10_500)]
    archive.record = msgspec.structs.replace(archive.record, references=queries)
    listed = range(1, 10_001)
    archive.missing = [f"referenced but missing: attachments/gone{i}" for i in listed]
    archive.missing_count = 10_000 + beyond
    assert (archive.differences() == []) is sound


def test_missing_count_must_fit(archive: Archive) -> None:
    """A count of missing files that the list contradicts is a difference."""
    archive.missing, archive.missing_count = ["a"], 2
    assert archive.differences() == ["manifest.json: missing_count is 2, but missing lists 1"]


def test_a_conflict_and_a_difference(archive: Archive) -> None:
    """A reference whose hash is not the file's is named, whatever another row says."""
    archive.files = {"data/attachments/a": b"a"}
    archive.declaring(references=(f"SELECT 'a', '{sha256(b'b').hexdigest()}'",))
    assert archive.differences() == ["content differs from its reference: attachments/a"]
