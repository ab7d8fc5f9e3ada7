"""Open a ledger's file with care: what is no ledger, or a damaged one, is left as it was."""

import os
import sqlite3
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agebackup.ledger.failures import LedgerError
from agebackup.ledger.schema import (
    APPLICATION_ID,
    KEYS,
    VERSION,
    NewerSchemaError,
    bring_forward,
    version_of,
)
from agebackup.system.clock import Deadline, pause
from agebackup.system.syncing import sync_path

COMPANIONS = ("-wal", "-shm")
_MODE = 0o600
_WAL_LIMIT = 1 << 20
"""Bytes that the -wal keeps when its content was carried over, as it is every 1,000 pages."""
_WAL_HEADER = 32
_KINDS = {stat.S_ISLNK: "a link", stat.S_ISDIR: "a directory"}
_STEP = 0.02


def opened(file: Path, *, make: bool, busy_seconds: float) -> sqlite3.Connection:
    """Return a connection to the ledger `file`, whose schema is this program's.

    Raises `LedgerError`, OSError and sqlite3's errors. Nobody may open and close the file itself
    while this process has a connection: that would drop its locks (sqlite.org/howtocorrupt.html,
    2.2), so everything that is asked of it is asked through SQLite or stat(2).
    """
    made = _stand(file, make=make)
    try:
        _tighten(file)
        _require_sound_wal(file)
        _look(file, busy_seconds)
        connection = connected(file, "rw", busy_seconds)
        try:
            _require_ledger(connection, file)
            _settle(connection, busy_seconds)
        except BaseException:
            connection.close()
            raise
    except NewerSchemaError as error:
        raise newer(file, error.args[0]) from None
    except BaseException:
        if made:
            with suppress(OSError):
                if not file.stat().st_size:
                    file.unlink()
        raise
    return connection


def connected(file: Path, mode: str, busy_seconds: float) -> sqlite3.Connection:
    """Return a bare connection to the file, which must exist; `mode` is SQLite's: ro or rw."""
    uri = f"{file.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=busy_seconds, isolation_level=None)
    try:
        for pragma in ("trusted_schema = OFF", "cell_size_check = ON"):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def newer(file: Path, version: int) -> LedgerError:
    """Return the error for a ledger of the unknown schema `version`."""
    return LedgerError(file, f"a newer agebackup wrote it (schema {version})", "newer")


def _stand(file: Path, *, make: bool) -> bool:
    """Require a regular file; return whether it was made now, empty, 0600 whatever the umask.

    An empty one is none yet: all that was in it, if there ever was anything, is gone.
    """
    try:
        _require_regular(file)
        if not make and _is_empty(file):
            raise LedgerError(file, "it is an empty file", "absent")
        return False
    except FileNotFoundError:
        if not make:
            raise LedgerError(file, "there is none yet", "absent") from None
    _make_directory(file.parent)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(file, flags, _MODE)
    except FileExistsError:  # another process was faster
        _require_regular(file)
        return False
    try:
        os.fchmod(descriptor, _MODE)
    finally:
        os.close(descriptor)
    sync_path(file.parent)
    return True


def _require_regular(file: Path) -> None:
    mode = file.lstat().st_mode
    if not stat.S_ISREG(mode):
        kind = next((words for test, words in _KINDS.items() if test(mode)), "something else")
        raise LedgerError(file, f"{kind} has its name", "taken")


def _is_empty(file: Path) -> bool:
    """Return whether there is nothing in the ledger, nor in its -wal."""
    return not file.stat().st_size and not any(_wal_header(file))


def _make_directory(directory: Path) -> None:
    with suppress(FileExistsError):
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700)
        directory.chmod(0o700)
        sync_path(directory.parent)


def _tighten(file: Path) -> None:
    """Take everybody else's rights to the ledger away, should somebody have given them."""
    for path in (file, *companions(file)):
        with suppress(OSError):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_mode & 0o177:
                path.chmod(_MODE)


def companions(file: Path) -> tuple[Path, ...]:
    """Return the files that SQLite keeps beside `file`, whether they are there or not."""
    return tuple(file.with_name(file.name + suffix) for suffix in COMPANIONS)


def _require_sound_wal(file: Path) -> None:
    """Refuse a -wal that never was one: SQLite would take it for empty and forget what it held.

    Another process may write its header at this moment, so a bad one is looked at again.
    """
    for _ in range(3):
        header = _wal_header(file)
        if not any(header):
            return
        if file.stat().st_size and _is_wal_header(header):
            return
    raise LedgerError(file, f"{_wal(file).name} beside it is not its own, or damaged", "damaged")


def _wal(file: Path) -> Path:
    return companions(file)[0]


def _wal_header(file: Path) -> bytes:
    """Return how the -wal of `file` begins, nothing where it is absent or shorter than that."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(_wal(file), flags)
    except FileNotFoundError:
        return b""
    try:
        header = os.pread(descriptor, _WAL_HEADER, 0)
    finally:
        os.close(descriptor)
    return header if len(header) == _WAL_HEADER else b""


def _is_wal_header(header: bytes) -> bool:
    """Check magic number, version and checksum (sqlite.org/fileformat2.html, 4.1 and 4.2)."""
    magic, version = struct.unpack(">II", header[:8])
    if magic & ~1 != 0x377F0682 or version != 3007000:
        return False
    first = second = 0
    words = struct.unpack(">6I" if magic & 1 else "<6I", header[:24])
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return (first, second) == struct.unpack(">II", header[24:])


def _look(file: Path, busy_seconds: float) -> None:
    """Refuse what is no ledger, or a damaged one, by a connection that changes nothing.

    Reads the first and the last row of each table, so the pages on the way to them: SQLite itself
    notices a file that is too short. `ledger check` reads everything.
    """
    if not file.stat().st_size:
        return
    with _reader(file, busy_seconds) as connection:
        if not _require_ledger(connection, file):
            return
        for table, key in KEYS.items():
            for direction in ("ASC", "DESC"):
                query = f"SELECT * FROM {table} ORDER BY {key} {direction} LIMIT 1"
                connection.execute(query).fetchone()
        connection.execute("SELECT time FROM archives ORDER BY app DESC, time DESC LIMIT 1")


@contextmanager
def _reader(file: Path, busy_seconds: float) -> Iterator[sqlite3.Connection]:
    """Yield a read-only connection; after a kill while the ledger was made it can do nothing."""
    connection = connected(file, "ro", busy_seconds)
    try:
        yield connection
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_READONLY:
            raise
    finally:
        connection.close()


def _require_ledger(connection: sqlite3.Connection, file: Path) -> bool:
    """Return whether there is a schema; refuse a newer one, and what is no ledger."""
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    version = version_of(connection)
    if mark == APPLICATION_ID:
        if version > VERSION:
            raise NewerSchemaError(version)
        return version == VERSION
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if mark or version or tables:
        raise LedgerError(file, "another application's database has its name", "taken")
    return False


def _settle(connection: sqlite3.Connection, busy_seconds: float) -> None:
    """Bring the schema forward and let every commit reach the disk before it is confirmed."""
    pragmas = ("synchronous = FULL", "fullfsync = ON", "checkpoint_fullfsync = ON")
    for pragma in (*pragmas, f"journal_size_limit = {_WAL_LIMIT}"):
        connection.execute(f"PRAGMA {pragma}")
    if version_of(connection) != VERSION:
        bring_forward(connection)
    deadline = Deadline(busy_seconds)
    while True:  # SQLite does not wait by itself for this lock
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or deadline.expired:
                raise
        pause(_STEP)
