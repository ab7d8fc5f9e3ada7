"""Private copies of live SQLite databases: consistent, complete, and nothing left beside them."""

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agebackup.errors import UsageError
from agebackup.model.names import printable
from agebackup.model.source import Consistency, DatabaseSource
from agebackup.snapshot.background import Task
from agebackup.snapshot.connecting import HeldElsewhereError, busy, corrupt, error_name, explained
from agebackup.snapshot.inspection import open_copy
from agebackup.snapshot.instant import Held, held_at_one_instant
from agebackup.snapshot.live import (
    Identity,
    LiveDatabase,
    estimated_bytes,
    lasting_files,
    look_at_all,
    remove_made_companions,
    require_unreplaced,
)
from agebackup.snapshot.rowids import Marks, rowid_marks
from agebackup.snapshot.schema import UNNAMEABLE
from agebackup.snapshot.soundness import said
from agebackup.system.progress import Progress

__all__ = ["DatabaseCopy", "Method", "copied_databases", "estimated_bytes"]

Method = Literal["vacuum-into", "backup"]

_STEP_BYTES = 4 << 20


@dataclass(frozen=True)
class DatabaseCopy:
    """A private copy whose file has no name any more.

    `descriptor` reads its bytes, `connection` its content; `size` is in bytes. `reason` says why
    `method` had to be "backup". `journal_mode` is the source's ("wal" or "delete"), and `files`
    are the source's own files that last, for whoever walks a tree that holds them.
    """

    source: DatabaseSource
    descriptor: int
    connection: sqlite3.Connection
    size: int
    method: Method
    reason: str
    journal_mode: str
    files: tuple[Identity, ...]

    def close(self) -> None:
        """Give the copy up; with that its content is gone."""
        self.connection.close()
        os.close(self.descriptor)


@contextmanager
def copied_databases(
    sources: Sequence[DatabaseSource],
    workspace: Path,
    *,
    consistency: Consistency,
    lock_seconds: float,
    progress: Progress,
) -> Iterator[tuple[DatabaseCopy, ...]]:
    """Yield a copy of each of `sources`, in their order; no connection to them is open by then.

    Unless `consistency` is "per-database", all copies show one instant. `workspace` is a private
    directory; only nameless files remain in it. Bytes are reported to `progress`.

    Raises `FailedError` for each database that cannot or must not be copied, `BusyError` for one
    that others held locked for `lock_seconds`, `UsageError` for one that is named twice. Whatever
    happens, the sources stay as they were, and their `-wal` and `-shm` as absent as they were.
    """
    lives = look_at_all(sources)
    groups = [(live,) for live in lives] if consistency == "per-database" else [lives]
    with ExitStack() as stack:
        copies: list[DatabaseCopy] = []
        for group in filter(None, groups):
            for copy in _copied(group, workspace, lock_seconds, progress):
                stack.callback(copy.close)
                copies.append(copy)
        yield tuple(copies)


def _copied(
    group: Sequence[LiveDatabase], workspace: Path, lock_seconds: float, progress: Progress
) -> Iterator[DatabaseCopy]:
    targets = [(live, _new_name(workspace)) for live in group]
    try:
        with held_at_one_instant(targets, lock_seconds=lock_seconds, progress=progress) as held:
            for one in held:
                yield _copy_of(one, progress)
                one.close()  # in rollback mode this lets the application commit again
    except HeldElsewhereError as error:
        raise busy(error.live) from None
    finally:
        for live, target in targets:
            _remove(target)
            remove_made_companions(live)


def _new_name(workspace: Path) -> Path:
    path = workspace.absolute() / f"{secrets.token_hex(8)}.db"
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise UsageError(f"SQLite cannot write into {printable(str(workspace))}.") from None
    return path


def _remove(path: Path) -> None:
    for suffix in ("", "-journal"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _copy_of(held: Held, progress: Progress) -> DatabaseCopy:
    live = held.live
    grown = _growth(held.vacuum.target, progress)
    problems, marks = held.state(grown)
    if problems:
        raise corrupt(live, problems)
    reason = _vacuumed(held, marks, grown)
    if reason:
        _back_up(held, progress)
    with explained(live):
        mode = str(held.pin.execute("PRAGMA journal_mode").fetchone()[0])
    require_unreplaced(live)
    descriptor, connection = _opened(held)
    return DatabaseCopy(
        source=live.source,
        descriptor=descriptor,
        connection=connection,
        size=os.fstat(descriptor).st_size,
        method="backup" if reason else "vacuum-into",
        reason=reason,
        journal_mode=mode,
        files=lasting_files(live),
    )


def _growth(target: Path, progress: Progress) -> Callable[[], None]:
    """Return a function that reports by how much `target` has grown since the last call."""
    known = 0

    def report() -> None:
        nonlocal known
        size = target.stat().st_size if target.exists() else 0
        grown, known = max(0, size - known), max(size, known)
        progress.advance(grown)

    return report


def _vacuumed(held: Held, marks: Marks, check: Callable[[], None]) -> str:
    """Await the copy; return "" where it is good, else why VACUUM INTO cannot make it.

    That is so where an index, a generated column or a CHECK needs a collation or a function
    that only the application has.
    """
    if not held.paired:
        return "the application wrote without a pause"
    if held.unnameable:
        return UNNAMEABLE
    with explained(held.live):
        try:
            held.vacuum.finish(check)
        except sqlite3.OperationalError as error:
            if error_name(error).startswith("SQLITE_ERROR"):
                return said(error)
            raise
        connection = open_copy(held.vacuum.target)
        try:
            found = Task(connection, lambda: rowid_marks(connection)).result(check)
        finally:
            connection.close()
    return "" if found == marks else "VACUUM INTO would have changed rowids"


def _back_up(held: Held, progress: Progress) -> None:
    """Copy page by page from the pin, in steps between which it can be stopped."""
    target = held.vacuum.target
    _remove(target)
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    with explained(held.live):
        size = int(held.pin.execute("PRAGMA page_size").fetchone()[0])
        pages = max(1, _STEP_BYTES // size)
        copy = sqlite3.connect(target, isolation_level=None)
        try:
            copy.execute("PRAGMA synchronous=OFF")
            held.pin.backup(copy, pages=pages, progress=lambda *_: progress.advance(pages * size))
        finally:
            copy.close()


def _opened(held: Held) -> tuple[int, sqlite3.Connection]:
    """Open the finished copy twice, as a file and as a database, and take its name away."""
    target = held.vacuum.target
    descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with explained(held.live):
            connection = open_copy(target)
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
    except BaseException:
        os.close(descriptor)
        raise
    os.unlink(target)
    return descriptor, connection
