"""Retention: what stays is decided by names alone, and never against the person."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from retention_tables import TABLES

from agebackup.model.buckets import TIERS
from agebackup.model.inventory import FUTURE
from agebackup.model.names import ArchiveName
from agebackup.model.retaining import plan
from agebackup.model.retention import Candidate, Plan, Policy

NOW = datetime(2027, 2, 1, tzinfo=UTC)
BEGIN = datetime(2025, 12, 1, tzinfo=UTC)
FIELDS = ("last", *TIERS)


def candidate(time: datetime, number: int, *, manual: bool = False) -> Candidate:
    return Candidate(ArchiveName("notes", time, f"{number:08x}", manual))


def names(decisions: Sequence[object]) -> set[str]:
    return {str(one.candidate.name) for one in decisions}  # type: ignore[attr-defined]


COUNTS = st.integers(min_value=-1, max_value=6)
POLICIES = st.builds(
    Policy,
    **{field: COUNTS for field in FIELDS},
    within=st.none() | st.timedeltas(timedelta(hours=1), timedelta(days=60)),
    tags=st.sampled_from([(), ("release",)]),
    manual=st.none() | COUNTS,
    timezone=st.sampled_from([UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Auckland")]),
)


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    hours = draw(st.lists(st.integers(0, 24 * 430), max_size=60, unique=True))
    return [
        Candidate(
            ArchiveName("notes", BEGIN + timedelta(hours=hour), f"{n:08x}", draw(st.booleans())),
            draw(st.sampled_from(["good", "good", "good", "unproved", "bad"])),
            draw(st.sampled_from(["", "release"])),
            draw(st.sampled_from([False, False, False, True])),
        )
        for n, hour in enumerate(hours)
    ]


def only_good(ones: list[Candidate]) -> list[Candidate]:
    return [
        Candidate(ArchiveName("notes", one.name.time, one.name.id), "good")
        for one in ones
        if one.name.time <= NOW
    ]


@pytest.mark.parametrize("title", TABLES)
def test_a_golden_table(title: str) -> None:
    """Each table of policy and outcome holds as it stands."""
    given_policy, rows = TABLES[title]
    fields = dict(given_policy)
    if "within" in fields:
        fields["within"] = timedelta(days=int(str(fields["within"])))
    found, expected = [], {}
    for number, row in enumerate(rows.strip().splitlines()):
        head, said = row.strip().split("  ", 1)
        time, *marks = head.split()
        one = candidate(
            datetime.fromisoformat(time).replace(tzinfo=UTC), number, manual="manual" in marks
        )
        grades = [mark for mark in marks if mark in ("bad", "unproved")]
        tag = next((mark[1:] for mark in marks if mark.startswith("#")), "")
        one = replace(one, grade=grades[0] if grades else "good", tag=tag, kept="kept" in marks)
        found.append(one)
        expected[str(one.name)] = said.strip()
    decided = plan(found, Policy(**fields), NOW)  # type: ignore[arg-type]
    outcome = {str(one.candidate.name): "-" for one in decided.pruned}
    for one in (*decided.kept, *decided.aside):
        outcome[str(one.candidate.name)] = ", ".join(one.reasons)
    assert outcome == expected


@given(candidates(), POLICIES)
def test_every_archive_is_decided_about_once(ones: list[Candidate], policy: Policy) -> None:
    """Nothing is forgotten and nothing both stays and goes."""
    decided = plan(ones, policy, NOW)
    parts = [*decided.kept, *decided.pruned, *decided.aside]
    assert sorted(str(p.candidate.name) for p in parts) == sorted(str(o.name) for o in ones)
    assert all(one.reasons for one in parts)


@given(candidates(), POLICIES)
def test_pruning_twice_is_pruning_once(ones: list[Candidate], policy: Policy) -> None:
    """What one prune left, the next one leaves."""
    first = plan(ones, policy, NOW)
    left = [one.candidate for one in (*first.kept, *first.aside)]
    assert not plan(left, policy, NOW).pruned


@given(candidates(), POLICIES)
def test_the_newest_good_one_stays(ones: list[Candidate], policy: Policy) -> None:
    """Whatever the policy, the newest good archive is kept, and what the person marked."""
    kept = names(plan(ones, policy, NOW).kept)
    present = [one for one in ones if one.grade == "good" and one.name.time <= NOW]
    if present:
        assert str(max(present, key=lambda one: one.name.time).name) in kept
    assert {str(one.name) for one in present if one.kept} <= kept


@given(candidates(), POLICIES, candidates())
def test_no_bad_or_future_one_displaces_another(
    ones: list[Candidate], policy: Policy, more: list[Candidate]
) -> None:
    """Damaged files and names from the future change nothing for the others, and are not pruned."""
    strange = [replace(one, grade="bad", name=_renumbered(one)) for one in more]
    strange += [
        replace(one, name=replace(_renumbered(one), time=NOW + FUTURE + timedelta(days=1 + n)))
        for n, one in enumerate(more)
    ]
    before, after = plan(ones, policy, NOW), plan([*ones, *strange], policy, NOW)
    assert names(before.kept) == names(after.kept)
    assert names(before.pruned) == names(after.pruned)


@given(candidates(), POLICIES, candidates())
def test_an_unproved_one_displaces_only_unproved_ones(
    ones: list[Candidate], policy: Policy, more: list[Candidate]
) -> None:
    """An archive that nobody has looked at never costs one that is known to be good."""
    unproved = [replace(one, grade="unproved", name=_renumbered(one)) for one in more]
    before, after = plan(ones, policy, NOW), plan([*ones, *unproved], policy, NOW)
    good = {str(one.name) for one in ones if one.grade == "good"}
    assert names(before.kept) & good == names(after.kept) & good


def _renumbered(one: Candidate) -> ArchiveName:
    return replace(one.name, id=f"f{one.name.id[1:]}")


@given(candidates(), POLICIES, st.sampled_from([*FIELDS, "manual"]), st.integers(1, 5))
def test_a_larger_policy_keeps_a_superset(
    ones: list[Candidate], policy: Policy, field: str, more: int
) -> None:
    """To raise any number, or to make it unbounded, never costs an archive."""
    number = getattr(policy, field)
    if number is None or number < 0:
        return
    kept = names(plan(ones, policy, NOW).kept)
    assert kept <= names(plan(ones, replace(policy, **{field: number + more}), NOW).kept)
    assert kept <= names(plan(ones, replace(policy, **{field: -1}), NOW).kept)


@given(candidates(), POLICIES, st.randoms(use_true_random=False))
def test_the_same_names_give_the_same_plan(
    ones: list[Candidate], policy: Policy, dice: random.Random
) -> None:
    """The order in which a folder lists its files decides nothing."""
    shuffled = ones.copy()
    dice.shuffle(shuffled)
    assert plan(ones, policy, NOW) == plan(shuffled, policy, NOW)


@given(candidates(), st.integers(0, 24 * 430), POLICIES)
def test_one_more_evicts_at_most_one_of_each_tier(
    ones: list[Candidate], hour: int, policy: Policy
) -> None:
    """A new archive costs a tier at most one: its own bucket's holder, or the tier's oldest."""
    good = only_good(ones)
    new = candidate(BEGIN + timedelta(hours=hour, minutes=30), 0xFFFFFF)
    for field in FIELDS:
        alone = replace(Policy(timezone=policy.timezone), **{field: getattr(policy, field)})
        before, after = plan(good, alone, NOW), plan([*good, new], alone, NOW)
        held = _tier_names(before, field)
        lost = held - _tier_names(after, field) - {_newest(before)}
        assert len(lost) <= 1
        if lost and field in TIERS:
            (gone,) = lost
            parsed = ArchiveName.parse(gone)
            assert parsed is not None
            bucket = TIERS[field]
            zone = policy.timezone
            same = bucket(parsed.time.astimezone(zone)) == bucket(new.name.time.astimezone(zone))
            assert same or gone == min(held, key=lambda name: ArchiveName.parse(name).time)  # type: ignore[union-attr]


def _tier_names(decided: Plan, field: str) -> set[str]:
    return {
        str(one.candidate.name)
        for one in decided.kept
        if any(reason.startswith(field) for reason in one.reasons)
    }


def _newest(decided: Plan) -> str:
    return str(decided.kept[0].candidate.name) if decided.kept else ""


@given(candidates(), candidates(), POLICIES)
def test_local_and_remote_sets_converge(
    local: list[Candidate], remote: list[Candidate], policy: Policy
) -> None:
    """Two copies of a folder that are pruned apart and then joined end where one would have."""
    both = {one.name.time: one for one in [*only_good(local), *only_good(remote)]}
    everything = list(both.values())
    halves = {*everything[::2], *everything[:5]}, {*everything[1::2], *everything[:5]}
    pruned = [[one.candidate for one in plan(half, policy, NOW).kept] for half in halves]
    joined = list(dict.fromkeys(itertools.chain(*pruned)))
    tiers = names(plan(everything, policy, NOW).kept)
    # what is the oldest of a part need not be the oldest of the whole, so only more may stay
    assert names(plan(joined, policy, NOW).kept) >= _without_oldest(everything, policy)
    assert _without_oldest(everything, policy) <= tiers


@given(candidates(), POLICIES, st.data())
def test_what_went_matters_to_none_that_stay(
    ones: list[Candidate], policy: Policy, data: st.DataObject
) -> None:
    """Where only some of what is to go went, the same ones stay and the rest goes the next time."""
    first = plan(ones, policy, NOW)
    gone = {one.candidate for one in first.pruned if data.draw(st.booleans())}
    second = plan([one for one in ones if one not in gone], policy, NOW)
    assert names(second.kept) == names(first.kept)


@given(candidates(), POLICIES, st.data())
def test_what_is_away_costs_no_other_its_place(
    ones: list[Candidate], policy: Policy, data: st.DataObject
) -> None:
    """What is kept stays kept where other archives are out of reach for a while."""
    kept = {one.candidate for one in plan(ones, policy, NOW).kept}
    there = [one for one in ones if data.draw(st.booleans())]
    assert {str(one.name) for one in there if one in kept} <= names(plan(there, policy, NOW).kept)


def _without_oldest(ones: list[Candidate], policy: Policy) -> set[str]:
    decided = plan(ones, policy, NOW)
    return {
        str(one.candidate.name)
        for one in decided.kept
        if any("oldest" not in reason for reason in one.reasons)
    }


def year_of_runs(seed: int) -> list[datetime]:
    """A year of hourly runs with gaps, bursts and clock jumps, in the order they are made."""
    dice, moment, made = random.Random(seed), BEGIN, []
    while moment < BEGIN + timedelta(days=365):
        what = dice.random()
        if what < 0.02:
            moment += timedelta(hours=dice.randrange(2, 200))  # the machine slept
        elif what < 0.03:
            made += [moment + timedelta(seconds=s) for s in range(5)]  # a burst
        elif what < 0.035:
            made.append(moment - timedelta(days=dice.randrange(1, 50)))  # the clock was behind
        elif what < 0.04:
            made.append(moment + timedelta(days=dice.randrange(1, 400)))  # and ahead
        made.append(moment)
        moment += timedelta(hours=1)
    return made


@pytest.mark.parametrize("seed", [1, 2])
def test_a_year_of_hours(seed: int) -> None:
    """Pruned after each of 8,000 runs, the folder never holds more than the caps' sum, never loses
    its newest archive, and every month of the year is still there."""
    policy = Policy(hourly=24, daily=7, weekly=4, monthly=12, yearly=-1)
    folder: list[Candidate] = []
    now = BEGIN
    for number, time in enumerate(year_of_runs(seed)):
        now = max(now, time) if time - now < timedelta(hours=210) else now
        folder.append(candidate(time, number))
        decided = plan(folder, policy, now)
        folder = [one.candidate for one in (*decided.kept, *decided.aside)]
        assert len(decided.kept) <= 24 + 7 + 4 + 12 + 3 + 1
        past = [one.name.time for one in folder if one.name.time <= now + FUTURE]
        assert max(past) == decided.kept[0].candidate.name.time
    months = {one.name.time.month for one in folder if one.name.time <= now}
    assert len(months) >= 12


def test_an_hour_that_autumn_repeats_counts_twice() -> None:
    """Two archives an hour apart are of two hours, also when the clocks show the same."""
    berlin = ZoneInfo("Europe/Berlin")
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 summer time
    second = first + timedelta(hours=1)  # 02:30 winter time
    ones = [candidate(first, 1), candidate(second, 2), candidate(first - timedelta(hours=9), 3)]
    decided = plan(ones, Policy(hourly=2, timezone=berlin), NOW)
    assert len(decided.kept) == 2


def test_a_day_is_the_policys_day() -> None:
    """Half past midnight belongs to the day that the person's clock shows."""
    evening = datetime(2026, 11, 19, 23, 30, tzinfo=UTC)  # 00:30 of the 20th in Berlin
    ones = [candidate(evening, 1), candidate(evening + timedelta(hours=12), 2)]
    ones.append(candidate(evening - timedelta(hours=12), 3))
    berlin = plan(ones, Policy(daily=2, timezone=ZoneInfo("Europe/Berlin")), NOW)
    utc = plan(ones, Policy(daily=2), NOW)
    assert str(ones[0].name) in names(berlin.pruned)
    assert str(ones[2].name) in names(utc.pruned)


def test_safety_archives_displace_none_made_by_hand() -> None:
    """keep_manual counts what restores in place made for safety by itself: a restore costs nobody
    an archive that a person made, and older safety archives go like any others."""
    by_hand, first, second = (
        candidate(BEGIN + timedelta(days=day), day, manual=True) for day in (1, 2, 3)
    )
    nightly = candidate(BEGIN + timedelta(days=4), 4)
    made = [by_hand, *(replace(one, tag="pre-restore") for one in (first, second)), nightly]
    planned = plan(made, Policy(last=1, manual=1), NOW)
    assert names(planned.kept) == {str(one.name) for one in (by_hand, second, nightly)}
    assert names(planned.pruned) == {str(first.name)}
