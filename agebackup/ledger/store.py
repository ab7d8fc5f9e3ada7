"""The ledger's rows: written durably, all or none, and never worth a failed backup."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from agebackup.ledger.failures import LedgerError, explained
from agebackup.ledger.opening import opened
from agebackup.ledger.patience import BUSY_SECONDS, met, patience
from agebackup.ledger.rows import (
    TABLES,
    R,
    Record,
    columns,
    insertion,
    key_of,
    loaded,
    removal,
    restored,
    stored,
    uncollected,
)
from agebackup.ledger.schema import THIN
from agebackup.ledger.transactions import LedgerFile
from agebackup.model.records import (
    ArchiveRecord,
    DestinationRecord,
    DrillRecord,
    KeycheckRecord,
    PushRecord,
    RunRecord,
    Sequel,
)

RUNS_KEPT = 10_000
"""Runs of one app that are kept, more than a year of hourly ones, and its last success besides."""


def open_ledger(file: Path, *, make: bool = True, busy_seconds: float = BUSY_SECONDS) -> "Ledger":
    """Open the ledger `file`, making it (0600) or bringing its schema forward where needed.

    With `make` false an absent one is a `LedgerError` too, as are a damaged, locked (for longer
    than `busy_seconds`, or hardly at all if it was so before) or newer one, something else of that
    name, and a disk that refuses; the file is then as it was.
    """
    try:
        with explained(file):
            seconds = patience(file, busy_seconds)
            connection = opened(file, make=make, busy_seconds=seconds)
            try:
                return Ledger(file, connection, busy_seconds)
            except BaseException:
                connection.close()
                raise
    except LedgerError as error:
        met(file, error)
        raise


class Ledger(LedgerFile):
    """The rows of an open ledger; every method raises `LedgerError` as `LedgerFile` does."""

    def put(self, *records: Record) -> None:
        """Write `records`, each replacing the one of its key, all of them or none.

        Of an app's runs the oldest go when there are more than `RUNS_KEPT`.
        """
        apps = {record.app for record in records if isinstance(record, RunRecord)}
        with self.together():
            self._insert("INSERT OR REPLACE", records)
            for app in sorted(apps):
                self._write(THIN, {"app": stored("app", app), "kept": RUNS_KEPT - 1})

    def add(self, *records: Record) -> None:
        """Write those of `records` whose key is not known yet, all of them or none."""
        self._insert("INSERT OR IGNORE", records)

    def amend(self, record: ArchiveRecord, **changes: Any) -> ArchiveRecord:
        """Write only `changes` (fields of `ArchiveRecord`) of `record`; return it changed.

        What another process changed meanwhile in other fields stays. An unknown record is put.
        """
        changed = replace(record, **changes)
        if not changes:
            return changed
        assignments = ", ".join(f"[{name}] = ?" for name in changes)
        query = f"UPDATE archives SET {assignments} WHERE name = ? AND destination = ?"
        with self.together():
            with self._explained("refused"):
                values = [stored(name, value) for name, value in changes.items()]
            if not self._write(query, [*values, *key_of(record)]):
                self.put(changed)
        return changed

    def forget(self, records: Iterable[ArchiveRecord | RunRecord]) -> None:
        """Remove the rows of `records`, as if they had never been."""
        with self.together():
            for record in records:
                self._write(*removal(record))

    def archives(
        self,
        app: str | None = None,
        *,
        destination: str | None = None,
        deleted: bool = False,
        pending: bool = False,
        limit: int = -1,
    ) -> tuple[ArchiveRecord, ...]:
        """Return the records that match, newest first, at most `limit` unless that is negative.

        Deleted ones (a deletion that may not have happened yet among them) on request, and with
        `pending` those that may not have been published.
        """
        wanted = {"app = ?": app, "destination = ?": destination}
        given = {term: value for term, value in wanted.items() if value is not None}
        terms = [*given, *([] if deleted else ["deleted IS NULL"])]
        terms += [] if pending else ["pending <> 'publish'"]
        where = " AND ".join(terms) or "1"
        values = [stored("", value) for value in given.values()]
        rest = f"{where} ORDER BY time DESC, name DESC LIMIT ?"
        return self._select(ArchiveRecord, rest, [*values, limit])

    def places(self, app: str | None = None) -> tuple[tuple[str, str], ...]:
        """Return each app, or only `app`, with each folder where an archive of it is to be."""
        where, values = ("app = ? AND ", [stored("app", app)]) if app is not None else ("", [])
        query = f"""
            SELECT DISTINCT app, destination FROM archives
            WHERE {where} deleted IS NULL AND pending <> 'publish' ORDER BY app, destination
        """
        with self._explained():
            self._require_current()
            found = self._connection.execute(query, values).fetchall()
            return tuple((restored(one), restored(other)) for one, other in found)

    def announced(self, app: str, destination: str) -> tuple[ArchiveRecord, ...]:
        """Return the archives of `app` there that may not have got their name or new keys."""
        rest = "app = ? AND destination = ? AND pending IN ('publish', 'rekey')"
        values = stored("app", app), stored("destination", destination)
        return self._select(ArchiveRecord, rest, values)

    def runs(self, app: str | None = None, *, limit: int = 1000) -> tuple[RunRecord, ...]:
        """Return the last `limit` runs, all where it is negative, newest first."""
        return self._latest(RunRecord, app, limit)

    def drills(self, app: str | None = None, *, limit: int = -1) -> tuple[DrillRecord, ...]:
        """Return the last `limit` drills, all where it is negative, newest first."""
        return self._latest(DrillRecord, app, limit)

    def destinations(self) -> tuple[DestinationRecord, ...]:
        """Return every folder that was ever used, by path."""
        return self._select(DestinationRecord, "1 ORDER BY path", ())

    def keychecks(self) -> tuple[KeycheckRecord, ...]:
        """Return when each key was last seen to open an archive, by public key."""
        return self._select(KeycheckRecord, "1 ORDER BY recipient", ())

    def pushes(self, app: str | None = None) -> tuple[PushRecord, ...]:
        """Return the last push of each app, or only of `app`, to each place, by app and place."""
        where, values = ("app = ?", [stored("app", app)]) if app is not None else ("1", [])
        return self._select(PushRecord, f"{where} ORDER BY app, destination", values)

    def beginning(self, app: str) -> datetime | None:
        """Return the time of the oldest archive of `app` that was ever known, deleted ones too."""
        query = "app = ? AND pending <> 'publish' ORDER BY time LIMIT 1"
        found = self._select(ArchiveRecord, query, (stored("app", app),))
        return found[0].time if found else None

    def sequel(self, app: str) -> Sequel:
        """Return number and predecessor of the next archive of `app` in this ledger's series.

        An archive that was announced but never published has used up no number. Of its copies the
        one counts that was encrypted to other keys most often: the others are yet to follow it.
        """
        query = (
            "app = ? AND series = ? AND sequence IS NOT NULL AND pending <> 'publish' "
            "ORDER BY sequence DESC, length(former) DESC LIMIT 1"
        )
        found = self._select(ArchiveRecord, query, (stored("app", app), self.series))
        if not found:
            return Sequel(self.series, 1)
        last = found[0]
        return Sequel(self.series, (last.sequence or 0) + 1, last.name, last.sha256)

    @property
    def rebuilt(self) -> bool:
        """Whether it was made again from what lies in folders."""
        with self._explained():
            query = "SELECT 1 FROM meta WHERE key = 'series_begun'"
            return self._connection.execute(query).fetchone() is not None

    def begin_series(self, moment: datetime) -> str:
        """Begin a new count, as a rebuilt ledger must; return its id."""
        series = secrets.token_hex(16)
        with self.together():
            for key, value in (("series", series), ("series_begun", stored("time", moment))):
                self._write("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
        self.series = series
        return series

    def problems(self) -> tuple[str, ...]:
        """Read everything; return what SQLite finds wrong with the file, nothing where it is sound.

        Raises `LedgerError`, whose cause is damage, where a row makes no sense.
        """
        with self._explained():
            self._require_current()
            rows = self._connection.execute("PRAGMA integrity_check(20)").fetchall()
        found = tuple(str(row[0]) for row in rows if row[0] != "ok")
        for kind in () if found else TABLES:
            self._select(cast(type[RunRecord], kind), "1", ())
        return found

    def _latest(self, kind: type[R], app: str | None, limit: int) -> tuple[R, ...]:
        where = "1" if app is None else "app = ?"
        values: list[Any] = [] if app is None else [stored("app", app)]
        return self._select(kind, f"{where} ORDER BY begun DESC LIMIT ?", [*values, limit])

    def _select(self, kind: type[R], rest: str, values: Sequence[Any]) -> tuple[R, ...]:
        # In double quotes SQLite would take a column that is missing for a text.
        listed = ", ".join(f"[{name}]" for name in columns(kind))
        query = f"SELECT {listed} FROM {TABLES[kind]} WHERE {rest}"
        with self._explained(), uncollected():
            self._require_current()
            return tuple([loaded(kind, row) for row in self._connection.execute(query, values)])

    def _insert(self, verb: str, records: Iterable[Record]) -> None:
        with self.together(), self._explained("refused"):
            for record in records:
                self._connection.execute(*insertion(verb, record))

    def _write(self, query: str, values: Any) -> int:
        with self.together(), self._explained("refused"):
            return self._connection.execute(query, values).rowcount
