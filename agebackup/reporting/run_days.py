"""The runs of an app day by day: how long they took, and which failed."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Literal

from agebackup.errors import counted
from agebackup.model.records import RunOutcome, RunRecord

DAYS = 60
Result = Literal["ok", "incomplete", "failed", "none"]
_OF: dict[RunOutcome, Result] = {
    "ok": "ok",
    "running": "ok",
    "incomplete": "incomplete",
    "failed": "failed",
    "stopped": "failed",
}


@dataclass(frozen=True)
class Day:
    """One day: the worst of its runs, and a bar from `x` percent, `height` of 100 pixels."""

    x: float
    result: Result
    height: float
    title: str


@dataclass(frozen=True)
class Wrong:
    """Runs, one after the other, that ended in the same way and not well."""

    first: datetime
    last: datetime
    times: int
    outcome: RunOutcome
    message: str


@dataclass(frozen=True)
class RunDays:
    """The last `DAYS` days, oldest first; `slowest` in seconds; what went `wrong`, newest first."""

    days: tuple[Day, ...]
    width: float
    first: str
    last: str
    slowest: float
    summary: str
    wrong: tuple[Wrong, ...]


def run_days(runs: Sequence[RunRecord], now: datetime) -> RunDays:
    """Return the days of `runs`, which come newest first."""
    last = now.date()
    first = last - timedelta(days=DAYS - 1)
    recent = [one for one in runs if first <= one.begun.date() <= last]
    by_day: dict[date, list[RunRecord]] = defaultdict(list)
    for one in recent:
        by_day[one.begun.date()].append(one)
    slowest = max((one.seconds or 0.0 for one in recent), default=0.0)
    days = [first + timedelta(days=index) for index in range(DAYS)]
    return RunDays(
        days=tuple(_day(index, day, by_day[day], slowest) for index, day in enumerate(days)),
        width=80 / DAYS,
        first=f"{first:%Y-%m-%d}",
        last=f"{last:%Y-%m-%d}",
        slowest=slowest,
        summary=_summary(recent, by_day),
        wrong=_wrong(recent),
    )


def _wrong(recent: Sequence[RunRecord]) -> tuple[Wrong, ...]:
    found = []
    for (outcome, message), group in groupby(recent, key=lambda one: (one.outcome, one.message)):
        ones = list(group)
        if _OF[outcome] != "ok":
            found.append(Wrong(ones[-1].begun, ones[0].begun, len(ones), outcome, message))
    return tuple(found)


def _day(index: int, day: date, runs: Sequence[RunRecord], slowest: float) -> Day:
    results = {_OF[one.outcome] for one in runs}
    worst = next((one for one in ("failed", "incomplete", "ok") if one in results), "none")
    longest = max((one.seconds or 0.0 for one in runs), default=0.0)
    said = _counts(runs) if runs else "no run"
    took = f", the longest {longest:,.1f} s" if longest else ""
    return Day(
        x=round(100 * (index + 0.1) / DAYS, 3),
        result=worst,  # type: ignore[arg-type]
        height=round(max(4.0, 100 * longest / slowest), 1) if runs and slowest else 4.0,
        title=f"{day:%Y-%m-%d}: {said}{took}",
    )


def _summary(recent: Sequence[RunRecord], by_day: dict[date, list[RunRecord]]) -> str:
    if not recent:
        return f"No run in the last {DAYS} days."
    quiet = DAYS - sum(1 for runs in by_day.values() if runs)
    without = f"; {counted(quiet, 'day')} without a run" if quiet else ""
    return f"{counted(len(recent), 'run')} in the last {DAYS} days: {_counts(recent)}{without}."


def _counts(runs: Sequence[RunRecord]) -> str:
    counts = Counter(one.outcome for one in runs)
    return ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(counts.items()))
