"""An open ledger file: transactions that count as a whole, and only on the file of that name."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from agebackup.ledger.failures import Cause, LedgerError, explained
from agebackup.ledger.opening import newer
from agebackup.ledger.patience import BUSY_SECONDS, met, patience, written
from agebackup.ledger.schema import VERSION, version_of


class LedgerFile:
    """An open ledger; every method raises `LedgerError` where the file or its disk refuses.

    Used as a context manager it is closed at the end. `series` is the random id of this ledger's
    count: sequence numbers mean something only within one. Once another file has its name, it can
    no longer be used: what was written would be lost with the file.
    """

    def __init__(
        self, file: Path, connection: sqlite3.Connection, busy_seconds: float = BUSY_SECONDS
    ) -> None:
        self.file = file
        self._connection = connection
        self._busy_seconds = busy_seconds
        status = file.stat()
        self._identity = (status.st_dev, status.st_ino)
        self._process = os.getpid()
        query = "SELECT value FROM meta WHERE key = 'series'"
        self.series = str(connection.execute(query).fetchone()[0])

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
        """Close the file; harmless when done twice. What was confirmed before is safe anyway."""
        with suppress(sqlite3.Error):
            self._connection.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let everything that the body writes count as a whole, or after an exception not at all.

        No other process can write meanwhile, so the body should be short.
        """
        if self._connection.in_transaction:
            yield
            return
        self._begin()
        try:
            with self._explained():
                self._require_current()
            yield
            with self._explained():
                self._connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    def _begin(self) -> None:
        try:
            with self._explained():
                self._require_own()
                seconds = patience(self.file, self._busy_seconds)
                self._connection.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")
                self._connection.execute("BEGIN IMMEDIATE")
        except LedgerError as error:
            met(self.file, error)
            raise
        written(self.file)

    def _require_current(self) -> None:
        """Refuse to go on with a file that is no longer the ledger."""
        self._require_own()
        try:
            status = self.file.stat(follow_symlinks=False)
        except FileNotFoundError:
            raise LedgerError(self.file, "it was removed while it was in use") from None
        if (status.st_dev, status.st_ino) != self._identity:
            raise LedgerError(self.file, "it was replaced while it was in use")
        version = version_of(self._connection)
        if version > VERSION:
            raise newer(self.file, version)

    def _require_own(self) -> None:
        """A forked child must not touch it (sqlite.org/howtocorrupt.html, 2.6)."""
        if os.getpid() != self._process:
            raise LedgerError(self.file, "another process than this one opened it")

    def _explained(self, senseless: Cause = "damaged") -> AbstractContextManager[None]:
        return explained(self.file, senseless)
