"""Sudden changes: what deserves a sentence, by figures alone, and what holds pruning back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.cli.findings import told
from agebackup.model.changes import FLOORS, MEMORY, SHRUNK, held_back, shrunk, sudden
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord, DatabaseFigures, Figures, TreeFigures

MIB = 1 << 20
NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)

COUNTS = st.integers(0, 10**7)
DATABASES, TREES = st.sampled_from(["data/a", "data/b"]), st.sampled_from(["data/c", "data/d"])
FIGURES = st.builds(
    Figures,
    databases=st.dictionaries(DATABASES, st.builds(DatabaseFigures, COUNTS, COUNTS), max_size=2),
    trees=st.dictionaries(TREES, st.builds(TreeFigures, COUNTS, COUNTS), max_size=2),
)


def database(rows: int, size: int = 4096, place: str = "data/main.db") -> Figures:
    return Figures(databases={place: DatabaseFigures(size, rows)})


def tree(files: int, size: int = 0) -> Figures:
    return Figures(trees={"data/attachments": TreeFigures(files, size)})


@pytest.mark.parametrize(
    ("before", "after", "codes"),
    [
        (database(10_000), database(1_000), ["shrunk-rows"]),
        (database(10_000), database(5_000), []),
        (database(10_000), database(4_999), ["shrunk-rows"]),
        (database(99), database(0), []),
        (database(100), database(0), ["shrunk-rows"]),
        (database(10_000), Figures(), ["gone-database"]),
        (Figures(), database(10_000), []),
        (database(10), database(101), ["grown-rows"]),
        (database(9), database(99), []),
        (database(1_000), database(10_000), []),
        (database(0), database(100), ["grown-rows"]),
        (database(5, 10 * MIB), database(5, 4 * MIB), ["shrunk-bytes"]),
        (database(5, MIB // 2), database(5, 1), []),
        (tree(100), tree(0), ["gone-files"]),
        (tree(3), tree(0), ["gone-files"]),
        (tree(100), Figures(), ["gone-files"]),
        (tree(0), Figures(), []),
        (tree(100, 50 * MIB), tree(30, 50 * MIB), ["shrunk-files"]),
        (tree(100, 50 * MIB), tree(30, 1), ["shrunk-files", "shrunk-bytes"]),
        (tree(1, 100), tree(2_000, 100 * MIB), ["grown-files", "grown-bytes"]),
    ],
)
def test_what_is_sudden(before: Figures, after: Figures, codes: list[str]) -> None:
    """Half of it lost, all of it gone, ten times as much; of a little nothing is sudden."""
    found = sudden(before, after)
    assert [one.code for one in found] == codes
    assert all(one.fact.endswith(".") and one.remedy for one in found)
    assert {one.severity for one in found} == {
        "note" if code.startswith("grown") else "warning" for code in codes
    }


def test_the_sentence() -> None:
    """The loss is told in percent and in numbers."""
    (one,) = sudden(database(10_000), database(1_000))
    assert one.fact == "main.db lost 90% of its rows: 10,000 before, 1,000 now."


@given(FIGURES)
def test_nothing_changed(figures: Figures) -> None:
    """The same figures again are never a change."""
    assert sudden(figures, figures) == ()


@given(FIGURES, FIGURES)
def test_every_loss_and_growth_has_its_measure(before: Figures, after: Figures) -> None:
    """A loss is told of what was there in number, growth of what is there now; and what shrank
    one way has not shrunk the other way."""
    there, back = sudden(before, after), sudden(after, before)
    for unit in FLOORS:
        lost = {one.subject for one in there if one.code == f"shrunk-{unit}"}
        assert not lost & {one.subject for one in back if one.code == f"shrunk-{unit}"}
    assert {one.code for one in shrunk(there)} <= SHRUNK
    assert all(one.severity == "warning" for one in shrunk(there))
    assert all(one.severity == "note" for one in set(there) - set(shrunk(there)))


@given(st.integers(100, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_the_less_is_left_the_worse(had: int, has: int, less: int) -> None:
    """Whoever lost more is never told less."""
    if sudden(database(had), database(min(has, had))):
        assert sudden(database(had), database(min(has, had, less)))


@pytest.mark.parametrize("name", ["a\x1b[2Jb", "\u202etxt", "back\\slash", "new\nline", "\udcff"])
def test_a_hostile_name_is_escaped_once(name: str) -> None:
    """A database's name reaches the terminal as text, and readable as it is in the folder."""
    (one,) = sudden(database(1_000, place=f"data/{name}"), database(1, place=f"data/{name}"))
    line, _ = told([one])
    assert line.isprintable() and "\\\\\\" not in line
    assert line.count(name.encode("unicode_escape", "backslashreplace").decode()) == 2
    assert one.subject == name, "programs get the name as it is"


def record(age: timedelta, rows: int | None, **changes: object) -> ArchiveRecord:
    number = int(age.total_seconds())
    row = ArchiveRecord.of(ArchiveName("notes", NOW - age, f"{number:08x}"), "/out")
    return replace(row, figures=None if rows is None else database(rows), **changes)  # type: ignore[arg-type]


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("others", "held"),
    [
        ([], False),
        ([record(DAY, 10_000)], True),
        ([record(DAY, 1_000), record(2 * DAY, 1_000), record(3 * DAY, 10_000)], True),
        ([record(DAY, 1_500)], False),
        ([record(DAY, 100)], False),
        ([record(MEMORY, 10_000)], True),
        ([record(MEMORY + DAY, 10_000)], False),
        ([record(DAY, 10_000, deleted=NOW)], False),
        ([record(DAY, 10_000, bad=True)], False),
        ([record(-DAY, 10_000)], False),
        ([record(DAY, None)], False),
    ],
)
def test_what_holds_pruning_back(others: list[ArchiveRecord], held: bool) -> None:
    """A loss counts for two weeks, against every archive that still has what was lost."""
    why = held_back(record(timedelta(0), 1_000), others)
    assert bool(why) == held
    assert not held or "lost 90% of its rows" in why
    assert not held_back(record(timedelta(0), None), others)
