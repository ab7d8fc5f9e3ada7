"""list: what lies in a destination, in what state, and which rule keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from agebackup.model.inventory import Held, Inventory, Other, candidate, grade, leaving, returned
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord
from agebackup.model.retaining import plan
from agebackup.model.retention import Policy
from agebackup.operations.prune import covers

NO_POLICY = ("no policy",)
NOT_OURS = ("not this machine's: no rule looks at it",)
LEAVING = ("its deletion was cut short: the next run ends it",)
BACK = ("was deleted and lies here again: no rule looks at it",)


@dataclass(frozen=True)
class Listed:
    """An archive with what is known of it. `state` is one word, `reasons` why it stays.

    `stays` is false where the next prune would remove it.
    """

    held: Held
    state: str
    reasons: tuple[str, ...]
    stays: bool = True


@dataclass(frozen=True)
class Listing:
    """One destination: its archives newest first, what else lies there, what is missing."""

    destination: str
    archives: tuple[Listed, ...]
    others: tuple[Other, ...]
    missing: tuple[ArchiveRecord, ...]


def listing(
    inventory: Inventory, app: str | None, policies: Mapping[str, Policy], now: datetime
) -> Listing:
    """Return what `inventory` holds of `app` (None: of every app), judged by the `policies`."""
    wanted = tuple(held for held in inventory.archives if app in (None, held.name.app))
    reasons: dict[str, tuple[tuple[str, ...], bool]] = {}
    for name, policy in policies.items():
        covered = [held for held in inventory.of(name) if covers(held, policy)]
        planned = plan(map(candidate, covered), policy, now)
        for part, stays in ((planned.kept, True), (planned.aside, True), (planned.pruned, False)):
            reasons |= {str(one.candidate.name): (one.reasons, stays) for one in part}
    archives = []
    for held in wanted:
        default = _uncovered(held, policies)
        said, stays = reasons.get(str(held.name), default)
        archives.append(Listed(held, state(held), said, stays))
    return Listing(
        inventory.destination,
        tuple(archives),
        tuple(one for one in inventory.others if _concerns(one, app)),
        tuple(one for one in inventory.missing if app in (None, one.app)),
    )


def _uncovered(held: Held, policies: Mapping[str, Policy]) -> tuple[tuple[str, ...], bool]:
    """Return why no policy was asked about `held`, and whether it stays."""
    if leaving(held):
        return LEAVING, False
    if returned(held):
        return BACK, True
    return (NOT_OURS if held.name.app in policies else NO_POLICY), True


def state(held: Held) -> str:
    """Return in a word how far the archive can be relied upon."""
    record = held.record
    if grade(held) == "bad":
        return "damaged"
    if record is None:
        return "unknown"
    if not record.complete:
        return "incomplete"
    if record.check in ("verify", "restore"):
        return "verified"
    return "proved" if record.proved else "unproved"


def _concerns(other: Other, app: str | None) -> bool:
    """Return whether `other` may have to do with `app`: another app's archives do not."""
    name = ArchiveName.parse(other.resembles)
    return app is None or name is None or name.app == app
