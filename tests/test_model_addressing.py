"""Naming an archive in few words: what is meant is found, and what is not clear is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.errors import AgebackupError, NotFoundError, UsageError
from agebackup.model.addressing import Pick, choose, parse_wanted
from agebackup.model.classifying import classify
from agebackup.model.inventory import FolderEntry, Held, Inventory, grade
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HERE, THERE = "/cloud/out", "/disk/out"
ZONES = [UTC, *map(ZoneInfo, ("Europe/Berlin", "Pacific/Auckland", "America/Havana"))]

APPS = st.sampled_from(["notes", "notes", "photos"])
NAMES = st.builds(
    ArchiveName,
    APPS,
    st.integers(-24 * 60, 60).map(lambda hours: NOW + timedelta(hours=hours)),
    st.integers(0, 2**32 - 1).map(lambda number: f"{number:08x}") | st.just("1f2e3d4c"),
    st.booleans(),
)
KNOWN = st.fixed_dictionaries({"bad": st.booleans(), "proved": st.booleans()})


@st.composite
def folders(draw: st.DrawFn) -> Inventory:
    """A folder with archives in every state, stubs and conflict copies among them."""
    names = draw(st.lists(NAMES, max_size=12, unique_by=str))
    entries, records = [], []
    for name in names:
        form = draw(st.sampled_from(["{}", "{}", "{}", ".{}.icloud", "{} (1)"]))
        entries.append(FolderEntry(form.format(name), draw(st.sampled_from([0, 7, 7])), 0.0))
        if draw(st.booleans()):
            records.append(replace(ArchiveRecord.of(name, HERE), size=7, **draw(KNOWN)))
    return classify(entries, records, HERE, NOW)


def folder(
    *names: ArchiveName | str, bad: Sequence[ArchiveName] = (), at: str = HERE, known: bool = True
) -> Inventory:
    """Return a folder that holds `names`, each known as good, or as damaged where it is `bad`."""
    entries = [FolderEntry(str(name), 7, 0.0) for name in names]
    rows = [
        replace(ArchiveRecord.of(name, at), size=7, proved=True, bad=name in bad)
        for name in names
        if isinstance(name, ArchiveName) and known
    ]
    return classify(entries, rows, at, NOW)


def relied_upon(inventory: Inventory) -> list[Held]:
    """Return the whole archives of notes; of those alone that are known, where any ever was."""
    rows = [one.record for one in inventory.archives] + [one.record for one in inventory.others]
    some = any(row is not None and row.app == "notes" for row in (*rows, *inventory.missing))
    whole = (held for held in inventory.of("notes") if grade(held) != "bad")
    return [held for held in whole if held.record is not None or not some]


def pick(text: str, *inventories: Inventory, zones: Mapping[str, tzinfo] | None = None) -> Pick:
    wanted = parse_wanted(text)
    assert wanted is not None, text
    return choose(wanted, inventories, zones or {})


def at(hours: float, number: int = 1, app: str = "notes", *, manual: bool = False) -> ArchiveName:
    """Return the name of an archive so many hours old."""
    return ArchiveName(app, NOW - timedelta(hours=hours), f"{number:08x}", manual)


# What words mean


@given(st.text(max_size=60) | st.from_regex(r"[a-zA-Z0-9:@.-]{0,40}", fullmatch=True))
def test_any_words_are_understood_refused_or_a_path(text: str) -> None:
    """Nothing that a person types makes it stumble."""
    try:
        wanted = parse_wanted(text)
    except UsageError as error:
        assert error.message and error.message.isprintable()
        return
    if wanted is not None:
        assert wanted.text == text
        assert sum(map(bool, (wanted.name, wanted.id, wanted.until))) <= 1


@given(NAMES)
def test_a_whole_name_means_itself(name: ArchiveName) -> None:
    """The name that list shows can be typed, and so can its id and any four digits of it."""
    inventory = folder(name)
    for text in (str(name), name.id, name.id[:4], name.id.upper(), name.id[:4].upper()):
        assert pick(text, inventory).held.name == name


@pytest.mark.parametrize(
    "text",
    [
        "1f2",
        "1f2e3d4c5",
        "backup.age",
        "me@home.age",
        "a b",
        "late",
        "notes:",
        "notes@",
        ":latest",
    ],
)
def test_everything_else_is_a_path(text: str) -> None:
    """Too short or too long for an id, or a file's own name."""
    assert parse_wanted(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "notes@yesterday",
        "notes@2026-02-30",
        "notes@2026-11-01T25:00",
        "notes@99999-01-01",
        "Notes@2026-11-01",
        "-x:latest",
        "\x1b[2J:latest",
        "x" * 41 + ":latest",
        "notes@\x1b[2J",
    ],
)
def test_a_day_or_app_that_cannot_be_is_refused(text: str) -> None:
    """What is nearly right says what is wrong with it, without control characters."""
    with pytest.raises(UsageError) as refusal:
        parse_wanted(text)
    assert refusal.value.message.isprintable() and refusal.value.hint


