"""What can still be read of a damaged ledger, and a new one in its place."""

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agebackup.ledger.failures import LedgerError
from agebackup.ledger.opening import companions, connected
from agebackup.ledger.patience import BUSY_SECONDS
from agebackup.ledger.rows import LATER, TABLES, R, columns, loaded
from agebackup.ledger.schema import KEYS, bring_forward
from agebackup.ledger.store import Ledger, open_ledger
from agebackup.model.records import (
    ArchiveRecord,
    DestinationRecord,
    DrillRecord,
    KeycheckRecord,
    PushRecord,
    RunRecord,
)
from agebackup.system.claims import Claims
from agebackup.system.durable import publication
from agebackup.system.syncing import explained, sync_path
from agebackup.system.workspace import private_directory

JOURNAL = "-journal"
_CANNOT_LINK = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}


@dataclass(frozen=True)
class Content:
    """What a ledger holds. `damage` says in words what is wrong with it, "" where it is sound."""

    runs: tuple[RunRecord, ...] = ()
    archives: tuple[ArchiveRecord, ...] = ()
    destinations: tuple[DestinationRecord, ...] = ()
    keychecks: tuple[KeycheckRecord, ...] = ()
    drills: tuple[DrillRecord, ...] = ()
    pushes: tuple[PushRecord, ...] = ()
    damage: str = ""


def content_of(file: Path, claims: Claims) -> Content | None:
    """Return everything that the ledger `file` holds, or None where there is none.

    Of a damaged one it is what can still be read. Raises `LedgerError` for every other cause.
    """
    try:
        with open_ledger(file, make=False) as ledger:
            problems = ledger.problems()
            if not problems:
                archives = ledger.archives(deleted=True, pending=True)
                return Content(
                    (),
                    archives,
                    ledger.destinations(),
                    ledger.keychecks(),
                    ledger.drills(),
                    ledger.pushes(),
                )
            damage = problems[0]
    except LedgerError as error:
        if error.absent:
            return None
        if not error.damaged:
            raise
        damage = error.message
    return _salvaged(file, damage, claims)


def _salvaged(file: Path, damage: str, claims: Claims) -> Content:
    """Read a private copy: SQLite may do with it what it likes, the -wal's content counts."""
    with private_directory(file.parent, claims, prefix="ledger") as private:
        copy = private / "ledger.db"
        try:
            for source, target in zip(_all_of(file), _all_of(copy), strict=True):
                with suppress(FileNotFoundError):
                    shutil.copyfile(source, target, follow_symlinks=False)
            connection = connected(copy, "rw", BUSY_SECONDS)
        except (OSError, sqlite3.Error):
            return Content(damage=damage)
        with closing(connection):
            connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
            return Content(
                _readable(connection, RunRecord),
                _readable(connection, ArchiveRecord),
                _readable(connection, DestinationRecord),
                _readable(connection, KeycheckRecord),
                _readable(connection, DrillRecord),
                _readable(connection, PushRecord),
                damage,
            )


def _readable(connection: sqlite3.Connection, kind: type[R]) -> tuple[R, ...]:
    """Return the records of `kind` before the first and behind the last damaged page."""
    table, found = TABLES[kind], dict[tuple[object, ...], R]()
    names = ", ".join(_there(connection, table, columns(kind)))
    for direction in ("ASC", "DESC"):
        query = f"SELECT {names} FROM {table} ORDER BY {KEYS[table]} {direction}"
        with suppress(sqlite3.Error):
            for row in connection.execute(query):
                with suppress(Exception):  # whatever a row of chance makes of the reader
                    found[row] = loaded(kind, row)
    return tuple(found.values())


def _there(connection: sqlite3.Connection, table: str, names: tuple[str, ...]) -> Iterator[str]:
    """Yield the columns `names`, each as SQL; an older ledger lacks some."""
    there: set[str] = set()
    with suppress(sqlite3.Error):
        there = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    for name in names:
        yield LATER[name] if there and name not in there and name in LATER else f"[{name}]"


@contextmanager
def replacement(file: Path, claims: Claims, moment: datetime) -> Iterator[tuple[Ledger, Path]]:
    """Yield a new ledger and the path where the one at `file` will be kept when it took its place.

    On a clean exit of the body the old file, with what SQLite keeps beside it, has that name, and
    the new one stands in its place. After any exception, or a kill, the old one stands there, at
    worst without its -wal, which is then kept under the other name. No run may be at work.
    """
    with publication(file.parent, file.name, claims, replace=True) as draft:
        connection = connected(draft.path, "rw", BUSY_SECONDS)
        with closing(connection):
            # No file beside a draft: after a kill nobody would know whose it is. The publication
            # brings everything to the disk.
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute("PRAGMA synchronous = OFF")
            bring_forward(connection)
            aside = _free_name(file, moment)
            yield Ledger(draft.path, connection), aside
        with explained(file.parent):
            _keep(file, aside)


def _free_name(file: Path, moment: datetime) -> Path:
    number = 1
    while True:
        more = f"-{number}" if number > 1 else ""
        name = f"{file.stem}.damaged-{moment:%Y%m%dT%H%M%SZ}{more}{file.suffix}"
        if not os.path.lexists(file.with_name(name)):
            return file.with_name(name)
        number += 1


def _all_of(file: Path) -> tuple[Path, ...]:
    """Return the file, its -wal, and the -journal that a kill while it was made can leave."""
    return file, companions(file)[0], file.with_name(file.name + JOURNAL)


def _keep(file: Path, aside: Path) -> None:
    """Give the old ledger a second name, and take away what SQLite would apply to the new one."""
    for source, target in zip(_all_of(file), _all_of(aside), strict=True):
        with suppress(FileNotFoundError):
            _link(source, target)
    sync_path(file.parent)
    for path in (*companions(file), file.with_name(file.name + JOURNAL)):
        path.unlink(missing_ok=True)
    sync_path(file.parent)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        shutil.copyfile(source, target, follow_symlinks=False)
        target.chmod(0o600)
