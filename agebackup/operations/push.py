"""push: carry copies of an app's archives to another place, and let its retention follow there.

An archive is announced in the ledger before it is carried and confirmed afterwards, so that after
a kill at any moment the next push knows what may lie there and looks. Nothing here changes the
folder that the copies are made of.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from agebackup.destinations.folder import Folder
from agebackup.destinations.interface import OutOfReachError, Parcel, Remote
from agebackup.errors import (
    AgebackupError,
    FailedError,
    NotFoundError,
    StoppedError,
    VerificationError,
    printable,
)
from agebackup.ledger import Ledger, LedgerError
from agebackup.model.lastrun import Pruning
from agebackup.model.pushing import DAMAGED_HERE, Left, Load, PushPlan, copied
from agebackup.model.records import DestinationRecord, PushOutcome, PushRecord
from agebackup.model.redaction import redacted
from agebackup.model.whereabouts import is_folder_key
from agebackup.operations.prune import PruneOrder, shrinkage
from agebackup.operations.pruning import Bench, prune_quietly
from agebackup.operations.pushlooks import (
    PushOrder,
    names_here,
    planned,
    require_intact,
    require_own_place,
    still_wanted,
)
from agebackup.operations.removal import FINISHED, finish_deletions
from agebackup.system.mounts import device_of
from agebackup.system.progress import Progress

TRIED = 3
"""After so many archives in a row that could not be carried, the others wait for the next push."""


@dataclass(frozen=True)
class Desk:
    """What a push works with. `note` writes an event into the log: its name, its fields."""

    ledger: Ledger
    progress: Progress
    note: Callable[..., None]


@dataclass(frozen=True)
class Sent:
    """An archive that was carried: bytes, and why it was."""

    name: str
    size: int
    why: str


@dataclass(frozen=True)
class Failure:
    """Why `archive`, or with "" the place as a whole, is not as it should be."""

    archive: str
    error: AgebackupError


@dataclass(frozen=True)
class PushReport:
    """What a push did in one place. `owed` are the archives that are still to be carried.

    `confirmed` were found to have arrived earlier, `left` stay here alone. `known` is false where
    nobody could say what is owed. `stopped`: a signal asked for the end.
    """

    app: str
    destination: str
    sent: tuple[Sent, ...] = ()
    confirmed: tuple[str, ...] = ()
    left: tuple[Left, ...] = ()
    owed: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    pruning: Pruning = field(default_factory=Pruning)
    known: bool = True
    stopped: StoppedError | None = None

    @property
    def complete(self) -> bool:
        """Whether everything that belongs there is there."""
        return not self.failures and self.stopped is None

    def why(self, failure: Failure) -> str:
        """Return what `failure` says, without the name of the place where it comes first."""
        return failure.error.message.removeprefix(f"{printable(self.destination)}: ")

    @property
    def bytes(self) -> int:
        """How many bytes were carried."""
        return sum(one.size for one in self.sent)

    @property
    def message(self) -> str:
        """Why it is not complete, "" where it is."""
        if not self.failures:
            return "It was stopped." if self.stopped else ""
        said = self.why(self.failures[0])
        return f"{said} {len(self.failures) - 1:,} more failed." if self.failures[1:] else said


def push(order: PushOrder, local: Folder, remote: Remote, desk: Desk) -> PushReport:
    """Carry to `remote` what belongs there and is not there, newest first; prune there afterwards.

    The caller holds the app's lock for pushes. What fails is in the report, and the ledger knows
    what is owed; a stop is in it too. Raises `LedgerError` where the ledger cannot even take note
    of the try.
    """
    begun = order.clock()
    last = PushRecord(order.app, remote.key, begun)
    desk.ledger.put(last)
    work = _Work(order, local, remote, desk)
    try:
        work.do()
    except StoppedError as error:
        work.report = replace(work.report, stopped=error)
    except AgebackupError as error:
        work.failed(error)
    report = work.report
    try:
        desk.ledger.put(_ended(last, report, order.clock()))
    except LedgerError as error:
        desk.progress.warn(f"How this push ended is not recorded. {error.message}")
    return report


def prospect(order: PushOrder, local: Folder, remote: Remote, ledger: Ledger | None) -> PushPlan:
    """Return what `push` would do now; nothing is changed. Raises what looking there raises."""
    return planned(order, local, remote, ledger)[0]


def _ended(last: PushRecord, report: PushReport, now: datetime) -> PushRecord:
    outcome: PushOutcome = "ok" if report.complete else "stopped" if report.stopped else "failed"
    return replace(
        last,
        ended=now,
        outcome=outcome,
        message=redacted(report.message),
        pushed=len(report.sent),
        bytes=report.bytes,
    )


def _unmoved(left: Left) -> AgebackupError:
    if left.why == DAMAGED_HERE:
        return VerificationError(
            "It has another size than was written. It is not carried anywhere.",
            hint="A copy elsewhere may be whole: agebackup list shows them. See agebackup audit.",
        )
    return FailedError(
        f"It is not carried there: {left.why}.",
        hint="Look at both, with agebackup verify at the one here; what is in the way there can be "
        "removed or renamed. Then push again.",
    )


class _Work:
    """One push to one place, as far as it has come."""

    def __init__(self, order: PushOrder, local: Folder, remote: Remote, desk: Desk) -> None:
        self._order, self._local, self._remote, self._desk = order, local, remote, desk
        self._failures: list[Failure] = []
        self._tried: set[str] = set()
        self._in_a_row = 0
        self.report = PushReport(order.app, remote.key, known=False)

    def do(self) -> None:
        """Do it all; what is raised is about the place as a whole."""
        desk, order = self._desk, self._order
        require_own_place(self._local, self._remote)
        self._finish_deletions()
        seen: set[str] = set()
        while True:
            plan, here = planned(order, self._local, self._remote, desk.ledger)
            self._settle(plan)
            self._carry(plan)
            seen |= here
            if self._failures or not names_here(order, self._local, desk.ledger) - seen:
                break  # else a run published one meanwhile, and leaves it to this push
        if plan.wanted and plan.wanted[0] not in self.report.owed:
            self._prune()

    def failed(self, error: AgebackupError, archive: str = "") -> None:
        """Note that `archive`, or the place as a whole, failed."""
        self._failures.append(Failure(archive, error))
        self.report = replace(self.report, failures=tuple(self._failures))
        fields = {"archive": archive} if archive else {}
        self._desk.note(
            "push-failed", destination=self._remote.key, message=error.message, **fields
        )

    def _finish_deletions(self) -> None:
        """End what an earlier prune there had decided; that it fails again keeps nothing here."""
        desk, remote, app = self._desk, self._remote, self._order.app
        now = self._order.clock()
        try:
            for name in finish_deletions(app, remote, desk.ledger, now, desk.progress):
                desk.note("pruned", archive=name, destination=remote.key, message=FINISHED)
        except (LedgerError, OutOfReachError):
            raise
        except FailedError as error:
            desk.progress.warn(f"An earlier deletion is still not finished: {error.message}")

    def _settle(self, plan: PushPlan) -> None:
        """Write down what lies there, and remove halves of what is not wanted any more."""
        ledger = self._desk.ledger
        ledger.put(*plan.confirmed)
        for entry in plan.debris:
            self._remote.remove(entry)
        ledger.forget(plan.forgotten)
        if is_folder_key(self._remote.key):
            device = device_of(self._remote.key)
            ledger.put(DestinationRecord(self._remote.key, device, self._order.clock()))
        names = tuple(row.name for row in plan.confirmed)
        self.report = replace(
            self.report,
            confirmed=(*self.report.confirmed, *names),
            left=tuple(one for one in plan.left if not one.owed),
            owed=tuple(load.record.name for load in plan.loads),
            known=True,
        )
        for one in plan.left:
            if one.owed and one.name not in self._tried:
                self._tried.add(one.name)
                self.failed(_unmoved(one), one.name)
        stuck = tuple(one.name for one in plan.left if one.owed)
        self.report = replace(self.report, owed=(*self.report.owed, *stuck))

    def _carry(self, plan: PushPlan) -> None:
        for load in plan.loads:
            name = load.record.name
            if name in self._tried:
                continue
            self._tried.add(name)
            try:
                self._one(load)
                self._in_a_row = 0
            except (StoppedError, LedgerError, OutOfReachError):
                raise
            except VerificationError as error:
                self.failed(error, name)
            except AgebackupError as error:
                self.failed(error, name)
                self._in_a_row += 1
                if self._in_a_row >= TRIED:
                    return

    def _one(self, load: Load) -> None:
        desk, record, name = self._desk, load.record, load.record.name
        path = self._local.path / load.held.entry.name
        desk.progress.phase(f"reading {name}", load.held.entry.size)
        try:
            require_intact(record, self._local, desk.progress)
        except (NotFoundError, VerificationError):
            if not still_wanted(record, desk.ledger):
                self._no_longer_owed(name)  # pruned or encrypted anew meanwhile
                return
            raise
        row = replace(copied(record, self._remote.key), pending="publish")
        desk.ledger.put(row)
        size = load.held.entry.size
        self._remote.put(Parcel(path, name, size, record.sha256))
        desk.ledger.amend(row, pending="")
        desk.note("pushed", archive=name, destination=self._remote.key, size=size, message=load.why)
        self._no_longer_owed(name)
        self.report = replace(self.report, sent=(*self.report.sent, Sent(name, size, load.why)))

    def _no_longer_owed(self, name: str) -> None:
        owed = tuple(one for one in self.report.owed if one != name)
        self.report = replace(self.report, owed=owed)

    def _prune(self) -> None:
        order, desk, key = self._order, self._desk, self._remote.key
        if order.policy is None:
            return

        def told(name: str, why: str) -> None:
            desk.note("pruned", archive=name, destination=key, message=why)

        task = PruneOrder(order.app, order.policy, order.clock(), order.sure)

        def held_back() -> str:
            return shrinkage(task, key, desk.ledger) if order.shrink else ""

        bench = Bench(desk.ledger, desk.progress, told)
        pruning = prune_quietly(task, self._remote, bench, held_back)
        self.report = replace(self.report, pruning=pruning)
        desk.progress.stop.check()
