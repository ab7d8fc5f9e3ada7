"""Look into a database that nobody else uses: a private copy of ours, or one that was restored.

A restored database is not trusted: its schema may hold triggers, views and expressions made to
harm whoever opens it (sqlite.org/security.html), and its pages may be damaged on purpose.
"""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from agebackup.errors import AgebackupError, FailedError
from agebackup.model.limits import MIB
from agebackup.model.names import printable
from agebackup.snapshot.background import Result, Task
from agebackup.snapshot.distrust import distrust
from agebackup.snapshot.schema import UNNAMEABLE, ordinary_tables, quoted, schema_sha256
from agebackup.snapshot.soundness import UNREADABLE, is_disk_failure, problems_of, said
from agebackup.system.clock import Deadline
from agebackup.system.progress import Stop

DEADLINE_SECONDS = 3600.0
HEAP_BYTES = 512 << 20
MAX_ROWS = 20_000_000
ANSWER_BYTES = 512 << 20
_CACHE_KIB = 24_000
_SHOWN_SQL = 300
_SMALLEST_LENGTH_LIMIT, _LARGEST_LENGTH_LIMIT = 1 << 20, 1_000_000_000
_CHECKS = frozenset({"foreign_key_check", "integrity_check", "quick_check"})
_ASKED = _CHECKS | {
    "application_id",
    "data_version",
    "encoding",
    "page_count",
    "page_size",
    "user_version",
}
_ASKED_OF_SOMETHING = _CHECKS | {
    *("cache_size", "ignore_check_constraints", "index_list", "table_info"),
}
_HARMLESS = frozenset(
    {
        *(sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE),
        sqlite3.SQLITE_TRANSACTION,  # rtreecheck() begins one; in a file opened read-only
    }
)
_WRITES_THAT_FAIL = frozenset({sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE})
"""Full-text and R-tree tables compile them merely to be read; run, they meet a read-only file."""
_FORBIDDEN_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer"})


class Rows(list[tuple[object, ...]]):
    """The rows that a query gave; `names` are those of its columns."""

    names: tuple[str, ...] = ()


class QueryError(FailedError):
    """A query that was declared for a database cannot be answered."""


@dataclass(frozen=True)
class DatabaseFacts:
    """What a database holds, as the manifest records it.

    `problems` are the first lines of integrity_check and how many more there are; empty when it
    is sound. `unchecked` says what could not be checked and why, where a collation or function of
    the application is missing here. `rows` counts every table that has pages of its own, the
    shadow tables of virtual tables included; virtual tables and `sqlite_…` tables are left out.
    A foreign key that fits no key of its parent counts as one violation. Tables whose names are
    not valid UTF-8 are in neither figure; `unchecked` says so.
    """

    problems: tuple[str, ...] = ()
    unchecked: str = ""
    user_version: int = 0
    application_id: int = 0
    schema_sha256: str = ""
    page_size: int = 0
    encoding: str = ""
    rows: dict[str, int] = field(default_factory=dict)
    foreign_key_violations: int = 0


def open_copy(path: Path) -> sqlite3.Connection:
    """Open a copy that this process has just made: read-only, in any one thread at a time.

    Its content is as untrusted as the application's data, but its pages are SQLite's own work,
    so they are not checked each time they are read, which doubles an integrity check's time.
    """
    return _guarded(path, ())


def open_untrusted(path: Path) -> sqlite3.Connection:
    """Open a restored database, read-only; a `-wal` beside it is not looked at.

    Never raises for what the file holds: `examine` says it. Raises `FailedError` where the disk
    fails. From then on SQLite takes at most `HEAP_BYTES` of memory in this process. Nothing is
    ever spilled into a temporary file.
    """
    try:
        return _guarded(path, ("cell_size_check=ON", f"hard_heap_limit={HEAP_BYTES}"))
    except sqlite3.OperationalError as error:
        raise _unread(error) from None


class _Guarded(sqlite3.Connection):
    """A connection that knows its file."""

    path: Path


