"""Durations and deadlines."""

import pytest

from agebackup.system.clock import Deadline, Stopwatch, pause

pytestmark = pytest.mark.linux


def test_a_deadline_comes() -> None:
    """What may take some seconds is given up after them, and what may take none, at once."""
    assert Deadline(0).expired
    assert Deadline(-1).remaining == 0
    soon, late = Deadline(0.01), Deadline(1000)
    assert not late.expired and 999 < late.remaining <= 1000
    pause(soon.remaining)
    assert soon.expired and soon.remaining == 0


def test_a_stopwatch_goes_forward() -> None:
    """The seconds that a report names are never negative."""
    watch = Stopwatch()
    assert 0 <= watch.seconds <= watch.seconds
