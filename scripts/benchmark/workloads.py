"""The data that is backed up: realistic databases and plain files, made fast."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

MB = 1_000_000
_FILES_PER_DIRECTORY = 1000
_POOL = 4 * MB
_DISK_PER_CONTENT = 1.38
"""Rows of one to four KiB leave part of most pages empty."""


@dataclass(frozen=True)
class Goals:
    """The largest ratios to the yardstick that are good enough."""

    create: float
    create_with_proof: float
    verify: float = 0.9
    restore: float = 0.9


@dataclass(frozen=True)
class Workload:
    """So many databases of so many bytes together, so many files of so many bytes each."""

    name: str
    databases: int
    database_bytes: int
    files: int
    file_bytes: int
    goals: Goals

    @property
    def bytes(self) -> int:
        """All of it."""
        return self.database_bytes + self.files * self.file_bytes

    @property
    def disk_bytes(self) -> int:
        """What measuring it takes on the disk: the data, its copies, archives, a restored tree."""
        return 4 * (self.database_bytes + self.files * max(self.file_bytes, 4096))

    def shrunk(self, factor: int) -> "Workload":
        """The same shape, `factor` times less of it."""
        files = self.files // factor
        return Workload(
            self.name,
            self.databases,
            self.database_bytes // factor,
            files,
            self.file_bytes,
            self.goals,
        )


WORKLOADS = (
    Workload("mixed", 2, 1000 * MB, 2000, MB, Goals(0.75, 1.5)),
    Workload("database", 1, 1000 * MB, 0, 0, Goals(0.75, 1.5)),
    Workload("files", 0, 0, 2000, MB, Goals(0.5, 1.2)),
    Workload("small-files", 0, 0, 100_000, 4096, Goals(1.3, 2)),
)


@dataclass(frozen=True)
class Data:
    """A workload on the disk; `files` is None where it has none."""

    directory: Path
    databases: tuple[Path, ...]
    files: Path | None


def build(workload: Workload, directory: Path) -> Data:
    """Make the data of `workload` in the new directory `directory`."""
    directory.mkdir()
    noise = random.Random(7)
    databases = tuple(directory / f"data{n}.db" for n in range(workload.databases))
    for path in databases:
        _database(path, workload.database_bytes // workload.databases, noise)
    files = directory / "files" if workload.files else None
    if files:
        _files(files, workload.files, workload.file_bytes, noise)
    return Data(directory, databases, files)


def _files(directory: Path, count: int, size: int, noise: random.Random) -> None:
    pool = noise.randbytes(_POOL)
    for number in range(count):
        parent = directory / f"{number // _FILES_PER_DIRECTORY:04}"
        if number % _FILES_PER_DIRECTORY == 0:
            parent.mkdir(parents=True)
        start = noise.randrange(_POOL - size)
        (parent / f"{number:07}").write_bytes(
            number.to_bytes(8, "big") + pool[start : start + size - 8]
        )


def _database(path: Path, size: int, noise: random.Random) -> None:
    """Messages of 1 to 4 KiB, partly text and partly bytes, with an index, in WAL mode."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("synchronous = OFF", "journal_mode = OFF", "cache_size = -65536"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(
            "CREATE TABLE messages (id INTEGER PRIMARY KEY, account TEXT NOT NULL, "
            "at INTEGER NOT NULL, body TEXT NOT NULL, attachment BLOB)"
        )
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO messages VALUES (NULL, ?, ?, ?, ?)", _rows(size, noise))
        connection.execute("CREATE INDEX by_account ON messages (account, at)")
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")


def _rows(size: int, noise: random.Random) -> Iterator[tuple[str, int, str, bytes]]:
    words = [f"{noise.getrandbits(4 * n):0{n}x}" for n in range(2, 10) for _ in range(200)]
    text = " ".join(noise.choices(words, k=_POOL // 6))
    pool = noise.randbytes(_POOL)
    written = 0
    while written * _DISK_PER_CONTENT < size:
        length, extra = noise.randrange(900, 2900), noise.randrange(100, 1100)
        start = noise.randrange(len(text) - length)
        body, attachment = text[start : start + length], pool[start : start + extra]
        yield f"account-{noise.randrange(5000)}", 1_700_000_000 + written, body, attachment
        written += length + extra + 60
