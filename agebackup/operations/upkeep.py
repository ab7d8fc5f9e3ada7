"""What belongs around `create` within an app's lock: unfinished things before, pruning after.

Whatever goes wrong here, unforeseen things included, is a warning: the archive is what counts.
"""

import os
from dataclasses import replace

from agebackup.errors import AgebackupError, RefusedError, StoppedError, printable
from agebackup.model.lastrun import Pruning
from agebackup.model.profile import Profile
from agebackup.model.reports import CreateReport
from agebackup.operations.order import Site
from agebackup.operations.prune import HeldBackError, PruneOrder, prune, shrinkage
from agebackup.operations.record import Recording
from agebackup.operations.removal import FINISHED, finish_deletions


def before_create(app: str, site: Site, record: Recording) -> None:
    """End the deletions that an earlier run had decided and could not finish."""
    folder, ledger = site.destination, record.ledger
    if ledger is None or folder.file_name or folder.absent:
        return
    try:
        for name in finish_deletions(app, folder, ledger, record.post.clock(), record.progress):
            record.note("pruned", archive=name, message=FINISHED)
    except StoppedError:
        raise
    except Exception as error:
        record.warn(f"An earlier deletion is still not finished: {_reason(error)}")


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
    gone: list[str] = []

    def told(name: str, why: str) -> None:
        gone.append(name)
        record.note("pruned", archive=name, message=why)

    status, message = "done", ""
    try:
        order = PruneOrder(profile.name, policy, record.post.clock(), made=report.archive)
        if profile.watch.shrink == "refuse":
            order = replace(order, held_back=shrinkage(order, folder.key, ledger, report.record))
        prune(order, folder, ledger, record.progress, told)
    except HeldBackError as error:
        status, message = "held", f"{error.message} {error.hint}"
    except RefusedError as error:
        status, message = "refused", f"{error.message} {error.hint}"
    except StoppedError:
        status, message = "failed", "Pruning was cut short; the next run goes on with it."
    except Exception as error:
        status, message = "failed", f"Pruning failed: {_reason(error)}"
    if message:
        record.warn(message)
    return Pruning(status, tuple(gone), message)


def _reason(error: Exception) -> str:
    if isinstance(error, AgebackupError):
        return error.message
    return printable(f"{type(error).__name__}: {error}")
