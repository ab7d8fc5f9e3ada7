"""When an app is due: no night is skipped, none is done twice, whatever timers and clocks do."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.model.due import (
    LONGEST_WAIT,
    SHARE,
    Rhythm,
    enabled,
    judge,
    next_wait,
    rhythm,
    waits,
)
from agebackup.model.watch import DAY, Watch

HOUR = 3600.0
START = datetime(2026, 11, 21, 3, tzinfo=UTC)
intervals = st.floats(600, 60 * DAY)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=40),
    st.sampled_from([None, DAY]),
    st.floats(0, HOUR),
)
def test_a_daily_timer_never_skips_a_day(
    chances: list[tuple[float, float]], period: float | None, jitter: float
) -> None:
    """Each firing of a daily timer, delayed by chance up to 2 h, finds the app due."""
    beat = Rhythm(DAY, period, jitter)
    made: list[datetime] = []
    for day, (delay, waited) in enumerate(chances):
        called = after(day * DAY + delay * DAY / SHARE)
        assert judge(beat, made, called).due
        made.append(called + timedelta(seconds=waited * jitter))


@given(st.lists(st.floats(0, 1), min_size=30, max_size=200))
def test_a_timer_for_all_keeps_the_interval(chances: list[float]) -> None:
    """Asked every hour, an app is backed up once a day, at the call nearest to the interval."""
    beat = rhythm(Watch(), None, HOUR)
    made: list[datetime] = []
    for number, chance in enumerate(chances):
        called = after((number + chance / 4) * HOUR)
        if judge(beat, made, called).due:
            made.append(called)
    spans = [(b - a).total_seconds() for a, b in pairwise(made)]
    assert all(abs(span - DAY) <= HOUR / 2 for span in spans)


@given(intervals, st.one_of(st.none(), intervals), moments)
def test_what_was_just_made_is_not_made_again(
    interval: float, period: float | None, now: datetime
) -> None:
    """Two calls in a row make one archive, even if the clock was set back a little in between."""
    beat = Rhythm(interval, period)
    recent = timedelta(seconds=min(interval, period or interval) / SHARE / 2)
    for made in (now, now - recent, now + recent):
        assert not judge(beat, [made], now).due


@given(intervals, st.one_of(st.none(), intervals), st.floats(0, 1e5), moments, st.floats(0, 1e8))
def test_late_is_due(
    interval: float, period: float | None, jitter: float, now: datetime, more: float
) -> None:
    """Whatever the timer, an archive older than the interval does not do; one more call, once."""
    made = now - timedelta(seconds=interval * (1 + 1e-9) + more + 1)
    assert judge(Rhythm(interval, period, jitter), [made], now).due


@given(intervals, moments, st.lists(st.floats(0, 1e8), max_size=3))
def test_a_clock_that_went_back(interval: float, now: datetime, ahead: list[float]) -> None:
    """Archives from the future do not keep an app from being backed up, and one from now does."""
    future = [now + timedelta(seconds=interval + 1 + seconds) for seconds in ahead]
    verdict = judge(Rhythm(interval), future, now)
    assert verdict.due and ("clock" in verdict.why) == bool(future)
    assert not judge(Rhythm(interval), [*future, now], now).due


@given(intervals, st.lists(moments, min_size=1, max_size=5), moments)
def test_the_newest_counts(interval: float, made: list[datetime], now: datetime) -> None:
    """Older archives change nothing, and the order does not either."""
    past = [moment for moment in made if moment <= now]
    verdict = judge(Rhythm(interval), made, now)
    assert judge(Rhythm(interval), made[::-1], now) == verdict
    if past:
        assert judge(Rhythm(interval), [max(past)], now) == judge(Rhythm(interval), past, now)


def test_missed_nights_are_made_up_for() -> None:
    """A machine that slept at the hour is backed up when it wakes, and again the night after."""
    beat = rhythm(Watch(), DAY, None)
    woken = after(DAY + 6 * HOUR)
    assert judge(beat, [START], woken).due
    assert judge(beat, [woken], after(2 * DAY)).due
    assert not judge(beat, [after(2 * DAY - HOUR)], after(2 * DAY)).due
    assert judge(beat, [after(2 * DAY - HOUR)], after(3 * DAY)).due


@pytest.mark.parametrize(
    ("watch", "own", "shared", "expected"),
    [
        (Watch(), None, None, False),
        (Watch(), DAY, None, True),
        (Watch(), None, HOUR, True),
        (Watch(enabled=True), None, None, True),
        (Watch(enabled=False), DAY, HOUR, False),
    ],
)
def test_who_is_taken(
    watch: Watch, own: float | None, shared: float | None, *, expected: bool
) -> None:
    """An app is taken when the person says so, or, unless they say no, when a timer is there."""
    assert enabled(watch, own, shared) is expected


def test_the_timer_of_an_app_says_how_often() -> None:
    """An app's own timer is its rhythm; one for all apps only asks, and the interval decides."""
    watch = Watch(interval=DAY, jitter=5)
    assert rhythm(watch, HOUR, None) == Rhythm(HOUR, HOUR, 5)
    assert rhythm(watch, None, HOUR) == Rhythm(DAY, HOUR, 5)
    assert rhythm(watch, None, None) == Rhythm(DAY, None, 5)


@given(st.floats(1, 1e5), st.integers(1, 10_000))
def test_waits_double_up_to_an_hour(first: float, tries: int) -> None:
    """Each wait is twice the one before, never longer than an hour."""
    now, then = next_wait(first, tries), next_wait(first, tries + 1)
    assert then == min(2 * now, LONGEST_WAIT) or now == then == LONGEST_WAIT
    assert 0 < now <= LONGEST_WAIT


def test_how_often_it_is_tried() -> None:
    """`retries` more tries follow the first, none for 0."""
    assert waits(Watch(retries=3, retry_after=60)) == (60, 120, 240)
    assert waits(Watch(retries=0)) == ()
