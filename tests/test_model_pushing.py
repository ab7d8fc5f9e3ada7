"""What is pushed: decided from rows and names, so that both sides converge."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.model.afar import Afar, complaints_afar, made_good, seen_afar
from agebackup.model.classifying import classify
from agebackup.model.inventory import FolderEntry, Held, Inventory, candidate
from agebackup.model.names import ArchiveName
from agebackup.model.pushing import (
    CUT_SHORT,
    DAMAGED,
    NEW,
    OTHER_CONTENT,
    OTHER_SIZE,
    REKEYED,
    UNPROVED,
    VANISHED,
    PushPlan,
    Stock,
    copied,
    held_of,
    push_plan,
)
from agebackup.model.records import ArchiveRecord, PushRecord
from agebackup.model.retaining import plan
from agebackup.model.retention import Policy

NOW = datetime(2027, 2, 1, tzinfo=UTC)
HERE, THERE = "/here", "rclone:box:notes"
YEAR = Policy(last=2, daily=7, weekly=5, monthly=12)


def row(day: int, **changes: Any) -> ArchiveRecord:
    """Return the row of an archive that was made so many days before NOW."""
    name = ArchiveName("notes", NOW - timedelta(days=day), f"{day:08x}")
    record = ArchiveRecord.of(name, HERE)
    return replace(record, size=100 + day, sha256=f"{day:064x}", proved=True, **changes)


def entry(record: ArchiveRecord, **changes: Any) -> FolderEntry:
    """Return the file that `record` speaks of."""
    return replace(FolderEntry(record.name, record.size or 0, 0.0), **changes)


def looked(*entries: FolderEntry, rows: tuple[ArchiveRecord, ...] = ()) -> Inventory:
    """Return what lies there, joined with the rows."""
    return classify(entries, rows, THERE, NOW)


def decided(
    local: list[ArchiveRecord],
    rows: tuple[ArchiveRecord, ...] = (),
    entries: tuple[FolderEntry, ...] | None = (),
    policy: Policy | None = None,
) -> PushPlan:
    """Return the plan; `entries` None: the place was not looked into."""
    there = None if entries is None else looked(*entries, rows=rows)
    newest_first = sorted(local, key=lambda one: one.time, reverse=True)
    return push_plan(Stock(held_of(newest_first), rows, there), THERE, policy, NOW)


def reasons(done: PushPlan) -> dict[str, str]:
    """Return why each archive is carried."""
    return {one.record.name: one.why for one in done.loads}


def test_the_newest_is_carried_first() -> None:
    """An empty place gets everything, the newest archive before any other."""
    local = [row(day) for day in (5, 1, 3)]
    assert [one.record.name for one in decided(local).loads] == [row(d).name for d in (1, 3, 5)]


KNOWN = copied(row(1), THERE)


@pytest.mark.parametrize(
    "record, found, why",
    [
        (KNOWN, {}, ""),
        (replace(KNOWN, pending="publish"), {}, ""),
        (None, {}, ""),
        (None, {"sha256": row(1).sha256}, ""),
        (KNOWN, {"sha256": "f" * 64}, OTHER_CONTENT),
        (KNOWN, {"size": 7}, OTHER_SIZE),
        (KNOWN, {"partial": True}, CUT_SHORT),
        (replace(KNOWN, bad=True), {}, DAMAGED),
        (KNOWN, None, VANISHED),
        (replace(KNOWN, pending="publish"), None, NEW),
        (None, None, NEW),
    ],
)
def test_what_lies_there_is_compared(
    record: ArchiveRecord | None, found: dict[str, Any] | None, why: str
) -> None:
    """Whole and known is left as it is; half, damaged, gone or another file is carried again."""
    rows = (record,) if record else ()
    entries = () if found is None else (entry(row(1), **found),)
    assert reasons(decided([row(1)], rows, entries)) == ({row(1).name: why} if why else {})


@pytest.mark.parametrize("sha256", ["", "old"])
@pytest.mark.parametrize("pending", ["", "publish"])
def test_an_archive_under_new_keys_replaces_the_one_under_old_keys(
    sha256: str, pending: Any
) -> None:
    """After a rekey the copy follows, even where the place tells sizes only, and both are alike."""
    now = row(1, former=("old",))
    before = replace(copied(row(1), THERE), sha256="old")
    known = before if not pending else replace(copied(now, THERE), pending="publish")
    done = decided([now], (known,), (entry(now, sha256=sha256),))
    assert reasons(done) == {now.name: REKEYED}
    followed = decided([now], (copied(now, THERE),), (entry(now),))
    assert not followed.loads and not followed.confirmed


@pytest.mark.parametrize(
    "changes",
    [
        {"foreign": True},
        {"bad": True},
        {"pending": "rekey"},
        {"pending": "publish"},
        {"pending": "delete", "deleted": NOW},
        {"sha256": ""},
    ],
)
def test_what_is_not_surely_ours_and_whole_stays_here(changes: dict[str, Any]) -> None:
    """Another machine's, damaged, leaving and unsettled archives are carried nowhere, said why."""
    odd = replace(row(1), **changes)
    name = ArchiveName.parse(odd.name)
    assert name is not None
    stock = Stock((Held(name, entry(odd), odd),), (), looked())
    done = push_plan(stock, THERE, None, NOW)
    assert not done.loads and [one.name for one in done.left] == [odd.name]


