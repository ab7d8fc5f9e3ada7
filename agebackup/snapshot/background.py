"""SQLite's long work in a thread of its own, so that it can be stopped at any moment.

While a statement runs in the main thread, Python runs no signal handler; and SQLite calls its
progress handler only between steps of its program, of which an integrity check's first one can
take seconds. `sqlite3_interrupt` from another thread ends all of it within milliseconds.
"""

import sqlite3
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from agebackup.system.progress import Stop

Result = TypeVar("Result")

POLL_SECONDS = 0.02
_INSIST_SECONDS = 0.005


class Turns:
    """Lets `count` pieces of work run beside each other; whoever waits for a turn can be told off.

    All of them are, once `stop` was asked for or `call_off` was called.
    """

    def __init__(self, count: int, stop: Stop) -> None:
        self._free = threading.Semaphore(count)
        self._stop = stop
        self._called_off = False

    def call_off(self) -> None:
        """Have nobody wait any longer."""
        self._called_off = True

    def take(self, *, cancelled: Callable[[], bool] = lambda: False) -> bool:
        """Wait for a turn; return False where there is none, because of `cancelled` or for all."""
        while not self._free.acquire(timeout=POLL_SECONDS):
            if self._called_off or self._stop.signal_number or cancelled():
                return False
        return True

    def give_back(self) -> None:
        """End a turn that was taken."""
        self._free.release()


class Task(Generic[Result]):
    """`work` on `connection`, begun at once. Whoever begins one also awaits or cancels it."""

    def __init__(self, connection: sqlite3.Connection, work: Callable[[], Result]) -> None:
        self._connection = connection
        self._work = work
        self._done = threading.Event()
        self._value: Result | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="sqlite", daemon=True).start()

    def _run(self) -> None:
        try:
            self._value = self._work()
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()

    @property
    def done(self) -> bool:
        """Whether the work has ended, well or badly."""
        return self._done.is_set()

    def cancel(self) -> None:
        """End the work, whatever state it is in, and return when it has ended."""
        while not self._done.wait(_INSIST_SECONDS):
            self._connection.interrupt()  # forgotten by SQLite between two statements

    def result(self, check: Callable[[], None]) -> Result:
        """Return what the work returned or raise what it raised.

        `check` is called at once and then 50 times a second; when it raises, the work is
        cancelled and what it raised goes on.
        """
        try:
            check()
            while not self._done.wait(POLL_SECONDS):
                check()
        except BaseException:
            self.cancel()
            raise
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]
