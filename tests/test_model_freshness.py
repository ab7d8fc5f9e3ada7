"""Freshness is judged from facts alone: when it is stale, and what is said about it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.model.complaints import ROOM
from agebackup.model.freshness import GRACE, AppStatus, judge
from agebackup.model.inventory import FUTURE
from agebackup.model.names import ArchiveName
from agebackup.model.observed import Facts, Look
from agebackup.model.records import ArchiveRecord, DatabaseFigures, Figures, RunRecord
from agebackup.model.timer import Timer
from agebackup.model.watch import Watch

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)
SIZE = 1000


def archive(age: timedelta, **changes: Any) -> ArchiveRecord:
    number = int(age.total_seconds()) % (1 << 32)
    row = ArchiveRecord.of(ArchiveName("notes", NOW - age, f"{number:08x}"), "/out")
    return replace(row, **{"size": SIZE, **changes})


def run(outcome: Any, message: str = "", age: timedelta = HOUR) -> RunRecord:
    return RunRecord("1", "notes", "auto", NOW - age, outcome=outcome, message=message)


def timer(seconds: float | None = None, **changes: Any) -> Timer:
    """Return a timer that was installed just now: the app's own, or one for all that asks daily."""
    app, every = ("notes", seconds) if seconds is not None else ("", 86_400.0)
    whole = Timer(app, "cron", "daily", every, NOW - HOUR, next_run=NOW + HOUR)
    return replace(whole, **changes)


def facts(*archives: ArchiveRecord, **changes: Any) -> Facts:
    """Return what is known of a well watched app with these archives, all of them in place."""
    look = Look("", 10**9, {one.file_name: SIZE for one in archives})
    rest = {"watch": Watch(), "look": look, "timer": timer()} | changes
    return Facts("notes", "/out", archives=archives, **rest)


def codes(status: AppStatus) -> list[str]:
    return [one.code for one in status.findings]


def test_all_is_well() -> None:
    """A fresh archive in its place is nothing to speak of."""
    newest = archive(HOUR)
    found = judge(facts(newest, archive(25 * HOUR)), NOW)
    assert (found.state, found.stale, found.findings) == ("fresh", False, ())
    assert found.newest == newest and found.next_run == NOW + HOUR


LIMITS = [
    (Watch(), None, None, 86_400 + GRACE),
    (Watch(interval=3600), None, None, 3600 + GRACE),
    (Watch(interval=3600, jitter=600), None, None, 4200 + GRACE),
    (Watch(), 3600, None, 3600 + GRACE),
    (Watch(max_age=60), 3600, None, 60),
    (Watch(max_age=60), 3600, 5.0, 5),
    (None, None, None, None),
    (None, None, 5.0, 5),
]


@pytest.mark.parametrize(("watch", "period", "asked", "limit"), LIMITS)
def test_the_limit(
    watch: Watch | None, period: float | None, asked: float | None, limit: float | None
) -> None:
    """What the person asks now, else what is configured, else the timer's or the configured
    interval with its jitter and two hours; and exactly that old is not too old."""
    age = timedelta(seconds=limit or 0)
    calls = timer(period) if watch is not None else None
    found = judge(facts(archive(age), watch=watch, timer=calls, max_age=asked), NOW)
    assert found.limit == limit and not found.stale
    assert found.state == ("known" if limit is None else "fresh")
    if limit is not None:
        late = judge(facts(archive(age + HOUR), watch=watch, timer=calls, max_age=asked), NOW)
        assert late.stale and late.state == "stale" and "stale" in codes(late)


@pytest.mark.parametrize(
    ("changes", "state", "stale"),
    [
        ({}, "never", True),
        ({"watch": None, "timer": None}, "unknown", True),
        ({"watch": None, "timer": None, "runs": (run("failed"),)}, "never", True),
        ({"watch": Watch(enabled=False)}, "disabled", False),
        ({"watch": Watch(enabled=False), "max_age": 60.0}, "never", True),
        ({"look": None}, "never", True),
    ],
)
def test_without_any_archive(changes: dict[str, Any], state: str, stale: bool) -> None:
    """No archive is a reason for alarm, unless the person disabled the app."""
    found = judge(facts(**changes), NOW)
    assert (found.state, found.stale, found.newest) == (state, stale, None)
    assert ("never" in codes(found)) == stale


def test_what_the_ledger_does_not_know() -> None:
    """Archives that lie there unknown are counted for the person, other apps' are not."""
    look = Look(
        "", None, {archive(HOUR).file_name: 1, "other-20261121T030000Z-00000000.tar.age": 1}
    )
    (one,) = judge(facts(look=look), NOW).findings
    assert "holds 1." in one.fact and "rebuild" in one.remedy


