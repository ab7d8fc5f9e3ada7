"""report: gather all that is known of the apps' backups as one value, for a page.

What may hang is asked in child processes with a time limit, and nothing is changed anywhere: the
audit learns nothing into the ledger.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec

from agebackup.destinations.folder import Folder
from agebackup.destinations.listing import read_entries
from agebackup.errors import AgebackupError
from agebackup.ledger import Ledger, LedgerError
from agebackup.model.budget import Budget
from agebackup.model.classifying import classify
from agebackup.model.findings import worst_first
from agebackup.model.freshness import AppStatus
from agebackup.model.inventory import FolderEntry, Inventory
from agebackup.model.overview import AppOverview, Audited, Shelf, Shelved
from agebackup.model.records import ArchiveRecord, DrillRecord, RunRecord
from agebackup.model.retention import Policy
from agebackup.operations.audit import AuditOrder, AuditReport, audit, ledger_or_finding
from agebackup.operations.listing import Listed, listing
from agebackup.system.outcome import Result
from agebackup.system.probing import within
from agebackup.system.progress import Progress

LOOK_SECONDS = 3.0
"""How long all destinations together may take to show their names."""
AUDIT_SECONDS = 20.0
"""How long all audits together may take: they read a block of each archive."""
RUNS = 5000
"""So many runs of an app are asked for, three months of one every half hour."""
DRILLS = 200
Seen = Mapping[str, tuple[FolderEntry, ...] | str]
"""What lies in each destination, or why nobody looked."""


@dataclass(frozen=True)
class ReportOrder:
    """What is to be told: how each app was `judged`, and the `policies` of those that have one.

    `ledger_file` is where audits find the ledger; None: no audits.
    """

    judged: tuple[AppStatus, ...]
    policies: Mapping[str, Policy]
    now: datetime
    ledger_file: Path | None = None


@dataclass(frozen=True)
class _Known:
    """What the ledger knows of an app; of archives all, deleted ones too."""

    archives: tuple[ArchiveRecord, ...]
    runs: tuple[RunRecord, ...]
    drills: tuple[DrillRecord, ...]


def report(
    order: ReportOrder, ledger: Ledger | None, progress: Progress
) -> tuple[AppOverview, ...]:
    """Return what is known of each app, in the order in which they were judged.

    Takes half a minute at most, whatever hangs. The ledger is closed then; one that fails is a
    warning, and what lies in the folders is told.
    """
    apps = tuple(dict.fromkeys(one.app for one in order.judged))
    known = _asked(apps, ledger, progress)
    progress.phase("looking")
    seen = _seen(order.judged, progress)
    audits: Mapping[tuple[str, str], Audited] = {}
    if order.ledger_file is not None:
        progress.phase("auditing")
        audits = _audits(order, order.ledger_file, seen, progress)
    return tuple(_overview(app, order, known.get(app), seen, audits) for app in apps)


def _asked(apps: Iterable[str], ledger: Ledger | None, progress: Progress) -> Mapping[str, _Known]:
    if ledger is None:
        return {}
    with ledger:
        try:
            return {
                app: _Known(
                    ledger.archives(app, deleted=True),
                    ledger.runs(app, limit=RUNS),
                    ledger.drills(app, limit=DRILLS),
                )
                for app in apps
            }
        except LedgerError as error:
            progress.warn(f"{error.message} {error.hint}")
            return {}


def _seen(judged: Iterable[AppStatus], progress: Progress) -> Seen:
    """Return what lies in each folder that answered `status`, or why nothing was seen."""
    silent = {
        one.destination: finding.fact
        for one in judged
        for finding in one.findings
        if finding.code in ("destination-stuck", "destination-away")
    }
    asked = {one.destination for one in judged if os.path.isabs(one.destination)}
    looked = sorted(asked - silent.keys())
    results = within(LOOK_SECONDS, [partial(_look, Path(one)) for one in looked], progress)
    found = {place: _entries(result) for place, result in zip(looked, results, strict=True)}
    return {**silent, **found}


def _look(directory: Path) -> Result:
    """Return what lies in `directory`, as a child process can hand it over."""
    try:
        return {"entries": msgspec.to_builtins(read_entries(directory))}
    except AgebackupError as error:
        return {"problem": error.message}


def _entries(result: Result | None) -> tuple[FolderEntry, ...] | str:
    if result is None:
        return "It does not answer."
    if "problem" in result:
        return str(result["problem"])
    return msgspec.convert(result["entries"], tuple[FolderEntry, ...])


def _audits(
    order: ReportOrder,
    file: Path,
    seen: Seen,
    progress: Progress,
) -> Mapping[tuple[str, str], Audited]:
    """Return an audit of each app in each destination that was seen, and why others have none."""
    wanted = [(one.app, one.destination) for one in order.judged if one.destination]
    asked = [pair for pair in wanted if isinstance(seen.get(pair[1]), tuple)]
    shared = frozenset(app for app, policy in order.policies.items() if policy.shared)
    functions = [
        partial(
            _audit,
            AuditOrder(
                Folder(Path(place)),
                order.now,
                frozenset({app}),
                shared,
                Budget(bytes=0),
                declared=True,
                learn=False,
            ),
            file,
        )
        for app, place in asked
    ]
    results = within(AUDIT_SECONDS, functions, progress)
    found = {pair: _understood(pair[1], one) for pair, one in zip(asked, results, strict=True)}
    return {pair: found.get(pair) or _unaudited(pair[1], seen) for pair in wanted}


def _audit(order: AuditOrder, file: Path) -> Result:
    """Return what a child process hands over; it opens a ledger of its own."""
    ledger, finding = ledger_or_finding(file)
    try:
        done = audit(order, ledger, Progress())
    except AgebackupError as error:
        return {"problem": error.message}
    finally:
        if ledger is not None:
            ledger.close()
    if finding is not None:
        done = replace(done, findings=worst_first((finding, *done.findings)))
    return {"report": msgspec.to_builtins(done)}


def _understood(destination: str, result: Result | None) -> Audited:
    if result is None:
        return Audited(destination, f"It was not done within {AUDIT_SECONDS:.0f} seconds.")
    if "problem" in result:
        return Audited(destination, str(result["problem"]))
    done = msgspec.convert(result["report"], AuditReport)
    turns = done.turns
    return Audited(
        destination,
        "",
        done.archives,
        turns.recorded,
        turns.read,
        turns.oldest,
        done.findings,
    )


def _unaudited(destination: str, seen: Seen) -> Audited:
    why = seen.get(destination)
    return Audited(destination, why if isinstance(why, str) else "It was not looked at.")


def _overview(
    app: str,
    order: ReportOrder,
    known: _Known | None,
    seen: Seen,
    audits: Mapping[tuple[str, str], Audited],
) -> AppOverview:
    judged = tuple(one for one in order.judged if one.app == app)
    rows = known.archives if known else ()
    present = [one for one in rows if one.deleted is None]
    owed = {copy.destination: len(copy.owed) for one in judged for copy in one.copies}
    places = [one.destination for one in judged if one.destination]
    places += [place for place in owed if place not in places]
    places += sorted({one.destination for one in present} - {*places})
    policies = {app: order.policies[app]} if app in order.policies else {}
    shelves = []
    for place in places:
        found = seen.get(place, "")
        inventory = _inventory(place, found, rows, order.now)
        listed = listing(inventory, app, policies, order.now)
        shelves.append(
            Shelf(
                place,
                _newest_first(*map(_shelved, listed.archives), *map(_gone, listed.missing)),
                seen=isinstance(found, tuple),
                remark=found if isinstance(found, str) else "",
                others=len(listed.others),
                owed=owed.get(place),
            )
        )
    return AppOverview(
        app,
        judged,
        tuple(shelves),
        made=_made(rows, shelves, app),
        runs=known.runs if known else None,
        drills=known.drills if known else None,
        audited=tuple(audits[app, place] for place in places if (app, place) in audits),
    )


def _inventory(
    place: str,
    found: tuple[FolderEntry, ...] | str,
    rows: Sequence[ArchiveRecord],
    now: datetime,
) -> Inventory:
    """Return what was found in `place`, or where nothing was, what the ledger says lies there."""
    if isinstance(found, tuple):
        return classify(found, rows, place, now)
    recorded = [
        FolderEntry(one.file_name, one.size or 1, one.time.timestamp())
        for one in rows
        if one.destination == place and one.deleted is None
    ]
    return classify(recorded, rows, place, now)


def _shelved(one: Listed) -> Shelved:
    name, record = one.held.name, one.held.record
    return Shelved(
        str(name),
        name.id,
        name.time,
        one.held.entry.size,
        one.state,
        one.reasons,
        one.stays,
        record.tag if record else "",
        record.note if record else "",
    )


def _newest_first(*archives: Shelved) -> tuple[Shelved, ...]:
    return tuple(sorted(archives, key=lambda one: (one.time, one.name), reverse=True))


def _gone(one: ArchiveRecord) -> Shelved:
    why = ("the ledger knows it, and its file is not there",)
    return Shelved(one.name, one.id, one.time, one.size, "gone", why, tag=one.tag, note=one.note)


def _made(
    rows: Sequence[ArchiveRecord], shelves: Iterable[Shelf], app: str
) -> tuple[ArchiveRecord, ...]:
    """Return every archive that is known once, oldest first."""
    by_name = {one.name: one for one in rows}
    for shelf in shelves:
        for one in shelf.archives:
            if one.name not in by_name:
                by_name[one.name] = ArchiveRecord(
                    one.name, app, one.id, one.time, shelf.destination, one.name, size=one.size
                )
    return tuple(sorted(by_name.values(), key=lambda one: (one.time, one.name)))
