"""A folder of archives made quickly: names and contents that need no key, and the ledger's rows."""

import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from conftest import Keys, Outcome, World
from sample_app import command

from agebackup.ledger import open_ledger
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
"""No archive is from the future that is dated by whole days before this one."""


def named(
    days: float, number: int, app: str = "notes", *, manual: bool = False, now: datetime = TODAY
) -> ArchiveName:
    """Return the name of an archive so many `days` before `now`."""
    return ArchiveName(app, now - timedelta(days=days), f"{number:08x}", manual)


POWERLESS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--")
"""The beginning of a command for which permissions count, whoever runs it."""


def under(world: World, program: Sequence[str], *words: object) -> Outcome:
    """Run `agebackup WORDS…` below another program."""
    done = subprocess.run(
        [*program, *command(), *map(str, words)],
        cwd=world.directory,
        env=dict(world.env),
        capture_output=True,
        text=True,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Shelf:
    """The folder `path` and the ledger of the machine `world`."""

    world: World
    path: Path

    def put(
        self, name: ArchiveName, content: bytes = b"ciphertext", *, known: bool = True, **more: Any
    ) -> Path:
        """Lay an archive there; where `known` is true with a row, good unless `more` differs."""
        file = self.path / str(name)
        file.write_bytes(content)
        if known:
            self.record(name, content, **more)
        return file

    def record(self, name: ArchiveName, content: bytes = b"ciphertext", **more: Any) -> None:
        """Let the ledger know of an archive that was proved before it was published."""
        fields = {
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "proved": True,
        }
        row = replace(ArchiveRecord.of(name, str(self.path.resolve())), **(fields | more))
        with open_ledger(self.world.state / "ledger.db") as ledger:
            ledger.put(row)

    def row(self, name: ArchiveName) -> ArchiveRecord:
        """Return what the ledger knows of the archive."""
        with open_ledger(self.world.state / "ledger.db") as ledger:
            rows = ledger.archives(deleted=True, pending=True)
        return next(row for row in rows if row.name == str(name))

    def names(self) -> set[str]:
        """Return the names that lie there."""
        return {path.name for path in self.path.iterdir()}


def shelf(world: World, name: str = "out") -> Shelf:
    """Return an empty one in the person's directory."""
    path = world.directory / name
    path.mkdir(mode=0o700)
    world.state.mkdir(parents=True, mode=0o700, exist_ok=True)
    return Shelf(world, path)


def declare(shelf: Shelf, keys: Keys, more: str = "", app: str = "notes") -> None:
    """Declare `app` with this folder as its destination; `more` are further lines."""
    config = shelf.world.config
    config.parent.mkdir(parents=True, exist_ok=True)
    before = config.read_text() if config.exists() else ""
    config.write_text(
        f"{before}[apps.{app}]\n"
        f'databases = {{main = "{shelf.world.directory}/app.db"}}\n'
        f'destination = "{shelf.path}"\n'
        f'recipients = ["{keys.recipient}"]\n{more}\n'
    )