@pytest.mark.parametrize(
    ("last", "running", "code"),
    [
        (run("ok"), False, None),
        (run("failed", "No room."), False, "last-run-failed"),
        (run("stopped", "Interrupted."), False, "last-run-failed"),
        (run("incomplete", "A file is gone."), False, "incomplete"),
        (run("running"), True, "running"),
        (run("running"), False, "cut-off"),
    ],
)
def test_the_last_run(last: RunRecord, running: bool, code: str | None) -> None:
    """How the last run ended is told with its reason; by itself it makes nothing stale."""
    found = judge(facts(archive(2 * HOUR), runs=(last,), running=running), NOW)
    assert codes(found) == ([code] if code else []) and not found.stale
    assert all(last.message in one.fact for one in found.findings)


def test_the_last_failure_is_remembered() -> None:
    """A failure before the last success is still known, and is no longer what matters."""
    failed = run("failed", "No room.", 5 * HOUR)
    found = judge(facts(archive(HOUR), runs=(run("ok"), failed)), NOW)
    assert found.last_failure == failed and found.findings == () and not found.failing
    found = judge(facts(archive(HOUR), runs=(run("running"), failed, run("ok", age=9 * HOUR))), NOW)
    assert found.last_failure == failed and found.failing


def test_the_last_success() -> None:
    """It is the last run that ended well, else what last-run.json tells, never a mere file."""
    runs = (run("failed"), run("incomplete", age=2 * HOUR), run("ok", age=3 * HOUR))
    assert judge(facts(archive(HOUR), runs=runs), NOW).last_success == NOW - 3 * HOUR
    assert judge(facts(archive(HOUR)), NOW).last_success is None
    assert judge(facts(archive(HOUR), success=NOW - HOUR), NOW).last_success == NOW - HOUR


@pytest.mark.parametrize(
    ("look", "code", "stale"),
    [
        (None, "destination-stuck", False),
        (Look("Permission denied"), "destination-away", False),
        (Look("", None, {}), "newest-gone", True),
        (Look("", None, {archive(HOUR).file_name: SIZE + 1}), "newest-cut", True),
        (Look("", None, {archive(HOUR).file_name: 0}), "newest-cut", True),
        (Look("", None, {}, frozenset([archive(HOUR).file_name])), "newest-evicted", False),
        (Look("", ROOM * SIZE - 1, {archive(HOUR).file_name: SIZE}), "little-space", False),
        (Look("", ROOM * SIZE, {archive(HOUR).file_name: SIZE}), None, False),
    ],
)
def test_the_destination(look: Look | None, code: str | None, stale: bool) -> None:
    """What is wrong with the place is named; only a missing or cut archive is no backup."""
    found = judge(facts(archive(HOUR), look=look), NOW)
    assert codes(found) == ([code] if code else []) and found.stale is stale
    assert found.state == ("at-risk" if stale else "fresh")
    assert all("/out" in one.fact or archive(HOUR).name in one.fact for one in found.findings)


def test_space_follows_the_trend() -> None:
    """Room is measured by the largest of the last archives, however small the newest is."""
    ones = [archive(HOUR), archive(2 * HOUR, size=10 * SIZE)]
    look = Look("", ROOM * SIZE * 2, {ones[0].file_name: SIZE})
    (one,) = judge(facts(*ones, look=look), NOW).findings
    assert one.code == "little-space" and "room for 1 more archives" in one.fact


def test_an_unknown_size_is_no_difference() -> None:
    """Where only the name is known, nothing is said about the size."""
    only_named = replace(archive(HOUR), size=None)
    assert judge(facts(only_named), NOW).findings == ()


def test_a_bad_archive_is_none() -> None:
    """Freshness is judged by the newest archive that is not known to be damaged."""
    found = judge(facts(archive(HOUR, bad=True), archive(50 * HOUR)), NOW)
    assert found.state == "stale" and found.newest == archive(50 * HOUR)


def test_the_clock() -> None:
    """An archive from the future is told: as an error where it is all there is."""
    ahead, past = archive(-5 * HOUR), archive(HOUR)
    found = judge(facts(ahead), NOW)
    assert found.stale and found.newest == ahead and codes(found) == ["clock-back"]
    found = judge(facts(ahead, past), NOW)
    assert not found.stale and found.newest == past
    assert [(one.code, one.severity) for one in found.findings] == [("clock-back", "warning")]
    assert judge(facts(archive(-FUTURE)), NOW).findings == ()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"timer": None}, True),
        ({"timer": None, "watch": Watch(enabled=True)}, False),
        ({"timer": None, "watch": None}, False),
        ({}, False),
    ],
)
def test_no_timer(changes: dict[str, Any], told: bool) -> None:
    """Who neither installed a timer nor said that there is one is told so."""
    assert ("no-timer" in codes(judge(facts(archive(HOUR), **changes), NOW))) == told


@pytest.mark.parametrize(
    ("calls", "code", "stale"),
    [
        (timer(3600.0, gone=True, next_run=None), "timer-gone", True),
        (timer(gone=True, next_run=None), "timer-gone", True),
        (timer(3600.0, altered=True, next_run=None), "timer-altered", False),
    ],
)
def test_a_timer_that_was_tampered_with(calls: Timer, code: str, stale: bool) -> None:
    """Without its timer no young archive is at ease, and no next run is promised."""
    found = judge(facts(archive(HOUR), timer=calls), NOW)
    assert (codes(found), found.stale, found.next_run) == ([code], stale, None)
    assert "schedule install" in found.findings[0].remedy


