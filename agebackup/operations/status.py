"""status: gather what the ledger knows and what destinations show, and have it judged.

Nothing here touches a destination in this process: a dead mount must not hang the one command that
says so.
"""

import fcntl
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from agebackup.destinations.listing import read_entries
from agebackup.errors import AgebackupError
from agebackup.ledger import Ledger, LedgerError
from agebackup.model.afar import Afar, seen_afar
from agebackup.model.classifying import classify
from agebackup.model.freshness import AppStatus, judge
from agebackup.model.keychecks import Custody
from agebackup.model.names import ArchiveName
from agebackup.model.observed import Facts, Look
from agebackup.model.records import ArchiveRecord, DrillRecord, PushRecord, RunRecord
from agebackup.model.retention import Policy
from agebackup.model.timer import Timer
from agebackup.model.watch import Watch
from agebackup.model.whereabouts import Whereabouts, is_folder_key
from agebackup.operations.custody import recipients_in, recipients_of
from agebackup.system.outcome import Result
from agebackup.system.probing import within
from agebackup.system.progress import Progress
from agebackup.system.workspace import free_bytes

SECONDS = 3.0
"""How long all destinations together may take to answer."""
RUNS = 200
"""So many runs are searched for the last failure."""


@dataclass(frozen=True)
class Watched:
    """One app in one folder, whose path need not exist. `lock_file` tells whether a run is at work.

    `recipients` and `recipients_files` are those of the configuration, `remotes` its further
    destinations, which the ledger alone is asked about. The rest is as in `Facts`.
    """

    app: str
    directory: Path
    lock_file: Path
    watch: Watch | None = None
    timer: Timer | None = None
    max_age: float | None = None
    heard: datetime | None = None
    success: datetime | None = None
    recipients: tuple[str, ...] = ()
    recipients_files: tuple[Path, ...] = ()
    drill_timer: Timer | None = None
    remotes: tuple[Whereabouts, ...] = ()
    retention: Policy | None = None


