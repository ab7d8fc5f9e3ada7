"""A small application to back up: two databases written together, attachments, config, token.

Used by the tests, by the demo, the bench and the fault sweep. As a program (`sample_app.py ROOT`)
it is the running application: it writes pairs of rows, one per database, until its input ends.
"""

import hashlib
import json
import os
import random
import select
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

_PAUSE = 0.001
"""Seconds between two commits: a busy application, which still lets others have a turn."""

PLAINTEXT_MARK = "sample-plaintext-5f1d"
"""Stands in every row, attachment, config and token, so that a leaked copy can be found by it."""

_LEDGER = """
CREATE TABLE entries (
    id INTEGER PRIMARY KEY, account TEXT NOT NULL, cents INTEGER NOT NULL, note TEXT NOT NULL);
CREATE INDEX entries_by_account ON entries (account);
CREATE TABLE attachments (path TEXT PRIMARY KEY, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL);
PRAGMA user_version = 3;
"""
_EVENTS = """
CREATE TABLE events (entry INTEGER PRIMARY KEY, kind TEXT NOT NULL, body TEXT NOT NULL);
PRAGMA user_version = 1;
"""


def environment(home: Path) -> dict[str, str]:
    """The environment of a person who has just logged in, with every standard folder in `home`."""
    env = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_DATA_HOME": str(home / "data"),
    }
    if "TMPDIR" in os.environ:
        env["TMPDIR"] = os.environ["TMPDIR"]
    return env


def command() -> tuple[str, ...]:
    """The words that start the real command: the installed script, else the module."""
    script = Path(sys.executable).with_name("agebackup")
    return (str(script),) if script.exists() else (sys.executable, "-m", "agebackup")


@dataclass(frozen=True)
class SampleApp:
    """Where the sample's state lies."""

    root: Path
    ledger: Path
    events: Path
    blobs: Path
    config: Path
    token: Path

    @classmethod
    def at(cls, root: Path) -> "SampleApp":
        return cls(
            root,
            ledger=root / "ledger.db",
            events=root / "events.db",
            blobs=root / "blobs",
            config=root / "app.toml",
            token=root / "token",
        )

    @property
    def create_arguments(self) -> tuple[str, ...]:
        """The flags of `agebackup create` that take this whole state."""
        return (
            *("--db", str(self.ledger), "--db", str(self.events)),
            *("--attachments", str(self.blobs), "--attachments-named-by", "sha256"),
            *("--app-config", str(self.config), "--app-tokens", str(self.token)),
        )


def build(
    root: Path, *, entries: int = 50, attachments: int = 8, attachment_bytes: int = 3000
) -> SampleApp:
    """Make the sample's state under the new directory `root`; the same one for the same numbers.

    `attachment_bytes` is the largest size; the others are spread evenly below it.
    """
    app = SampleApp.at(root)
    root.mkdir(parents=True)
    _attach(app, count=attachments, largest=attachment_bytes)
    for path, schema in ((app.ledger, _LEDGER), (app.events, _EVENTS)):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(schema)
    with closing(connect(app)) as connection:
        for _ in range(entries):
            write_pair(connection)
        connection.executemany(
            "INSERT INTO attachments VALUES (?, ?, ?)",
            [(p.name, p.name, p.stat().st_size) for p in sorted(app.blobs.iterdir())],
        )
        connection.commit()
    app.config.write_text(f'[app]\nname = "sample"\nmotto = "{PLAINTEXT_MARK}"\n')
    app.token.write_text(f"token-{PLAINTEXT_MARK}\n")
    app.token.chmod(0o600)
    return app


def _attach(app: SampleApp, *, count: int, largest: int) -> None:
    app.blobs.mkdir()
    noise = random.Random(count * largest)
    for index in range(count):
        size = largest * (index + 1) // count
        content = f"{PLAINTEXT_MARK} {index}\n".encode() + noise.randbytes(size)
        (app.blobs / hashlib.sha256(content).hexdigest()).write_bytes(content)


def connect(app: SampleApp) -> sqlite3.Connection:
    """Open both databases on one connection, as the application does."""
    connection = sqlite3.connect(app.ledger, timeout=5)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("ATTACH ? AS other", (str(app.events),))
    return connection


def write_pair(connection: sqlite3.Connection) -> int:
    """Write the next entry and its event in one transaction over both databases; return its id."""
    connection.execute("BEGIN IMMEDIATE")
    number: int = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM entries").fetchone()[0]
    connection.execute(
        "INSERT INTO entries VALUES (?, ?, ?, ?)",
        (number, f"account-{number % 7}", number * 101, f"{PLAINTEXT_MARK} entry {number}"),
    )
    connection.execute(
        "INSERT INTO other.events VALUES (?, 'entry', ?)",
        (number, f"{PLAINTEXT_MARK} event {number} " + "x" * (number % 200)),
    )
    connection.commit()
    return number


def last_pair(ledger: Path, events: Path) -> tuple[int, int]:
    """Return the last entry's and the last event's number in two copies at rest; equal if whole."""
    entry = _figure(ledger, "SELECT coalesce(max(id), 0) FROM entries")
    event = _figure(events, "SELECT coalesce(max(entry), 0) FROM events")
    return entry, event


def _figure(database: Path, query: str) -> int:
    uri = f"{database.absolute().as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        return int(connection.execute(query).fetchone()[0])


@dataclass
class RunningWriter:
    """The application at work, in a process of its own.

    After `stop`: `pairs` is how many it wrote, `errors` what its commits ran into (an application
    must never notice a backup), `slowest` the longest commit in seconds.
    """

    process: subprocess.Popen[str]
    pairs: int = 0
    errors: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def stop(self) -> None:
        """End the application after its current commit and take over what it has to say."""
        if self.process.stdin is None or self.process.stdin.closed:
            return
        said, _ = self.process.communicate()
        result = json.loads(said.splitlines()[-1])
        self.pairs, self.errors, self.slowest = (
            int(result["pairs"]),
            list(result["errors"]),
            float(result["slowest"]),
        )


@contextmanager
def running_writer(app: SampleApp) -> Iterator[RunningWriter]:
    """Run the application on `app`; it has committed its first pair when the body begins."""
    process = subprocess.Popen(
        [sys.executable, __file__, str(app.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    writer = RunningWriter(process)
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise RuntimeError("the sample application did not start")
        yield writer
    finally:
        writer.stop()


def _run(app: SampleApp, *, until: IO[str], say: IO[str]) -> None:
    errors: list[str] = []
    pairs, slowest = 0, 0.0
    with closing(connect(app)) as connection:
        while True:
            begun = time.monotonic()
            try:
                write_pair(connection)
                pairs += 1
            except sqlite3.OperationalError as error:
                errors.append(str(error))
                connection.rollback()
            slowest = max(slowest, time.monotonic() - begun)
            if pairs + len(errors) == 1:
                print("running", file=say, flush=True)
            if select.select([until], [], [], _PAUSE)[0]:
                break
    print(json.dumps({"pairs": pairs, "errors": errors, "slowest": slowest}), file=say)


if __name__ == "__main__":
    _run(SampleApp.at(Path(sys.argv[1])), until=sys.stdin, say=sys.stdout)
