"""What belongs around `create` within an app's lock: unfinished things before, pruning after.

Whatever goes wrong here, unforeseen things included, is a warning: the archive is what counts.
"""

import os

from agebackup.errors import StoppedError
from agebackup.model.lastrun import Pruning
from agebackup.model.profile import Profile
from agebackup.model.reports import CreateReport
from agebackup.operations.order import Site
from agebackup.operations.prune import PruneOrder, shrinkage
from agebackup.operations.pruning import Bench, prune_quietly, reason
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
        record.warn(f"An earlier deletion is still not finished: {reason(error)}")


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

    def told(name: str, why: str) -> None:
        record.note("pruned", archive=name, message=why)

    order = PruneOrder(profile.name, policy, record.post.clock(), made=report.archive)

    def held_back() -> str:
        wanted = profile.watch.shrink == "refuse"
        return shrinkage(order, folder.key, ledger, report.record) if wanted else ""

    pruning = prune_quietly(order, folder, Bench(ledger, record.progress, told), held_back)
    if pruning.message:
        record.warn(pruning.message)
    return pruning
