"""push to a second folder: what lies there is a whole copy or none, and the originals are safe."""

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from faultsweep.evidence import LEDGER
from faultsweep.scenarios import Historic, Scenario, Verdict

_CONFIG = """\
[apps.ledger]
attachments = ["{trial}/app/blobs"]
recipients = ["{recipient}"]
destination = ["{trial}/backups", "{trial}/copies"]
databases = {{"ledger.db" = "{trial}/app/ledger.db"}}
[apps.ledger.retention]
keep_last = {kept}
"""
KEPT = 2
_COPY = """
INSERT INTO archives SELECT {columns} FROM archives WHERE name = ?
"""


class Push(Historic):
    """push of the two newest archives, one in place of half a file; the oldest copy goes."""

    name = "push"

    def prepare(self, trial: Path) -> None:
        super().prepare(trial)
        config = trial / "home" / "config" / "agebackup" / "config.toml"
        config.parent.mkdir(parents=True)
        recipient = self.template.recipient
        config.write_text(_CONFIG.format(trial=trial, recipient=recipient, kept=KEPT))
        copies = trial / "copies"
        copies.mkdir()
        shutil.copy(self.original(self.template.history[0]), copies)
        (copies / self.template.history[-2]).write_bytes(self.half(self.template.history[-2]))
        self.note_copy(trial, self.template.history[0])

    def note_copy(self, trial: Path, name: str) -> None:
        """Let the ledger know the copy of `name`, as an earlier push would have."""
        with closing(sqlite3.connect(trial / LEDGER)) as connection:
            names = [row[1] for row in connection.execute("PRAGMA table_info(archives)")]
            columns = ", ".join("?" if one == "destination" else f"[{one}]" for one in names)
            connection.execute(_COPY.format(columns=columns), (str(trial / "copies"), name))
            connection.commit()

    def original(self, name: str) -> Path:
        """Return the archive as it is in every trial."""
        return self.template.history_directory / "backups" / name

    def half(self, name: str) -> bytes:
        """Return what somebody left under the name."""
        content = self.original(name).read_bytes()
        return content[: len(content) // 2]

    def arguments(self, trial: Path) -> Sequence[str]:
        runs = trial / "runs"
        runs.write_text(runs.read_text() + "." if runs.exists() else ".")
        return ("push", "ledger", "--yes")

    def judge(self, trial: Path, verdict: Verdict) -> list[str]:
        found, history = [], self.template.history
        for name in history:
            here = trial / "backups" / name
            if not here.exists() or here.read_bytes() != self.original(name).read_bytes():
                found.append(f"the original {name} is not as it was")
        there = {path.name: path.read_bytes() for path in (trial / "copies").glob("*.age")}
        for name, content in there.items():
            halves = (self.half(name),) if name == history[-2] and not verdict.succeeded else ()
            if content not in (self.original(name).read_bytes(), *halves):
                found.append(f"the copy {name} is not whole")
        wanted, first = set(history[-KEPT:]), (trial / "runs").read_text() == "."
        unpruned = {history[0]} if first else set()  # that pruning failed is a warning
        if verdict.succeeded and not wanted <= set(there) <= wanted | unpruned:
            found.append(f"it ended with 0, yet the copies are {sorted(there)}")
        if history[0] not in there and history[-1] not in there:
            found.append("the only copy went before a newer one was there")
        return found


PUSHES: tuple[type[Scenario], ...] = (Push,)
