"""What belongs around `create` within an app's lock: unfinished things before, pruning after.

Whatever goes wrong here, unforeseen things included, is a warning: the archive is what counts.
"""

import os
from datetime import datetime, timedelta

from agebackup.errors import AgebackupError, RefusedError, StoppedError, printable, shortened
from agebackup.ledger import LedgerError
from agebackup.model.changes import shrunk, sudden
from agebackup.model.lastrun import Pruning
from agebackup.model.profile import Profile
from agebackup.model.records import ArchiveRecord
from agebackup.model.reports import CreateReport
from agebackup.operations.order import Site
from agebackup.operations.prune import PruneOrder, prune
from agebackup.operations.record import Recording
from agebackup.operations.removal import finish_deletions

MEMORY = timedelta(days=14)
"""How long a sudden shrinkage holds pruning back: time for somebody to notice."""


def before_create(app: str, site: Site, record: Recording) -> None:
    """End the deletions that an earlier run had decided and could not finish."""
    folder, ledger = site.destination, record.ledger
    if ledger is None or folder.file_name or folder.absent:
        return
    try:
        names = finish_deletions(app, folder, ledger, record.post.clock(), record.progress)
    except StoppedError:
        raise
    except Exception as error:
        record.warn(f"An earlier deletion is still not finished: {_reason(error)}")
        return
    for name in names:
        record.note("pruned", archive=name, message="an earlier run had decided so")


def prune_after(profile: Profile, site: Site, report: CreateReport, record: Recording) -> Pruning:
    """Prune by the app's policy, after a complete archive went to the declared destination.

    Elsewhere, where `--to` led, nothing is ever pruned: the policy speaks of the declared place.
    """
    folder, ledger, policy = site.destination, record.ledger, profile.retention
    declared = os.path.realpath(profile.destination) if profile.destination else None
    if policy is None or report.problems or folder.file_name or folder.key != declared:
        return Pruning()
    if ledger is None:
        message = "Nothing was pruned, because the ledger cannot be used."
        record.warn(message)
        return Pruning("failed", message=message)
    now, status, message = record.post.clock(), "done", ""
    order = PruneOrder(profile.name, policy, now, held_back=_held_back(profile, report, record))
    try:
        prune(order, folder, ledger, record.progress)
    except RefusedError as error:
        status = "held" if order.held_back else "refused"
        message = f"{error.message} {error.hint}"
    except StoppedError:
        status, message = "failed", "Pruning was cut short; the next run goes on with it."
    except Exception as error:
        status, message = "failed", f"Pruning failed: {_reason(error)}"
    if message:
        record.warn(message)
    gone = _gone(profile.name, folder.key, now, record)
    for one in gone:
        record.note("pruned", archive=one.name, message=one.deleted_why.removeprefix("pruned: "))
    return Pruning(status, tuple(one.name for one in gone), message)


def _gone(app: str, destination: str, now: datetime, record: Recording) -> list[ArchiveRecord]:
    """Return what went with the pruning of this very moment, oldest first."""
    rows = reversed(_rows(app, destination, record))
    return [row for row in rows if row.deleted == now and not row.pending]


def _held_back(profile: Profile, report: CreateReport, record: Recording) -> str:
    """Return why nothing may be pruned now, "" for no reason.

    The new archive is compared with each of the last two weeks that is still there: what shrank
    one night would otherwise be the measure of the next.
    """
    if profile.watch.shrink != "refuse" or record.ledger is None:
        return ""
    since = report.record.time - MEMORY
    for one in _rows(profile.name, report.destination, record):
        if one.figures is None or one.deleted or one.bad or not since <= one.time:
            continue
        facts = [finding.fact for finding in shrunk(sudden(one.figures, report.figures))]
        if facts:
            return f"much less is in the app than in {one.name}: {' '.join(shortened(facts))}"
    return ""


def _rows(app: str, destination: str, record: Recording) -> tuple[ArchiveRecord, ...]:
    try:
        ledger = record.ledger
        return ledger.archives(app, destination=destination, deleted=True) if ledger else ()
    except LedgerError:
        return ()


def _reason(error: Exception) -> str:
    if isinstance(error, AgebackupError):
        return error.message
    return printable(f"{type(error).__name__}: {error}")
