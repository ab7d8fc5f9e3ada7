"""Pointers: what queries and files may say of what an archive does not hold."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.errors import FailedError
from agebackup.model.manifest import PointerRecord, PointersRecord
from agebackup.model.pointers import (
    KEYS,
    LONGEST,
    Room,
    from_json,
    from_rows,
    from_text,
    pointed,
)

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
NUMBER = st.none() | st.integers(0, (1 << 63) - 1)
POINTERS = st.builds(
    PointerRecord,
    location=TEXT.filter(bool),
    bytes=NUMBER,
    hash=TEXT,
    count=NUMBER,
    note=TEXT,
)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner),
    max_leaves=8,
)


def as_row(one: PointerRecord) -> tuple[object, ...]:
    return tuple(getattr(one, key) for key in KEYS)


@given(st.lists(POINTERS, max_size=8))
def test_what_is_said_is_what_is_recorded(pointers: list[PointerRecord]) -> None:
    """Rows and JSON give the very pointers that were meant, whatever characters they hold."""
    assert list(from_rows(KEYS, map(as_row, pointers), "x")) == pointers
    text = json.dumps([dict(zip(KEYS, as_row(one), strict=True)) for one in pointers])
    assert list(from_json(text.encode(), "x")) == pointers


@given(st.lists(st.lists(ANYTHING, min_size=2, max_size=2), max_size=4))
def test_no_row_ends_in_a_traceback(rows: list[list[object]]) -> None:
    """Whatever a query gives is a pointer that can be recorded, or is refused with its place."""
    try:
        found = list(from_rows(("location", "bytes"), rows, "the query x"))
    except FailedError as error:
        assert "the query x, row " in error.message
    else:
        assert all(one.location.encode() for one in found)


@given(st.binary() | ANYTHING.map(lambda one: json.dumps(one, default=str).encode()))
def test_no_file_ends_in_a_traceback(content: bytes) -> None:
    """Whatever a file holds is pointers that can be recorded, or is refused naming the file."""
    for parse in (from_json, from_text):
        try:
            found = list(parse(content, "the file x"))
        except FailedError as error:
            assert "the file x" in error.message and error.message.isprintable()
        else:
            assert all(0 < len(one.location) <= LONGEST["location"] for one in found)


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        (["a"], [None], "row 1: it has no location"),
        (["a"], [""], "row 1: it has no location"),
        (["a"], [b"x"], "row 1: its location is no text in UTF-8"),
        (["a"], ["\udcff"], "its location is no text in UTF-8"),
        (["a"], ["x" * 4097], "its location has more than 4,096 characters"),
        (["location", "size"], ["a", 1], "it has no use for 'size'"),
        (["location", "\x1b"], ["a", 1], "it has no use for '\\\\x1b'"),
        (["location", "location"], ["a", "b"], "two of its columns have one name"),
        (["bytes", "count"], [1, 2], "it has no location"),
        (["location", "bytes"], ["a", -1], "its bytes is no whole number from 0 on"),
        (["location", "bytes"], ["a", 1 << 63], "its bytes is no whole number from 0 on"),
        (["location", "bytes"], ["a", True], "its bytes is no whole number from 0 on"),
        (["location", "count"], ["a", 1.5], "its count is no whole number from 0 on"),
        (["location", "hash"], ["a", 7], "its hash is no text in UTF-8"),
        (["location", "hash"], ["a", "0" * 201], "its hash has more than 200 characters"),
    ],
)
def test_rows_that_are_none(header: list[str], row: list[object], said: str) -> None:
    """What is no pointer is refused in words, with the row."""
    with pytest.raises(FailedError) as caught:
        list(from_rows(header, [row], "the query x"))
    assert said in caught.value.message and caught.value.hint


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file x: it is not JSON"),
        (b"\xff", "the file x: it is not JSON"),
        (b"{", "the file x: it is not JSON"),
        (b"[" * 100_000, "the file x: it is not JSON"),
        (b'["\\ud800"]', "it is not JSON"),
        (b'{"location": "a"}', "the file x: it is not a list"),
        (b"[1]", "the file x, entry 1: it is neither a text nor an object"),
        (b'["a", {"loc": "b"}]', "entry 2: it has no use for 'loc'"),
        (b'["a", {"location": "b", "bytes": "1"}]', "entry 2: its bytes is no whole number"),
    ],
)
def test_files_of_json_that_are_none(content: bytes, said: str) -> None:
    """What is no list of pointers is refused in words, with the entry."""
    with pytest.raises(FailedError) as caught:
        list(from_json(content, "the file x"))
    assert said in caught.value.message


def test_a_file_of_lines() -> None:
    """Each line is a location; blanks, empty lines and remarks do not count; only UTF-8 will do."""
    text = "\ufeff# mine\r\n\r\n  s3://a b \n#x\ns3://c"
    found = list(from_text(text.encode(), "x"))
    assert [one.location for one in found] == ["s3://a b", "s3://c"]
    with pytest.raises(FailedError, match="the file x: it is not UTF-8 text"):
        list(from_text(b"a\n\xff", "the file x"))
    with pytest.raises(FailedError, match="line 2: its location has more"):
        list(from_text(b"a\n" + b"x" * 5000, "the file x"))


@given(st.lists(POINTERS, max_size=12), st.integers(0, 12), st.integers(0, 300))
def test_there_is_only_so_much_room(pointers: list[PointerRecord], number: int, size: int) -> None:
    """The first ones are recorded, never more than there is room for, and all are counted."""
    taken, count = Room(number, size).fitted(pointers)
    assert count == len(pointers) and taken == pointers[: len(taken)]
    assert len(taken) <= number
    assert sum(len((one.location + one.hash + one.note).encode()) for one in taken) <= size


def test_room_is_shared() -> None:
    """What the first list takes the next one has not."""
    room, one = Room(3, 100), PointerRecord(location="a")
    assert [len(room.fitted([one, one])[0]) for _ in range(3)] == [2, 1, 0]


def test_how_much_it_is_in_words() -> None:
    """Sums are told only of what is known as a whole; a hint has no raw characters."""
    a, b = PointerRecord(location="a", bytes=1, count=5), PointerRecord(location="b", bytes=2)
    whole = PointersRecord(name="x", hint="ask\x1b", count=2, entries=[a, b])
    assert pointed(whole) == "2 pointers, to 6 things, 3 bytes (ask\\x1b)"
    assert pointed(PointersRecord(name="x", count=9, entries=[a, b])) == "9 pointers"
    assert pointed(PointersRecord(name="x", count=0)) == "0 pointers"
