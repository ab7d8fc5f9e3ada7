"""`VACUUM INTO` in a thread of its own, telling when its view of the database is fixed."""

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from agebackup.snapshot.background import POLL_SECONDS, Task, Turns
from agebackup.snapshot.connecting import connect
from agebackup.snapshot.live import LiveDatabase


class Vacuum:
    """A copy of `live` into the file `target`, which it makes; `turns` bounds how many run.

    From the beginning of its read transaction on, the copy shows that instant, whatever is
    written meanwhile; waiting for its turn afterwards therefore loses nothing.
    """

    def __init__(self, live: LiveDatabase, target: Path, turns: Turns) -> None:
        self.target = target
        self._turns = turns
        self._has_turn = self._begun = self._cancelled = False
        self._known = threading.Event()
        self._task: Task[None] | None = None
        self._connection = connect(live)

    def prepare(self) -> None:
        """Do beforehand what would only make the locks last longer; may raise SQLite's errors."""
        self._connection.execute("PRAGMA synchronous=OFF")  # of the copy, which is private

    def begin(self) -> None:
        """Start, into a new empty file with mode 0600."""
        self.target.unlink(missing_ok=True)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        os.close(os.open(self.target, flags, 0o600))
        self._begun = self._cancelled = False
        self._known.clear()
        self._connection.set_authorizer(self._notice)
        self._task = Task(self._connection, self._run)

    def _run(self) -> None:
        try:
            self._connection.execute("VACUUM INTO ?", (str(self.target),))
        finally:
            self._known.set()
            if self._has_turn:
                self._has_turn = False
                self._turns.give_back()

    def _notice(self, action: int, *_: str | None) -> int:
        # VACUUM attaches the new file, begins its read transaction, and only then compiles its
        # first SELECT (vacuum.c in SQLite); tests/test_facts_sqlite.py holds it to that.
        if action == sqlite3.SQLITE_SELECT and not self._begun:
            self._begun = True
            self._known.set()
            self._has_turn = self._turns.take(cancelled=lambda: self._cancelled)
            if not self._has_turn:
                return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    def await_beginning(self, check: Callable[[], None]) -> None:
        """Return when the read transaction has begun; raise SQLite's error if it cannot."""
        while not self._known.wait(POLL_SECONDS):
            check()
        if not self._begun:
            self.finish(check)

    def finish(self, check: Callable[[], None]) -> None:
        """Return when the copy is complete; raise SQLite's error if it cannot be.

        `check` is called 50 times a second and may raise, which ends the copy.
        """
        assert self._task is not None
        self._task.result(check)

    def cancel(self) -> None:
        """End the copy; its file is worthless then. It may `begin` anew."""
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    def close(self) -> None:
        """End the copy if it still runs, and leave the database."""
        self.cancel()
        self._connection.close()