# By name or id


@given(folders(), st.from_regex(r"[0-9a-f]{4,8}", fullmatch=True) | st.just("1f2e"))
def test_an_id_is_found_or_refused(inventory: Inventory, prefix: str) -> None:
    """The only archive with that id, wherever its content is; several are named, none is said."""
    meant = {held.name for held in inventory.nameable if held.name.id.startswith(prefix)}
    try:
        assert {pick(prefix, inventory).held.name} == meant
    except UsageError as error:
        assert len(meant) > 1
        assert set(error.details) <= {*map(str, meant)}
    except NotFoundError:
        assert not meant


def test_candidates_are_named() -> None:
    """An id that begins several archives is refused with their names."""
    one, other = at(1, 0x1F2E0001), at(2, 0x1F2E0002)
    with pytest.raises(UsageError) as refusal:
        pick("1f2e", folder(one, other))
    assert refusal.value.details == tuple(sorted([str(one), str(other)]))
    assert pick("1f2e0002", folder(one, other)).held.name == other


def test_many_candidates_are_counted() -> None:
    """Ten thousand candidates do not flood the screen."""
    names = [ArchiveName("notes", NOW - timedelta(hours=n), f"1f2e{n:04x}") for n in range(500)]
    with pytest.raises(UsageError) as refusal:
        pick("1f2e", folder(*names))
    assert len(refusal.value.details) == 21 and "480 more" in refusal.value.details[-1]


def test_a_copy_in_two_folders_is_one_archive_and_said() -> None:
    """The same name in two places is not ambiguous; the person learns of both."""
    name = at(1)
    found = pick(name.id, folder(name), folder(name, at=THERE))
    assert found.inventory.destination == HERE
    assert THERE in " ".join(found.remarks)


def test_a_stub_can_be_named() -> None:
    """An archive that iCloud has moved away is found by its id: its download then is the hint."""
    name = at(1)
    assert pick(name.id, folder(f".{name}.icloud")).held.is_stub


# The newest


@given(folders(), st.booleans())
def test_latest_is_the_newest_that_is_not_known_to_be_bad(
    inventory: Inventory, manual: bool
) -> None:
    """It is never from the future, damaged, evicted or another app's; where none is left, 10."""
    fit = [held for held in relied_upon(inventory) if held.name.manual or not manual]
    try:
        found = pick("notes:latest-manual" if manual else "notes:latest", inventory)
    except NotFoundError:
        assert not fit
        return
    assert found.held in fit
    assert found.held.name.time == max(held.name.time for held in fit) <= NOW + timedelta(hours=1)


@given(folders(), st.dates(date(2026, 9, 1), date(2026, 12, 31)), st.sampled_from(ZONES))
def test_a_day_means_the_newest_until_its_end(
    inventory: Inventory, day: date, zone: tzinfo
) -> None:
    """Days are those of the policy's time zone, whatever daylight saving does to their ends."""
    fit = [held for held in relied_upon(inventory) if held.name.time.astimezone(zone).date() <= day]
    try:
        found = pick(f"notes@{day}", inventory, zones={"notes": zone})
    except NotFoundError:
        assert not fit
        return
    assert found.held in fit
    assert found.held.name.time == max(held.name.time for held in fit)


@pytest.mark.parametrize(("day", "found"), [("0001-01-01", False), ("9999-12-31", True)])
@pytest.mark.parametrize("zone", ZONES)
def test_the_first_and_the_last_day(day: str, found: bool, zone: tzinfo) -> None:
    """The ends of the calendar are days as well."""
    inventory = folder(at(1))
    if found:
        assert pick(f"notes@{day}", inventory, zones={"notes": zone}).held.name == at(1)
    else:
        with pytest.raises(NotFoundError):
            pick(f"notes@{day}", inventory, zones={"notes": zone})


def test_a_day_is_utc_without_a_policy() -> None:
    """An app without a time zone has UTC's days; another app's zone changes nothing."""
    evening = ArchiveName("notes", datetime(2026, 11, 1, 23, 30, tzinfo=UTC), "00000001")
    assert pick("notes@2026-11-01", folder(evening)).held.name == evening
    berlin: dict[str, tzinfo] = {"notes": ZoneInfo("Europe/Berlin")}
    with pytest.raises(NotFoundError):
        pick("notes@2026-11-01", folder(evening), zones=berlin)
    assert pick("notes@2026-11-01", folder(evening), zones={"photos": berlin["notes"]})


