"""A live database's files: what is refused before SQLite touches them, what is left afterwards.

Nothing here runs while a connection to the database is open in this process: closing any
descriptor of a file drops all POSIX locks that the process holds on it, SQLite's included.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agebackup.errors import AgebackupError, FailedError, UsageError
from agebackup.model.layout import SQLITE_COMPANIONS, SQLITE_MAGIC
from agebackup.model.names import printable
from agebackup.model.source import DatabaseSource

Identity = tuple[int, int]
"""(st_dev, st_ino): what a file is, whatever it is called."""

_WAL_FILES = ("-wal", "-shm")
_HEADER_BYTES = 4096
_SMALLEST = 512
_WAL_FORMAT = 2
_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510
"""Where every SQLite connection holds its shared lock (sqlite3, os.h), in WAL mode as long as it
is open: nobody else is connected while this range is locked exclusively."""
_RANDOM_BYTES = 180
"""Different byte values in 512 random bytes: 221 on average, under 200 practically never."""


@dataclass(frozen=True)
class LiveDatabase:
    """A database as it was found: its real path, the suffixes of its companions, all its files.

    `owned` are those companions that must stay. An empty `-wal` with its `-shm` is not among them:
    nobody needs it who is not connected, and a run of ours that was killed leaves just that.
    """

    source: DatabaseSource
    path: Path
    identity: Identity
    wal: bool
    companions: frozenset[str]
    owned: frozenset[str]
    files: tuple[Identity, ...]

    @property
    def shown(self) -> str:
        """Its path as the person gave it, fit for a message."""
        return printable(str(self.source.path))


def look(source: DatabaseSource) -> LiveDatabase:
    """Return the database of `source`, its files looked at and found fit to be opened.

    Raises `FailedError` with a sentence of its own where it is missing, unreadable, not a regular
    file, empty, not SQLite, encrypted, or in WAL mode with files this user must not touch.
    """
    try:
        path = Path(os.path.realpath(source.path, strict=True))
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            header = (
                b"" if not stat.S_ISREG(status.st_mode) else os.pread(descriptor, _HEADER_BYTES, 0)
            )
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unopened(source, error) from None
    _require_sqlite(printable(str(source.path)), status, header)
    companions = frozenset(s for s in SQLITE_COMPANIONS if os.path.lexists(f"{path}{s}"))
    identity = (status.st_dev, status.st_ino)
    wal = _WAL_FORMAT in header[18:20]
    owned = companions if _has_content(f"{path}-wal") else companions.difference(_WAL_FILES)
    live = LiveDatabase(source, path, identity, wal, companions, owned, all_files(path))
    if live.wal:
        _require_own_wal(live, status.st_uid)
    return live


def _has_content(name: str) -> bool:
    try:
        return os.stat(name).st_size > 0
    except OSError:
        return False


def look_at_all(sources: Iterable[DatabaseSource]) -> tuple[LiveDatabase, ...]:
    """Return what `look` says of each; raise `UsageError` where two of them are one file."""
    found: dict[Identity, LiveDatabase] = {}
    for source in sources:
        live = look(source)
        first = found.setdefault(live.identity, live)
        if first is not live:
            raise UsageError(
                f"{first.shown} and {live.shown} are the same database.",
                hint="Name it once.",
            )
    return tuple(found.values())


def _unopened(source: DatabaseSource, error: OSError) -> AgebackupError:
    shown = printable(str(source.path))
    sentences = {
        errno.ENOENT: f"There is no database {shown}.",
        errno.ENOTDIR: f"There is no database {shown}: a part of its path is not a directory.",
        errno.ELOOP: f"The database {shown} is a symbolic link that leads back to itself.",
        errno.EACCES: f"The database {shown} may not be read by this user.",
        errno.EPERM: f"The database {shown} may not be read by this user.",
        errno.ENXIO: f"{shown} is not a database but a socket.",
    }
    fallback = f"The database {shown} cannot be opened: {error.strerror}."
    hint = "Was it moved, or is its disk not mounted?" if error.errno == errno.ENOENT else ""
    return FailedError(sentences.get(error.errno or 0, fallback), hint=hint)


def _require_sqlite(shown: str, status: os.stat_result, header: bytes) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise FailedError(f"{shown} is not a database: it is not a regular file.")
    if not status.st_size:
        raise FailedError(
            f"The database {shown} is empty: 0 bytes.",
            hint="Its application has not written it yet, or something cut it.",
        )
    if header.startswith(SQLITE_MAGIC):
        if status.st_size < _SMALLEST:
            raise FailedError(
                f"The database {shown} was cut: only {status.st_size} bytes are left."
            )
    elif status.st_size % _SMALLEST == 0 and len(set(header)) >= _RANDOM_BYTES:
        raise FailedError(
            f"The database {shown} looks encrypted (SQLCipher or the like).",
            hint="SQLite cannot copy it consistently without its key: let the application export "
            "it, or stop the application and give the file as an attachment.",
        )
    else:
        raise FailedError(f"{shown} is not a SQLite database.")


def _require_own_wal(live: LiveDatabase, owner: int) -> None:
    missing = [suffix for suffix in _WAL_FILES if suffix not in live.companions]
    may_make = os.access(live.path, os.W_OK) and os.access(live.path.parent, os.W_OK)
    if missing and not (may_make and os.geteuid() in (0, owner)):
        raise FailedError(
            f"The database {live.shown} is in WAL mode, and this user may not make or remove "
            f"the {' and '.join(missing)} that reading it needs.",
            hint="Run as the database's owner, or while the application has it open.",
        )
    for suffix in _WAL_FILES:
        if suffix in live.companions and not os.access(f"{live.path}{suffix}", os.R_OK):
            raise FailedError(
                f"The database {live.shown} is in WAL mode, and its {suffix} may not be read "
                "by this user.",
                hint="Run as the database's owner.",
            )


def require_lockable(live: LiveDatabase) -> None:
    """Raise `FailedError` where this user may not write: `BEGIN IMMEDIATE` would lock nothing
    there and say nothing (sqlite3BeginTransaction in SQLite)."""
    if not os.access(live.path, os.W_OK):
        raise unlockable(live)


def unlockable(live: LiveDatabase) -> FailedError:
    """Return the refusal of a database that cannot be locked."""
    return FailedError(
        f"The database {live.shown} may not be written by this user, so it cannot be locked "
        "for the instant that all the databases shall show together.",
        hint="Run as its owner, or with --consistency per-database.",
    )


def lasting_files(live: LiveDatabase) -> tuple[Identity, ...]:
    """Return those files of `live` that were there before and still are.

    One that was made for reading is removed again, and its inode soon becomes another file's.
    """
    present = all_files(live.path)
    return tuple(identity for identity in live.files if identity in present)


def require_unreplaced(live: LiveDatabase) -> None:
    """Raise `FailedError` where the path leads to another file than the one that was opened."""
    try:
        path = os.path.realpath(live.source.path, strict=True)
        status = os.stat(path)
        same = path == str(live.path) and (status.st_dev, status.st_ino) == live.identity
    except OSError:
        same = False
    if not same:
        raise FailedError(
            f"The database {live.shown} was replaced or removed while it was copied.",
            hint="Run again when what replaces it has finished.",
        )


def remove_made_companions(live: LiveDatabase) -> None:
    """Remove the `-wal` and `-shm` that reading `live` made, now or in a run that was killed.

    SQLite's own last connection does the same, under the same lock. A `-wal` with content is
    somebody's and stays, and so does everything where the lock cannot be had because somebody
    else is connected.
    """
    made = [s for s in _WAL_FILES if s not in live.owned and os.path.exists(f"{live.path}{s}")]
    if not made:
        return
    try:
        descriptor = os.open(live.path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
        status = os.fstat(descriptor)
        empty = "-wal" not in made or not os.path.getsize(f"{live.path}-wal")
        if empty and (status.st_dev, status.st_ino) == live.identity:
            for suffix in made:
                os.unlink(f"{live.path}{suffix}")
    except OSError:
        return
    finally:
        os.close(descriptor)


def all_files(path: Path) -> tuple[Identity, ...]:
    """Return what the database at `path` and its companions are at this moment."""
    found = []
    for suffix in ("", *SQLITE_COMPANIONS):
        try:
            status = os.stat(f"{path}{suffix}")
        except OSError:
            continue
        found.append((status.st_dev, status.st_ino))
    return tuple(found)


def estimated_bytes(sources: Iterable[DatabaseSource]) -> int:
    """Return an upper bound of what the private copies of `sources` take, in bytes."""
    total = 0
    for source in sources:
        path = os.path.realpath(source.path)
        for name in (path, f"{path}-wal"):
            try:
                total += os.stat(name).st_size
            except OSError:
                continue
    return total
