"""prune: remove what a policy no longer keeps, and nothing that anybody might still need.

Only archives that this machine made and knows of are looked at (with `shared`, other machines'
too): two machines that use one folder never delete each other's. What is evicted, damaged, dated
into the future or not named exactly as an archive never goes.
"""

from dataclasses import dataclass
from datetime import datetime

from agebackup.destinations.folder import Folder
from agebackup.errors import RefusedError, UsageError, shortened
from agebackup.ledger import Ledger
from agebackup.model.inventory import Held, Inventory, grade
from agebackup.model.retaining import plan
from agebackup.model.retention import Candidate, Plan, Policy
from agebackup.operations.inventory import take_inventory
from agebackup.operations.removal import leaving, remove
from agebackup.system.progress import Progress

FEW = 3
"""So many archives may always go at once: the default of `max_prune` for small folders."""


@dataclass(frozen=True)
class PruneOrder:
    """What is to be pruned by which policy. `allow_many`: the person said yes to any number.

    `held_back`, a sentence, is why nothing may go now, "" for no reason.
    """

    app: str
    policy: Policy
    now: datetime
    allow_many: bool = False
    dry_run: bool = False
    held_back: str = ""


@dataclass(frozen=True)
class PruneReport:
    """What became of the archives of one app in one folder. `freed` in bytes.

    `deleted` are those that went (with `dry_run`: would go), oldest first; `uncovered` those that
    another machine made, or that this one has no record of, so that no rule looked at them.
    """

    app: str
    destination: str
    plan: Plan
    deleted: tuple[str, ...] = ()
    uncovered: tuple[str, ...] = ()
    freed: int = 0
    dry_run: bool = False


def prune(order: PruneOrder, folder: Folder, ledger: Ledger, progress: Progress) -> PruneReport:
    """Remove what `order.policy` does not keep, oldest first; the caller holds the app's lock.

    Raises `UsageError` for a policy that keeps nothing, `RefusedError` where more would go at once
    than `max_prune`, or `held_back` says why nothing may (then nothing went), and what the folder
    and the ledger raise; what went until then is gone, and recorded.
    """
    require_sensible(order.policy)
    inventory = take_inventory(folder, ledger, order.now)
    covered = {
        str(held.name): held for held in inventory.of(order.app) if covers(held, order.policy)
    }
    planned = plan(map(candidate, covered.values()), order.policy, order.now)
    going = [covered[str(one.candidate.name)] for one in reversed(planned.pruned)]
    if going and not order.dry_run:
        _guard(order, planned, len(going))
        reason = f"pruned: {why(order.policy)}"
        for held in going:
            progress.stop.check()
            _require_newest(planned, folder, order)
            remove(held, folder, ledger, order.now, reason)
    return PruneReport(
        order.app,
        folder.key,
        planned,
        deleted=tuple(str(held.name) for held in going),
        uncovered=_uncovered(inventory, order, covered),
        freed=sum(held.entry.size for held in going),
        dry_run=order.dry_run,
    )


def candidate(held: Held) -> Candidate:
    """Return the archive as a policy sees it."""
    record = held.record
    tag, kept = (record.tag, record.kept) if record else ("", False)
    return Candidate(held.name, grade(held), tag, kept)


def require_sensible(policy: Policy) -> None:
    """Raise `UsageError` where `policy` has no rule that keeps anything by age or number."""
    tiers = (policy.last, policy.hourly, policy.daily, policy.weekly, policy.monthly, policy.yearly)
    if not any(tiers) and not policy.within:
        raise UsageError(
            "The retention policy keeps nothing by age or number.",
            hint="Give a rule, for example --keep-last 10, or keep_daily = 7 in the configuration.",
        )


def why(policy: Policy) -> str:
    """Return the policy in a few words, for the record of what it removed."""
    names = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
    parts = [f"{name} {count}" for name in names if (count := getattr(policy, name))]
    if policy.within:
        parts.append(f"within {policy.within.total_seconds() / 86_400:g}d")
    return f"no rule of {', '.join(parts)} keeps it"


def covers(held: Held, policy: Policy) -> bool:
    """Return whether this machine may decide about `held`.

    One that was deleted and lies there again was brought back by somebody, who wants it.
    """
    if leaving(held):
        return False
    record = held.record
    if policy.shared:
        return record is None or record.deleted is None
    return bool(record and not record.foreign and not record.pending and record.deleted is None)


def _guard(order: PruneOrder, planned: Plan, going: int) -> None:
    if order.held_back:
        raise RefusedError(
            f"Nothing of {order.app} was pruned: {order.held_back}",
            hint="Look at the newest archive; then prune by hand, or set guard.shrink to note.",
        )
    limit = order.policy.max_prune
    if limit is None:
        limit = max(FEW, (len(planned.kept) + going) // 2)
    if going > limit and not order.allow_many:
        names = [str(one.candidate.name) for one in planned.pruned]
        raise RefusedError(
            f"{going:,} archives of {order.app} would be pruned at once, more than {limit:,}: "
            "nothing was.",
            hint=f"See agebackup prune {order.app} --dry-run; if that is right, prune with --yes.",
            details=shortened(names),
        )


def _require_newest(planned: Plan, folder: Folder, order: PruneOrder) -> None:
    """Raise `RefusedError` unless the archive for whose sake others go is still there."""
    for wanted in ("good", "unproved"):
        kept = (one.candidate for one in planned.kept if one.candidate.grade == wanted)
        newest = next((str(one.name) for one in kept), None)
        if newest is not None and not folder.has(newest):
            raise RefusedError(
                f"The newest archive {newest} vanished while {order.app} was pruned.",
                hint="Something else is at work in the folder: look there, then prune again.",
            )


def _uncovered(
    inventory: Inventory, order: PruneOrder, covered: dict[str, Held]
) -> tuple[str, ...]:
    names = (str(held.name) for held in inventory.of(order.app))
    return tuple(name for name in names if name not in covered)
