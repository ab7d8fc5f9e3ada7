"""Connect to a live database without changing it, and say in plain words what SQLite refuses."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from agebackup.errors import AgebackupError, BusyError, FailedError
from agebackup.snapshot.inspection import tolerant
from agebackup.snapshot.live import LiveDatabase, unlockable
from agebackup.snapshot.soundness import UNREADABLE, said
from agebackup.system.descriptors import descriptors_are_short, too_few_descriptors


class HeldElsewhereError(Exception):
    """Somebody else holds a lock on `live` at this moment."""

    def __init__(self, live: LiveDatabase) -> None:
        super().__init__(live)
        self.live = live


def connect(live: LiveDatabase, mode: Literal["ro", "rw"] = "ro") -> sqlite3.Connection:
    """Return a connection that never waits for a lock, creates no database and spills nothing.

    The path goes into a URI with `?`, `#` and `%` quoted: as they are, they would lead to
    another, new and empty database. SQLite reads nothing before the first statement.
    """
    with explained(live):
        connection = sqlite3.connect(
            f"{live.path.as_uri()}?mode={mode}",
            uri=True,
            timeout=0,
            isolation_level=None,
            check_same_thread=False,
        )
    connection.text_factory = tolerant
    connection.execute("PRAGMA temp_store=MEMORY")
    return connection


@contextmanager
def explained(live: LiveDatabase) -> Iterator[None]:
    """Turn what SQLite raises into `HeldElsewhereError` or an `AgebackupError` about `live`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise _too_many(live) from None
        raise
    except UNREADABLE as error:
        if error_name(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise HeldElsewhereError(live) from None
        raise complaint(live, error) from None


def busy(live: LiveDatabase) -> BusyError:
    """Return the refusal of a database that somebody else held locked all the time."""
    return BusyError(
        f"The database {live.shown} was locked by another program all the time.",
        hint="Wait longer with --lock-timeout, or find out which program holds it.",
    )


def error_name(error: BaseException) -> str:
    """Return SQLite's name of the failure, such as SQLITE_IOERR_READ; "" where it has none."""
    return getattr(error, "sqlite_errorname", "")


def complaint(live: LiveDatabase, error: BaseException) -> AgebackupError:
    """Return what `error` means for the person whose database `live` is."""
    name, text = error_name(error), said(error)
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_IOERR")) and descriptors_are_short():
        return _too_many(live)
    if name == "SQLITE_READONLY_ROLLBACK":
        return FailedError(
            f"The database {live.shown} has a hot rollback journal: its application was cut off "
            "in the middle of a write.",
            hint="Start the application, or open the database with sqlite3: that rolls it back.",
        )
    if name == "SQLITE_READONLY":
        return unlockable(live)
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return FailedError(
            f"The database {live.shown} cannot be read by this user: {text}.",
            hint="SQLite needs its -wal and -shm files too: run as the database's owner.",
        )
    if name == "SQLITE_NOTADB":
        return FailedError(
            f"The database {live.shown} is encrypted or damaged: {text}.",
            hint="SQLite cannot copy a database consistently without its key.",
        )
    if name.startswith("SQLITE_IOERR"):
        return FailedError(
            f"The database {live.shown} cannot be read, or its private copy not written: {text}.",
            hint="The disk of one of the two may be failing, or a quota reached.",
        )
    if name == "SQLITE_FULL":
        return FailedError(
            f"There is no room for the private copy of the database {live.shown}: {text}.",
            hint="Free some space, or name another --workspace.",
        )
    if name.startswith("SQLITE_CORRUPT") or isinstance(error, UnicodeError):
        return corrupt(live, (text,))
    return FailedError(f"The database {live.shown} cannot be copied: {text}.")


def _too_many(live: LiveDatabase) -> FailedError:
    return too_few_descriptors(f"The database {live.shown} cannot be copied")


def corrupt(live: LiveDatabase, problems: tuple[str, ...]) -> FailedError:
    """Return the refusal of a damaged source; `problems` are what SQLite's check said."""
    return FailedError(
        f"The database {live.shown} is corrupt: {problems[0]}",
        hint="Nothing was published. Older archives of it may be sound: see verify; to save "
        'what can be read, try sqlite3 ".recover".',
        details=problems,
    )
