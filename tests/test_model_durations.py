"""Spans of time: what a person writes is what is meant, and what is shown can be read."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.errors import UsageError
from agebackup.model.durations import parse_duration, span_text


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (3_601, "1h"),
        (3_660, "1h 1m"),
        (86_400 + 59, "1d"),
        (1_000 * 86_400, "1,000d"),
        (-90, "1m 30s"),
    ],
)
def test_a_span_is_shown_by_its_largest_unit_and_the_next(seconds: float, text: str) -> None:
    """Nobody needs the seconds of a day."""
    assert span_text(timedelta(seconds=seconds)) == text


@given(st.integers(1, 10**9))
def test_what_is_shown_is_less_than_a_unit_off(seconds: int) -> None:
    """Read back, it is the span but for less than the smaller unit shown."""
    text = span_text(timedelta(seconds=seconds)).replace(",", "").replace(" ", "")
    shown = parse_duration(text).total_seconds()
    assert shown <= seconds < shown * 2 and seconds - shown < max(1, seconds / 24)


@pytest.mark.parametrize("text", ["", "0s", "d", "1", "1h1d", "1h1h", "-1h", "1.5h", "\u0661h"])
def test_what_is_no_span_is_refused(text: str) -> None:
    """Nonsense is a usage error that shows how to write it."""
    with pytest.raises(UsageError) as caught:
        parse_duration(text)
    assert "26h" in caught.value.hint
