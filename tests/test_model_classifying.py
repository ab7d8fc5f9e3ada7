"""A folder's names, told apart: only what is exactly an archive counts as one; nothing is lost."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.model.classifying import classify
from agebackup.model.inventory import FUTURE, FolderEntry, Inventory, Other, grade
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord
from agebackup.model.recovery import RECOVERY_NOTE

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HERE = "/cloud/out"
NAME = "notes-20261120T021500Z-1f2e3d4c.tar.age"
STEM = NAME.removesuffix(".tar.age")

NAMES = st.builds(
    ArchiveName,
    st.sampled_from(["notes", "notes-work", "a", "20261120t000000z"]),
    st.integers(-400, 3).map(lambda hours: NOW + timedelta(hours=hours)),
    st.integers(0, 2**32 - 1).map(lambda number: f"{number:08x}"),
    st.booleans(),
    st.booleans(),
)
MANGLED = st.builds(
    lambda name, place, piece: name[:place] + piece + name[place:],
    NAMES.map(str),
    st.integers(0, 60),
    st.sampled_from([" (1)", " 2", "\n", "\x1b[2J", "-manual", ".zst", "A", "\udcff", "~"]),
)
FILE_NAMES = st.one_of(
    NAMES.map(str),
    NAMES.map(lambda name: f".{name}.icloud"),
    MANGLED,
    st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=80),
    st.just(RECOVERY_NOTE),
    st.just(".~agebackup-create-0123456789abcdef.nosync.tmp"),
)
ENTRIES = st.lists(
    st.builds(
        FolderEntry,
        FILE_NAMES,
        st.integers(0, 3),
        st.just(0.0),
        regular=st.booleans() | st.just(True),
        evicted=st.sampled_from([False, False, True]),
    ),
    max_size=20,
    unique_by=lambda entry: entry.name,
)


def records_of(names: list[ArchiveName]) -> tuple[ArchiveRecord, ...]:
    return tuple(replace(ArchiveRecord.of(name, HERE), size=2) for name in dict.fromkeys(names))


def look(*entries: FolderEntry, records: tuple[ArchiveRecord, ...] = ()) -> Inventory:
    return classify(entries, records, HERE, NOW)


def other(name: str, **fields: bool) -> Other:
    """Return what a file called `name` is, which is no archive."""
    found = look(FolderEntry(name, 5, 0.0, **fields))
    assert not found.archives, name
    (only,) = found.others
    return only


@given(ENTRIES, st.lists(NAMES, max_size=5))
def test_every_name_is_either_an_archive_or_other(
    entries: list[FolderEntry], known: list[ArchiveName]
) -> None:
    """Nothing in the folder is lost or counted twice; only the recipe beside it says nothing."""
    found = look(*entries, records=records_of(known))
    told = [held.entry for held in found.archives] + [one.entry for one in found.others]
    note = [one for one in entries if one.name == RECOVERY_NOTE and one.regular]
    assert sorted(entries, key=repr) == sorted([*told, *note], key=repr)


@given(ENTRIES)
def test_an_archive_is_exactly_named_here_and_not_from_the_future(
    entries: list[FolderEntry],
) -> None:
    """What counts as an archive is a regular file that is really here, and its time has come."""
    for held in look(*entries).archives:
        assert str(held.name) == held.entry.name and held.entry.regular and not held.entry.evicted
        assert held.name.time <= NOW + FUTURE and not held.is_stub


@given(ENTRIES, st.lists(NAMES, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_a_directory_means_nothing(
    entries: list[FolderEntry], known: list[ArchiveName], chance: random.Random
) -> None:
    """However the file system and the ledger list their things, the answer is the same."""
    records = list(records_of(known))
    first = look(*entries, records=tuple(records))
    chance.shuffle(entries)
    chance.shuffle(records)
    assert look(*entries, records=tuple(records)) == first


@given(ENTRIES, st.lists(NAMES, max_size=5))
def test_missing_is_what_is_neither_there_nor_in_the_cloud(
    entries: list[FolderEntry], known: list[ArchiveName]
) -> None:
    """A stub stands for its archive; a conflict copy does not."""
    found = look(*entries, records=records_of(known))
    there = {entry.name for entry in entries}
    missing = {record.name for record in found.missing}
    assert not missing & there
    for name in set(map(str, known)) - missing:
        assert name in there or f".{name}.icloud" in there


@given(ENTRIES)
def test_what_can_be_named_is_an_archive_by_its_name(entries: list[FolderEntry]) -> None:
    """By name one can also mean an evicted one or one from the future, never a copy or a link."""
    for held in look(*entries).nameable:
        assert held.entry.name in (str(held.name), f".{held.name}.icloud")
        assert held.entry.regular or held.is_stub


@pytest.mark.parametrize(
    "name",
    [
        f"{STEM} (1).tar.age",
        f"{STEM}.tar (1).age",
        f"{STEM}.tar.age (1)",
        f"{STEM} 2.tar.age",
        f"{STEM}.tar 2.age",
        f"{STEM}.tar (Anna's conflicted copy 2026-11-20).age",
        f"{STEM} (Annas in Konflikt stehende Kopie 2026-11-20).tar.age",
        f"{STEM}.tar.sync-conflict-20261120-021501-ABCDEFG.age",
        f"{STEM}.tar_conflict-20261120-021501.age",
        f"{STEM}.tar (conflicted copy 2026-11-20 021501).age",
        f"{STEM}.tar-DESKTOP-AB12.age",
        f"{STEM} - Copy.tar.age",
        f"{STEM} copy.tar.age",
        f"{STEM} - Kopie (2).tar.age",
        f"{STEM} [conflicted].tar.age",
        f"{STEM}.tar (SFConflict anna@home 2026-11-20-02-15-01).age",
        f"{STEM}.tar.Conflict.age",
    ],
)
def test_conflict_copies_are_known_as_such(name: str) -> None:
    """What Dropbox, iCloud, OneDrive, Syncthing, Nextcloud and browsers call a second file."""
    found = other(name)
    assert (found.kind, found.resembles) == ("conflict", NAME)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (f".{NAME}.icloud", "evicted"),
        (".notes.txt.icloud", "foreign"),
        (".~agebackup-create-0123456789abcdef.nosync.tmp", "temporary"),
        (f"{NAME}.part", "unparseable"),
        (f"{NAME}\n", "unparseable"),
        (NAME.upper(), "foreign"),
        (f" {NAME}", "foreign"),
        ("notes-20261340T021500Z-1f2e3d4c.tar.age", "unparseable"),
        ("notes-20261120T021500Z-1f2e3d4.tar.age", "foreign"),
        ("backup.age", "foreign"),
        ("\x1b[2J", "foreign"),
        ("\udcff\udcfe", "foreign"),
        ("..age", "foreign"),
        ("notes-20261121T021500Z-1f2e3d4c.tar.age", "future"),
    ],
)
def test_other_names_are_other(name: str, kind: str) -> None:
    """What is nearly an archive's name is not an archive, and says what it is."""
    assert other(name).kind == kind