@pytest.mark.parametrize("seconds", [3600.0, None])
def test_a_timer_that_the_configuration_forgot(seconds: float | None) -> None:
    """Whose declaration is gone while a timer calls is an error, however young the archive is."""
    found = judge(facts(archive(HOUR), timer=timer(seconds), watch=None), NOW)
    assert (codes(found), found.state, found.stale) == (["undeclared"], "at-risk", True)
    assert found.next_run is None and "schedule remove" in found.findings[0].remedy


def test_a_timer_that_nothing_was_heard_of() -> None:
    """Long silence is told as the cause beside what is stale, and only then is it an error."""
    old, since = archive(304 * 24 * HOUR), NOW - 400 * 24 * HOUR
    ran = (run("ok", age=304 * 24 * HOUR),)
    calls = timer(86_400.0, since=since)
    found = judge(facts(old, timer=calls, runs=ran), NOW)
    assert codes(found) == ["stale", "timer-silent"]
    assert "for 304d." in found.findings[1].fact
    assert not any("agebackup log" in one.remedy for one in found.findings)
    shared = judge(facts(old, timer=timer(since=since)), NOW)
    assert shared.findings[1].remedy.endswith("schedule run-now")
    lenient = judge(facts(old, timer=calls, runs=ran, watch=Watch(max_age=1e9)), NOW)
    assert (codes(lenient), lenient.stale) == (["timer-silent"], False)
    for known in ({"heard": NOW - HOUR}, {"runs": (run("cut", age=HOUR),)}, {"running": True}):
        assert "timer-silent" not in codes(judge(facts(old, timer=calls, **known), NOW))


def test_a_sudden_loss() -> None:
    """The newest archive is compared with the one before it whose figures are known; a loss stays
    a finding while an archive of the last two weeks still has what was lost."""

    def holding(rows: int) -> Figures:
        return Figures(databases={"data/a.db": DatabaseFigures(1, rows)})

    ones = [
        archive(HOUR, figures=holding(10)),
        archive(2 * HOUR),
        archive(3 * HOUR, figures=holding(1000)),
        archive(4 * HOUR, figures=holding(1)),
    ]
    assert codes(judge(facts(*ones), NOW)) == ["shrunk-rows"]
    assert judge(facts(ones[0], ones[3]), NOW).findings == ()
    again = archive(timedelta(minutes=30), figures=holding(10))
    assert codes(judge(facts(again, *ones), NOW)) == ["shrunk-rows"]
    later = archive(-timedelta(days=15), figures=holding(10))
    found = judge(facts(later, *ones), later.time)
    assert "shrunk-rows" not in codes(found)


def test_when_one_was_last_read_back() -> None:
    """The last verification and the last restore are remembered of whichever archive they were."""
    ones = [
        archive(HOUR, check="proof", checked=NOW),
        archive(2 * HOUR, check="verify", checked=NOW - 5 * HOUR),
        archive(3 * HOUR, check="verify", checked=NOW - HOUR),
        archive(4 * HOUR, check="restore", checked=NOW - 9 * HOUR),
        archive(5 * HOUR, check="restore", checked=NOW, bad=True),
    ]
    found = judge(facts(*ones), NOW)
    assert (found.verified, found.restored) == (ones[2], ones[3])


AGES = st.lists(st.integers(0, 5000), max_size=6, unique=True).map(sorted)


@given(AGES, st.floats(0, 10**7), st.integers(0, 5000), st.floats(0, 10**7))
def test_the_later_the_staler(ages: list[int], limit: float, later: int, more: float) -> None:
    """Once stale, only a new archive helps; and who allows more is never told sooner."""
    known = facts(*(archive(age * HOUR) for age in ages), max_age=limit)
    now, then = judge(known, NOW), judge(known, NOW + later * HOUR)
    assert then.stale or not now.stale
    assert now.stale or not judge(replace(known, max_age=limit + more), NOW).stale


@given(AGES, AGES, st.floats(0, 10**7))
def test_another_archive_never_makes_stale(ages: list[int], more: list[int], limit: float) -> None:
    """With more archives in place an app is as fresh, or fresher."""
    few = judge(facts(*(archive(age * HOUR) for age in ages), max_age=limit), NOW)
    every = sorted({*ages, *more})
    many = judge(facts(*(archive(age * HOUR) for age in every), max_age=limit), NOW)
    assert few.stale or not many.stale


def test_another_machines_archive_makes_no_app_fresh() -> None:
    """What a rebuilt ledger took over from elsewhere does not hide that backups here have ended."""
    foreign, own = archive(HOUR, foreign=True), archive(40 * HOUR)
    assert judge(facts(foreign, own), NOW).newest == own
    assert judge(facts(foreign, own), NOW).state == "stale"
    alone = judge(facts(foreign), NOW)
    assert alone.newest == foreign and codes(alone) == ["newest-foreign"]
