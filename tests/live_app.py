"""The sample application as one that is restored in place: declared, archived, changed since."""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from conftest import Keys, Outcome, World
from sample_app import SampleApp

BASE = """\
[apps.notes]
root = "{root}"
attachments = ["blobs"]
config = ["app.toml"]
tokens = ["token"]
recipients = ["{recipient}"]
destination = "{destination}"
{keys}
[apps.notes.databases]
ledger = "ledger.db"
events = "events.db"
{restore}
"""


@dataclass
class LiveApp:
    """The application `notes`, its archives in `destination`."""

    world: World
    app: SampleApp
    keys: Keys
    destination: Path

    def declare(self, restore: str = "", keys: str = "") -> None:
        """Write the configuration; `restore` is TOML below [apps.notes.restore]."""
        self.world.config.parent.mkdir(parents=True, exist_ok=True)
        self.world.config.write_text(
            BASE.format(
                root=self.app.root,
                recipient=self.keys.recipient,
                destination=self.destination,
                keys=keys,
                restore=f"[apps.notes.restore]\n{restore}" if restore else "",
            )
        )

    def create(self, *flags: str) -> Path:
        """Make an archive and return its path."""
        self.destination.mkdir(exist_ok=True)
        done = self.world.run("create", "notes", *flags)
        assert done.code == 0, done.err
        return Path(done.out.strip())

    def restore(self, *flags: object, yes: bool = True) -> Outcome:
        """Restore in place."""
        words = ("--yes",) if yes else ()
        key = ("-i", self.keys.identity)
        return self.world.run("restore", "notes", "--in-place", *key, *words, *flags)

    def change(self) -> None:
        """Let the application go on: fewer entries, other attachments, another config."""
        with closing(sqlite3.connect(self.app.ledger)) as connection:
            connection.execute("DELETE FROM entries WHERE id > 10")
            connection.commit()
        for blob in self.app.blobs.iterdir():
            blob.unlink()
        (self.app.blobs / "later").write_bytes(b"made since")
        self.app.config.write_text("changed = true\n")
        self.app.token.write_text("changed\n")

    @property
    def entries(self) -> int:
        """How many entries the application has now."""
        return int(value(self.app.ledger, "SELECT count(*) FROM entries"))

    def state(self) -> dict[str, bytes]:
        """Return the content of every file of the application, kept states left out."""
        return {
            str(path.relative_to(self.app.root)): path.read_bytes()
            for path in sorted(self.app.root.rglob("*"))
            if path.is_file() and not {".pre_restore_", ".undone_"} & set(marks(path))
        }

    def kept(self) -> list[Path]:
        """Return what restores put aside."""
        return sorted(self.app.root.glob("*.pre_restore_*"))


def marks(path: Path) -> Iterator[str]:
    """Yield which marks of a kept state are in `path`."""
    yield from (mark for mark in (".pre_restore_", ".undone_") if mark in str(path))


def value(database: Path, query: str) -> object:
    """Return the one value that `query` selects from a database at rest, leaving nothing there."""
    uri = f"{database.absolute().as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        return connection.execute(query).fetchone()[0]


def execute(database: Path, *statements: str) -> None:
    """Run `statements` on a database and close it."""
    with closing(sqlite3.connect(database)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def script(directory: Path, name: str, body: str) -> Path:
    """Write a program that /bin/sh runs, and return its path."""
    path = directory / name
    path.write_text(f"#!/bin/sh\nset -e\n{body}\n")
    path.chmod(0o755)
    return path


def toml(*words: object) -> str:
    """Return a list of texts as TOML."""
    return json.dumps([os.fspath(word) if isinstance(word, Path) else str(word) for word in words])
