"""One app's run from its beginning to its end: recorded, told, and what follows from it done.

Nothing here can make a backup fail, or a failed one look good: whatever goes wrong with the
ledger, the log, last-run.json, the hooks or pruning is a warning, and the exit code stays.
"""

import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from agebackup.errors import INCOMPLETE, AgebackupError, BusyError, StoppedError
from agebackup.ledger import Ledger, LedgerError
from agebackup.model.lastrun import LastRun, Pruning, Success, cut_off, success_in
from agebackup.model.profile import Profile
from agebackup.model.records import Kind, RunOutcome, RunRecord
from agebackup.model.redaction import redacted
from agebackup.model.reports import CreateReport
from agebackup.operations.create import create, sole_run
from agebackup.operations.journal import Journal
from agebackup.operations.order import Order, Site
from agebackup.system.claims import Claims
from agebackup.system.clock import Stopwatch
from agebackup.system.durable import write_durably
from agebackup.system.progress import Progress


@dataclass(frozen=True)
class Charge:
    """What is to be run. `profile` is None for an ad hoc run, which has no hooks and no policy.

    `site` and `order` are asked within the run, at each try, so that their failures are its own.
    """

    app: str
    kind: Kind
    site: Callable[[], Site]
    order: Callable[[], Order]
    profile: Profile | None = None


@dataclass(frozen=True)
class Post:
    """Where a run is recorded and told. `clock` gives the time, in UTC."""

    ledger: Ledger | None
    last_run: Path
    journal: Journal
    claims: Claims
    clock: Callable[[], datetime]
    host: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Supervised:
    """A run that published. `warnings` came up around it; `run` is its id."""

    run: str
    report: CreateReport
    pruning: Pruning = field(default_factory=Pruning)
    warnings: tuple[str, ...] = ()


def supervise(charge: Charge, post: Post, progress: Progress) -> Supervised:
    """Make one archive of `charge.app`, and see to all that belongs to a run.

    Raises what `create` and the charge raise, after it was recorded and told.
    """
    run = _Run(charge, post)
    try:
        report = _made(charge, run, _Watching(progress, run))
    except BaseException as error:
        run.failed(error)
        raise
    run.published(report)
    return Supervised(run.record.id, report, run.pruning, tuple(run.warnings))


def _made(charge: Charge, run: "_Run", progress: "_Watching") -> CreateReport:
    site = charge.site()
    with ExitStack() as stack:
        stack.enter_context(sole_run(site, charge.app, progress))
        run.begin(site)
        report = create(charge.order(), site, progress)
    return report


class _Watching(Progress):
    """Passes everything on, and notes the phase."""

    def __init__(self, progress: Progress, run: "_Run") -> None:
        super().__init__(progress.stop)
        self.shows_totals = progress.shows_totals
        self._progress = progress
        self._run = run

    def phase(self, name: str, total: int | None = None) -> None:
        self._progress.phase(name, total)
        self._run.reached(name)

    def advance(self, count: int) -> None:
        self._progress.advance(count)

    def warn(self, text: str) -> None:
        self._progress.warn(text)


class _Run:
    """What is known of a run so far."""

    def __init__(self, charge: Charge, post: Post) -> None:
        self.charge, self.post = charge, post
        self.watch = Stopwatch()
        self.warnings: list[str] = []
        self.pruning = Pruning()
        self.locked = False
        self._ledger = post.ledger
        self.record = RunRecord(
            secrets.token_hex(16),
            charge.app,
            charge.kind,
            post.clock(),
            versions=post.versions,
        )

    def begin(self, site: Site) -> None:
        """Note that the run holds the app's lock: whoever seems to be running is dead."""
        self.locked = True
        self._amend(destination=site.destination.key)
        self._try(self._end_dead)

    def _end_dead(self, ledger: Ledger) -> None:
        for one in ledger.runs(self.charge.app):
            if one.outcome == "running" and one.id != self.record.id:
                ledger.put(cut_off(one))

    def reached(self, phase: str) -> None:
        if phase != self.record.phase and self.locked:
            self._amend(phase=phase)

    def published(self, report: CreateReport) -> None:
        code = INCOMPLETE if report.problems else 0
        self._amend(archive=report.archive, size=report.size)
        self._end("incomplete" if code else "ok", code, "; ".join(report.problems), report)

    def failed(self, error: BaseException) -> None:
        code, message = 1, f"{type(error).__name__}: {error}"
        if isinstance(error, AgebackupError):
            code, message = error.code, error.message
        if isinstance(error, BusyError) and not self.locked:
            return
        outcome: RunOutcome = "stopped" if isinstance(error, StoppedError) else "failed"
        self._end(outcome, code, message, None)

    def _end(
        self, outcome: RunOutcome, code: int, message: str, report: CreateReport | None
    ) -> None:
        post = self.post
        self._amend(
            outcome=outcome,
            exit_code=code,
            message=redacted(message),
            ended=post.clock(),
            seconds=round(self.watch.seconds, 3),
        )
        last = LastRun(
            self.record,
            path=report.path if report else "",
            host=post.host,
            warnings=tuple(self.warnings),
            pruning=self.pruning,
            last_success=self._last_success(),
        )
        try:
            write_durably(post.last_run, last.text(), post.claims, replace=True)
        except (AgebackupError, OSError) as error:
            self.warnings.append(f"last-run.json is not up to date: {error}")
        post.journal.event("run-ended", self.charge.app, **_told(last))

    def _last_success(self) -> Success | None:
        if self.record.outcome == "ok":
            return Success(self.record.begun, self.record.archive)
        try:
            return success_in(self.post.last_run.read_bytes())
        except OSError:
            return None

    def _amend(self, **changes: object) -> None:
        self.record = replace(self.record, **changes)  # type: ignore[arg-type]
        self._try(lambda ledger: ledger.put(self.record))

    def _try(self, action: Callable[[Ledger], None]) -> None:
        if self._ledger is None:
            return
        try:
            action(self._ledger)
        except LedgerError as error:
            self._ledger = None
            self.warnings.append(f"The ledger does not know of this run: {error.message}")


def _told(last: LastRun) -> dict[str, object]:
    fields = last.fields()
    return {name: fields[name] for name in fields if name not in ("schema", "app", "versions")}
