"""ledger rebuild: make the ledger again from what lies in the destinations.

Everything is looked at first; then one transaction, or one file put into place, makes it count.
What a readable ledger knows is kept and only completed.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from agebackup.destinations.folder import Folder
from agebackup.errors import AgebackupError, FailedError, NotFoundError, printable
from agebackup.ledger import Ledger, open_ledger
from agebackup.ledger.salvage import Content, content_of, replacement
from agebackup.model.classifying import classify
from agebackup.model.findings import Finding
from agebackup.model.gaps import gaps
from agebackup.model.inventory import FolderEntry
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord, DestinationRecord
from agebackup.operations.adoption import Adoption, Depth, begin, look_inside
from agebackup.system.lock import WAIT_OPTION, exclusive
from agebackup.system.mounts import device_of
from agebackup.system.progress import Progress


@dataclass(frozen=True)
class RebuildOrder:
    """Which ledger is made again, and how far archives are looked into.

    `locks` is the directory of the runs' locks: a damaged ledger is replaced only while no run is
    at work, for whose end `wait_seconds` are given.
    """

    ledger: Path
    locks: Path
    depth: Depth
    wait_seconds: float = 0.0


@dataclass(frozen=True)
class Rebuilt:
    """What became of one destination. `failure` is why it could not be looked at.

    `adopted` archives were unknown, `taken` ones known as foreign and now this machine's. `evicted`
    ones are in the cloud alone, `others` are names that are no archive's.
    """

    destination: str
    adopted: int = 0
    known: int = 0
    taken: int = 0
    evicted: int = 0
    hashed: int = 0
    verified: int = 0
    others: int = 0
    findings: tuple[Finding, ...] = ()
    failure: AgebackupError | None = None


@dataclass(frozen=True)
class RebuildReport:
    """The new ledger. `damage` and `aside`: what was wrong with the old one, and where it lies now.

    `runs` and `archives` are the rows saved from a damaged one. `changed` is false where nothing
    was written, because no destination could be looked at. `series` is the id of the
    count that begins now; "" where the one before goes on, as nothing was lost or adopted.
    """

    ledger: str
    destinations: tuple[Rebuilt, ...]
    changed: bool = True
    made: bool = False
    damage: str = ""
    aside: str = ""
    runs: int = 0
    archives: int = 0
    series: str = ""


@dataclass
class _Harvest:
    destination: DestinationRecord
    adoptions: list[Adoption] = field(default_factory=list)
    others: int = 0


def rebuild(order: RebuildOrder, folders: Sequence[Folder], progress: Progress) -> RebuildReport:
    """Reconstruct the ledger from `folders`; what cannot be looked at is reported with its reason.

    Raises `BusyError` where another rebuild, or with a damaged ledger a run, is at work;
    `LedgerError` where something other than a damaged ledger is in its place, or its disk refuses;
    `StoppedError`. After any exception, or a kill, the ledger is as it was.
    """
    guard = order.ledger.with_name("ledger-rebuild.lock")
    with _sole(guard, "another rebuild of the ledger", order, progress):
        before = content_of(order.ledger, order.depth.claims)
        if before is not None and before.damage:
            with _no_run(order, progress):
                pass  # better now than after hours of reading
        looked = [_look(folder, before or Content(), order, progress) for folder in folders]
        harvests = [one for one in looked if isinstance(one, _Harvest)]
        found = tuple(_told(one) if isinstance(one, _Harvest) else one for one in looked)
        if not harvests:
            damage = before.damage if before else ""
            return RebuildReport(str(order.ledger), found, changed=False, damage=damage)
        if before is None or not before.damage:
            with open_ledger(order.ledger) as ledger:
                series = _write(
                    ledger,
                    harvests,
                    order,
                    anew=before is None or bool(gaps(before.archives, ledger.series)),
                )
            return RebuildReport(str(order.ledger), found, made=before is None, series=series)
        return _replace(before, harvests, found, order, progress)


def _replace(
    before: Content,
    harvests: list[_Harvest],
    found: tuple[Rebuilt, ...],
    order: RebuildOrder,
    progress: Progress,
) -> RebuildReport:
    """Put a new ledger, with what was saved of the damaged one, into its place."""
    claims, moment = order.depth.claims, order.depth.now
    with (
        _no_run(order, progress),
        replacement(order.ledger, claims, moment) as (ledger, aside),
    ):
        ledger.put(*before.runs, *before.archives, *before.destinations)
        ledger.put(*before.keychecks, *before.drills, *before.pushes)
        series = _write(ledger, harvests, order, anew=True)
    return RebuildReport(
        str(order.ledger),
        found,
        made=True,
        damage=before.damage,
        aside=str(aside),
        runs=len(before.runs),
        archives=len(before.archives),
        series=series,
    )


@contextmanager
def _no_run(order: RebuildOrder, progress: Progress) -> Iterator[None]:
    """Hold the lock of every app that ever ran here."""
    with ExitStack() as stack:
        for file in sorted(order.locks.glob("*.lock")):
            app, dot, _ = file.stem.partition(".")
            what = f"a push of {app}" if dot else f"a run of {app}"
            stack.enter_context(_sole(file, what, order, progress))
        yield


def _sole(
    file: Path, what: str, order: RebuildOrder, progress: Progress
) -> AbstractContextManager[None]:
    wait, hint = order.wait_seconds, WAIT_OPTION
    return exclusive(file, wait_seconds=wait, what=what, progress=progress, hint=hint)


def _look(
    folder: Folder, before: Content, order: RebuildOrder, progress: Progress
) -> _Harvest | Rebuilt:
    """Look at all archives in `folder`; a folder that fails as a whole does not stop the others."""
    try:
        harvest = _Harvest(DestinationRecord(folder.key, device_of(folder.path), order.depth.now))
        rows = _by_name(before.archives)
        for name, entry in _archives(folder, order, harvest):
            adoption = begin(name, entry, folder, order.depth, rows.get(str(name), ()))
            look_inside(adoption, progress)
            harvest.adoptions.append(adoption)
        if not (harvest.adoptions or before.damage or _knows(before, folder)):
            return Rebuilt(folder.key, failure=_nothing(folder))
        return harvest
    except (NotFoundError, FailedError) as error:
        return Rebuilt(folder.key, failure=error)


def _knows(before: Content, folder: Folder) -> bool:
    rows = (row for row in before.archives if row.destination == folder.key)
    return any(row.deleted is None for row in rows)


def _nothing(folder: Folder) -> NotFoundError:
    return NotFoundError(
        f"No archive lies in {printable(folder.key)}.",
        hint="If a drive should be mounted there, mount it. Name the directory of archives.",
    )


def _by_name(records: Sequence[ArchiveRecord]) -> dict[str, tuple[ArchiveRecord, ...]]:
    rows: dict[str, tuple[ArchiveRecord, ...]] = {}
    for record in records:
        rows[record.name] = (*rows.get(record.name, ()), record)
    return rows


def _archives(
    folder: Folder, order: RebuildOrder, harvest: _Harvest
) -> Iterator[tuple[ArchiveName, FolderEntry]]:
    """Yield the archives, and those whose content is in the cloud; count everything else."""
    inventory = classify(folder.entries(), (), folder.key, order.depth.now)
    for held in inventory.archives:
        yield held.name, held.entry
    for other in inventory.others:
        name = ArchiveName.parse(other.resembles or other.entry.name)
        if other.kind == "evicted" and name is not None:
            yield name, replace(other.entry, evicted=True)
        else:
            harvest.others += 1


def _write(ledger: Ledger, harvests: list[_Harvest], order: RebuildOrder, *, anew: bool) -> str:
    """Write everything as a whole; rows that came meanwhile from a run are left as they are.

    Return the id of the count that begins: `anew`, or because there are archives that it never
    counted; "" where none does.
    """
    with ledger.together():
        for harvest in harvests:
            ledger.put(harvest.destination)
            for adoption in harvest.adoptions:
                if adoption.known is None:
                    anew = True
                    ledger.add(adoption.record)
                else:
                    ledger.amend(adoption.known, **adoption.changes())
        return ledger.begin_series(order.depth.now) if anew else ""


def _told(harvest: _Harvest) -> Rebuilt:
    adoptions = harvest.adoptions
    known = [(one.known, one.record) for one in adoptions if one.known is not None]
    return Rebuilt(
        harvest.destination.path,
        adopted=len(adoptions) - len(known),
        known=len(known),
        taken=sum(before.foreign and not after.foreign for before, after in known),
        evicted=sum(one.entry.evicted for one in adoptions),
        hashed=sum(one.hashed for one in adoptions),
        verified=sum(one.verified for one in adoptions),
        others=harvest.others,
        findings=tuple(finding for one in adoptions for finding in one.findings),
    )
