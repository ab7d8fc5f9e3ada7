"""Decide which archives a policy keeps, from their names alone: the same names, the same plan.

The semantics are those of restic's `forget` (its documentation, "Removing snapshots according to
a policy"): of each bucket the newest archive stays; only buckets that hold an archive are counted;
while a tier has counts left, the oldest archive of all stays too; `within` is measured from the
newest archive, not from the clock.

Which are kept of some archives does not depend on the way there: a set that was pruned before, in
parts or after each new archive, ends as the same set that is pruned once. Two things make it so.
What is kept of many is kept of any few of them too; and what was not kept matters to none of those
that are. So a file that is out of reach for a while never costs another one.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from agebackup.model.addressing import PRE_RESTORE
from agebackup.model.buckets import TIERS, Bucket, count_of
from agebackup.model.inventory import is_future
from agebackup.model.retention import Candidate, Decision, Plan, Policy

NOT_KEPT = ("no rule keeps it",)
NEWEST = "the newest"


def plan(candidates: Iterable[Candidate], policy: Policy, now: datetime) -> Plan:
    """Return what becomes of each of `candidates`, archives of one app in one destination.

    Bad ones and those from the future are set aside: they neither count nor go. Good ones are
    decided as if there were no unproved ones, and these among themselves, so that an archive nobody
    has looked at never displaces one that is known to be good. The newest of each always stays.
    """
    ordered = sorted(candidates, key=lambda one: (one.name.time, str(one.name)), reverse=True)
    aside = {one: reason for one in ordered if (reason := _aside(one, now))}
    reasons: dict[Candidate, list[str]] = defaultdict(list)
    for grade in ("good", "unproved"):
        among = [one for one in ordered if one.grade == grade and one not in aside]
        for candidate, reason in _kept(among, policy):
            reasons[candidate].append(reason)
    counted = [one for one in ordered if one not in aside]
    return Plan(
        kept=tuple(Decision(one, tuple(reasons[one])) for one in counted if one in reasons),
        pruned=tuple(Decision(one, NOT_KEPT) for one in counted if one not in reasons),
        aside=tuple(Decision(one, (reason,)) for one, reason in aside.items()),
    )


def _aside(candidate: Candidate, now: datetime) -> str | None:
    if candidate.grade == "bad":
        return "it is damaged"
    return "its time has not come yet" if is_future(candidate.name.time, now) else None


def _kept(newest_first: Sequence[Candidate], policy: Policy) -> Iterator[tuple[Candidate, str]]:
    """Yield each candidate that stays with a reason, several times where there are several."""
    for candidate in newest_first[:1]:
        yield candidate, NEWEST
    for candidate in newest_first:
        if candidate.kept:
            yield candidate, "kept by hand"
        if candidate.tag and candidate.tag in policy.tags:
            yield candidate, f"tag {candidate.tag}"
    manual = [one for one in newest_first if one.name.manual]
    # What restores made for safety counts by itself: it displaces none that a person made.
    for safety in (False, True):
        among = [one for one in manual if (one.tag == PRE_RESTORE) == safety]
        wanted = len(among) if policy.manual is None or policy.manual < 0 else policy.manual
        for candidate in among[:wanted]:
            yield candidate, "manual"
    yield from _by_age([one for one in newest_first if not one.name.manual], policy)


def _by_age(newest_first: Sequence[Candidate], policy: Policy) -> Iterator[tuple[Candidate, str]]:
    last = len(newest_first) if policy.last < 0 else policy.last
    for candidate in newest_first[:last]:
        yield candidate, "last"
    within = policy.within or timedelta(0)
    for candidate in newest_first:
        if newest_first[0].name.time - candidate.name.time < within:
            yield candidate, "within"
    for tier in TIERS:
        yield from _tier(newest_first, policy, tier)


def _tier(
    newest_first: Sequence[Candidate], policy: Policy, tier: str
) -> Iterator[tuple[Candidate, str]]:
    left, seen = count_of(policy, tier), set[Bucket]()
    for candidate in newest_first:
        if left == 0:
            return
        bucket = TIERS[tier](candidate.name.time.astimezone(policy.timezone))
        if bucket not in seen:
            yield candidate, tier
            seen.add(bucket)
            left -= 1
        elif candidate is newest_first[-1]:
            yield candidate, f"{tier} (the oldest)"