def test_an_unknown_file_stays_here() -> None:
    """What the ledger has no row of is nobody's to carry."""
    name = ArchiveName.parse(row(1).name)
    assert name is not None
    done = push_plan(Stock((Held(name, entry(row(1))),), (), looked()), THERE, None, NOW)
    assert not done.loads and done.left


def test_what_was_deleted_there_does_not_come_back() -> None:
    """A copy that was deleted on purpose, by hand or by retention, is not brought back."""
    gone = replace(copied(row(1), THERE), deleted=NOW, deleted_why="deleted by hand")
    done = decided([row(1)], (gone,))
    assert not done.loads and done.left[0].why == "it was deleted there"


def test_what_retention_would_prune_at_once_is_not_carried() -> None:
    """After a long absence only what the rules keep is carried, not every night of it."""
    local = [row(day) for day in range(300)]
    done = decided(local, policy=Policy(daily=3))
    assert {one.record.name for one in done.loads} == {row(d).name for d in (0, 1, 2)}


def test_a_confirmed_arrival_is_only_written_down() -> None:
    """What a killed push carried wholly is not carried twice; its unwanted halves go."""
    arrived, lost, half = (replace(copied(row(day), THERE), pending="publish") for day in (1, 2, 3))
    rows = (arrived, lost, half)
    done = decided([row(1)], rows, (entry(row(1)), entry(row(3), partial=True)))
    assert [one.name for one in done.confirmed] == [row(1).name] and not done.loads
    assert done.confirmed[0].pending == ""
    assert {one.name for one in done.forgotten} == {lost.name, half.name}
    assert [one.name for one in done.debris] == [half.name]


@pytest.mark.parametrize("found", [{"sha256": "old"}, {"size": 7}, {}])
def test_what_may_have_the_former_keys_is_never_debris(found: dict[str, Any]) -> None:
    """A rekeyed archive whose push was cut short and that is damaged here since: its old copy may
    be the last that anybody can read."""
    announced = replace(copied(row(1, former=("old",)), THERE), pending="publish")
    lost = decided([], (announced,), (entry(row(1), **found),))
    damaged = decided([row(1, former=("old",), bad=True)], (announced,), (entry(row(1), **found),))
    for done in (lost, damaged):
        assert not (done.debris or done.forgotten or done.loads)


@pytest.mark.parametrize("found", [{"sha256": "f" * 64}, {"size": 7}])
def test_what_nobody_vouches_for_replaces_nothing(found: dict[str, Any]) -> None:
    """A ledger made anew takes its hashes from the files, damaged ones too: a copy that differs
    from such a file may be the good one, and stays until a person looked."""
    adopted = replace(row(1), proved=False, check="quick")
    done = decided([adopted], (), (entry(adopted, **found),))
    assert not done.loads and [(one.why, one.owed) for one in done.left] == [(UNPROVED, True)]
    for known in (replace(adopted, check="verify"), replace(adopted, sequence=7)):
        assert decided([known], (), (entry(known, **found),)).loads
    half = replace(copied(adopted, THERE), pending="publish")
    assert decided([adopted], (half,), (entry(adopted, **found),)).loads


def test_half_a_file_of_somebody_else_is_left_alone() -> None:
    """Another machine may be carrying it right now."""
    done = decided([], (), (entry(row(3), partial=True),))
    assert not done.debris and not done.forgotten