def test_latest_of_several_apps_is_refused() -> None:
    """Where it could be any app's, the apps are named."""
    with pytest.raises(UsageError) as refusal:
        pick("latest", folder(at(1), at(2, app="photos")))
    assert refusal.value.details == ("notes:latest", "photos:latest")
    assert pick("latest", folder(at(1), at(2, 2))).held.name == at(1)


def test_latest_looks_in_every_folder() -> None:
    """The newest of all destinations, not of the first."""
    assert pick("notes:latest", folder(at(5)), folder(at(1, 2), at=THERE)).held.name == at(1, 2)


def test_what_was_passed_over_is_said() -> None:
    """A newer one that is damaged, from the future, in the cloud or a link is told of."""
    old, damaged, future, stub = at(9, 1), at(8, 2), at(-9, 3), at(7, 4)
    copied = at(6, 5)
    inventory = folder(
        old, damaged, future, f".{stub}.icloud", f"{copied} (1)", at(1, 6, "photos"), bad=[damaged]
    )
    found = pick("notes:latest", inventory)
    assert found.held.name == old
    for name in (damaged, future, stub, copied):
        assert any(str(name) in remark for remark in found.remarks), name
    assert not any("photos" in remark for remark in found.remarks)


def test_a_day_says_nothing_of_later_ones() -> None:
    """Whoever asks for the first of November need not hear of what happened on the second."""
    early, later = at(100, 1), at(1, 2)
    found = pick(f"notes@{early.time.date()}", folder(early, later, bad=[later]))
    assert (found.held.name, found.remarks) == (early, ())


def test_older_ones_are_no_concern() -> None:
    """A damaged archive that is older than the newest is not mentioned."""
    assert pick("notes:latest", folder(at(1), at(2, 2), bad=[at(2, 2)])).remarks == ()


def test_where_only_doubtful_ones_are_left_they_are_named() -> None:
    """If nothing can be picked, the person learns what there is, and why it is not taken."""
    damaged, stub = at(2, 2), at(1, 3)
    with pytest.raises(NotFoundError) as failure:
        pick("notes:latest", folder(damaged, f".{stub}.icloud", bad=[damaged]))
    told = " ".join(failure.value.details)
    assert str(damaged) in told and str(stub) in told and "iCloud" in told


def test_one_that_the_ledger_does_not_know_is_passed_over() -> None:
    """Anybody who can write to the folder can put the newest there: it is said, and not picked."""
    known, strange = at(2), at(1, 2)
    records = [replace(ArchiveRecord.of(known, HERE), size=7, proved=True)]
    entries = [FolderEntry(str(name), 7, 0.0) for name in (known, strange)]
    found = pick("latest", classify(entries, records, HERE, NOW))
    assert found.held.name == known
    assert str(strange) in " ".join(found.remarks)
    assert "ledger does not know" in " ".join(found.remarks)
    assert pick("latest", folder(strange, known=False)).remarks == ()


def test_a_strange_one_is_not_picked_where_the_known_ones_were_taken_away() -> None:
    """Who removes or damages all that the ledger knows does not get his own archive restored."""
    known, strange = at(2), at(1, 2)
    records = [replace(ArchiveRecord.of(known, HERE), size=7, proved=True)]
    for others in ((), (FolderEntry(str(known), 8, 0.0),)):
        entries = [FolderEntry(str(strange), 7, 0.0), *others]
        for text in ("latest", "notes:latest", f"notes@{strange.time.date()}"):
            with pytest.raises(NotFoundError) as failure:
                pick(text, classify(entries, records, HERE, NOW))
            assert str(strange) in " ".join(failure.value.details)


def test_a_newer_one_that_is_gone_is_said() -> None:
    """Where somebody removed the newest, the one before it does not pass for it in silence."""
    gone, there = at(1), at(2, 2)
    rows = [replace(ArchiveRecord.of(name, HERE), size=7, proved=True) for name in (gone, there)]
    found = pick("latest", classify([FolderEntry(str(there), 7, 0.0)], rows, HERE, NOW))
    assert found.held.name == there and str(gone) in " ".join(found.remarks)


@given(folders(), st.sampled_from(["latest", "notes:latest", "photos@2026-11-01", "1f2e"]))
def test_what_is_said_can_be_printed(inventory: Inventory, text: str) -> None:
    """No name in the folder reaches the terminal unescaped."""
    try:
        found = pick(text, inventory)
    except AgebackupError as error:
        assert all(line.isprintable() for line in (error.message, error.hint, *error.details))
    else:
        assert all(remark.isprintable() for remark in found.remarks)