def test_a_directory_or_link_of_an_archives_name_is_none() -> None:
    """Only a regular file can be an archive; a link could lead anywhere."""
    assert other(NAME, regular=False).kind == "link"
    assert other(NAME, evicted=True).kind == "evicted"
    assert other(RECOVERY_NOTE, regular=False).kind == "foreign"


def test_a_clock_may_be_a_little_wrong() -> None:
    """An archive counts up to an hour ahead of the clock, for machines differ a little."""
    for ahead, counts in ((FUTURE, True), (FUTURE + timedelta(seconds=1), False)):
        name = str(ArchiveName("notes", NOW + ahead, "00000001"))
        assert bool(look(FolderEntry(name, 5, 0.0)).archives) is counts


def test_what_is_known_goes_with_evicted_ones_too() -> None:
    """An archive that only its stub is here of keeps its tag, its mark and its hash."""
    record = replace(ArchiveRecord.of(ArchiveName.parse(NAME), HERE), tag="keep", kept=True)  # type: ignore[arg-type]
    for entry in (FolderEntry(NAME, 9, 0.0, evicted=True), FolderEntry(f".{NAME}.icloud", 9, 0.0)):
        found = look(entry, records=(record,))
        assert [held.record for held in found.nameable] == [record]
        assert not found.archives and not found.missing


def test_records_of_other_folders_and_freely_named_files() -> None:
    """Another folder's row says nothing here; a file that --to named freely is not missing."""
    name = ArchiveName.parse(NAME)
    assert name is not None
    elsewhere = ArchiveRecord.of(name, "/cloud/other")
    free = ArchiveRecord.of(name, HERE, "backup.age")
    assert look(FolderEntry(NAME, 5, 0.0), records=(elsewhere,)).archives[0].record is None
    assert look(FolderEntry("backup.age", 5, 0.0), records=(free,)).missing == ()
    assert look(records=(free,)).missing == (free,)
    assert look(records=(replace(free, deleted=NOW),)).missing == ()
    assert look(records=(replace(free, pending="publish"),)).missing == ()
    later = replace(free, name="later", time=free.time + timedelta(hours=1))
    assert look(records=(free, later)).missing == (later,)  # it took the other's place
    assert look(records=(free, replace(later, pending="publish"))).missing == ()  # or perhaps


@pytest.mark.parametrize(
    ("changes", "size", "expected"),
    [
        ({"proved": True}, 7, "good"),
        ({"check": "verify"}, 7, "good"),
        ({"check": "restore"}, 7, "good"),
        ({"check": "quick"}, 7, "unproved"),
        ({}, 7, "unproved"),
        ({"proved": True, "complete": False}, 7, "unproved"),
        ({"proved": True, "bad": True}, 7, "bad"),
        ({"proved": True}, 8, "bad"),
        ({"proved": True}, 0, "bad"),
        ({"proved": True, "size": None}, 8, "good"),
    ],
)
def test_how_far_an_archive_can_be_relied_upon(
    changes: dict[str, object], size: int, expected: str
) -> None:
    """Good is what was decrypted as a whole once; another size or a failed check is bad."""
    name = ArchiveName.parse(NAME)
    assert name is not None
    record = replace(ArchiveRecord.of(name, HERE), **({"size": 7} | changes))  # type: ignore[arg-type]
    (held,) = look(FolderEntry(NAME, size, 0.0), records=(record,)).archives
    assert grade(held) == expected
    (unknown,) = look(FolderEntry(NAME, size, 0.0)).archives
    assert grade(unknown) == ("unproved" if size else "bad")