def test_the_ledger_alone_says_what_is_owed() -> None:
    """Without a look at the place its rows are believed, deletions and interruptions included."""
    rows = (
        copied(row(1), THERE),
        replace(copied(row(2), THERE), pending="publish"),
        replace(copied(row(3), THERE), deleted=NOW),
    )
    local = [row(day) for day in (1, 2, 3, 4)]
    done = decided(local, rows, None)
    assert reasons(done) == {row(2).name: CUT_SHORT, row(4).name: NEW}
    assert not (done.confirmed or done.forgotten or done.debris)


def test_an_archive_verified_since_counts_as_good_there_too() -> None:
    """Otherwise the same rules would keep different archives here and there."""
    known = replace(copied(row(1), THERE), proved=False)
    verified = replace(row(1), proved=False, check="verify", checked=NOW)
    done = decided([verified], (known,), (entry(row(1)),))
    assert [one.check for one in done.confirmed] == ["verify"]


RECORDS = st.builds(
    row,
    st.integers(0, 400),
    foreign=st.sampled_from([False, False, False, True]),
    bad=st.sampled_from([False, False, False, True]),
    kept=st.booleans(),
    tag=st.sampled_from(["", "release"]),
    former=st.sampled_from([(), ("old",)]),
)
POLICIES = st.none() | st.builds(
    Policy,
    last=st.integers(0, 4),
    daily=st.integers(1, 5),
    monthly=st.integers(0, 5),
    tags=st.just(("release",)),
)


@st.composite
def states(draw: st.DrawFn) -> tuple[list[ArchiveRecord], list[ArchiveRecord], list[FolderEntry]]:
    local = list({one.name: one for one in draw(st.lists(RECORDS, max_size=20))}.values())
    rows, entries = [], []
    for one in [*local, *(row(day) for day in draw(st.sets(st.integers(401, 430), max_size=4)))]:
        match draw(st.sampled_from(("none", "row", "both", "file", "announced", "gone", "half"))):
            case "row":
                rows.append(copied(one, THERE))
            case "both":
                rows.append(copied(one, THERE))
                entries.append(entry(one))
            case "file":
                entries.append(entry(one, size=draw(st.sampled_from([one.size, 1]))))
            case "announced":
                rows.append(replace(copied(one, THERE), pending="publish"))
                entries += draw(st.sampled_from([[], [entry(one)], [entry(one, partial=True)]]))
            case "gone":
                rows.append(replace(copied(one, THERE), deleted=NOW))
            case "half":
                rows.append(replace(copied(one, THERE), pending="publish"))
                entries.append(entry(one, partial=True))
    return local, rows, entries


def carried_out(
    done: PushPlan, rows: list[ArchiveRecord], entries: list[FolderEntry]
) -> tuple[list[ArchiveRecord], list[FolderEntry]]:
    """Return rows and files as they are when everything in the plan was done."""
    table = {one.name: one for one in rows}
    files = {one.name: one for one in entries}
    for one in done.forgotten:
        del table[one.name]
    for half in done.debris:
        del files[half.name]
    table |= {one.name: one for one in done.confirmed}
    for load in done.loads:
        table[load.record.name] = copied(load.record, THERE)
        files[load.record.name] = entry(load.record)
    return list(table.values()), list(files.values())


@given(states(), POLICIES)
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(
    state: tuple[list[ArchiveRecord], list[ArchiveRecord], list[FolderEntry]],
    policy: Policy | None,
) -> None:
    """Whatever lay there: one push settles it, carries sound archives of ours, none in vain."""
    local, rows, entries = state
    done = decided(local, tuple(rows), tuple(entries), policy)
    deleted = {one.name for one in rows if one.deleted}
    for load in done.loads:
        assert not (load.record.foreign or load.record.bad or load.record.name in deleted)
    times = [load.record.time for load in done.loads]
    assert times == sorted(times, reverse=True)
    rows, entries = carried_out(done, rows, entries)
    again = decided(local, tuple(rows), tuple(entries), policy)
    assert not (again.loads or again.confirmed or again.forgotten or again.debris)
    assert decided(local, tuple(rows), None, policy).loads == ()
    if policy is not None:
        there = looked(*entries, rows=tuple(rows)).of("notes")
        ours = [one for one in there if one.record and not one.record.foreign]
        pruned = plan(map(candidate, ours), policy, NOW).pruned
        names = {str(one.candidate.name) for one in pruned}
        assert not names & {load.record.name for load in done.loads}


