"""Examine the databases of an archive, each in a process of its own, and judge all that was read.

The parent never opens them: nothing that SQLite does with a hostile file can hang or fill it.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from agebackup.errors import FailedError, VerificationError, printable, shortened
from agebackup.model.layout import DATA
from agebackup.model.manifest import MAX_RECORDED_SKIPS, DatabaseRecord, Manifest
from agebackup.operations.answering import (
    INDEXED,
    MAX_QUERIES,
    TOO_LONG,
    Answering,
    Answers,
    Result,
    bounded,
    facts_from,
    facts_of,
)
from agebackup.operations.reading import Reading
from agebackup.operations.receivers import Selection
from agebackup.operations.references import Placing, brief, recorded_places
from agebackup.snapshot.bag import BagContents
from agebackup.snapshot.inspection import DatabaseFacts
from agebackup.system.process import Worker
from agebackup.system.progress import Progress, Stop

AT_ONCE = 2
"""Workers beside the reading and the decryption."""


class _NotYetError(Exception):
    pass


class _Glance(Stop):
    """Ends the waiting for a worker's result after one look."""

    _looked = False

    def check(self) -> None:
        """Let the first look pass."""
        if self._looked:
            raise _NotYetError
        self._looked = True


@dataclass
class Job:
    """Something that a worker is to find out; `worker` and then `outcome` are there in time."""

    work: Callable[[], Result]
    worker: Worker | None = None
    outcome: Result | Exception | None = None


