"""audit of a remote: what its listing and the ledger say of each other; nothing is fetched."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from agebackup.destinations.interface import Destination, OutOfReachError
from agebackup.errors import AgebackupError, NotFoundError, StoppedError
from agebackup.ledger import Ledger, LedgerError
from agebackup.model.auditing import amendments, judge
from agebackup.model.evidence import Evidence, Ground, Look, Snapshot
from agebackup.model.findings import Finding, worst_first
from agebackup.model.inventory import FolderEntry
from agebackup.operations.audit import AuditReport, missing, unusable
from agebackup.operations.inventory import take_inventory

_AGAIN = "What is whole here still, agebackup push carries there again."


@dataclass(frozen=True)
class RemoteOrder:
    """What is to be audited: `remote`, of `apps` (None: all); `shared` as in `AuditOrder`."""

    remote: Destination
    now: datetime
    apps: frozenset[str] | None = None
    shared: frozenset[str] = frozenset()


def audit_remote(order: RemoteOrder, ledger: Ledger | None) -> AuditReport:
    """Return what is wrong with the remote, from one listing of it.

    Sizes and, where the server tells them, hashes are compared with the ledger's. Which row is
    proved false by that, the ledger learns; that one is whole it does not, for nobody read it. What
    cannot be reached is a finding. Raises `StoppedError`.
    """
    key = order.remote.key
    try:
        return _judged(order, ledger)
    except StoppedError:
        raise
    except LedgerError as error:
        finding = unusable(error)
    except NotFoundError as error:
        finding = _absent(order, ledger, error)
    except OutOfReachError as error:
        finding = Finding(
            "warning", "destination-out-of-reach", key, error.message, error.hint or "Try again."
        )
    except AgebackupError as error:
        finding = Finding("error", "destination-unreadable", key, error.message, error.hint)
    return AuditReport(key, findings=(finding,))


def _judged(order: RemoteOrder, ledger: Ledger | None) -> AuditReport:
    inventory = take_inventory(order.remote, ledger, order.now)
    rows = ledger.archives(deleted=True, pending=True) if ledger else ()
    ground = Ground(order.apps, ledger.series if ledger else None, order.shared, full=True)
    snapshot = Snapshot(inventory, rows)
    entries = [held.entry for held in inventory.archives]
    evidence = Evidence(snapshot, snapshot, _looks(entries), ground)
    if ledger is not None:
        with ledger.together():
            for record, changes in amendments(evidence):
                if changes.get("bad"):
                    ledger.amend(record, bad=True)
    return AuditReport(
        destination=order.remote.key,
        archives=sum(1 for held in inventory.archives if ground.means(held.name.app)),
        findings=worst_first(tuple(_remedied(finding) for finding in judge(evidence))),
    )


def _remedied(finding: Finding) -> Finding:
    """Return `finding` with the remedy that a remote has and a folder has not: another push."""
    if finding.code == "archive-gone":
        return replace(finding, remedy=f"{_AGAIN} Else look into the server's trash or versions.")
    if finding.code in ("size-differs", "content-differs", "known-bad"):
        return replace(finding, remedy=f"{_AGAIN} Else: {finding.remedy}")
    return finding


def _looks(entries: Iterable[FolderEntry]) -> dict[str, Look]:
    """Return the server's word for hashes that nobody here has read."""
    return {entry.name: Look(sha256=entry.sha256) for entry in entries if entry.sha256}


def _absent(order: RemoteOrder, ledger: Ledger | None, error: NotFoundError) -> Finding:
    rows = ledger.archives(destination=order.remote.key) if ledger else ()
    held = [one for one in rows if order.apps is None or one.app in order.apps]
    return missing(
        order.remote.key,
        len(held),
        error.message,
        "If it was moved, name it anew in the configuration; else agebackup push --yes carries "
        "copies there again.",
    )
