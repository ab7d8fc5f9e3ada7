"""What a run tells the ledger and asks of it; nothing here ever makes a backup fail.

An archive is announced before it gets its name and confirmed afterwards, so that a run which was
killed in between leaves a row that the next run can settle by looking at the folder.
"""

import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from agebackup.destinations.folder import Folder
from agebackup.errors import FailedError, NotFoundError, VerificationError
from agebackup.ledger import Ledger, LedgerError
from agebackup.ledger.failures import NO_NUMBER, NO_ROW
from agebackup.model.devices import differs, telling
from agebackup.model.records import ArchiveRecord, DestinationRecord, Sequel
from agebackup.operations import rekeyed
from agebackup.operations.astray import astray
from agebackup.operations.inventory import take_inventory
from agebackup.operations.reading import sha256_of
from agebackup.system.progress import Progress

T = TypeVar("T")

NO_FIGURES = "nobody notices what changed suddenly since the last archive"
_OPEN = "the archive counts as unfinished until the next run"
_UNSETTLED = "what a killed run left open stays open"
_REPLACED = "the archive that this one replaced still counts as there"
_DEVICE = "the device of the destination is not noted"
_RECENT = 100


class Bookkeeping:
    """A run's ledger, None where there is none, and what came of using it.

    No method raises for the ledger's sake. `losses` are sentences for the person: what the ledger
    does not know, why, and what to do; those handed in come first.
    """

    def __init__(self, ledger: Ledger | None = None, losses: Iterable[str] = ()) -> None:
        self.ledger = ledger
        self._given = tuple(losses)
        self._lost: dict[str, LedgerError] = {}
        self._trouble: LedgerError | None = None

    @property
    def losses(self) -> tuple[str, ...]:
        """What the ledger lost so far, one sentence for each reason."""
        reasons = {error.message: error for error in self._lost.values()}
        return self._given + tuple(self._told(error) for error in reasons.values())

    def _told(self, reason: LedgerError) -> str:
        lost = [what for what, error in self._lost.items() if error.message == reason.message]
        return f"{reason.message} So {'; '.join(lost)}. {reason.hint}".rstrip()

    def settle(
        self, app: str, folder: Folder, now: datetime, progress: Progress | None = None
    ) -> None:
        """Clear up what runs of `app` that were killed had announced in `folder`.

        To be called while no run of `app` is at work. An archive that is there, as large as it was
        announced or in the cloud alone, was published; any other never was, and its number is free
        again. In a folder that may not be the known one nothing is settled.
        """

        def work(ledger: Ledger) -> None:
            for row in ledger.announced(app, folder.key):
                if row.pending == "rekey":
                    rekeyed.settle(ledger, row, now, progress or Progress())
                else:
                    _settle(ledger, row, now, progress or Progress())

        self._try(_UNSETTLED, work)

    def sequel(self, app: str) -> Sequel | None:
        """Return what the next archive of `app` says of the one before; None without a ledger."""
        return self._try(NO_NUMBER, lambda ledger: ledger.sequel(app))

    def last(self, app: str) -> ArchiveRecord | None:
        """Return the newest archive of `app`, deleted or not, whose figures are known.

        None where the last `_RECENT` ones lack them: they were adopted by their names.
        """

        def work(ledger: Ledger) -> ArchiveRecord | None:
            rows = ledger.archives(app, deleted=True, limit=_RECENT)
            return next((row for row in rows if row.figures is not None), None)

        return self._try(NO_FIGURES, work)

    def announce(self, record: ArchiveRecord) -> None:
        """Write down that `record` is about to get its name."""
        self._trouble = None
        self._try(NO_ROW, lambda ledger: ledger.put(replace(record, pending="publish")))

    def published(self, record: ArchiveRecord) -> ArchiveRecord:
        """Write down that `record` has its name now, announced or not; return it so."""
        self._trouble = None
        loss = NO_ROW if self._lost.pop(NO_ROW, None) else _OPEN
        announced = replace(record, pending="publish")
        self._try(loss, lambda ledger: ledger.amend(announced, pending=""))
        return replace(record, pending="")

    def withdrawn(self, record: ArchiveRecord, now: datetime) -> None:
        """Write down that `record`, which was announced, did not get its name, if that is so."""
        self._try(_UNSETTLED, lambda ledger: _settle(ledger, record, now, Progress()))

    def replaced(self, record: ArchiveRecord, now: datetime) -> None:
        """Write down that whatever had the freely chosen name of `record` is gone."""
        if record.file_name != record.name:
            self._try(_REPLACED, lambda ledger: _replaced(ledger, record, now))

    def saw(self, destination: str, device: str, now: datetime) -> str:
        """Note that `destination` lies on `device`; return where it lay before, "" if unknown.

        Another device is not believed, and so told by every run, while all that was in the folder
        when the known one was last seen is missing: its drive is hardly mounted.
        """

        def work(ledger: Ledger) -> str:
            known = {one.path: one for one in ledger.destinations()}.get(destination)
            if known is None or not differs(known.device, device):
                kept = telling(known.device, device) if known else device
                ledger.put(DestinationRecord(destination, kept, now))
            elif not _left_behind(ledger, known):
                ledger.put(DestinationRecord(destination, device, now))
            return known.device if known else ""

        return self._try(_DEVICE, work) or ""

    def _try(self, loss: str, work: Callable[[Ledger], T]) -> T | None:
        """Do `work`, or note what is lost by it; a locked ledger is not waited for each time."""
        if self.ledger is None:
            return None
        try:
            if self._trouble is not None:
                raise self._trouble
            return work(self.ledger)
        except LedgerError as error:
            self._trouble = error
            self._lost[loss] = error
            return None


