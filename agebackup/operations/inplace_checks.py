"""Look again at staged databases that the application's own commands have worked on.

What these wrote is examined as what came out of an archive is: by processes that can be ended.
"""

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agebackup.errors import FailedError, UnfitError, printable, shortened
from agebackup.model.gates import rules_of
from agebackup.model.inplace import DatabaseChange
from agebackup.model.manifest import DatabaseRecord
from agebackup.model.profile import Profile
from agebackup.model.rowloss import RowChanges, row_changes
from agebackup.operations.answering import (
    MAX_QUERIES,
    Result,
    bounded,
    facts_from,
    facts_of,
    timed,
)
from agebackup.operations.examining import Job, Workers
from agebackup.operations.reading import Reading
from agebackup.snapshot.closing import bring_to_rest
from agebackup.snapshot.inspection import DatabaseFacts, answer, open_untrusted
from agebackup.system.progress import Stop

_MOST = 10_000
"""Rows that any of the recorded queries may give."""


@dataclass(frozen=True)
class StagedDatabase:
    """A database that is staged at `path`; `rebuilt` where it did not come from the archive."""

    record: DatabaseRecord
    path: Path
    rebuilt: bool = False

    @property
    def shown(self) -> str:
        """Its name, for messages."""
        return printable(self.record.name)


def settle_companions(databases: Sequence[StagedDatabase], reading: Reading) -> None:
    """Let no staged database need a companion; raises `FailedError` where one does."""
    workers = Workers(reading.progress.stop)
    seconds = reading.limits.seconds
    try:
        jobs = [
            workers.submit(partial(timed, partial(_rest, one.path), seconds)) for one in databases
        ]
        for job in jobs:
            workers.result(job)
    finally:
        workers.kill()


def _rest(path: Path) -> Result:
    bring_to_rest(path)
    return {}


def require_sound(
    databases: Sequence[StagedDatabase], profile: Profile, reading: Reading
) -> tuple[DatabaseChange, ...]:
    """Check what commands made of `databases` and return what changed.

    Raises `UnfitError` with every finding: integrity_check, foreign keys broken that were
    not, rows lost beyond the tolerances, counts of a rebuilt database that differ.
    """
    reading.progress.phase("checking what the commands made", None)
    workers, lines, changes = Workers(reading.progress.stop), [], []
    try:
        jobs = [(one, _asked(workers, one, reading)) for one in databases]
        for one, (facts, counts) in jobs:
            change = _compared(one, facts_from(workers.result(facts)), profile)
            lines += change.lines + _count_lines(one, workers, counts)
            changes.append(change.change)
    except FailedError as error:
        raise _unsound([error.message, *error.details]) from None
    finally:
        workers.kill()
    if lines:
        raise _unsound(lines)
    return tuple(changes)


def _unsound(lines: Sequence[str]) -> UnfitError:
    return UnfitError(
        "What the commands made of the staged databases does not pass, so nothing was replaced: "
        f"{lines[0]}",
        hint="Let the application's author look, or allow the loss: restore.row_tolerance.",
        details=shortened(list(lines[1:])),
    )


def _asked(workers: Workers, one: StagedDatabase, reading: Reading) -> tuple[Job, Job | None]:
    seconds = reading.limits.seconds
    facts = workers.submit(partial(bounded, facts_of, one.path, seconds))
    sqls = [count.sql for count in one.record.counts[:MAX_QUERIES]] if one.rebuilt else []
    work = partial(bounded, partial(_answers, sqls=sqls), one.path, seconds)
    return facts, workers.submit(work) if sqls else None


def _answers(path: Path, sqls: Sequence[str]) -> Result:
    with closing(open_untrusted(path)) as connection:
        found = [
            answer(connection, sql, stop=Stop(), deadline_seconds=math.inf, max_rows=_MOST)
            for sql in sqls
        ]
    return {"answers": [[list(map(_plain, row)) for row in rows] for rows in found]}


def _plain(value: object) -> object:
    """Return `value` if JSON carries it unchanged, else a text that equals nothing recorded."""
    plain = value is None or isinstance(value, int | str)
    plain = plain or (isinstance(value, float) and math.isfinite(value))
    return value if plain else f"\0{value!r}"


@dataclass(frozen=True)
class _Compared:
    change: DatabaseChange
    lines: list[str]


def _compared(one: StagedDatabase, facts: DatabaseFacts, profile: Profile) -> _Compared:
    record, shown = one.record, one.shown
    lines = [f"{shown}: integrity_check: {line}" for line in facts.problems]
    if facts.foreign_key_violations > record.foreign_key_violations:
        lines.append(
            f"{shown}: {facts.foreign_key_violations:,} broken foreign keys, "
            f"{record.foreign_key_violations:,} in the archive"
        )
    rows = RowChanges()
    if not facts.problems:
        rules = rules_of(profile, record.name)
        tolerance = profile.restore.tolerance
        rows = row_changes(record.rows, facts.rows, rules, tolerance, exact=one.rebuilt)
    lines += [f"{shown}: {line}" for line in rows.lost]
    how = "rebuilt" if one.rebuilt else "migrated"
    return _Compared(
        DatabaseChange(record.name, how, rows.added, rows.tolerated),  # type: ignore[arg-type]
        lines,
    )


def _count_lines(one: StagedDatabase, workers: Workers, job: Job | None) -> list[str]:
    if job is None:
        return []
    found = workers.result(job)["answers"]
    assert isinstance(found, list)
    return [
        f"{one.shown}: the count {printable(count.name)[:80]} differs from what was recorded"
        for count, rows in zip(one.record.counts, found, strict=False)
        if rows != [[count.value]]
    ]


def require_heads(databases: Sequence[StagedDatabase], reading: Reading) -> tuple[str, ...]:
    """Ask the staged databases for their heads; return the names of those that have any recorded.

    Raises `UnfitError` naming each whose heads are not the recorded ones.
    """
    headed = [one for one in databases if one.record.heads is not None]
    workers, lines, seconds = Workers(reading.progress.stop), [], reading.limits.seconds
    try:
        jobs = []
        for one in headed:
            assert one.record.heads is not None
            work = partial(_answers, sqls=[one.record.heads.sql])
            jobs.append(workers.submit(partial(bounded, work, one.path, seconds)))
        for one, job in zip(headed, jobs, strict=True):
            lines += _head_lines(one, workers, job)
    finally:
        workers.kill()
    if lines:
        raise UnfitError(
            f"The restored state is not where it was: {lines[0]}. Nothing was replaced.",
            hint="A migration or rebuild lost something, or heads is not a query of the state.",
            details=shortened(lines[1:]),
        )
    return tuple(one.record.name for one in headed)


def _head_lines(one: StagedDatabase, workers: Workers, job: Job) -> list[str]:
    assert one.record.heads is not None
    try:
        found = workers.result(job)["answers"]
    except FailedError as error:
        return [f"{one.shown}: its heads cannot be asked for: {error.message.rstrip('.')}"]
    assert isinstance(found, list)
    (rows,) = found
    if rows == one.record.heads.rows:
        return []
    more = [row for row in one.record.heads.rows if row not in rows]
    told = f", {printable(str(more[0]))[:200]} is missing" if more else ""
    return [f"{one.shown}: its heads differ from the recorded ones{told}"]
