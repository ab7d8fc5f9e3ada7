"""When an app is due, and how long is waited before another try: rules and values only."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from agebackup.model.durations import span_text
from agebackup.model.watch import Watch

SHARE = 12
"""A twelfth of the interval (2 h of a day) counts as "just made": the next regular call after that
comes no later than `status` bears by default."""
LONGEST_WAIT = 3600.0
"""Seconds between two tries at most."""


@dataclass(frozen=True)
class Rhythm:
    """How often an app is to be backed up, and how often somebody asks whether it is due.

    In seconds. `period` is the timer's; None where nobody knows what calls. `jitter` is the most
    that a run begins later than its call, at random.
    """

    interval: float
    period: float | None = None
    jitter: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """Whether an app is due, and why, as the rest of a sentence about it."""

    due: bool
    why: str


def rhythm(watch: Watch, own: float | None, shared: float | None) -> Rhythm:
    """Return the rhythm of an app from its `watch` and the periods of the installed timers.

    A timer of the app's own (`own`) says itself how often. One for all apps (`shared`) only asks:
    each app's interval decides.
    """
    if own is not None:
        return Rhythm(own, own, watch.jitter)
    return Rhythm(watch.interval, shared, watch.jitter)


def enabled(watch: Watch, own: float | None, shared: float | None) -> bool:
    """Return whether the app is backed up unattended: as the person says, else if a timer is."""
    return watch.enabled if watch.enabled is not None else (own is not None or shared is not None)


def judge(beat: Rhythm, made: Iterable[datetime], now: datetime) -> Verdict:
    """Return whether another archive is due `now`, where archives were `made` at these moments.

    A timer that fires about as often as the app is to be backed up never skips its turn, early or
    late by chance, and what was missed is made up for at its first call. One that asks more often
    gets its archive at the call nearest to the interval. Where nobody knows what calls, a call may
    be a twelfth of the interval early. An archive from the future (the clock went back) counts as
    none.
    """
    recent = min(beat.interval, beat.period or beat.interval) / SHARE
    ages = [(now - moment).total_seconds() for moment in made]
    past = [max(0.0, age) for age in ages if age >= -recent]
    if not past:
        return Verdict(due=True, why="the clock went back" if ages else "there is no archive yet")
    age = min(past)
    said = f"the last archive is {span_text(timedelta(seconds=age))} old"
    return Verdict(due=age >= max(recent, beat.interval - _early(beat)), why=said)


def _early(beat: Rhythm) -> float:
    """Return by how many seconds a call may come before the interval is over and still count."""
    if beat.period is None:
        return beat.interval / SHARE + beat.jitter
    if beat.period > beat.interval / 2:
        return beat.interval
    return beat.period / 2 + beat.jitter


def next_wait(retry_after: float, tries: int) -> float:
    """Return the seconds to wait after so many `tries`: doubled each time, an hour at most."""
    return min(LONGEST_WAIT, retry_after * 2.0 ** min(tries - 1, 30))


def waits(watch: Watch) -> tuple[float, ...]:
    """Return the seconds to wait before each further try."""
    return tuple(next_wait(watch.retry_after, tries) for tries in range(1, watch.retries + 1))
