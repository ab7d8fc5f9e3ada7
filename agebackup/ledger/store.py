"""The ledger's file: opened with care, written durably, and never worth a failed backup."""

import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from agebackup.errors import FailedError, printable
from agebackup.ledger.rows import TABLES, Record, columns, loaded, stored
from agebackup.ledger.schema import APPLICATION_ID, STEPS, VERSION
from agebackup.model.records import ArchiveRecord, DestinationRecord, RunRecord, Sequel

BUSY_SECONDS = 5.0
R = TypeVar("R", RunRecord, ArchiveRecord, DestinationRecord)


class LedgerError(FailedError):
    """The ledger cannot be read or written. Archives do not depend on it."""


def open_ledger(file: Path, *, make: bool = True) -> "Ledger":
    """Open the ledger `file`, making it (0600) or bringing its schema forward where needed.

    With `make` false an absent one is a `LedgerError` too, as are a damaged, locked or newer one
    and a disk that refuses; the file is then as it was.
    """
    shown = printable(str(file))
    if not make and not file.exists():
        raise LedgerError(f"There is no ledger {shown} yet.", hint="The first backup makes it.")
    with _explained(shown):
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.close(descriptor)
        connection = sqlite3.connect(
            file.absolute().as_uri() + "?mode=rw",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
        )
        try:
            connection.row_factory = sqlite3.Row
            _bring_forward(connection, shown)
            series = connection.execute("SELECT value FROM meta WHERE key = 'series'").fetchone()[0]
        except BaseException:
            connection.close()
            raise
    return Ledger(file, connection, series)


class Ledger:
    """An open ledger; every method raises `LedgerError` where the file or its disk refuses.

    Used as a context manager it is closed at the end. `series` is the random id of this ledger's
    count: sequence numbers mean something only within one.
    """

    def __init__(self, file: Path, connection: sqlite3.Connection, series: str) -> None:
        self.file = file
        self.series = series
        self._connection = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; harmless when done twice."""
        with self._explained():
            self._connection.close()

    def put(self, *records: Record) -> None:
        """Write `records`, each replacing the one of its key, all of them or none."""
        with self._transaction() as connection:
            for record in records:
                names = columns(type(record))
                holders = ", ".join("?" * len(names))
                listed = ", ".join(f'"{name}"' for name in names)
                connection.execute(
                    f"INSERT OR REPLACE INTO {TABLES[type(record)]} ({listed}) VALUES ({holders})",
                    [stored(name, getattr(record, name)) for name in names],
                )

    def amend(self, record: ArchiveRecord, **changes: Any) -> ArchiveRecord:
        """Write only `changes` (fields of `ArchiveRecord`) of `record`; return it changed.

        What another process changed meanwhile in other fields stays. An unknown record is put.
        """
        changed = replace(record, **changes)
        assignments = ", ".join(f'"{name}" = ?' for name in changes)
        values = [stored(name, value) for name, value in changes.items()]
        with self._transaction() as connection:
            done = connection.execute(
                f"UPDATE archives SET {assignments} WHERE name = ? AND destination = ?",
                [*values, record.name, record.destination],
            )
        if not done.rowcount:
            self.put(changed)
        return changed

    def forget(self, records: Iterable[ArchiveRecord]) -> None:
        """Remove the rows of `records`, as if they had never been."""
        with self._transaction() as connection:
            connection.executemany(
                "DELETE FROM archives WHERE name = ? AND destination = ?",
                [(record.name, record.destination) for record in records],
            )

    def archives(
        self,
        app: str | None = None,
        *,
        destination: str | None = None,
        deleted: bool = False,
        pending: bool = False,
    ) -> tuple[ArchiveRecord, ...]:
        """Return the records that match, newest first.

        Deleted ones (a deletion that may not have happened yet among them) on request, and with
        `pending` those that may not have been published.
        """
        rows = self._select(ArchiveRecord, {"app": app, "destination": destination}, "time DESC")
        return tuple(
            row
            for row in rows
            if (deleted or row.deleted is None) and (pending or row.pending != "publish")
        )

    def runs(self, app: str | None = None, *, limit: int = 1000) -> tuple[RunRecord, ...]:
        """Return the last `limit` runs, newest first."""
        return self._select(RunRecord, {"app": app}, f"begun DESC LIMIT {int(limit)}")

    def destinations(self) -> tuple[DestinationRecord, ...]:
        """Return every folder that was ever used, by path."""
        return self._select(DestinationRecord, {}, "path")

    def sequel(self, app: str) -> Sequel:
        """Return number and predecessor of the next archive of `app` in this ledger's series.

        An archive that was announced but never published has used up no number.
        """
        mine = [
            one
            for one in self.archives(app, deleted=True)
            if one.series == self.series and one.sequence is not None
        ]
        if not mine:
            return Sequel(self.series, 1)
        last = max(mine, key=lambda one: one.sequence or 0)
        return Sequel(self.series, (last.sequence or 0) + 1, last.name, last.sha256)

    def begin_series(self, moment: datetime) -> str:
        """Begin a new count, as a rebuilt ledger must; return its id."""
        series = secrets.token_hex(16)
        with self._transaction() as connection:
            connection.execute("UPDATE meta SET value = ? WHERE key = 'series'", (series,))
            connection.execute(
                "INSERT OR REPLACE INTO meta VALUES ('series_begun', ?)",
                (stored("time", moment),),
            )
        self.series = series
        return series

    def _select(self, kind: type[R], wanted: dict[str, str | None], order: str) -> tuple[R, ...]:
        given = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in given) or "1"
        query = f"SELECT * FROM {TABLES[kind]} WHERE {where} ORDER BY {order}"
        with self._explained():
            rows = self._connection.execute(query, list(given.values())).fetchall()
            return tuple(loaded(kind, row) for row in rows)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _explained(self) -> Any:
        return _explained(printable(str(self.file)))


def _bring_forward(connection: sqlite3.Connection, shown: str) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise LedgerError(
            f"The ledger {shown} was written by a newer agebackup (schema {version}).",
            hint="Upgrade agebackup on this machine.",
        )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    if version == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for step in STEPS[version:]:
        for statement in step.split(";"):
            connection.execute(statement)
    if version == 0:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("INSERT INTO meta VALUES ('series', ?)", (secrets.token_hex(16),))
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


@contextmanager
def _explained(shown: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError, ValueError, TypeError, KeyError, IndexError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise LedgerError(
            f"The ledger {shown} cannot be used: {printable(said)}.",
            hint="Archives do not depend on it. If it is damaged: agebackup ledger rebuild DEST...",
        ) from None
