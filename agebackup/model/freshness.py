"""Judge from the ledger, and one look at the destination, whether an app's backups are fresh."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from agebackup.model.changes import lost, shrunk, sudden
from agebackup.model.durations import span_text
from agebackup.model.findings import Finding, worst_first
from agebackup.model.inventory import is_future
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord, Check, RunRecord
from agebackup.model.watch import Watch

State = Literal["fresh", "stale", "never", "disabled", "known", "unknown"]
"""known: nothing says how old the newest archive may be; unknown: nothing is known at all."""
GRACE = 7200.0
"""Seconds by which the newest archive may be older than the interval, unless max_age says more."""
ROOM = 5
"""For how many more archives there should be room."""


@dataclass(frozen=True)
class Look:
    """What was seen of a destination. `problem` is why nothing was, "" where something was.

    `free` in bytes; `sizes` of the files by name, in bytes; `evicted` are the names of those whose
    content is only in the cloud.
    """

    problem: str = ""
    free: int | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    evicted: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Facts:
    """All that is known of one app in one destination.

    `watch` None: the configuration does not declare it. `period` is the app's own timer's, in
    seconds; `next_run` when a timer that takes it fires next, None where there is none; `max_age`
    what the person asked for now. `archives` (undeleted) and `runs` come newest first. `look` None:
    the destination did not answer. `running`: the last run is still at work.
    """

    app: str
    destination: str
    watch: Watch | None = None
    period: float | None = None
    max_age: float | None = None
    archives: tuple[ArchiveRecord, ...] = ()
    runs: tuple[RunRecord, ...] = ()
    look: Look | None = None
    running: bool = False
    next_run: datetime | None = None


@dataclass(frozen=True)
class AppStatus:
    """The judgement of one app in one destination. `limit` is how old the newest may be, seconds.

    `stale` (exit code 5): backups are not being made, or the newest cannot be relied upon.
    `verified` and `restored` are the archives that this was last tried with, and worked.
    """

    app: str
    destination: str
    state: State
    stale: bool
    newest: ArchiveRecord | None
    last_success: datetime | None
    last_failure: RunRecord | None
    verified: ArchiveRecord | None
    restored: ArchiveRecord | None
    limit: float | None
    next_run: datetime | None
    running: bool
    findings: tuple[Finding, ...]


def judge(facts: Facts, now: datetime) -> AppStatus:
    """Return how `facts` look at the moment `now`.

    The newest archive is the newest that is not from the future. From the moment when none is, the
    later, the staler. Beside archives that this machine made another one's do not count.
    """
    sound = [one for one in facts.archives if not one.bad]
    sound = [one for one in sound if not one.foreign] or sound
    past = (one for one in sound if not is_future(one.time, now))
    newest = next(past, sound[0] if sound else None)
    made = newest.time if newest else None
    limit = _limit(facts)
    state = _state(facts, made, limit, now)
    findings = tuple(_findings(facts, newest, state, now))
    gone = any(one.severity == "error" for one in findings)
    return AppStatus(
        facts.app,
        facts.destination,
        state,
        stale=state != "disabled" and (state in ("stale", "never", "unknown") or gone),
        newest=newest,
        last_success=made,
        last_failure=_last_failure(facts.runs),
        verified=_last_checked(sound, "verify"),
        restored=_last_checked(sound, "restore"),
        limit=limit,
        next_run=facts.next_run,
        running=facts.running,
        findings=worst_first(findings),
    )


def _limit(facts: Facts) -> float | None:
    if facts.max_age is not None:
        return facts.max_age
    if facts.watch is None:
        return None
    if facts.watch.max_age is not None:
        return facts.watch.max_age
    return (facts.period or facts.watch.interval) + facts.watch.jitter + GRACE


def _state(facts: Facts, made: datetime | None, limit: float | None, now: datetime) -> State:
    if facts.watch is not None and facts.watch.enabled is False and facts.max_age is None:
        return "disabled"
    if made is None:
        return "never" if facts.watch is not None or facts.runs else "unknown"
    if limit is None:
        return "known"
    stale = now - made > timedelta(seconds=limit) or is_future(made, now)
    return "stale" if stale else "fresh"


def _last_failure(runs: Sequence[RunRecord]) -> RunRecord | None:
    return next((run for run in runs if run.outcome in ("failed", "stopped")), None)


def _last_checked(archives: Sequence[ArchiveRecord], check: Check) -> ArchiveRecord | None:
    passed = [(one.checked, one) for one in archives if one.check == check and one.checked]
    return max(passed, key=lambda each: each[0])[1] if passed else None


def _findings(
    facts: Facts, newest: ArchiveRecord | None, state: State, now: datetime
) -> Iterator[Finding]:
    yield from _age(facts, newest, state, now)
    yield from _runs(facts)
    yield from _place(facts, newest)
    yield from _contents(facts)


def _age(
    facts: Facts, newest: ArchiveRecord | None, state: State, now: datetime
) -> Iterator[Finding]:
    app = facts.app
    ahead = next((one for one in facts.archives if is_future(one.time, now)), None)
    if ahead is not None:
        yield Finding(
            "error" if ahead is newest else "warning",
            "clock-back",
            app,
            f"An archive of {app} is from {ahead.time:%Y-%m-%d %H:%M} UTC, which has not come yet.",
            "Set this machine's clock: it went back, or was ahead when the archive was made.",
        )
    if state == "stale" and newest is not None and newest is not ahead:
        age = span_text(now - newest.time)
        yield Finding(
            "error",
            "stale",
            app,
            f"The newest archive of {app} is {age} old.",
            "See agebackup log, and make one: agebackup create.",
        )
    if state in ("never", "unknown"):
        yield from _never(facts)
    yield from _timer(facts, state)


def _never(facts: Facts) -> Iterator[Finding]:
    app, there = facts.app, (*facts.look.sizes, *facts.look.evicted) if facts.look else ()
    names = [name for name in map(ArchiveName.parse, there) if name and name.app == app]
    fact, remedy = f"No archive of {app} is known.", "See agebackup log."
    if names:
        fact = f"The ledger knows no archive of {app}, and its folder holds {len(names):,}."
        remedy = "If this machine made them: agebackup ledger rebuild DEST --mine."
    yield Finding("error", "never", app, fact, remedy)


def _timer(facts: Facts, state: State) -> Iterator[Finding]:
    app = facts.app
    if state == "disabled":
        yield Finding(
            "note",
            "disabled",
            app,
            f"{app} is disabled in the configuration, so nothing backs it up by itself.",
            "Set enabled = true, or leave the key out and install a timer.",
        )
    elif facts.watch is not None and facts.watch.enabled is None and facts.next_run is None:
        yield Finding(
            "note",
            "no-timer",
            app,
            f"No timer backs {app} up by itself.",
            f"Install one: agebackup schedule install {app}",
        )


def _runs(facts: Facts) -> Iterator[Finding]:
    last = facts.runs[0] if facts.runs else None
    if last is None:
        return
    when = f"{last.begun:%Y-%m-%d %H:%M} UTC"
    if facts.running:
        fact = f"{facts.app} is being backed up now, since {when}."
        yield Finding("note", "running", facts.app, fact)
    elif last.outcome == "running":
        yield Finding(
            "warning",
            "cut-off",
            facts.app,
            f"The run of {facts.app} that began at {when} was cut off.",
            "The next run cleans up after it; see agebackup log.",
        )
    elif last.outcome in ("failed", "stopped"):
        yield Finding(
            "warning",
            "last-run-failed",
            facts.app,
            f"The last run of {facts.app}, at {when}, failed: {last.message}",
            "See agebackup log.",
        )
    elif last.outcome == "incomplete":
        yield Finding(
            "warning",
            "incomplete",
            facts.app,
            f"The last run of {facts.app}, at {when}, was not complete: {last.message}",
            "See agebackup log.",
        )


def _place(facts: Facts, newest: ArchiveRecord | None) -> Iterator[Finding]:
    shown, look = facts.destination, facts.look
    if look is None:
        yield Finding(
            "warning",
            "destination-stuck",
            shown,
            f"The destination {shown} does not answer.",
            "It is probably a network drive whose other side is gone: unmount or reconnect it.",
        )
        return
    if look.problem:
        yield Finding(
            "warning",
            "destination-away",
            shown,
            f"The destination {shown} cannot be reached: {look.problem}.",
            "Connect or mount it.",
        )
        return
    if newest is not None:
        yield from _whole(newest, look)
    sizes = [one.size for one in facts.archives[:ROOM] if one.size]
    if look.free is not None and sizes and look.free < ROOM * max(sizes):
        left = look.free // max(sizes)
        yield Finding(
            "warning",
            "little-space",
            shown,
            f"{shown} has {look.free:,} bytes left: room for {left} more archives.",
            "Free some space, or let the retention keep fewer.",
        )


def _whole(newest: ArchiveRecord, look: Look) -> Iterator[Finding]:
    name, size = newest.file_name, look.sizes.get(newest.file_name)
    if size is not None and newest.size not in (None, size):
        fact = f"The newest archive {name} has {size:,} bytes instead of {newest.size:,}."
        yield Finding("error", "newest-cut", name, fact, "See agebackup audit; make another one.")
    elif name in look.evicted:
        fact = f"The content of the newest archive {name} is only in the cloud."
        yield Finding("note", "newest-evicted", name, fact, "Keep the folder on this machine.")
    elif size is None:
        fact = f"The newest archive {name} is not in its folder."
        yield Finding("error", "newest-gone", name, fact, "See agebackup audit; make another one.")


def _contents(facts: Facts) -> Iterator[Finding]:
    known = [one for one in facts.archives if one.figures is not None]
    figures = [one.figures for one in known if one.figures is not None][:2]
    found = sudden(figures[1], figures[0]) if len(figures) == 2 else ()
    yield from found
    if known and not shrunk(found):
        earlier = lost(known[0], known[1:])  # or an hourly archive would hide it within the hour
        yield from earlier[1] if earlier else ()
