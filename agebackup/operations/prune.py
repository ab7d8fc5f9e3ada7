"""prune: remove what a policy no longer keeps, and nothing that anybody might still need.

Only archives that this machine made and knows of are looked at (with `shared`, other machines'
too): two machines that use one folder never delete each other's. What is evicted, damaged, dated
into the future or not named exactly as an archive never goes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from agebackup.destinations.interface import Destination
from agebackup.errors import RefusedError, UsageError, shortened
from agebackup.ledger import Ledger
from agebackup.model.changes import held_back
from agebackup.model.inventory import Held, candidate, is_future, leaving, returned
from agebackup.model.records import ArchiveRecord
from agebackup.model.retaining import plan
from agebackup.model.retention import Plan, Policy
from agebackup.operations.inventory import take_inventory
from agebackup.operations.removal import KeptThereError, remove
from agebackup.system.progress import Progress


class HeldBackError(RefusedError):
    """The newest archive holds much less than there was: nothing may go for its sake."""


FEW = 3
"""So many archives may always go at once: the default of `max_prune` for small folders."""

TRIED = 3
"""After so many removals that a place refused, it is not asked for more."""


@dataclass(frozen=True)
class PruneOrder:
    """What is to be pruned by which policy. `allow_many`: the person said yes to it.

    `held_back`, a sentence, is why nothing may go now, "" for no reason. `made` is the archive that
    the run has just made: it stays, even where a clock that went back makes it an old one.
    """

    app: str
    policy: Policy
    now: datetime
    allow_many: bool = False
    held_back: str = ""
    made: str = ""


@dataclass(frozen=True)
class PruneReport:
    """What becomes of the archives of one app in one folder. `freed` in bytes.

    `deleted` are those that go, oldest first; `unfinished` those whose deletion an earlier run had
    decided and did not come to; `uncovered` those that another machine made, or that this one has
    no record of, so that no rule looks at them. `refusal` is why nothing goes unless the person
    says yes, if there is a reason. `kept_there` are those that the place itself does not let go
    (object lock, append-only), for the reason `refused_why`: another prune tries again.
    """

    app: str
    destination: str
    plan: Plan
    deleted: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    uncovered: tuple[str, ...] = ()
    freed: int = 0
    refusal: RefusedError | None = None
    kept_there: tuple[str, ...] = ()
    refused_why: str = ""


def prospect(order: PruneOrder, folder: Destination, ledger: Ledger | None) -> PruneReport:
    """Return what `prune` would do now, without doing it.

    Raises `UsageError` for a policy that keeps nothing, and what the folder and the ledger raise.
    """
    return _decided(order, folder, ledger)[0]


def prune(
    order: PruneOrder,
    folder: Destination,
    ledger: Ledger,
    progress: Progress,
    told: Callable[[str, str], None],
) -> PruneReport:
    """Remove what `order.policy` does not keep, oldest first; the caller holds the app's lock.

    `told` gets the name of each archive that went, and why. Where the place refuses `TRIED`
    removals the rest is not tried: the younger ones are locked for longer. Raises what `prospect`
    raises, and
    `RefusedError` where more would go at once than `max_prune`, or `held_back` says why nothing may
    (then nothing went). Whatever is raised, what went until then is gone, recorded and told.
    """
    report, going = _decided(order, folder, ledger)
    if report.refusal:
        raise report.refusal
    reason = why(order.policy)
    kept, said = list[Held](), ""
    for held in going:
        progress.stop.check()
        _require_newest(report.plan, folder, order)
        if len(kept) < TRIED:
            try:
                remove(held, folder, ledger, order.now, f"pruned: {reason}")
            except KeptThereError as error:
                kept.append(held)
                said = error.message
            else:
                told(str(held.name), reason)
        else:
            kept.append(held)
    return _less(report, kept, said) if kept else report


def _less(report: PruneReport, kept: list[Held], why: str) -> PruneReport:
    """Return `report` without the archives that the place kept."""
    names = tuple(str(held.name) for held in kept)
    return replace(
        report,
        deleted=tuple(name for name in report.deleted if name not in names),
        freed=report.freed - sum(held.entry.size for held in kept),
        kept_there=names,
        refused_why=why,
    )


def _decided(
    order: PruneOrder, folder: Destination, ledger: Ledger | None
) -> tuple[PruneReport, list[Held]]:
    require_sensible(order.policy)
    inventory = take_inventory(folder, ledger, order.now)
    found = inventory.of(order.app)
    covered = {str(held.name): held for held in found if covers(held, order.policy)}
    planned = plan(map(candidate, covered.values()), order.policy, order.now)
    if any(str(one.candidate.name) == order.made for one in planned.pruned):
        del covered[order.made]
        planned = plan(map(candidate, covered.values()), order.policy, order.now)
    going = [covered[str(one.candidate.name)] for one in reversed(planned.pruned)]
    rest = [held for held in found if str(held.name) not in covered]
    report = PruneReport(
        order.app,
        folder.key,
        planned,
        deleted=tuple(str(held.name) for held in going),
        unfinished=tuple(str(held.name) for held in rest if leaving(held)),
        uncovered=tuple(str(held.name) for held in rest if not leaving(held)),
        freed=sum(held.entry.size for held in going),
        refusal=_refusal(order, planned) if going and not order.allow_many else None,
    )
    return report, going


def shrinkage(
    order: PruneOrder, destination: str, ledger: Ledger, newest: ArchiveRecord | None = None
) -> str:
    """Return why `guard.shrink` holds back what `order` asks for; "" where nothing was lost.

    `newest` is the archive that was just made; None: the newest that the ledger has figures of.
    Raises `LedgerError`.
    """
    rows = [
        row
        for row in ledger.archives(order.app, destination=destination)
        if row.figures and not (row.bad or row.foreign or is_future(row.time, order.now))
    ]
    newest = newest or next(iter(rows), None)
    return held_back(newest, rows) if newest else ""


def require_sensible(policy: Policy) -> None:
    """Raise `UsageError` where `policy` has no rule that keeps anything by age or number."""
    if not policy.keeps_something:
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
    if leaving(held) or returned(held):
        return False
    record = held.record
    return policy.shared or bool(record and not record.foreign and not record.pending)


def _refusal(order: PruneOrder, planned: Plan) -> RefusedError | None:
    """Return why nothing may go, None for no reason.

    Half of the good ones is counted apart from half of all: with `shared`, anybody who can write to
    the folder can put any number of others there, to be kept.
    """
    if order.held_back:
        return HeldBackError(
            f"Nothing of {order.app} is pruned: {order.held_back}",
            hint="Look at the newest archive. If it is as it should be, prune by hand with --yes, "
            'or set guard.shrink = "note".',
        )
    for grades, what in ((("good",), "good archives"), (("good", "unproved"), "archives")):
        going = [one.candidate for one in planned.pruned if one.candidate.grade in grades]
        kept = sum(one.candidate.grade in grades for one in planned.kept)
        limit = order.policy.max_prune
        if limit is None:
            limit = max(FEW, (kept + len(going)) // 2)
        if len(going) > limit:
            return _too_many(order, [str(one.name) for one in going], what, limit)
    return None


def _too_many(order: PruneOrder, names: list[str], what: str, limit: int) -> RefusedError:
    return RefusedError(
        f"{len(names):,} {what} of {order.app} would be pruned at once, more than {limit:,}: "
        "nothing was.",
        hint=f"See agebackup prune {order.app} --dry-run; if that is right, prune with --yes.",
        details=shortened(names),
    )


def _require_newest(planned: Plan, folder: Destination, order: PruneOrder) -> None:
    """Raise `RefusedError` unless the archive for whose sake others go is still there."""
    for wanted in ("good", "unproved"):
        kept = (one.candidate for one in planned.kept if one.candidate.grade == wanted)
        newest = next((str(one.name) for one in kept), None)
        if newest is not None and not folder.has(newest):
            raise RefusedError(
                f"The newest archive {newest} vanished while {order.app} was pruned.",
                hint="Something else is at work in the folder: look there, then prune again.",
            )
