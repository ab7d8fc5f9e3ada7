"""What a worker process finds out about one restored database, with bounds on all it may take.

SQLite can be interrupted only between the steps of its programs, and a hostile database knows
steps that take hours or gigabytes. A process can be ended at any moment, and its memory bounded.
"""

import math
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from agebackup.errors import SHOWN, FailedError, shortened
from agebackup.model.limits import GIB
from agebackup.model.manifest import DatabaseRecord
from agebackup.operations.references import (
    Placing,
    brief,
    differing,
    missing,
    outside,
    path_and_digest,
)
from agebackup.snapshot.bag import BagContents
from agebackup.snapshot.inspection import DatabaseFacts, examine, open_untrusted
from agebackup.snapshot.soundness import UNREADABLE, said
from agebackup.system.clock import Stopwatch
from agebackup.system.confinement import confined
from agebackup.system.progress import Stop

Result = dict[str, object]

MEMORY = GIB
"""Address space, in bytes, that a worker may take beyond what it was forked with. SQLite may have
512 MiB of it; examining a sound database of 230 MiB took 140 MiB, half of it for a thread."""
INDEXED = 200
"""Bytes that finding a file's hash by its place takes for each payload file."""
MAX_QUERIES = 1_000
"""So many counts, and so many reference queries, a manifest may declare for one database."""
MAX_TABLES = 100_000
_NAMES = 100 * MAX_TABLES
TOO_LONG = "SIGALRM"
"""What the error of a worker says that took too long: the signal that ended it."""
_LONGEST_SECONDS = 100_000_000


def bounded(
    work: Callable[[Path], Result], path: Path, seconds: float, *, extra: int = 0
) -> Result:
    """Do as `timed`, in a process that from now on can open no other file than `path`.

    `work` is given that. It gets `MEMORY` and `extra` bytes of memory (`confine`).
    """

    def alone() -> Result:
        with path.open("rb") as file:
            return confined(partial(work, path), memory=MEMORY + extra, readable=file.fileno())

    return timed(alone, seconds)


def timed(work: Callable[[], Result], seconds: float) -> Result:
    """Do `work` in this worker process, which dies of SIGALRM if that takes longer than `seconds`.

    Adds "seconds", the time that it took.
    """
    watch = Stopwatch()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, min(max(seconds, 0.001), _LONGEST_SECONDS))
    try:
        return work() | {"seconds": watch.seconds}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)  # the parent may take its time to read the result


def facts_of(path: Path) -> Result:
    """Return the `DatabaseFacts` of the private file `path` as a dictionary of bounded size."""
    with closing(open_untrusted(path)) as connection:
        facts = examine(connection, deadline_seconds=math.inf, stop=Stop())
    if len(facts.rows) > MAX_TABLES or sum(map(len, facts.rows)) > _NAMES:
        facts = DatabaseFacts(problems=(f"it has {len(facts.rows):,} tables, or endless names",))
    return asdict(facts)


def facts_from(result: Result) -> DatabaseFacts:
    """Return the facts that `facts_of` found."""
    known = {name: result[name] for name in DatabaseFacts.__dataclass_fields__}
    problems = result["problems"]
    assert isinstance(problems, list | tuple)
    return DatabaseFacts(**known | {"problems": tuple(problems)})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Answers:
    """What the queries of one database gave.

    `lines` say what differs from the manifest, `broken` are the first of the `count` references
    that are broken without the manifest saying so. `seconds` is the time that it took.
    """

    lines: list[str]
    broken: list[str]
    count: int
    seconds: float = 0


@dataclass
class Answering:
    """Puts the queries of `record` to its database, and compares what they give.

    Rows are looked at one by one; what is kept is bounded but for a number for each broken
    reference. `known` are the lines of what is missing with the maker's knowledge.
    """

    record: DatabaseRecord
    contents: BagContents
    placing: Placing
    known: frozenset[str]
    _lines: list[str] = field(default_factory=list)
    _broken: list[str] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)

    def ask(self, path: Path) -> Result:
        """Return `Answers` of the private file `path` as a dictionary; may raise `FailedError`."""
        with closing(open_untrusted(path)) as connection:
            for count in self.record.counts:
                found = list(islice(_rows(connection.execute, count.sql), 2))
                if found != [(count.value,)]:
                    self._lines.append(f"the count {brief(count.name)} differs")
            for query in self.record.references:
                rows = self._compared(_rows(connection.execute, query.sql))
                if rows != query.rows:
                    self._lines.append(
                        f"its reference query gives {rows} rows, the manifest says {query.rows}"
                    )
        return asdict(Answers(shortened(self._lines), self._broken, len(self._seen)))

    def _compared(self, rows: Iterator[tuple[object, ...]]) -> int:
        origin = brief(self.record.name)
        count = 0
        for row in rows:
            count += 1
            line = self._complaint(*path_and_digest(row, origin))
            if line and line not in self.known and hash(line) not in self._seen:
                self._seen.add(hash(line))
                if len(self._broken) < SHOWN:
                    self._broken.append(line)
        return count

    def _complaint(self, path: str, wanted: bytes | None) -> str:
        place = self.placing.place(path)
        if place is None:
            return outside(path)
        found = self.contents.digest_of(place)
        if found is None:
            return missing(place)
        return differing(place) if wanted not in (None, found) else ""


def _rows(
    execute: Callable[[str], Iterator[tuple[object, ...]]], sql: str
) -> Iterator[tuple[object, ...]]:
    try:
        cursor = execute(sql)
        if getattr(cursor, "description", None) is None:
            raise ValueError("it selects nothing")
        yield from cursor
    except (*UNREADABLE, ValueError) as error:
        raise FailedError(f"The query {brief(sql)} cannot be answered: {said(error)}.") from None