def _left_behind(ledger: Ledger, known: DestinationRecord) -> bool:
    """Return whether there were archives in the folder when it was `known`, and none is there."""
    rows = ledger.archives(destination=known.path)
    old = [row for row in rows if row.time <= known.seen and not row.pending][:_RECENT]
    return bool(old) and not any(
        os.path.lexists(Path(row.destination, row.file_name)) for row in old
    )


def _settle(ledger: Ledger, row: ArchiveRecord, now: datetime, progress: Progress) -> None:
    there = _is_there(row, progress)
    if there is False:
        there = _is_elsewhere(row, ledger, now)
    if there:
        ledger.amend(row, pending="")
        _replaced(ledger, row, now)
    elif there is not None:
        ledger.forget([row])


def _is_elsewhere(row: ArchiveRecord, ledger: Ledger, now: datetime) -> bool | None:
    """Return whether the announced archive is in the cloud alone; None where nobody can tell."""
    try:
        inventory = take_inventory(Folder(Path(row.destination)), ledger, now)
    except (NotFoundError, FailedError):
        return None
    if any(str(held.name) == row.file_name and held.is_stub for held in inventory.nameable):
        return True
    return None if astray(inventory, ledger) else False


def _replaced(ledger: Ledger, record: ArchiveRecord, now: datetime) -> None:
    if record.file_name == record.name:
        return
    for row in ledger.archives(destination=record.destination):
        if row.file_name == record.file_name and row.name != record.name:
            ledger.amend(row, deleted=now, deleted_why=f"replaced by {record.name}", pending="")


def _is_there(row: ArchiveRecord, progress: Progress) -> bool | None:
    """Return whether the file is the announced archive; None where that cannot be known now.

    The size is enough for a name that never was any other file's. A freely chosen name was another
    archive's before, very likely of the same size.
    """
    path = Path(row.destination, row.file_name)
    try:
        if not stat.S_ISDIR(os.stat(path.parent).st_mode):
            return None
        status = os.lstat(path)
    except FileNotFoundError:
        return False if path.parent.is_dir() else None
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode) or status.st_size != row.size:
        return False
    if row.file_name == row.name:
        return True
    try:
        return sha256_of(path, progress) == row.sha256
    except (NotFoundError, FailedError, VerificationError, OSError):
        return None