@pytest.mark.parametrize("seed", range(8))
def test_both_sides_converge_over_a_year(seed: int) -> None:
    """With nights, and whole weeks, in which the place is away, both hold the same at the end.

    And at every moment the newest that ever arrived, or a newer one, is there.
    """
    chance = random.Random(seed)
    local: dict[str, ArchiveRecord] = {}
    rows: dict[str, ArchiveRecord] = {}
    files: set[str] = set()
    away, newest = 0, None
    for day in range(365, -1, -1):
        now = NOW - timedelta(days=day)
        made = row(day)
        local[made.name] = made
        for one in pruned(local, now):
            del local[one]
        away = max(0, away - 1) or (chance.randrange(30) if chance.random() < 0.05 else 0)
        if away and day:
            continue
        entries = [entry(rows[name]) for name in files]
        stock = Stock(
            held_of(sorted(local.values(), key=lambda one: one.time, reverse=True)),
            tuple(rows.values()),
            classify(entries, tuple(rows.values()), THERE, now),
        )
        done = push_plan(stock, THERE, YEAR, now)
        for load in done.loads:
            rows[load.record.name] = replace(copied(load.record, THERE), pending="publish")
            if day and chance.random() < 0.1:
                break  # cut off: perhaps it had arrived, perhaps not
            files.add(load.record.name)
            if day and chance.random() < 0.1:
                break
            rows[load.record.name] = copied(load.record, THERE)
        else:
            rows |= {one.name: one for one in done.confirmed}
            for one in pruned({name: rows[name] for name in files}, now):
                files.remove(one)
                rows[one] = replace(rows[one], deleted=now)
        newest = max([*files, *([newest] if newest else [])], default=None)
        assert newest is None or newest in files
    assert files == set(local)


def pruned(records: dict[str, ArchiveRecord], now: datetime) -> list[str]:
    """Return the names that the policy does not keep."""
    found = plan(map(candidate, held_of(list(records.values()))), YEAR, now).pruned
    return [str(one.candidate.name) for one in found]


DAY = 86_400.0
FAILED = PushRecord("notes", THERE, NOW, NOW, "failed", "It is away.")


def seen(*rows: ArchiveRecord, last: PushRecord | None = None) -> Afar:
    """Return what the ledger says of the copies."""
    return replace(seen_afar(rows, (HERE, THERE), None, NOW), last=last)


@pytest.mark.parametrize(
    "rows, last, found",
    [
        ((row(0), copied(row(0), THERE)), None, []),
        ((row(9), copied(row(9), THERE)), None, []),
        ((row(0), row(1), copied(row(1), THERE)), None, [("note", "push-owed")]),
        ((row(0), row(1), copied(row(1), THERE)), FAILED, [("warning", "push-failed")]),
        ((row(0), copied(row(0), THERE)), FAILED, [("warning", "push-failed")]),
        ((row(0), row(3), copied(row(3), THERE)), FAILED, [("error", "not-pushed")]),
        ((row(0), row(3)), None, [("error", "not-pushed")]),
        ((row(0),), None, [("note", "push-owed")]),
    ],
)
def test_status_judges_copies_by_the_rows(
    rows: tuple[ArchiveRecord, ...], last: PushRecord | None, found: list[tuple[str, str]]
) -> None:
    """Owed for longer than an archive may be old is an error; a failed push alone is a warning."""
    said = list(complaints_afar("notes", [seen(*rows, last=last)], 2 * DAY, NOW))
    assert [(one.severity, one.code) for one in said] == found
    if last is not None and found:
        assert "It is away." in said[0].fact
    assert not [
        one for one in complaints_afar("notes", [seen(*rows)], None, NOW) if one.severity == "error"
    ]


def test_a_run_that_lacked_only_a_copy_is_made_good_by_it() -> None:
    """What is not owed any more is not complained about for another day."""
    there = seen(row(0), copied(row(0), THERE))
    assert made_good("Not pushed to x: It is away.", [there])
    assert not made_good("Not pushed to x: It is away.", [there, seen(row(0))])
    assert not made_good("2 files vanished; Not pushed to x: It is away.", [there])
