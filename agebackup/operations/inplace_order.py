"""What a restore into the live application is asked to do, and what it works with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agebackup.model.landing import Landing
from agebackup.model.layout import DATA
from agebackup.model.profile import Profile
from agebackup.model.source import Source
from agebackup.operations.reading import Reading
from agebackup.operations.stage import Wanted
from agebackup.operations.swap_records import SwapRecords
from agebackup.system.claims import Claims


@dataclass(frozen=True)
class InPlaceOrder:
    """`source` is all that `profile` declares as it is there now, config and tokens included.

    `time` is the moment, in UTC, after which the kept states are named. With `from_log` databases
    with the role "state" are rebuilt. With `rollback` a failing check brings the state before back.
    With `leave_others` what the archive lacks may stay beside what it brings. `ignored` are gates.
    `environment` is the person's.
    """

    wanted: Wanted
    profile: Profile
    source: Source
    time: datetime
    environment: Mapping[str, str]
    from_log: bool = False
    rollback: bool = False
    leave_others: bool = False
    ignored: frozenset[str] = frozenset()

    @property
    def base(self) -> Path:
        """Where the app's commands run."""
        return self.profile.base

    def asks_for(self, path: str, *, tree: bool) -> bool:
        """Return whether the part at `path`, beginning with `data/`, is asked for as a whole."""
        return self.wanted.selection.wants(path.removeprefix(DATA) + ("/" if tree else ""))

    def is_state(self, database: str) -> bool:
        """Return whether the database of that name is to be rebuilt, not restored."""
        entry = self.profile.entry(database)
        rules = self.profile.restore.databases.get(entry.name) if entry and self.from_log else None
        return rules is not None and rules.role == "state"


@dataclass(frozen=True)
class Means:
    """What a restore works with. `safety` makes the safety archive of what a landing replaces and
    returns its path; None: none is wanted."""

    claims: Claims
    records: SwapRecords
    reading: Reading
    safety: Callable[[Landing], str] | None = None
