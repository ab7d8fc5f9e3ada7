"""Which of two versions of an application is newer, or that nobody can tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.model.appversion import AppVersion, at_most, compare, parse_version

numbers = st.lists(st.integers(0, 10**6), min_size=1, max_size=5).map(tuple)
suffixes = st.sampled_from(["", "-rc1", "rc2", "-beta", "-1", ".post1", "a1"])
versions = st.builds(AppVersion, numbers, suffixes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2.4.1", "2.4.1"),
        ("notes 2.4.1 (linux)", "2.4.1"),
        ("v7", "7"),
        ("notes v1.0-rc2+build.5", "1.0-rc2"),
        ("Notes, version 3.11.", "3.11"),
        ("1.2.3b4", "1.2.3b4"),
        ("x86 1.0", "1.0"),
        ("", None),
        ("none at all", None),
        ("\u0663.\u0664", None),
    ],
)
def test_the_version_in_what_a_program_says(text: str, said: str | None) -> None:
    """The first word of numbers between dots is the version, whatever stands around it."""
    found = parse_version(text)
    assert (found.text if found else None) == said


@pytest.mark.parametrize(
    ("older", "newer"),
    [("1.9", "1.10"), ("2", "2.0.1"), ("2.0-rc1", "2.0"), ("2.0a1", "2.0"), ("2.0.dev3", "2.0")],
)
def test_the_order(older: str, newer: str) -> None:
    """Numbers count as numbers, and what comes before a release is older than it."""
    one, other = parse_version(older), parse_version(newer)
    assert one and other
    assert (compare(one, other), compare(other, one)) == (-1, 1)


@pytest.mark.parametrize(("one", "other"), [("1.0-a1", "1.0-b1"), ("1.0-1", "1.0"), ("2-x", "2")])
def test_what_nobody_can_tell(one: str, other: str) -> None:
    """Suffixes whose order has no rule are not guessed."""
    first, second = parse_version(one), parse_version(other)
    assert first and second
    assert compare(first, second) is None and compare(second, first) is None


@given(versions, versions)
def test_the_order_looks_the_same_from_both_sides(one: AppVersion, other: AppVersion) -> None:
    """What is older than another has it as the newer; every version equals itself."""
    there, back = compare(one, other), compare(other, one)
    assert (there is None and back is None) or (there is not None and there == -(back or 0))
    assert compare(one, one) == 0


@given(numbers, numbers, numbers)
def test_the_order_has_no_circles(
    a: tuple[int, ...], b: tuple[int, ...], c: tuple[int, ...]
) -> None:
    """Of releases, what is newer than the newer is newer."""
    one, two, three = sorted((a, b, c), key=lambda n: n + (0,) * (5 - len(n)))
    for older, newer in ((one, two), (two, three), (one, three)):
        assert compare(AppVersion(older), AppVersion(newer)) in (-1, 0)


@given(versions)
def test_what_is_written_is_read_again(version: AppVersion) -> None:
    """A version's text means that version."""
    assert parse_version(version.text) == version


@given(numbers, st.lists(st.integers(0, 99), max_size=3).map(tuple))
def test_a_limit_speaks_of_the_numbers_that_it_names(
    limit: tuple[int, ...], more: tuple[int, ...]
) -> None:
    """2.4 is a limit that every 2.4.x keeps, and that no 2.5 does."""
    assert at_most(AppVersion(limit + more), AppVersion(limit)) is True
    above = (*limit[:-1], limit[-1] + 1)
    assert at_most(AppVersion(above + more), AppVersion(limit)) is False


@given(st.text(max_size=300))
def test_any_text_is_a_version_or_none(text: str) -> None:
    """Whatever a program prints, reading it ends well."""
    found = parse_version(text)
    assert found is None or found.numbers