class Workers:
    """Does jobs in forked workers, in their order, `AT_ONCE` at a time."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []

    def submit(self, work: Callable[[], Result], *, later: bool = False) -> Job:
        """Have `work` done: now, or when a worker has ended and another job or result is due.

        With `later` it is not begun before somebody asks for a result.
        """
        job = Job(work)
        self._waiting.append(job)
        if later:
            return job
        if len(self._running) == AT_ONCE:
            self._look()
        self._begin()
        return job

    def result(self, job: Job) -> Result:
        """Wait for `job` and return what it found, or raise its error; `StoppedError` at a stop."""
        while job.outcome is None:
            self._stop.check()
            self._begin()
            self._look()
        if isinstance(job.outcome, Exception):
            raise job.outcome
        return job.outcome

    def kill(self) -> None:
        """End all workers now."""
        for job in self._running:
            if job.worker is not None:
                job.worker.kill()
        self._running.clear()
        self._waiting.clear()

    def _begin(self) -> None:
        while self._waiting and len(self._running) < AT_ONCE:
            job = self._waiting.popleft()
            job.worker = Worker.start(job.work)
            self._running.append(job)

    def _look(self) -> None:
        for job in list(self._running):
            assert job.worker is not None
            try:
                job.outcome = job.worker.result(Progress(_Glance()))
            except _NotYetError:
                continue
            except (FailedError, OSError) as error:
                job.outcome = error
            job.worker.kill()
            self._running.remove(job)


@dataclass
class Examiner:
    """Examines databases as they arrive, beside the reading of the rest.

    To be used in the main thread. One database may take the limit of seconds in all.
    """

    reading: Reading
    _workers: Workers = field(init=False)
    _found: dict[str, tuple[Path, Job]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._workers = Workers(self.reading.progress.stop)

    def __enter__(self) -> "Examiner":
        return self

    def __exit__(self, *failure: object) -> None:
        self._workers.kill()

    def arrived(self, place: str, path: Path) -> None:
        """Begin to examine the complete private file `path`, which is `place` of the bag.

        Where a signature is asked for, nothing is opened before it was found good: it comes last.
        """
        seconds, later = self.reading.limits.seconds, self.reading.signers is not None
        job = self._workers.submit(partial(bounded, facts_of, path, seconds), later=later)
        self._found[place] = (path, job)

    def differences(self, contents: BagContents, selection: Selection) -> list[str]:
        """Return a line for each promise that a database within `selection` breaks."""
        manifest = contents.manifest
        lines = _missing_differences(manifest)
        placing = Placing(recorded_places(manifest.trees))
        known = frozenset(manifest.missing)
        asked: list[tuple[DatabaseRecord, Job]] = []
        for record in manifest.databases:
            if record.path not in self._found:
                if selection.wants(record.path.removeprefix(DATA)):
                    lines.append(_shown(record, "is not a database among the first payload files"))
                continue
            path, job = self._found.pop(record.path)
            said, seconds = self._facts(record, job)
            lines += said
            if seconds and (record.counts or record.references):
                answering = Answering(record, contents, placing, known)
                work = partial(bounded, answering.ask, path, seconds)
                job = self._workers.submit(partial(work, extra=INDEXED * contents.files))
                asked.append((record, job))
        for record, job in asked:
            lines += self._answers(record, job, manifest)
        return lines

    def _facts(self, record: DatabaseRecord, job: Job) -> tuple[list[str], float]:
        """Return what is wrong with a database, and how many seconds there are for its queries."""
        if max(len(record.counts), len(record.references)) > MAX_QUERIES:
            return [_shown(record, f"declares more than {MAX_QUERIES:,} queries")], 0
        try:
            result = self._workers.result(job)
        except FailedError as error:
            return self._failed(record, error), 0
        facts = facts_from(result)
        if facts.problems:
            return [_shown(record, f"integrity_check: {line}") for line in facts.problems], 0
        left = self.reading.limits.seconds - float(str(result["seconds"]))
        return shortened(fact_differences(record, facts)), max(left, 1)

    def _answers(self, record: DatabaseRecord, job: Job, manifest: Manifest) -> list[str]:
        try:
            said = Answers(**self._workers.result(job))  # type: ignore[arg-type]
        except FailedError as error:
            return self._failed(record, error)
        lines = [_shown(record, line) for line in said.lines]
        recorded = len(manifest.missing)
        if recorded == MAX_RECORDED_SKIPS and said.count <= manifest.missing_count - recorded:
            return lines  # the maker knew of more than are listed
        more = said.count - len(said.broken)
        return lines + said.broken + ([f"and {more:,} more"] if more else [])

    def _failed(self, record: DatabaseRecord, error: FailedError) -> list[str]:
        message = error.message
        if TOO_LONG in message:
            message = f"took longer than {self.reading.limits.seconds:,} seconds (--max-seconds)"
        return [_shown(record, message), *error.details]


def fact_differences(record: DatabaseRecord, facts: DatabaseFacts) -> list[str]:
    """Return a line for each recorded fact of a database that its examination contradicts."""
    lines = [
        _shown(record, f"{name.replace('_', ' ')} is {brief(str(found))}, ")
        + f"the manifest says {brief(str(promised))}"
        for name in (
            "user_version",
            "application_id",
            "schema_sha256",
            "page_size",
            "encoding",
            "foreign_key_violations",
        )
        if (found := getattr(facts, name)) != (promised := getattr(record, name))
    ]
    for table in sorted(facts.rows.keys() | record.rows.keys()):
        found, promised = facts.rows.get(table), record.rows.get(table)
        if found != promised:
            lines.append(
                _shown(
                    record, f"table {brief(table)} has {'no' if found is None else found} rows, "
                )
                + f"the manifest says {'nothing of it' if promised is None else promised}"
            )
    return lines


def _missing_differences(manifest: Manifest) -> list[str]:
    recorded, count = len(manifest.missing), manifest.missing_count
    if count and recorded != min(count, MAX_RECORDED_SKIPS):
        return [f"manifest.json: missing_count is {count}, but missing lists {recorded}"]
    return []


def _shown(record: DatabaseRecord, what: str) -> str:
    return f"{brief(record.path.removeprefix(DATA))}: {what}"


def judge(path: Path, contents: BagContents, examiner: Examiner, selection: Selection) -> None:
    """Raise `VerificationError` with every difference between promise and content.

    Databases that `selection` leaves out were hashed, but not opened.
    """
    differences = [*contents.differences, *examiner.differences(contents, selection)]
    if differences:
        raise VerificationError(
            f"{printable(str(path))} does not keep its promises: "
            f"{len(differences)} difference{'s' if len(differences) > 1 else ''}.",
            hint="Do not rely on it: use another archive, and make a new one.",
            details=differences,
        )
