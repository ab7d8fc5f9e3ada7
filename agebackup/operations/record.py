"""What is known of a run while it goes on, and everybody who is to know it."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Any

from agebackup.errors import INCOMPLETE, AgebackupError, StoppedError, shortened
from agebackup.ledger import Ledger, LedgerError
from agebackup.model.durations import span_text
from agebackup.model.lastrun import LastRun, Pruning, Push, Success, cut_off, stamp, success_in
from agebackup.model.records import Kind, RunOutcome, RunRecord
from agebackup.model.redaction import redacted
from agebackup.model.reports import CreateReport
from agebackup.operations.journal import Journal
from agebackup.system.claims import Claims
from agebackup.system.clock import Stopwatch
from agebackup.system.durable import write_durably
from agebackup.system.notify import ServiceManager
from agebackup.system.progress import Progress

if TYPE_CHECKING:
    from agebackup.operations.hooks import Telling
    from agebackup.operations.pusheverywhere import Pushing


@dataclass(frozen=True)
class Post:
    """Where runs are recorded and told. `clock` gives the time, in UTC; `proxies` by scheme.

    `losses` say what is lost where there is no ledger, or another one than there was.
    """

    ledger: Ledger | None
    last_run: Path
    journal: Journal
    claims: Claims
    clock: Callable[[], datetime]
    services: ServiceManager = field(default_factory=ServiceManager)
    proxies: Mapping[str, str] = field(default_factory=dict)
    host: str = ""
    losses: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


class Recording:
    """One run as it is known so far. `progress` is what the work is to report to."""

    def __init__(self, app: str, kind: Kind, post: Post, progress: Progress) -> None:
        self.post = post
        self.progress: Progress = _Watching(progress, self)
        self.ledger = post.ledger
        self.warnings: list[str] = []
        self.pruning = Pruning()
        self.pushes: tuple[Push, ...] = ()
        self.tries = 0
        self.run = RunRecord(secrets.token_hex(16), app, kind, post.clock(), versions=post.versions)
        self._said = progress.warn
        self._begun = False
        self._trouble: LedgerError | None = None
        self._watch = Stopwatch()

    def begin(self, destination: str) -> None:
        """Note that the run holds the app's lock: whatever else seems to be running is dead."""
        self._begun = True
        again: dict[str, Any] = {"outcome": "running", "exit_code": None, "ended": None}
        self._amend(destination=destination, message="", **again)
        self._try(self._end_dead)

    def reached(self, phase: str) -> None:
        """Note that `phase` was reached, for the case that nothing more is ever heard."""
        self.post.services.status(f"{self.run.app}: {phase}")
        if phase != self.run.phase and self._begun and current_thread() is main_thread():
            self._amend(phase=phase)

    def given_up(self, error: AgebackupError) -> None:
        """Note that a try failed: until the next one begins nothing runs, and none may ever."""
        self._begun = False
        self._ended("failed", error.code, error.message)

    def waiting(self, error: AgebackupError, seconds: float) -> None:
        """Say and note why another try is needed, after so many `seconds`."""
        span = span_text(timedelta(seconds=seconds))
        self._said(f"{error.message} Another try follows in {span}.")
        self.post.services.status(f"{self.run.app}: waiting to try again")
        fields = {"message": error.message, "exit": error.code, "run": self.run.id}
        self._journal("run-retried", **fields)

    def warn(self, text: str) -> None:
        """Tell the person something that does not change the outcome, and keep it."""
        self.warnings.append(redacted(text))
        self._said(text)

    def note(self, event: str, **fields: Any) -> None:
        """Write an event of this run into the log."""
        self._journal(event, run=self.run.id, **fields)

    def made(self, report: CreateReport) -> None:
        """Note that the run published an archive, while it still holds the app's lock.

        So no run that begins while copies are carried away takes this one for dead.
        """
        code = INCOMPLETE if report.problems else 0
        self._amend(archive=report.archive, size=report.size)
        self._ended("incomplete" if code else "ok", code, "; ".join(report.problems))
        self._begun = False

    def carried(self, pushing: "Pushing") -> None:
        """Note what became of the copies of the archive that was published."""
        self.pushes = pushing.pushes
        if pushing.code:
            said = "; ".join(filter(None, (self.run.message, pushing.message)))
            self._ended("incomplete", pushing.code, said)

    def published(self, report: CreateReport, telling: "Telling") -> None:
        """Tell how the run ended, which published an archive."""
        self._tell(telling, report.path, report.warnings)

    def failed(self, error: BaseException, telling: "Telling") -> None:
        """End the run, which published nothing."""
        code, message = 1, f"Unforeseen {type(error).__name__}: {error}."
        if isinstance(error, AgebackupError):
            details = "; ".join(shortened(error.details))
            code, message = error.code, " ".join(filter(None, (error.message, details)))
        for loss in self.post.losses:
            self.warn(loss)
        outcome: RunOutcome = "stopped" if isinstance(error, StoppedError) else "failed"
        self._ended(outcome, code, message)
        self._tell(telling, "", ())

    def withdrawn(self, telling: "Telling", why: str) -> None:
        """Take back that a try was begun: the archive is another run's business.

        `why` is told where a run that began is to be heard of again; "" while the other is at work.
        """
        if self.tries < 2:
            return  # nobody ever heard of it
        self._begun = False
        self._try(lambda ledger: ledger.forget((self.run,)))
        for problem in telling.withdraw(f"{self.run.app}: {why}" if why else ""):
            self.warn(problem)

    def _end_dead(self, ledger: Ledger) -> None:
        for one in ledger.runs(self.run.app, limit=100):
            if one.outcome == "running" and one.id != self.run.id:
                ended = cut_off(one)
                ledger.put(ended)
                fields = {"run": one.id, "begun": stamp(one.begun), "phase": one.phase}
                self._journal("run-cut-off", message=ended.message, **fields)
                self.warn(f"The run that began at {stamp(one.begun)} never ended. {ended.message}")

    def _ended(self, outcome: RunOutcome, code: int, message: str) -> None:
        self._amend(
            outcome=outcome,
            exit_code=code,
            message=redacted(message),
            ended=self.post.clock(),
            seconds=round(self._watch.seconds, 3),
        )
        if self._trouble is not None:
            said = f"{self._trouble.message} {self._trouble.hint}"
            self.warn(f"The ledger does not know how this run ends. {said}")

    def _tell(self, telling: "Telling", path: str, warnings: tuple[str, ...]) -> None:
        last = LastRun(
            self.run,
            path=path,
            host=self.post.host,
            tries=self.tries,
            warnings=(*warnings, *self.warnings),
            pruning=self.pruning,
            last_success=self._last_success(),
            pushes=self.pushes,
        )
        try:
            write_durably(self.post.last_run, last.text(), self.post.claims, replace=True)
        except (AgebackupError, OSError) as error:
            self.warn(f"last-run.json is out of date: {getattr(error, 'message', None) or error}")
        self._journal("run-ended", **_told(last))
        for problem in telling.end(last, Progress(self.progress.stop)):
            self.warn(problem)
            self._journal("not-told", run=self.run.id, message=problem)

    def _last_success(self) -> Success | None:
        if self.run.outcome == "ok":
            return Success(self.run.begun, self.run.archive)
        try:
            return success_in(self.post.last_run.read_bytes())
        except OSError:
            return None

    def _journal(self, event: str, **fields: Any) -> None:
        problem = self.post.journal.event(event, self.run.app, **fields)
        if problem and problem not in self.warnings:
            self.warn(problem)

    def _amend(self, **changes: Any) -> None:
        self.run = replace(self.run, **changes)
        self._try(lambda ledger: ledger.put(self.run))

    def _try(self, action: Callable[[Ledger], None]) -> None:
        """Do `action`; that a ledger is busy for a moment is made good by what is written later."""
        if self.ledger is None:
            return
        try:
            action(self.ledger)
            self._trouble = None
        except LedgerError as error:
            self._trouble = error


class _Watching(Progress):
    """Passes everything on, and notes the phase and the warnings."""

    def __init__(self, progress: Progress, recording: Recording) -> None:
        super().__init__(progress.stop)
        self.shows_totals = progress.shows_totals
        self._progress = progress
        self._recording = recording

    def phase(self, name: str, total: int | None = None) -> None:
        """Pass it on, and note it."""
        self._progress.phase(name, total)
        self._recording.reached(name)

    def advance(self, count: int) -> None:
        """Pass it on."""
        self._progress.advance(count)

    def warn(self, text: str) -> None:
        """Pass it on, and keep it."""
        self._recording.warn(text)


def _told(last: LastRun) -> dict[str, Any]:
    fields = last.fields()
    return {name: fields[name] for name in fields if name not in ("schema", "app", "versions")}
