"""Why a ledger cannot be used, told apart by what the person must do about it."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from agebackup.errors import BusyError, FailedError, NotFoundError, RefusedError, printable

Cause = Literal["refused", "absent", "taken", "damaged", "newer", "locked"]
"""The disk or its permissions refuse; there is none, or an empty file; something else has its name;
its content makes no sense; a newer agebackup wrote it; another process holds it."""

REBUILD = "agebackup ledger rebuild DEST..."
NO_NUMBER = "the archive carries no sequence number"
NO_ROW = (
    "list, status and audit do not know the archive, and prune leaves it alone, until "
    "agebackup ledger rebuild adopts it"
)
"""What an archive lacks that is made without a ledger."""
_HINTS: dict[Cause, str] = {
    "refused": "Archives do not depend on it. Check its disk, its owner and its mode.",
    "absent": f"The first backup makes it, or: {REBUILD}",
    "taken": "Move it away, or set XDG_STATE_HOME to another directory.",
    "damaged": f"Archives do not depend on it. Make a new one: {REBUILD}",
    "newer": "Upgrade agebackup on this machine.",
    "locked": "Try again when the other process is done with it.",
}
_CODES: dict[Cause, int] = {
    "absent": NotFoundError.exit_code,
    "locked": BusyError.exit_code,
    "newer": RefusedError.exit_code,
}
_SENSELESS = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    msgspec.MsgspecError,
)
_CAUSES: dict[int, Cause] = {
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_CORRUPT: "damaged",
    sqlite3.SQLITE_NOTADB: "damaged",
}
_WORDS = {
    sqlite3.SQLITE_BUSY: "another process holds it",
    sqlite3.SQLITE_LOCKED: "another process holds it",
    sqlite3.SQLITE_CORRUPT: "it is damaged",
    sqlite3.SQLITE_NOTADB: "it is damaged, or no ledger at all",
    sqlite3.SQLITE_FULL: "its disk is full",
    sqlite3.SQLITE_IOERR: "its disk refuses, or is full",
    sqlite3.SQLITE_READONLY: "it can only be read",
    sqlite3.SQLITE_CANTOPEN: "it, or the directory that it lies in, cannot be written",
}


class LedgerError(FailedError):
    """The ledger cannot be read or written. Archives do not depend on it.

    `cause` says why; `damaged`, `newer`, `locked` and `absent` ask for one cause each.
    """

    def __init__(self, file: Path, why: str, cause: Cause = "refused") -> None:
        shown = printable(str(file))
        super().__init__(f"The ledger {shown} cannot be used: {why}.", hint=_HINTS[cause])
        self.cause: Cause = cause

    @property
    def code(self) -> int:
        """1; where there is none 10, another process holds it 11, a newer program wrote it 13."""
        return _CODES.get(self.cause, self.exit_code)

    @property
    def damaged(self) -> bool:
        """Whether its content makes no sense, so that only a new one helps."""
        return self.cause == "damaged"

    @property
    def newer(self) -> bool:
        """Whether a newer agebackup wrote it."""
        return self.cause == "newer"

    @property
    def locked(self) -> bool:
        """Whether another process held it for too long."""
        return self.cause == "locked"

    @property
    def absent(self) -> bool:
        """Whether there is none yet."""
        return self.cause == "absent"


@contextmanager
def explained(file: Path, senseless: Cause = "damaged") -> Iterator[None]:
    """Turn everything that the body meets in the ledger `file` into a `LedgerError`.

    `senseless` is the cause where a value is none of a record's: while reading, that is damage.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _of_sqlite(error, file) from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        said = "its disk is full" if full else os.strerror(error.errno or errno.EIO)
        raise LedgerError(file, said) from error
    except _SENSELESS as error:
        what = "a row in it makes" if senseless == "damaged" else "what it should record makes"
        why = f"{what} no sense ({printable(str(error))})"
        raise LedgerError(file, why, senseless) from error


def _of_sqlite(error: sqlite3.Error, file: Path) -> LedgerError:
    """Judge by the primary result code (sqlite.org/rescode.html).

    A missing table or column has only the general one, and text that is not UTF-8 has none.
    """
    code = getattr(error, "sqlite_errorcode", None)
    if code is None or code == sqlite3.SQLITE_ERROR:
        unusable = isinstance(error, sqlite3.OperationalError)
        return LedgerError(file, printable(str(error)), "damaged" if unusable else "refused")
    primary = code & 0xFF
    said = _WORDS.get(primary, printable(str(error)))
    return LedgerError(file, said, _CAUSES.get(primary, "refused"))
