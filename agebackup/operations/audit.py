"""audit: say what can be known of a folder's archives without any key."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from agebackup.destinations.folder import Folder
from agebackup.errors import FailedError, NotFoundError, StoppedError, counted, printable
from agebackup.ledger import Ledger, LedgerError, open_ledger
from agebackup.model.auditing import amendments, judge
from agebackup.model.budget import UNLIMITED, USUAL, Budget
from agebackup.model.evidence import Evidence, Ground, Snapshot, subjects
from agebackup.model.findings import Finding, Severity, worst_first
from agebackup.model.records import ArchiveRecord
from agebackup.model.recovery import RECOVERY_NOTE
from agebackup.operations.inventory import take_inventory
from agebackup.operations.sampling import Sample
from agebackup.system.mounts import device_of
from agebackup.system.progress import Progress


@dataclass(frozen=True)
class AuditOrder:
    """What is to be audited: `folder`, of `apps` (None: all), reading within `budget`.

    `shared`: apps whose policy says that other machines use the folder too. `declared`: the
    configuration names the folder, so that its absence is a finding whatever the ledger knows.
    `learn`: what was proved is written into the ledger.
    """

    folder: Folder
    now: datetime
    apps: frozenset[str] | None = None
    shared: frozenset[str] = frozenset()
    budget: Budget = USUAL
    declared: bool = False
    learn: bool = True


@dataclass(frozen=True)
class Turns:
    """How far round the reading of whole files is: of `recorded` files that have a hash in the
    ledger, `read` were read whole at least once, the one not read for longest at `oldest`."""

    recorded: int = 0
    read: int = 0
    oldest: datetime | None = None


@dataclass(frozen=True)
class AuditReport:
    """What an audit of one folder found. `hashed` files of `read_bytes` were read whole.

    `archives` lie there under names of their own, as `list` counts them.
    """

    destination: str
    archives: int = 0
    hashed: int = 0
    read_bytes: int = 0
    turns: Turns = field(default_factory=Turns)
    findings: tuple[Finding, ...] = ()


def audit(order: AuditOrder, ledger: Ledger | None, progress: Progress) -> AuditReport:
    """Return what the folder, its files' outside and the ledger say of each other.

    Nothing in the folder is changed. The ledger learns which archives are bad and which were read;
    one that fails meanwhile is a finding, and what it had said by then is judged by. Raises
    `NotFoundError` (10) where the folder is absent and neither ledger nor configuration knows it,
    and `StoppedError`.
    """
    try:
        return _audited(order, ledger, progress)
    except LedgerError as error:  # so early that nothing was read yet
        report = _audited(order, None, progress)
        return replace(report, findings=worst_first((unusable(error), *report.findings)))


def ledger_or_finding(file: Path) -> tuple[Ledger | None, Finding | None]:
    """Return the opened ledger, or None and what that means for an audit."""
    try:
        return open_ledger(file, make=False), None
    except LedgerError as error:
        if not error.absent:
            return None, unusable(error)
    return None, Finding(
        "error",
        "ledger-absent",
        printable(str(file)),
        "There is no ledger, so nothing says which archives there should be.",
        "If backups were made on this machine: agebackup ledger rebuild --mine DEST",
    )


def unusable(error: LedgerError) -> Finding:
    """Return what it means for an audit that the ledger cannot be used."""
    return Finding("error", "ledger-unusable", "", error.message, error.hint)


def missing(key: str, held: int, said: str, remedy: str) -> Finding:
    """Return what it means that the destination `key` is absent, as `said`, where the ledger knows
    of so many archives that it `held`."""
    knows = f" The ledger knows {counted(held, 'archive')} there." if held else ""
    severity: Severity = "error" if held else "warning"
    return Finding(severity, "destination-missing", key, f"{said}{knows}", remedy)


def _audited(order: AuditOrder, ledger: Ledger | None, progress: Progress) -> AuditReport:
    folder = order.folder
    rows = ledger.archives(deleted=True, pending=True) if ledger else ()
    try:
        before = _snapshot(order, ledger)
    except NotFoundError as error:
        return _absent(order, rows, error)
    except LedgerError:
        raise
    except FailedError as error:
        finding = Finding("error", "destination-unreadable", folder.key, error.message, error.hint)
        return AuditReport(folder.key, findings=(finding,))
    ground = _ground(order, ledger)
    chosen = [one for one in subjects(before) if ground.means(one.app)]
    sample = Sample(folder, order.budget, progress)
    try:
        sample.take_headers(chosen)
        sample.take_hashes(before, chosen)
    except StoppedError:  # whose turn it was must not be forgotten by a stop, or it never ends
        after, failure = _second_look(order, ledger, before)
        if failure is None and order.learn:
            _told_to_ledger(ledger, Evidence(before, after, sample.looks, ground), progress)
        raise
    after, failure = _second_look(order, ledger, before)
    evidence = Evidence(before, after, sample.looks, ground)
    told = ledger if order.learn and not failure else None
    changed = _told_to_ledger(told, evidence, progress)
    found = [*judge(evidence), *_strange_note(folder), *([unusable(failure)] if failure else [])]
    return AuditReport(
        destination=folder.key,
        archives=sum(1 for held in after.inventory.archives if ground.means(held.name.app)),
        hashed=sample.hashed,
        read_bytes=sample.read,
        turns=_turns(changed),
        findings=worst_first(tuple(found)),
    )


def _second_look(
    order: AuditOrder, ledger: Ledger | None, before: Snapshot
) -> tuple[Snapshot, LedgerError | None]:
    """Return how things are after the reading; the rows as before it where the ledger fails now."""
    try:
        return _snapshot(order, ledger), None
    except LedgerError as error:
        return Snapshot(take_inventory(order.folder, None, order.now), before.records), error


def _strange_note(folder: Folder) -> Iterator[Finding]:
    if folder.has_strange_note():
        yield Finding(
            "note",
            "recipe-differs",
            RECOVERY_NOTE,
            "This recipe is not the one that this agebackup writes: another version did, or "
            "somebody changed it.",
            "Remove it, and the next backup writes it anew. Do not follow one from the folder "
            "before you have compared it with the README.",
        )


def _snapshot(order: AuditOrder, ledger: Ledger | None) -> Snapshot:
    inventory = take_inventory(order.folder, ledger, order.now)
    rows = ledger.archives(deleted=True, pending=True) if ledger else ()
    return Snapshot(inventory, rows)


def _ground(order: AuditOrder, ledger: Ledger | None) -> Ground:
    folder = order.folder
    known = [one for one in ledger.destinations() if one.path == folder.key] if ledger else []
    return Ground(
        apps=order.apps,
        series=ledger.series if ledger else None,
        shared=order.shared,
        device=device_of(folder.path),
        known=known[0] if known else None,
        full=order.budget == UNLIMITED,
    )


def _absent(order: AuditOrder, rows: Iterable[ArchiveRecord], error: NotFoundError) -> AuditReport:
    key = order.folder.key
    held = [
        one
        for one in rows
        if one.destination == key
        and one.deleted is None
        and (order.apps is None or one.app in order.apps)
    ]
    if not held and not order.declared:
        raise error
    finding = missing(
        key,
        len(held),
        "It does not exist.",
        "If a drive should be mounted there, mount it. If it was moved, name it anew in the "
        "configuration; if it was deleted, make a new backup now: agebackup create",
    )
    return AuditReport(key, findings=(finding,))


def _told_to_ledger(
    ledger: Ledger | None, evidence: Evidence, progress: Progress
) -> tuple[ArchiveRecord, ...]:
    """Write what was proved; return the rows of the files that were judged, as they are now."""
    rows = {one.record.name: one.record for one in evidence.subjects if one.record}
    if ledger is not None:
        learned = amendments(evidence)
        try:
            with ledger.together():
                for record, changes in learned:
                    ledger.amend(record, **changes)
            rows |= {record.name: replace(record, **changes) for record, changes in learned}
        except LedgerError as error:
            progress.warn(f"What was seen could not be recorded. {error.message}")
    return tuple(rows.values())


def _turns(rows: Iterable[ArchiveRecord]) -> Turns:
    known = [one for one in rows if one.sha256]
    times = [one.hashed for one in known if one.hashed]
    return Turns(len(known), len(times), min(times, default=None))