@dataclass(frozen=True)
class Known:
    """What the ledger knows of one app, newest first: archives (undeleted, in any place), runs.

    `custody` is what it knows of the keys, without the recipients. Of drills only the last. `rows`
    are the archives with deleted and pending ones, where there are further destinations, to each of
    which `pushes` are the last ones.
    """

    archives: tuple[ArchiveRecord, ...] = ()
    runs: tuple[RunRecord, ...] = ()
    custody: Custody = field(default_factory=Custody)
    drill: DrillRecord | None = None
    rows: tuple[ArchiveRecord, ...] = ()
    pushes: tuple[PushRecord, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What a destination showed, None where it did not answer; `key` is its real path if known."""

    key: str
    look: Look | None = None


def status(
    watched: Sequence[Watched], ledger: Ledger | None, now: datetime, progress: Progress
) -> tuple[AppStatus, ...]:
    """Return the judgement of each of `watched`; the ledger is closed then.

    Takes a few seconds at most, whatever hangs. Without a ledger the names in the folders are what
    is judged. The ledger is read first: what is published meanwhile is in the folder only.
    """
    known = _known(watched, ledger, progress)
    directories = list(dict.fromkeys(one.directory for one in watched))
    files = list(dict.fromkeys(file for one in watched for file in one.recipients_files))
    asked = [partial(_look, one, now) for one in directories]
    asked += [partial(recipients_in, one) for one in files]
    folders = [place.place for one in watched for place in one.remotes if place.is_folder]
    folders = list(dict.fromkeys(folders))
    asked += [partial(_real, one) for one in folders]
    said = within(SECONDS, asked, progress)
    looks, rest = said[: len(directories)], said[len(directories) :]
    read = dict(zip(files, rest[: len(files)], strict=True))
    keys = {
        folder: str(real["key"]) if real else folder
        for folder, real in zip(folders, rest[len(files) :], strict=True)
    }
    answers = {
        directory: _understood(directory, result)
        for directory, result in zip(directories, looks, strict=True)
    }
    found = []
    for one in watched:
        facts = _facts(one, known, answers[one.directory], _custody(one, known, read))
        copies = _copies(one, facts.destination, known, keys, now)
        found.append(judge(replace(facts, copies=copies), now))
    return tuple(found)


def _copies(
    one: Watched,
    local: str,
    known: Mapping[str, Known] | None,
    keys: Mapping[str, str],
    now: datetime,
) -> tuple[Afar, ...]:
    """Return what the ledger knows of each further destination."""
    if known is None:
        return ()
    mine, found = known[one.app], []
    last = {push.destination: push for push in mine.pushes}
    for place in one.remotes:
        key = keys[place.place] if place.is_folder else place.text
        seen = seen_afar(mine.rows, (local, key), one.retention, now)
        found.append(replace(seen, last=last.get(key)))
    return tuple(found)


def _real(folder: str) -> Result:
    return {"key": os.path.realpath(folder)}


def _known(
    watched: Sequence[Watched], ledger: Ledger | None, progress: Progress
) -> Mapping[str, Known] | None:
    if ledger is None:
        return None
    with ledger:
        try:
            return {one.app: _of_app(one, ledger) for one in watched}
        except LedgerError as error:
            progress.warn(f"{error.message} {error.hint}")
            return None


def _custody(
    one: Watched, known: Mapping[str, Known] | None, read: Mapping[Path, Result | None]
) -> Custody:
    if known is None:
        return Custody()
    recipients = recipients_of(one.recipients, one.recipients_files, read)
    return replace(known[one.app].custody, recipients=recipients)


def _of_app(one: Watched, ledger: Ledger) -> Known:
    app = one.app
    last = ledger.drills(app, limit=1)
    return Known(
        ledger.archives(app),
        ledger.runs(app, limit=RUNS),
        Custody(checks=ledger.keychecks(), since=ledger.beginning(app)),
        last[0] if last else None,
        ledger.archives(app, deleted=True, pending=True) if one.remotes else (),
        ledger.pushes(app) if one.remotes else (),
    )


def _look(directory: Path, now: datetime) -> Result:
    """Return what lies in `directory`, as a child process can hand it over."""
    key = os.path.realpath(directory)
    try:
        os.close(os.open(directory, os.O_RDONLY | os.O_DIRECTORY))  # for the system's own words
        entries, free = read_entries(directory), free_bytes(directory)
    except OSError as error:
        return {"key": key, "problem": error.strerror or str(error)}
    except AgebackupError as error:
        return {"key": key, "problem": error.message}
    others = classify(entries, (), key, now).others
    return {
        "key": key,
        "free": free,
        "sizes": {one.name: one.size for one in entries if one.regular},
        "evicted": [one.resembles for one in others if one.kind == "evicted"],
    }


def _understood(directory: Path, result: Result | None) -> Answer:
    if result is None:
        return Answer(str(directory))
    problem, free = result.get("problem", ""), result.get("free")
    sizes, evicted = result.get("sizes", {}), result.get("evicted", [])
    assert isinstance(sizes, dict) and isinstance(evicted, list)
    look = Look(str(problem), free if isinstance(free, int) else None, sizes, frozenset(evicted))
    return Answer(str(result["key"]), look)


def _is_held(lock_file: Path) -> bool:
    """Return whether a living run holds the lock.

    Asked only of a run that began and did not end: who asks has the lock for a moment, in which
    another run would think that it is taken.
    """
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


def _facts(
    one: Watched, known: Mapping[str, Known] | None, answer: Answer, custody: Custody
) -> Facts:
    look, mine = answer.look, known[one.app] if known is not None else Known()
    archives = tuple(row for row in mine.archives if row.destination == answer.key)
    if not archives and look is None:
        # the name of a place that does not answer may be a link's
        archives = tuple(row for row in mine.archives if is_folder_key(row.destination))
    if known is None and look is not None:
        archives = _by_name(one.app, answer.key, look)
    last = mine.runs[0] if mine.runs else None
    return Facts(
        one.app,
        answer.key,
        one.watch,
        one.timer,
        one.max_age,
        archives,
        mine.runs,
        look,
        running=last is not None and last.outcome == "running" and _is_held(one.lock_file),
        heard=one.heard,
        success=one.success,
        custody=custody,
        drill=mine.drill,
        drill_timer=one.drill_timer,
    )


def _by_name(app: str, key: str, look: Look) -> tuple[ArchiveRecord, ...]:
    files = {*look.sizes, *look.evicted}
    names = [name for file in files if (name := ArchiveName.parse(file)) and name.app == app]
    records = [replace(ArchiveRecord.of(name, key), foreign=True) for name in names]
    return tuple(sorted(records, key=lambda one: (one.time, one.name), reverse=True))
