"""A live application in a process of its own, for tests: it writes databases together, for ever.

As a program: `writers.py MODE ORDER TIMEOUT DATABASE…`. MODE is SQLite's journal mode; ORDER is
"forward", "backward" or "changing", in which it locks the databases; TIMEOUT its own patience in
seconds. Every transaction writes the same number into all databases. It says "ready" after the
first one, ends when its standard input does, and then prints what happened to it as JSON.
"""

import json
import select
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROWS_KEPT = 2000
_SCHEMA = "CREATE TABLE IF NOT EXISTS pairs (number INTEGER PRIMARY KEY, filling TEXT)"


@dataclass
class Outcome:
    """What the application went through; `longest_wait` is in seconds."""

    commits: int = 0
    errors: list[str] = field(default_factory=list)
    longest_wait: float = 0.0


@dataclass(frozen=True)
class Application:
    """The databases that one application writes together."""

    databases: tuple[Path, ...]
    mode: str = "wal"
    order: str = "forward"
    timeout: float = 5.0


class RunningWriter:
    """The application at work; `outcome` is filled when `running` has ended."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.outcome = Outcome()


@contextmanager
def running(application: Application) -> Iterator[RunningWriter]:
    """Run the application; it has committed at least once when the body begins."""
    words = [application.mode, application.order, str(application.timeout)]
    with subprocess.Popen(
        [sys.executable, __file__, *words, *map(str, application.databases)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin and process.stdout
        try:
            assert process.stdout.readline() == "ready\n"
            writer = RunningWriter(process)
            yield writer
            process.stdin.close()
            writer.outcome = Outcome(**json.loads(process.stdout.read()))
        finally:
            process.kill()


def last_pair(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the last number in one of the databases and how many numbers it holds."""
    row = connection.execute("SELECT max(number), count(*) FROM pairs").fetchone()
    return (row[0], row[1])


def _connections(databases: Sequence[str], mode: str, timeout: float) -> list[sqlite3.Connection]:
    connections = []
    for database in databases:
        connection = sqlite3.connect(database, timeout=timeout, isolation_level=None)
        connection.execute(f"PRAGMA journal_mode={mode}")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(_SCHEMA)
        connections.append(connection)
    return connections


def _write_pair(connections: Sequence[sqlite3.Connection], number: int) -> None:
    try:
        for connection in connections:
            connection.execute("BEGIN IMMEDIATE")
        for connection in connections:
            connection.execute("INSERT INTO pairs VALUES (?, ?)", (number, "x" * 100))
            connection.execute("DELETE FROM pairs WHERE number < ?", (number - ROWS_KEPT,))
        for connection in connections:
            connection.execute("COMMIT")
    finally:
        for connection in connections:
            if connection.in_transaction:
                connection.rollback()


def _ordered(
    connections: list[sqlite3.Connection], order: str, number: int
) -> list[sqlite3.Connection]:
    backward = order == "backward" or (order == "changing" and number % 2)
    return connections[::-1] if backward else connections


def main(mode: str, order: str, timeout: str, *databases: str) -> None:
    """Write until standard input ends."""
    connections = _connections(databases, mode, float(timeout))
    number = connections[0].execute("SELECT ifnull(max(number), 0) FROM pairs").fetchone()[0]
    outcome = Outcome()
    while not select.select([sys.stdin], [], [], 0)[0]:
        number += 1
        begun = time.perf_counter()
        try:
            _write_pair(_ordered(connections, order, number), number)
        except sqlite3.Error as error:
            outcome.errors.append(str(error))
            continue
        outcome.longest_wait = max(outcome.longest_wait, time.perf_counter() - begun)
        outcome.commits += 1
        if outcome.commits == 1:
            print("ready", flush=True)
    for connection in connections:
        connection.close()
    print(json.dumps(vars(outcome)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
