"""Carry an app's archives to all its other places, one after the other; nothing is raised."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agebackup.destinations.folder import Folder
from agebackup.destinations.interface import Remote
from agebackup.errors import (
    INCOMPLETE,
    AgebackupError,
    BusyError,
    FailedError,
    StoppedError,
    VerificationError,
)
from agebackup.ledger import Ledger
from agebackup.model.afar import NOT_PUSHED, seen_afar
from agebackup.model.lastrun import Push
from agebackup.model.whereabouts import is_folder_key
from agebackup.operations.pruning import reason
from agebackup.operations.push import Desk, Failure, PushReport, push
from agebackup.operations.pushlooks import PushOrder
from agebackup.operations.reachable import PATIENCE, require_alive
from agebackup.system.claims import Claims
from agebackup.system.lock import exclusive
from agebackup.system.progress import Progress


class Pusher(Protocol):
    """What carries copies of an app's archives away, after a run."""

    def __call__(
        self, ledger: Ledger | None, progress: Progress, note: Callable[..., None]
    ) -> "Pushing":
        """Do it; never raises."""


@dataclass(frozen=True)
class Places:
    """The folder that copies are made of, and by name what reaches each other place.

    `lock_file` keeps two pushes of the app apart; it is not the lock of its runs. What the dead
    left is known by `claims`. A folder that does not answer for `patience` seconds hangs.
    """

    local: Folder
    remotes: Mapping[str, Callable[[], Remote]]
    lock_file: Path
    claims: Claims
    patience: float = PATIENCE


@dataclass(frozen=True)
class Pushing:
    """What became of all places. `busy`: another push is at work, and this one did nothing."""

    reports: tuple[PushReport, ...] = ()
    busy: BusyError | None = None
    stopped: StoppedError | None = None

    @property
    def code(self) -> int:
        """The exit code that this gives a run: what was left to another push is no failure."""
        if self.stopped:
            return self.stopped.code
        return 0 if all(one.complete for one in self.reports) else INCOMPLETE

    @property
    def damaged(self) -> bool:
        """Whether an archive here is not what was written."""
        failures = [failure for one in self.reports for failure in one.failures]
        return any(isinstance(failure.error, VerificationError) for failure in failures)

    @property
    def message(self) -> str:
        """What is owed to which place and why, "" where nothing is."""
        said = [
            f"{NOT_PUSHED} {one.destination}: {one.message}" for one in self.reports if one.failures
        ]
        return "; ".join([*said, *([self.stopped.message] if self.stopped else [])])

    @property
    def pushes(self) -> tuple[Push, ...]:
        """What is told of each place that was tried."""
        return tuple(
            Push(
                one.destination,
                "ok" if one.complete else "stopped" if one.stopped else "failed",
                tuple(sent.name for sent in one.sent),
                len(one.owed),
                one.message,
            )
            for one in self.reports
        ) + ((Push("", "left", message=self.busy.message),) if self.busy else ())


class PushStoppedError(StoppedError):
    """A signal asked for the end while copies were carried: the archives here stay."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.message = (
            "The push was stopped; archives that were published stay, and what is not carried yet "
            "is carried by the next run or push."
        )


def push_everywhere(
    order: PushOrder,
    places: Places,
    ledger: Ledger | None,
    progress: Progress,
    note: Callable[..., None],
) -> Pushing:
    """Carry what is owed to every place of `places`; what fails in one keeps none of the others."""
    reports: list[PushReport] = []
    what = f"another push of {order.app}"
    try:
        with exclusive(places.lock_file, wait_seconds=0, what=what, progress=progress):
            for line in places.claims.sweep():
                progress.warn(line)
            for name, reach in places.remotes.items():
                speech = (progress, note)
                report = _pushed(order, places, (name, reach), ledger, speech)
                reports.append(report)
                if report.stopped:
                    raise report.stopped
    except BusyError as error:
        return Pushing(busy=error)
    except StoppedError as error:
        return Pushing(tuple(reports), stopped=PushStoppedError(error.signal_number))
    except AgebackupError as error:
        reports.append(_failed(order, "", error))
    return Pushing(tuple(reports))


def _pushed(
    order: PushOrder,
    places: Places,
    place: tuple[str, Callable[[], Remote]],
    ledger: Ledger | None,
    speech: tuple[Progress, Callable[..., None]],
) -> PushReport:
    (name, reach), (progress, note) = place, speech
    try:
        if ledger is None:
            raise FailedError("Nothing is carried anywhere, because the ledger cannot be used.")
        if is_folder_key(name):
            require_alive([Path(name)], progress, seconds=places.patience)
        return push(order, places.local, reach(), Desk(ledger, progress, note))
    except AgebackupError as error:
        return _failed(order, name, error)
    except Exception as error:
        return _failed(order, name, FailedError(f"Unforeseen {reason(error)}."))


def _failed(order: PushOrder, name: str, error: AgebackupError) -> PushReport:
    if isinstance(error, StoppedError):
        return PushReport(order.app, name, stopped=error, known=False)
    return PushReport(order.app, name, failures=(Failure("", error),), known=False)


def owes(order: PushOrder, keys: tuple[str, str], ledger: Ledger) -> bool:
    """Return whether by the ledger something that lies in the first of `keys` is owed to the
    second; raises `LedgerError`."""
    rows = ledger.archives(order.app, deleted=True, pending=True)
    return bool(seen_afar(rows, keys, order.policy, order.clock()).owed)
