"""Ask SQLite whether a database is sound, even where functions of its application are missing."""

import re
import sqlite3
from collections.abc import Iterator
from typing import Literal

from agebackup.model.names import printable

UNREADABLE = (sqlite3.Error, sqlite3.Warning, UnicodeError, MemoryError)
"""What a damaged or hostile database makes Python raise: SQLite's error texts may quote bytes
that are no UTF-8, and a limit of memory comes as MemoryError."""

SHOWN_PROBLEMS = 20
_COUNTED_PROBLEMS = 1000
_LINE = 300
_LONGEST = 64 << 10
"""So much of one answer is looked at; hostile names may make it very long."""
_DISK_FAILURE = re.compile(r"unable to get the page\. error code=([0-9]{1,6})")
_IOERR, _IOERR_SHORT_READ = 10, 522
_CUT_SHORT = "SQLITE_IOERR_SHORT_READ"
_MAX_STAND_INS = 50
_RTREE = re.compile(
    r"""CREATE VIRTUAL TABLE ("(?:[^"]|"")+"|`[^`]+`|\[[^]]+]|'[^']+'|\w+) USING rtree(_i32)?\b""",
    re.IGNORECASE | re.ASCII,
)
_MISSING_COLLATION = re.compile(r"no such collation sequence: (.+)", re.DOTALL)
_MISSING_FUNCTION = re.compile(r"(?:no such|unknown) function: ")
_NEEDS_THE_REAL_COLLATION = "PRIMARY KEY order"

Check = Literal["quick_check", "integrity_check"]


def problems_of(connection: sqlite3.Connection, check: Check) -> tuple[tuple[str, ...], str]:
    """Return what `check` complains of, and what it could not check, "" if it checked all.

    Indexes that need a collation or a function which only the application has cannot be compared
    with their tables here: then everything else is checked, and the reason is given. The problems
    are the first `SHOWN_PROBLEMS` lines and how many more there are. Raises SQLite's error where
    the disk fails to read: `is_disk_failure`.
    """
    missing = ""
    for _ in range(_MAX_STAND_INS):
        try:
            rows = connection.execute(f"PRAGMA {check}({_COUNTED_PROBLEMS})")
            lines = [line for (text,) in rows for line in _lines(text, missing)]
            return _bounded(lines or list(_tree_problems(connection))), missing
        except UNREADABLE as error:
            if is_disk_failure(error):
                raise
            reason = said(error)
            collation = _MISSING_COLLATION.fullmatch(str(error))
            if collation:
                connection.create_collation(collation[1], _stand_in)
            elif not _MISSING_FUNCTION.match(reason):
                return (reason,), missing
            elif check == "quick_check":
                return (), reason
            missing, check = missing or reason, "quick_check"
            connection.execute("PRAGMA ignore_check_constraints=ON")
    return (), missing


def is_disk_failure(error: BaseException) -> bool:
    """Return whether `error` says that the disk failed, and nothing about the database itself."""
    name = getattr(error, "sqlite_errorname", "")
    return name.startswith("SQLITE_IOERR") and name != _CUT_SHORT


def said(error: BaseException) -> str:
    """Return what SQLite said of a failure, bounded and fit for a terminal."""
    if isinstance(error, UnicodeDecodeError):
        return "the database disk image is malformed: its names are no text"
    return printable(str(error)[:_LINE]) or "there is too little memory to look into it"


def _tree_problems(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield what is wrong with each R-tree: integrity_check looks at none before SQLite 3.44.

    Its own check only reads (sqlite.org/rtree.html, 7); full-text indexes have none that does.
    """
    if sqlite3.sqlite_version_info >= (3, 44):
        return
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE rootpage = 0")
    trees = [name for name, sql in rows if _RTREE.match(str(sql))]
    for name in trees:
        (text,) = connection.execute("SELECT rtreecheck('main', ?)", (name,)).fetchone()
        yield from (f"{printable(name[:_LINE])}: {line}" for line in _lines(text, ""))


def _stand_in(one: str, other: str) -> int:
    return (one > other) - (one < other)


def _lines(text: str, missing: str) -> list[str]:
    failed = _DISK_FAILURE.search(text[:_LONGEST])
    if failed and int(failed[1]) & 0xFF == _IOERR and int(failed[1]) != _IOERR_SHORT_READ:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorname = "SQLITE_IOERR"
        raise error
    return [
        printable(line[:_LINE])
        for line in text[:_LONGEST].splitlines()
        if line not in ("ok", "*** in database main ***")
        and not (missing and _NEEDS_THE_REAL_COLLATION in line)
    ]


def _bounded(lines: list[str]) -> tuple[str, ...]:
    more = len(lines) - SHOWN_PROBLEMS
    if more <= 0:
        return tuple(lines)
    least = "at least " if len(lines) >= _COUNTED_PROBLEMS else ""
    return (*lines[:SHOWN_PROBLEMS], f"and {least}{more} more")
