"""What the page's drawings are made of: where things stand, and that nothing falls out."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.model.names import ArchiveName
from agebackup.model.overview import Shelved
from agebackup.model.records import ArchiveRecord, RunRecord
from agebackup.reporting.growth import POINTS, growth
from agebackup.reporting.report_page import MARK, MARK_WITHIN, is_page
from agebackup.reporting.run_days import DAYS, run_days
from agebackup.reporting.scales import APART, AgeScale
from agebackup.reporting.timeline import timeline

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOURS = st.integers(-2, 24 * 365 * 20)
REASONS = (
    "hourly",
    "daily",
    "yearly (the oldest)",
    "the newest",
    "tag x",
    "kept by hand",
    "no policy",
)
STATES = ("proved", "verified", "unproved", "damaged", "incomplete", "unknown", "gone")


def shelved(hours: int, reasons: tuple[str, ...], state: str, *, stays: bool = True) -> Shelved:
    time = NOW - timedelta(hours=hours)
    return Shelved(f"notes-{hours}", f"{abs(hours):08x}", time, 1, state, reasons, stays)


ARCHIVES = st.lists(
    st.builds(
        shelved,
        HOURS,
        st.lists(st.sampled_from(REASONS), min_size=1, max_size=3).map(tuple),
        st.sampled_from(STATES),
        stays=st.booleans(),
    ),
    min_size=1,
    max_size=60,
)


@given(HOURS, st.lists(HOURS, min_size=2, max_size=20))
def test_older_stands_further_left(oldest: int, hours: list[int]) -> None:
    """Every moment has a place, the older the further to the left, and labels never touch."""
    scale = AgeScale(NOW, NOW - timedelta(hours=oldest))
    places = [scale.x(NOW - timedelta(hours=hour)) for hour in sorted(hours)]
    assert all(0 <= after <= before <= 100 for before, after in pairwise(places))
    assert all(after.x - before.x >= APART for before, after in pairwise(scale.ticks))
    assert scale.ticks[-1].text == "now"


@given(ARCHIVES)
def test_every_archive_is_in_a_lane(archives: list[Shelved]) -> None:
    """No archive falls out, what goes is in the lane of what goes alone, and a fault is never
    hidden by a sound one at the same place."""
    drawn = timeline(sorted(archives, key=lambda one: one.time, reverse=True), NOW)
    assert drawn is not None
    assert sum(lane.count for lane in drawn.lanes) >= len(archives)
    lanes = {lane.name: lane for lane in drawn.lanes}
    going = sum(1 for one in archives if not one.stays)
    assert (lanes["to go"].count if "to go" in lanes else 0) == going
    broken = any(one.state in ("damaged", "incomplete", "gone") for one in archives)
    shapes = {mark.shape for lane in drawn.lanes for mark in lane.marks}
    assert ("broken" in shapes) == broken
    assert all(lane.marks for lane in drawn.lanes)


def test_no_archive_no_drawing() -> None:
    """There is nothing to draw of nothing."""
    assert timeline((), NOW) is None and growth(()) is None


def made(count: int, size: int = 1000) -> list[ArchiveRecord]:
    names = [ArchiveName("notes", NOW - timedelta(hours=i), f"{i:08x}") for i in range(count)]
    return [replace(ArchiveRecord.of(one, "/out"), size=size) for one in reversed(names)]


def test_a_long_line_is_thinned() -> None:
    """Of thousands of sizes a few hundred points are drawn, the largest and the last among them."""
    records = made(5000)
    records[2500] = replace(records[2500], size=4000)
    drawn = growth(records)
    assert drawn is not None
    numbers = drawn.path.removeprefix("M").split()
    points = list(zip(numbers[::2], numbers[1::2], strict=True))
    assert len(points) <= POINTS + 1
    assert min(float(y) for _, y in points) == 0 and points[-1] == ("1000", "75")
    assert sum(month.made for month in drawn.months) == 5000
    assert drawn.largest == 4000 and drawn.newest == 1000 and drawn.change == "+0 % in 30 days"


def test_one_size_is_no_growth() -> None:
    """A line needs two sizes; one that is not known is no size."""
    assert growth(made(1)) is None
    assert growth([replace(one, size=None) for one in made(3)]) is None


@given(st.lists(st.tuples(HOURS, st.sampled_from(["ok", "failed", "stopped", "incomplete"]))))
def test_no_failure_is_hidden(runs: list[tuple[int, str]]) -> None:
    """A day with a failed run looks so, however many went well; equal ones are told together."""
    records = [
        RunRecord(f"{i}", "notes", "auto", NOW - timedelta(hours=hours), outcome=outcome)  # type: ignore[arg-type]
        for i, (hours, outcome) in enumerate(sorted(runs))
    ]
    drawn = run_days(records, NOW)
    first = NOW.date() - timedelta(days=DAYS - 1)
    recent = [one for one in records if first <= one.begun.date() <= NOW.date()]
    failed = {one.begun.date() for one in recent if one.outcome in ("failed", "stopped")}
    assert sum(1 for day in drawn.days if day.result == "failed") == len(failed)
    assert len(drawn.days) == DAYS
    assert sum(one.times for one in drawn.wrong) == sum(one.outcome != "ok" for one in recent)


@pytest.mark.parametrize(
    ("beginning", "mine"),
    [
        (f"<!DOCTYPE html>\n<html>{MARK}".encode(), True),
        (b" " * MARK_WITHIN + MARK.encode(), False),
        (b"<!DOCTYPE html>", False),
        (b"", False),
    ],
)
def test_a_page_is_known_by_its_beginning(beginning: bytes, mine: bool) -> None:
    """What stands further on is perhaps somebody's text about such a page."""
    assert is_page(beginning) == mine
