"""Judge from the ledger, and one look at the destination, whether an app's backups are fresh."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agebackup.model.afar import Afar, complaints_afar
from agebackup.model.complaints import complaints
from agebackup.model.findings import Finding, worst_first
from agebackup.model.inventory import is_future
from agebackup.model.observed import Facts, State
from agebackup.model.records import ArchiveRecord, Check, DrillRecord, RunOutcome, RunRecord

GRACE = 7200.0
"""Seconds by which the newest archive may be older than the interval, unless max_age says more."""


@dataclass(frozen=True)
class AppStatus:
    """The judgement of one app in one destination. `limit` is how old the newest may be, seconds.

    `stale` (exit code 5): backups are not being made, or the newest cannot be relied upon.
    `last_success` is when the last run that ended well began, None where none is known.
    `failing`: no run has ended well since `last_failure`.
    `verified` and `restored` are the archives that this was last tried with, and worked. `drill` is
    the last drill, good or bad, `copies` what is known of each further destination.
    """

    app: str
    destination: str
    state: State
    stale: bool
    newest: ArchiveRecord | None
    last_success: datetime | None
    last_failure: RunRecord | None
    failing: bool
    verified: ArchiveRecord | None
    restored: ArchiveRecord | None
    limit: float | None
    next_run: datetime | None
    running: bool
    findings: tuple[Finding, ...]
    drill: DrillRecord | None = None
    copies: tuple[Afar, ...] = ()


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
    bound = None if state == "disabled" else limit
    findings = (
        *complaints(facts, newest, state, now),
        *complaints_afar(facts.app, facts.copies, bound, now),
    )
    if state in ("fresh", "known") and any(one.severity == "error" for one in findings):
        state = "at-risk"
    good, failed = _last(facts.runs, "ok"), _last(facts.runs, "failed", "stopped")
    timer = facts.timer
    return AppStatus(
        facts.app,
        facts.destination,
        state,
        stale=state in ("at-risk", "stale", "never", "unknown"),
        newest=newest,
        last_success=good.begun if good else facts.success,
        last_failure=failed,
        failing=failed is not None and (good is None or failed.begun > good.begun),
        verified=_last_checked(sound, "verify"),
        restored=_last_checked(sound, "restore"),
        limit=limit,
        next_run=timer.next_run if timer and facts.watch and state != "disabled" else None,
        running=facts.running,
        findings=worst_first(findings),
        drill=facts.drill,
        copies=facts.copies,
    )


def _limit(facts: Facts) -> float | None:
    if facts.max_age is not None:
        return facts.max_age
    if facts.watch is None:
        return None
    if facts.watch.max_age is not None:
        return facts.watch.max_age
    own = facts.timer.seconds if facts.timer and facts.timer.app else facts.watch.interval
    return own + facts.watch.jitter + GRACE


def _state(facts: Facts, made: datetime | None, limit: float | None, now: datetime) -> State:
    if facts.watch is not None and facts.watch.enabled is False and facts.max_age is None:
        return "disabled"
    if made is None:
        return "never" if facts.watch is not None or facts.runs else "unknown"
    if limit is None:
        return "known"
    stale = now - made > timedelta(seconds=limit) or is_future(made, now)
    return "stale" if stale else "fresh"


def _last(runs: Sequence[RunRecord], *outcomes: RunOutcome) -> RunRecord | None:
    return next((run for run in runs if run.outcome in outcomes), None)


def _last_checked(archives: Sequence[ArchiveRecord], check: Check) -> ArchiveRecord | None:
    passed = [(one.checked, one) for one in archives if one.check == check and one.checked]
    return max(passed, key=lambda each: each[0])[1] if passed else None
