"""Which archives fit an application: values of gates in their order, and rows that are lost."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.model.command import Command
from agebackup.model.gates import Present, Value, objections, ordered
from agebackup.model.manifest import GateRecord, Manifest, Versions
from agebackup.model.profile import Profile
from agebackup.model.rowloss import row_changes
from agebackup.model.rules import Comparison, DatabaseRules, Gate, RestoreRules, Tolerance

values = st.none() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False) | st.text(max_size=9)
rows = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 1000))


def manifest(*gates: GateRecord) -> Manifest:
    """Return the least manifest with these gates."""
    versions = Versions(agebackup="1", python="3", sqlite="3", pyrage="1")
    return Manifest(
        format=1,
        minimum_reader=1,
        archive="x",
        app="notes",
        id="0",
        time="",
        kind="auto",
        versions=versions,
        host="h",
        consistency="single",
        complete=True,
        proof="none",
        payload_files=0,
        payload_bytes=0,
        gates=list(gates),
    )


def passes(then: Value, now: Value, compare: Comparison) -> bool:
    """Return whether an archive with the value `then` gets into an application that says `now`."""
    gate = Gate("g", compare, command=Command(("x",), 1.0))
    profile = Profile("notes", Path("/"), restore=RestoreRules(gates=(gate,)))
    record = GateRecord(name="g", value=then)
    return not list(objections(manifest(record), profile, Present({"g": now}, {})))


@pytest.mark.parametrize(
    ("then", "now", "equal", "not_newer"),
    [
        (3, 3, True, True),
        (2, 3, False, True),
        (3, 2, False, False),
        ("9", "10", False, True),
        ("10", "9", False, False),
        ("1.9", "1.10", False, True),
        ("same", "same", True, True),
        ("red", "blue", False, False),
        (None, 3, False, False),
        ("3", 3, True, True),
        (3.0, 3, True, True),
    ],
)
def test_the_values_of_gates(then: Value, now: Value, *, equal: bool, not_newer: bool) -> None:
    """Numbers count as numbers, other texts as versions; what cannot be compared does not pass."""
    assert passes(then, now, "equal") is equal
    assert passes(then, now, "not-newer") is not_newer


@given(values, values)
def test_the_order_of_values_has_two_sides(one: Value, other: Value) -> None:
    """An archive that is newer one way is older the other way; equals are equal."""
    there, back = ordered(one, other), ordered(other, one)
    assert (there is None) == (back is None)
    assert there is None or there == -(back or 0)
    assert ordered(one, one) == 0


@given(values, values)
def test_a_newer_value_never_passes(then: Value, now: Value) -> None:
    """Whatever the values are, what is newer, or cannot be compared, is kept out."""
    order = ordered(then, now)
    assert passes(then, now, "not-newer") is (order is not None and order <= 0)
    assert passes(then, now, "equal") is (order == 0)


@given(rows, rows)
def test_no_row_is_lost_in_silence(recorded: dict[str, int], found: dict[str, int]) -> None:
    """Without a tolerance every table with fewer rows is a finding, and nothing else is."""
    changes = row_changes(recorded, found, DatabaseRules(), Tolerance())
    fewer = [table for table, count in recorded.items() if found.get(table, 0) < count]
    assert len(changes.lost) == len(fewer)
    assert set(changes.added) == found.keys() - recorded.keys()
    gone = [table for table, count in recorded.items() if table not in found and not count]
    assert len(changes.tolerated) == len(gone)


@given(rows, rows, st.integers(0, 50))
def test_a_tolerance_allows_so_many(
    recorded: dict[str, int], found: dict[str, int], most: int
) -> None:
    """A table may lose as many rows as its tolerance says, and not one more."""
    changes = row_changes(recorded, found, DatabaseRules(), Tolerance(rows=most))
    over = [table for table, count in recorded.items() if count - found.get(table, 0) > most]
    assert len(changes.lost) == len(over)


@given(rows)
def test_a_rebuild_must_give_the_same(recorded: dict[str, int]) -> None:
    """Of what is rebuilt, rows that came on top are findings as well."""
    more = {table: count + 1 for table, count in recorded.items()}
    exact = row_changes(recorded, more, DatabaseRules(), Tolerance(), exact=True)
    assert len(exact.lost) == len(recorded)
    assert not row_changes(recorded, recorded, DatabaseRules(), Tolerance(), exact=True).lost


def test_percent_and_tables() -> None:
    """A percentage is of the rows recorded; what a table is given holds for it alone."""
    rules = DatabaseRules(tolerances={"a": Tolerance(percent=100)})
    changes = row_changes({"a": 9, "b": 100}, {"b": 94}, rules, Tolerance(percent=5))
    assert changes.tolerated == ("table a is gone, which had 9 rows",)
    assert changes.lost == ("table b has 94 rows, the archive recorded 100",)
