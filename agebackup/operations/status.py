"""status: gather what the ledger knows and what destinations show, and have it judged.

Nothing here touches a destination in this process: a dead mount must not hang the one command that
says so.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from agebackup.errors import AgebackupError
from agebackup.ledger import Ledger
from agebackup.model.freshness import AppStatus, Facts, Look, judge
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord, RunRecord
from agebackup.model.watch import Watch
from agebackup.system.outcome import Result
from agebackup.system.probing import within
from agebackup.system.progress import Progress
from agebackup.system.workspace import free_bytes

SECONDS = 3.0
"""How long all destinations together may take to answer."""


@dataclass(frozen=True)
class Watched:
    """One app in one folder, whose path need not exist. `lock_file` tells whether a run is at work.

    `watch`, `period`, `max_age` and `next_run` as in `Facts`.
    """

    app: str
    directory: Path
    lock_file: Path
    watch: Watch | None = None
    period: float | None = None
    max_age: float | None = None
    next_run: datetime | None = None


@dataclass(frozen=True)
class Seen:
    """What destinations showed, and which apps are being backed up just now."""

    looks: Mapping[Path, Look | None]
    keys: Mapping[Path, str]
    running: frozenset[str] = field(default_factory=frozenset)


def status(
    watched: Sequence[Watched],
    ledger: Callable[[], Ledger | None],
    now: datetime,
    progress: Progress,
) -> tuple[AppStatus, ...]:
    """Return the judgement of each of `watched`; `ledger` is opened after the looks were taken.

    Takes a few seconds at most, whatever hangs. Without a ledger the names in the folders are what
    is judged.
    """
    seen = _look_around(watched, progress)
    opened = ledger()
    try:
        return tuple(judge(_facts(one, seen, opened), now) for one in watched)
    finally:
        if opened is not None:
            opened.close()


def _look_around(watched: Sequence[Watched], progress: Progress) -> Seen:
    directories = list(dict.fromkeys(one.directory for one in watched))
    looks: dict[Path, Look | None] = {}
    keys: dict[Path, str] = {}
    answers = within(SECONDS, [partial(_look, one) for one in directories], progress)
    for directory, answer in zip(directories, answers, strict=True):
        looks[directory] = None if answer is None else _understood(answer)
        keys[directory] = str(answer["key"]) if answer is not None else str(directory)
    running = frozenset(one.app for one in watched if _is_held(one.lock_file))
    return Seen(looks, keys, running)


def _look(directory: Path) -> Result:
    """Return what lies in `directory`, as a child process can hand it over."""
    key = os.path.realpath(directory)
    try:
        with os.scandir(directory) as entries:
            sizes = {
                entry.name: entry.stat(follow_symlinks=False).st_size
                for entry in entries
                if entry.name.endswith(".age") and entry.is_file(follow_symlinks=False)
            }
        return {"key": key, "problem": "", "free": free_bytes(directory), "sizes": sizes}
    except OSError as error:
        return {"key": key, "problem": error.strerror or str(error), "free": None, "sizes": {}}


def _understood(answer: Result) -> Look:
    free, sizes = answer["free"], answer["sizes"]
    assert isinstance(sizes, dict)
    return Look(str(answer["problem"]), free if isinstance(free, int) else None, sizes)


def _is_held(lock_file: Path) -> bool:
    """Return whether a living run holds the lock; asking for it shared disturbs nobody for long."""
    import fcntl

    try:
        descriptor = os.open(lock_file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def _facts(one: Watched, seen: Seen, ledger: Ledger | None) -> Facts:
    key, look = seen.keys[one.directory], seen.looks[one.directory]
    archives: tuple[ArchiveRecord, ...] = ()
    runs: tuple[RunRecord, ...] = ()
    if ledger is not None:
        try:
            archives, runs = (
                ledger.archives(one.app, destination=key),
                ledger.runs(one.app, limit=50),
            )
        except AgebackupError:
            ledger = None
    if ledger is None and look is not None:
        archives = _by_name(one.app, key, look)
    return Facts(
        one.app,
        key,
        one.watch,
        one.period,
        one.max_age,
        archives,
        runs,
        look,
        one.app in seen.running,
        one.next_run,
    )


def _by_name(app: str, key: str, look: Look) -> tuple[ArchiveRecord, ...]:
    names = [name for file in look.sizes if (name := ArchiveName.parse(file)) and name.app == app]
    records = [ArchiveRecord.of(name, key) for name in names]
    return tuple(sorted(records, key=lambda one: one.time, reverse=True))
