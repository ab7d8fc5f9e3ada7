"""Which archives are kept and which may go: rules and values only, decided from names."""

from dataclasses import dataclass
from datetime import UTC, timedelta, tzinfo
from typing import Literal

from agebackup.model.names import ArchiveName

Grade = Literal["good", "unproved", "bad"]
"""good: proved before it was published, or verified since; unproved: nobody looked; bad: damaged,
incomplete in size, or known to be false. A bad one is never counted, kept for a rule, or pruned."""

UNBOUNDED = -1


@dataclass(frozen=True)
class Policy:
    """How many archives of an app are kept. A tier of 0 keeps none, `UNBOUNDED` (-1) all.

    Buckets are hours, days, ISO weeks, calendar months and years in `timezone`. `manual` counts
    those taken by hand, which use up no tier; None keeps them all. `shared`: archives of other
    machines in the same folder may be pruned too. `max_prune` is how many may go at once without a
    word; None: half of them, at least 3.
    """

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    within: timedelta | None = None
    tags: tuple[str, ...] = ()
    manual: int | None = None
    timezone: tzinfo = UTC
    shared: bool = False
    max_prune: int | None = None

    @property
    def keeps_something(self) -> bool:
        """Whether a rule keeps archives by number or age: without, all but the newest would go."""
        tiers = (self.last, self.hourly, self.daily, self.weekly, self.monthly, self.yearly)
        return any(tiers) or bool(self.within)


@dataclass(frozen=True)
class Candidate:
    """An archive as a policy sees it. `kept`: marked by the person, never pruned."""

    name: ArchiveName
    grade: Grade = "good"
    tag: str = ""
    kept: bool = False


@dataclass(frozen=True)
class Decision:
    """What becomes of one archive, and why: one reason for each rule that keeps it."""

    candidate: Candidate
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What a policy does to a set of archives, newest first in each part.

    `aside` are those that no rule looks at: bad or from the future. They stay.
    """

    kept: tuple[Decision, ...] = ()
    pruned: tuple[Decision, ...] = ()
    aside: tuple[Decision, ...] = ()
