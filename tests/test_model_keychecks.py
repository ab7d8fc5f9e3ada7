"""Which archives tell most about a key, whose archives it should open, and when to try it again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.model.inventory import FolderEntry, Held
from agebackup.model.keychecks import Custody, Standing, reminder, representatives
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord, KeycheckRecord
from agebackup.model.retaining import plan
from agebackup.model.retention import Candidate, Policy

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)
QUARTER = 90 * 86_400.0


def held(days: int, *, known: bool = True, size: int = 10, foreign: bool = False) -> Held:
    name = ArchiveName("notes", NOW - timedelta(days=days), f"{days:08x}")
    row = ArchiveRecord.of(name, "/out")
    record = ArchiveRecord(**{**vars(row), "proved": True, "foreign": foreign}) if known else None
    return Held(name, FolderEntry(str(name), size, 0.0), record)


@given(
    st.lists(st.integers(0, 1500), min_size=1, max_size=60, unique=True),
    st.integers(0, 5),
    st.integers(0, 5),
    st.integers(-1, 5),
)
def test_the_newest_and_the_oldest_of_each_rule(
    days: list[int], daily: int, monthly: int, yearly: int
) -> None:
    """Whatever the policy: the newest is tried, and no archive that a rule keeps is older than
    the one of its kind that is tried; each once, newest first."""
    policy = Policy(last=1, daily=daily, monthly=monthly, yearly=yearly)
    archives = [held(day) for day in sorted(days)]
    decided = plan([Candidate(one.name) for one in archives], policy, NOW)
    reasons = {str(one.candidate.name): one.reasons for one in decided.kept}
    chosen = representatives(archives, reasons)
    times = [one.name.time for one in chosen]
    assert times[0] == archives[0].name.time
    assert times == sorted(set(times), reverse=True)
    assert len(chosen) <= 6
    for rule in {reason for said in reasons.values() for reason in said}:
        oldest = min(one.name.time for one in archives if rule in reasons.get(str(one.name), ()))
        assert any(time <= oldest for time in times) or oldest in times


def test_what_tells_nothing_is_passed_over() -> None:
    """Damaged ones, and strangers' where there are own ones; strangers' alone are taken."""
    newest, empty, strange = held(1), held(0, size=0), held(2, known=False)
    reasons = {str(one.name): ("x",) for one in (newest, empty, strange)}
    assert representatives([empty, newest, strange], reasons) == (newest,)
    assert representatives([strange], reasons) == (strange,)
    assert representatives([held(2, foreign=True)], reasons) == (held(2, foreign=True),)
    assert representatives([], {}) == ()


def test_what_a_key_should_open() -> None:
    """Its own apps' archives, undeclared ones, and all where it is nobody's or unknown."""
    declared = {"notes": ("a", "b"), "photos": ("b",), "films": ("c",)}
    standing = Standing(("a",), declared)
    assert [standing.should_open(app) for app in (*declared, "else")] == [True, False, False, True]
    assert standing.unheld == ("b", "c") and standing.apps("b") == ("notes", "photos")
    for keys in (("x",), (None,), ("a", None)):
        assert all(Standing(keys, declared).should_open(app) for app in declared)


def due(custody: Custody, every: float | None = QUARTER) -> list[str]:
    return [one.fact for one in reminder("notes", custody, every, NOW)]


def check(recipient: str, days: float) -> KeycheckRecord:
    return KeycheckRecord(recipient, NOW - timedelta(days=days), "x")


@pytest.mark.parametrize(
    ("tried", "since", "reminded"),
    [
        (None, 1, False),
        (None, 90, False),
        (None, 91, True),
        (89, 500, False),
        (91, 500, True),
        (-5, 500, False),
        (None, -5, False),
    ],
)
def test_when_a_key_is_due(tried: int | None, since: int, reminded: bool) -> None:
    """Ninety days after it was last tried, or after the first archive; a clock that went back
    reminds of nothing."""
    checks = (check("a", tried),) if tried is not None else ()
    custody = Custody(("a",), checks, NOW - timedelta(days=since))
    assert bool(due(custody)) == reminded


def test_who_is_reminded_of_what() -> None:
    """Only keys that are due are named, in one finding, and none where nothing is asked."""
    custody = Custody(("a", "b", "c"), (check("b", 1), check("c", 100)), NOW - timedelta(days=400))
    (fact,) = due(custody)
    assert "of a and of c" in fact and "for 90d" in fact
    (never,) = due(Custody(("a",), (), custody.since))
    assert "yet" in never
    assert due(custody, None) == [] and due(Custody(("a",))) == []
    (finding,) = reminder("notes", custody, QUARTER, NOW)
    assert (finding.severity, finding.code) == ("warning", "keycheck-due")
