"""rekey: every archive is whole, and opened by the old key or by the new one, at every moment."""

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from faultsweep.evidence import LEDGER, recovered
from faultsweep.scenarios import Historic, Scenario, Verdict


class Rekey(Historic):
    """rekey of the two oldest of five archives."""

    name = "rekey"

    def arguments(self, trial: Path) -> Sequence[str]:
        return (
            *("rekey", *(str(trial / "backups" / name) for name in self.template.history[:2])),
            *("-i", str(self.template.identity), "-r", self.template.new_recipient, "--yes"),
        )

    def judge(self, trial: Path, verdict: Verdict) -> list[str]:
        found = []
        for number, name in enumerate(self.template.history):
            old, now = self.old(name), trial / "backups" / name
            if not now.exists():
                found.append(f"{name} is gone")
            elif now.read_bytes() == old.read_bytes():
                if verdict.succeeded and number < 2:
                    found.append(f"it ended with 0, yet {name} has its old key")
            elif number >= 2:
                found.append(f"{name} was not asked for and is not as it was")
            else:
                found += recovered(now, self.template.new_identity, self.template.state)
                found += self.unknown(trial, now, old)
        return found

    def old(self, name: str) -> Path:
        return self.template.history_directory / "backups" / name

    def unknown(self, trial: Path, now: Path, old: Path) -> list[str]:
        """Return what the ledger does not know of a file that has its new key."""
        with closing(sqlite3.connect(trial / LEDGER)) as connection:
            query = "SELECT sha256, former FROM archives WHERE name = ?"
            (sha256, former) = connection.execute(query, (now.name,)).fetchone()
        found = []
        if sha256 != _sha256(now):
            found.append(f"the ledger does not know the new hash of {now.name}")
        if json.loads(former)[-1:] != [_sha256(old)]:
            found.append(f"the ledger does not know the old hash of {now.name}")
        return found


class RekeyKeeping(Rekey):
    """rekey that moves the old files into another directory."""

    name = "rekey-keeping"

    def prepare(self, trial: Path) -> None:
        super().prepare(trial)
        (trial / "kept").mkdir()

    def arguments(self, trial: Path) -> Sequence[str]:
        return (*super().arguments(trial), "--keep-old", str(trial / "kept"))

    def judge(self, trial: Path, verdict: Verdict) -> list[str]:
        found = super().judge(trial, verdict)
        kept = {path.name: path.read_bytes() for path in (trial / "kept").glob("*.age")}
        for name in self.template.history[:2]:
            old = self.old(name).read_bytes()
            if kept.get(name, old) != old:
                found.append(f"the kept {name} is not the old one")
            if name not in kept and (trial / "backups" / name).read_bytes() != old:
                found.append(f"the old {name} was not kept")
        return found


REKEYS: tuple[type[Scenario], ...] = (Rekey, RekeyKeeping)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
