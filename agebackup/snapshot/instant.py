"""Begin to copy live databases at one instant: lock all, pin all, begin all copies, release.

Each copy's read transaction begins while all locks are held. In WAL mode the application waits
only for that, a few milliseconds; in rollback mode its commits wait until the copies are done.
No lock is ever waited for while another is held: an application that takes them in the other
order would be brought to a standstill, and its writer would fail because of us.
"""

import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from agebackup.snapshot.background import Task, Turns
from agebackup.snapshot.connecting import HeldElsewhereError, busy, connect, explained
from agebackup.snapshot.live import LiveDatabase, require_lockable
from agebackup.snapshot.rowids import Marks, renumberable_tables, rowid_marks
from agebackup.snapshot.schema import ordinary_tables
from agebackup.snapshot.soundness import problems_of
from agebackup.snapshot.vacuum import Vacuum
from agebackup.system.clock import Deadline, pause
from agebackup.system.progress import Progress

AT_ONCE = 2
"""Copies and checks that run beside each other; more would only make the disk seek."""
_QUIET_ATTEMPTS = 100
_FIRST_TRIES = 30
"""For the first lock of several, while nothing is held: a busy application leaves short gaps."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.001, 0.010

SourceState = tuple[tuple[str, ...], Marks]


class Held:
    """A live database pinned at the instant: `pin` reads it, `vacuum` copies it.

    `renumberable` says whether it has tables whose rowids VACUUM might change: then both must see
    the same instant, so that rowids can be compared. `paired` is false where the application
    never paused long enough for that: then there is only the pin. It is `unnameable` with tables
    whose rowids cannot be looked at, because of their names.
    """

    def __init__(self, live: LiveDatabase, target: Path, turns: Turns) -> None:
        self.live = live
        self.paired = self.renumberable = True
        self.unnameable = False
        self.pin = connect(live)
        try:
            self.vacuum = Vacuum(live, target, turns)
        except BaseException:
            self.pin.close()
            raise
        self._turns = turns
        self._check: Task[SourceState] | None = None

    def prepare(self) -> None:
        """Read the schema on both connections, and find what must be refused, before any lock.

        A connection that can lock could also roll back a hot journal; these cannot.
        """
        self.take_pin()
        self.let_go()
        with explained(self.live):
            self.vacuum.prepare()
            self.renumberable = bool(renumberable_tables(self.pin))
            _, self.unnameable = ordinary_tables(self.pin)

    def take_pin(self) -> None:
        """Fix what `pin` reads."""
        try:
            with explained(self.live):
                self.pin.execute("BEGIN")
                self.pin.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
        except BaseException:
            self.let_go()
            raise

    def let_go(self) -> None:
        """End the copy and the pin; both can be taken anew."""
        self.vacuum.cancel()
        if self.pin.in_transaction:
            self.pin.rollback()

    def begin_check(self) -> None:
        """Begin to check the source itself: its copy can be sound while it is not."""
        self._check = Task(self.pin, self._state)

    def _state(self) -> SourceState:
        if not self._turns.take():
            raise sqlite3.OperationalError("interrupted")
        try:
            problems, _ = problems_of(self.pin, "quick_check")
            return problems, {} if problems else rowid_marks(self.pin)
        finally:
            self._turns.give_back()

    def state(self, check: Callable[[], None]) -> SourceState:
        """Return the problems of the source and the marks of its rowids."""
        assert self._check is not None
        with explained(self.live):
            return self._check.result(check)

    def close(self) -> None:
        """Leave the database, whatever is still under way."""
        self.vacuum.close()
        if self._check is not None:
            self._check.cancel()
        self.pin.close()


@contextmanager
def held_at_one_instant(
    targets: Sequence[tuple[LiveDatabase, Path]], *, lock_seconds: float, progress: Progress
) -> Iterator[tuple[Held, ...]]:
    """Yield each database pinned, its copy into its target begun, all at one instant.

    Several databases are locked for it, one is not. Raises `BusyError` naming the database that
    was held by somebody else for `lock_seconds`. On exit all that is still under way ends.
    """
    turns = Turns(AT_ONCE, progress.stop)
    deadline = Deadline(lock_seconds)
    with ExitStack() as stack:
        held = tuple(
            stack.enter_context(closing(Held(live, target, turns))) for live, target in targets
        )
        stack.callback(turns.call_off)  # first of all, or each would wait for those closed later
        for one in held:
            _patiently(one.prepare, deadline, progress)
        if len(held) == 1:
            with closing(connect(held[0].live)) as watch:
                _patiently(lambda: _hold_one(held[0], watch, progress), deadline, progress)
        else:
            with _lockers(held) as lockers:
                _patiently(lambda: _hold_all(held, lockers, progress), deadline, progress)
        for one in held:
            one.begin_check()
        yield held


def _patiently(attempt: Callable[[], None], deadline: Deadline, progress: Progress) -> None:
    while True:
        progress.stop.check()
        try:
            return attempt()
        except HeldElsewhereError as error:
            if deadline.expired:
                raise busy(error.live) from None
        pause(random.uniform(_SHORTEST_PAUSE, _LONGEST_PAUSE))


def _hold_one(held: Held, watch: sqlite3.Connection, progress: Progress) -> None:
    """Pin and begin without any lock, where it matters until nothing was committed in between."""
    for _ in range(_QUIET_ATTEMPTS):
        try:
            before = _data_version(held, watch)
            _begin((held,), progress)
            progress.stop.check()
            if not held.renumberable or _data_version(held, watch) == before:
                return
        except BaseException:
            held.let_go()
            raise
        held.let_go()
    held.take_pin()
    held.paired = False


def _data_version(held: Held, watch: sqlite3.Connection) -> int:
    with explained(held.live):
        return int(watch.execute("PRAGMA data_version").fetchone()[0])


@contextmanager
def _lockers(held: Sequence[Held]) -> Iterator[dict[Held, sqlite3.Connection]]:
    """Yield a connection that can lock for each of `held`, in the order of their real paths."""
    with ExitStack() as stack:
        for one in held:
            require_lockable(one.live)
        yield {
            one: stack.enter_context(closing(connect(one.live, "rw")))
            for one in sorted(held, key=lambda one: one.live.path)
        }


def _hold_all(
    held: Sequence[Held], lockers: dict[Held, sqlite3.Connection], progress: Progress
) -> None:
    try:
        for place, (one, locker) in enumerate(lockers.items()):
            _lock(one.live, locker, tries=1 if place else _FIRST_TRIES)
        _begin(held, progress)
    except BaseException:
        for one in held:
            one.let_go()
        raise
    finally:
        for locker in lockers.values():
            if locker.in_transaction:
                locker.rollback()


def _lock(live: LiveDatabase, locker: sqlite3.Connection, *, tries: int) -> None:
    for left in reversed(range(tries)):
        try:
            with explained(live):
                locker.execute("BEGIN IMMEDIATE")
            return
        except HeldElsewhereError:
            if not left:
                raise


def _begin(held: Sequence[Held], progress: Progress) -> None:
    for one in held:
        one.take_pin()
        with explained(one.live):
            one.vacuum.begin()
    for one in held:
        with explained(one.live):
            one.vacuum.await_beginning(progress.stop.check)