def _guarded(path: Path, settings: tuple[str, ...]) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, factory=_Guarded
    )
    assert isinstance(connection, _Guarded)
    connection.path = path
    connection.text_factory = tolerant
    fixed = ("query_only=ON", "mmap_size=0", "temp_store=MEMORY")
    for setting in (*fixed, *settings):
        connection.execute(f"PRAGMA {setting}")
    longest = min(max(_SMALLEST_LENGTH_LIMIT, path.stat().st_size), _LARGEST_LENGTH_LIMIT)
    for limit, value in (
        (sqlite3.SQLITE_LIMIT_LENGTH, longest),
        (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
        (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 0),
        (sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0),
    ):
        connection.setlimit(limit, value)
    distrust(connection)
    connection.set_authorizer(_permit)
    return connection


def tolerant(text: bytes) -> str:
    """Decode what SQLite calls text, which may hold any bytes."""
    return text.decode("utf-8", "surrogateescape")


def _permit(action: int, first: str | None, second: str | None, *rest: str | None) -> int:
    allowed = action in _HARMLESS
    if action in _WRITES_THAT_FAIL:
        allowed = rest[0] == "main"
    elif action == sqlite3.SQLITE_FUNCTION:
        allowed = (second or "").lower() not in _FORBIDDEN_FUNCTIONS
    elif action == sqlite3.SQLITE_PRAGMA:
        pragma = (first or "").lower()
        allowed = pragma in (_ASKED if second is None else _ASKED_OF_SOMETHING)
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def examine(
    connection: sqlite3.Connection, *, stop: Stop, deadline_seconds: float = DEADLINE_SECONDS
) -> DatabaseFacts:
    """Return what the database behind `connection` holds and what is wrong with it.

    Damage, and a check that takes longer than `deadline_seconds`, are among the problems. Raises
    `FailedError` where the disk fails to read, which says nothing about the database;
    `StoppedError` within a fraction of a second of a stop. May run in any thread.
    """
    try:
        facts = _within(connection, lambda: _facts(connection), stop, deadline_seconds)
        if facts.problems:
            _require_disk(connection, stop)
        return facts
    except _TooLongError as error:
        return DatabaseFacts(problems=(error.message,))
    except UNREADABLE as error:
        raise _unread(error) from None


def _require_disk(connection: sqlite3.Connection, stop: Stop) -> None:
    """Read the file once more: SQLite calls a page malformed that the disk cannot read (EIO)."""
    path = connection.path if isinstance(connection, _Guarded) else None
    try:
        if path and path.exists():
            with path.open("rb", buffering=0) as file:
                while file.read(MIB):
                    stop.check()
    except OSError as error:
        raise _unread(error) from None


def _unread(error: BaseException) -> FailedError:
    return FailedError(
        f"The private copy of a database cannot be read: {said(error)}.",
        hint="The disk of the workspace or of the restore's target may be failing.",
    )


def answer(
    connection: sqlite3.Connection,
    sql: str,
    *,
    stop: Stop,
    deadline_seconds: float = DEADLINE_SECONDS,
    max_rows: int = MAX_ROWS,
) -> Rows:
    """Return the rows of `sql`, one statement that only reads.

    Text that is no UTF-8 comes with surrogate escapes, as paths do. Raises `QueryError` where it
    is no such statement, fails, gives more than `max_rows` or than `ANSWER_BYTES` of text and
    blobs, or takes longer than `deadline_seconds`; `StoppedError` within a fraction of a second
    of a stop.
    """
    try:
        rows = _within(connection, lambda: _rows(connection, sql, max_rows), stop, deadline_seconds)
    except _TooLongError as error:
        raise _unanswered(sql, error.message) from None
    except (*UNREADABLE, ValueError) as error:
        raise _unanswered(sql, said(error)) from None
    return rows


def _rows(connection: sqlite3.Connection, sql: str, max_rows: int) -> Rows:
    cursor = connection.execute(sql)
    if cursor.description is None:
        raise ValueError("it selects nothing")
    rows, size = Rows(), 0
    rows.names = tuple(column[0] for column in cursor.description)
    for row in cursor:
        rows.append(row)
        size += sum(len(value) for value in row if isinstance(value, str | bytes))
        if len(rows) > max_rows:
            raise ValueError(f"it gives more than {max_rows:,} rows")
        if size > ANSWER_BYTES:
            raise ValueError(f"it gives more than {ANSWER_BYTES >> 20} MiB")
    return rows


def _unanswered(sql: str, reason: str) -> QueryError:
    return QueryError(
        f"The query {printable(sql[:_SHOWN_SQL])} cannot be answered: {reason}.",
        hint="It must be one SELECT that needs nothing but the database itself.",
    )


class _TooLongError(AgebackupError):
    pass


def _within(
    connection: sqlite3.Connection, work: Callable[[], Result], stop: Stop, seconds: float
) -> Result:
    deadline = Deadline(seconds)

    def check() -> None:
        stop.check()
        if deadline.expired:
            raise _TooLongError(f"it took longer than {seconds:g} seconds")

    return Task(connection, work).result(check)


def _facts(connection: sqlite3.Connection) -> DatabaseFacts:
    with suppress(*UNREADABLE):  # reads the schema; the check below says what is wrong with it
        connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    problems, unchecked = problems_of(connection, "integrity_check")
    try:
        if not _integer(connection, "PRAGMA page_count"):
            problems = problems or ("the file is too short to be a database",)
        tables, unnameable = ordinary_tables(connection)
        if unnameable:
            unchecked = unchecked or UNNAMEABLE
        return DatabaseFacts(
            problems=problems,
            unchecked=unchecked,
            user_version=_integer(connection, "PRAGMA user_version"),
            application_id=_integer(connection, "PRAGMA application_id"),
            schema_sha256=schema_sha256(connection),
            page_size=_integer(connection, "PRAGMA page_size"),
            encoding=str(connection.execute("PRAGMA encoding").fetchone()[0]),
            rows={t: _integer(connection, f"SELECT count(*) FROM {quoted(t)}") for t in tables},
            foreign_key_violations=sum(_violations(connection, table) for table in tables),
        )
    except UNREADABLE as error:
        if is_disk_failure(error):
            raise
        return DatabaseFacts(problems=problems or (said(error),), unchecked=unchecked)


def _integer(connection: sqlite3.Connection, sql: str) -> int:
    return int(connection.execute(sql).fetchone()[0])


def _violations(connection: sqlite3.Connection, table: str) -> int:
    try:
        return sum(1 for _ in connection.execute(f"PRAGMA foreign_key_check({quoted(table)})"))
    except sqlite3.OperationalError as error:
        if "foreign key mismatch" in str(error):
            return 1
        raise
