"""The exit code that counts, and names that are safe to show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.errors import (
    BusyError,
    NoIdentityError,
    NotFoundError,
    RefusedError,
    StoppedError,
    UsageError,
    VerificationError,
    counted,
    printable,
    worst,
)


@pytest.mark.parametrize(
    ("codes", "counts"),
    [
        ([], 0),
        ([0, 0], 0),
        ([0, 3], 3),
        ([3, 5, 4], 4),
        ([4, 11], 11),
        ([11, 10], 10),
        ([10, 12], 12),
        ([12, 13], 13),
        ([13, 2], 2),
        ([2, 1], 1),
        ([1, 130], 130),
    ],
)
def test_worst_exit_code(codes: list[int], counts: int) -> None:
    """Of several apps the worst code counts, in the documented order."""
    assert worst(codes) == counts


def test_families_carry_the_documented_codes() -> None:
    """A script can tell from the exit code alone what kind of thing went wrong."""
    errors = (
        UsageError("x"),
        VerificationError("x"),
        NotFoundError("x"),
        BusyError("x"),
        NoIdentityError("x"),
        RefusedError("x"),
        StoppedError(15),
    )
    assert [error.code for error in errors] == [2, 4, 10, 11, 12, 13, 143]


@given(st.text(st.characters(codec=None), max_size=40))
def test_printable_shows_no_control_character(name: str) -> None:
    """No name, however hostile, sends a control, bidi or undecodable character to a terminal."""
    shown = printable(name)
    assert shown.isprintable()
    shown.encode()


@given(st.text(st.characters(codec="utf-8"), max_size=20), st.text(max_size=20))
def test_printable_keeps_names_apart(one: str, other: str) -> None:
    """Two different names are never shown alike."""
    assert (one == other) == (printable(one) == printable(other))


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [(1, "process", "1 process"), (2, "process", "2 processes"), (1200, "file", "1,200 files")],
)
def test_numbers_are_written_as_people_do(number: int, noun: str, said: str) -> None:
    """One of a thing has no plural, and what ends in s gets one that can be spoken."""
    assert counted(number, noun) == said
