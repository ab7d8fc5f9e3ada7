"""What really lies in the folder, remembered from outside agebackup, and the laws about it."""

import hashlib
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from faultsweep.evidence import Content, recovered

from agebackup.model.names import ArchiveName
from agebackup.model.retaining import plan
from agebackup.model.retention import Candidate, Policy
from nights.machine import Machine

POLICY = Policy(last=3, daily=7, weekly=4, monthly=12, yearly=-1, manual=4)
CAPS = 3 + 7 + 4 + 12 + 2 + 4
"""The most that the policy keeps of a year's and a bit's archives."""


@dataclass
class Truth:
    """Every archive that was ever seen in the folder, with its hash when it appeared."""

    machine: Machine
    hashes: dict[str, str] = field(default_factory=dict)
    there: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)

    def after(self, clock: datetime) -> list[str]:
        """Look at the folder after a night whose clock said `clock`; return the broken laws."""
        now = {path.name for path in self._archives()}
        found = [f"{name} came back" for name in sorted(now & self.gone)]
        state = self.machine.state()
        for name in sorted(now - self.there - self.gone):
            found += self._appeared(name, state)
        vanished = self.there - now
        found += self._vanished(vanished, now, clock)
        self.gone |= vanished
        self.there = now
        return found

    def changed(self) -> list[str]:
        """Return which archives are not byte for byte what they were when they appeared."""
        return [
            f"{path.name} changed after it was published"
            for path in self._archives()
            if _sha256(path) != self.hashes[path.name]
        ]

    def too_many(self, clock: datetime) -> list[str]:
        """Return that more archives lie there than the policy keeps, the future ones aside."""
        past = [name for name in self.there if _parsed(name).time <= clock]
        if len(past) <= CAPS:
            return []
        return [f"{len(past)} archives are there, and the policy keeps at most {CAPS}"]

    def _archives(self) -> Iterable[Path]:
        paths = sorted(self.machine.backups.iterdir())
        return (path for path in paths if ArchiveName.parse(path.name))

    def _appeared(self, name: str, state: Content) -> list[str]:
        path = self.machine.backups / name
        self.hashes[name] = _sha256(path)
        return recovered(path, self.machine.identity, state)

    def _vanished(self, names: set[str], now: set[str], clock: datetime) -> list[str]:
        if not names:
            return []
        before = [Candidate(_parsed(name)) for name in self.there | now]
        kept = {str(one.candidate.name) for one in plan(before, POLICY, clock).kept}
        found = [f"{name} was pruned, and the plan keeps it" for name in sorted(names & kept)]
        reasons = self._reasons()
        found += [
            f"{name} is gone, and the ledger does not say why"
            for name in sorted(names)
            if not reasons.get(name)
        ]
        return found

    def _reasons(self) -> dict[str, str]:
        ledger = self.machine.directory / "disk" / "state" / "agebackup" / "ledger.db"
        with closing(sqlite3.connect(ledger)) as connection:
            rows = connection.execute(
                "SELECT name, deleted_why FROM archives WHERE deleted IS NOT NULL"
            )
            return dict(rows.fetchall())


def _parsed(name: str) -> ArchiveName:
    parsed = ArchiveName.parse(name)
    assert parsed is not None
    return parsed


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
