"""Try the assertions of a profile on a restored copy: SQL in killable processes, then commands."""

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agebackup.errors import FailedError, printable
from agebackup.model.assertions import (
    Asserted,
    Assertion,
    Program,
    Query,
    command_environment,
    failed,
    judged,
    passed,
    with_target,
)
from agebackup.model.layout import DATA
from agebackup.model.manifest import DatabaseRecord, Manifest
from agebackup.operations.answering import TOO_LONG, bounded
from agebackup.operations.examining import Job, Workers
from agebackup.snapshot.inspection import answer, open_untrusted
from agebackup.system.clock import Stopwatch
from agebackup.system.process import run_command
from agebackup.system.progress import Progress, Stop

LONGEST = 10_000
"""Characters of one text that SQL may give; a receipt shows fewer still."""


@dataclass(frozen=True)
class Copy:
    """A restored copy in the private directory `root`; `scratch` is another one, for commands.

    `environment` is the person's; commands get a part of it (`command_environment`).
    """

    root: Path
    scratch: Path
    manifest: Manifest
    environment: Mapping[str, str]

    def record(self, name: str) -> DatabaseRecord | None:
        """Return what the manifest says of the database `name`, None where there is none."""
        return next((one for one in self.manifest.databases if one.name == name), None)

    def path(self, record: DatabaseRecord) -> Path:
        """Return where the database of `record` was restored."""
        return self.root / record.path.removeprefix(DATA)


def tried(assertions: Sequence[Assertion], copy: Copy, progress: Progress) -> tuple[Asserted, ...]:
    """Return what came of each of `assertions`, in their order.

    SQL comes first, for commands may change the copy. What fails is an outcome like another;
    raises `StoppedError` alone.
    """
    progress.phase("asserting")
    queries = [one for one in assertions if isinstance(one, Query)]
    found = dict(zip(map(id, queries), _queried(queries, copy, progress.stop), strict=True))
    for one in assertions:
        if isinstance(one, Program):
            found[id(one)] = _run(one, copy, progress)
    return tuple(found[id(one)] for one in assertions)


def _queried(queries: Sequence[Query], copy: Copy, stop: Stop) -> list[Asserted]:
    workers = Workers(stop)
    try:
        jobs = [_submitted(query, copy, workers) for query in queries]
        return [
            _answered(query, copy, job, workers) for query, job in zip(queries, jobs, strict=True)
        ]
    finally:
        workers.kill()


def _submitted(query: Query, copy: Copy, workers: Workers) -> Job | None:
    record = copy.record(query.database)
    if record is None:
        return None
    work = partial(rows_of, sql=query.sql)
    return workers.submit(partial(bounded, work, copy.path(record), query.seconds))


def _answered(query: Query, copy: Copy, job: Job | None, workers: Workers) -> Asserted:
    record = copy.record(query.database)
    if job is None or record is None:
        return failed(query, f"the archive holds no database {printable(query.database)}")
    try:
        result = workers.result(job)
    except FailedError as error:
        why = error.message.rstrip(".")
        if TOO_LONG in why:
            why = f"it took longer than {query.seconds:g} seconds"
        return failed(query, why)
    rows, seconds = result["rows"], result["seconds"]
    assert isinstance(rows, list) and isinstance(seconds, float)
    return judged(query, rows, record, seconds)


def rows_of(path: Path, sql: str) -> dict[str, object]:
    """Return the row that `sql` gives for the private database `path`, if it gives one.

    To be done in a worker that is bounded: nothing here ends by itself. Raises `FailedError`, for
    more than one row too.
    """
    with closing(open_untrusted(path)) as connection:
        rows = answer(connection, sql, stop=Stop(), deadline_seconds=math.inf, max_rows=1)
    return {"rows": [[_carried(value) for value in row] for row in rows]}


def _carried(value: object) -> object:
    """Return what can be handed over of `value`: never much, and never bytes."""
    if isinstance(value, bytes):
        return f"a blob of {len(value):,} bytes"
    if isinstance(value, str) and len(value) > LONGEST:
        return f"{value[:LONGEST]}..."
    return value


def _run(program: Program, copy: Copy, progress: Progress) -> Asserted:
    root, watch = str(copy.root), Stopwatch()
    try:
        run_command(
            with_target(program.command.argv, root),
            seconds=program.command.seconds,
            progress=progress,
            cwd=copy.root,
            environment=command_environment(copy.environment, root, str(copy.scratch)),
        )
    except FailedError as error:
        return failed(program, error.message.rstrip("."), watch.seconds)
    except OSError as error:
        return failed(program, printable(error.strerror or str(error)), watch.seconds)
    return passed(program, watch.seconds)
