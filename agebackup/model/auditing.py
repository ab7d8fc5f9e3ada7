"""The judgement of an audit: what a folder and the ledger say of each other, without any key.

Pure. An honest folder, whatever the history of runs, prunes and deletions, gives no error and no
warning; what each kind of tampering gives stands in tests/test_model_auditing.py.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from agebackup.errors import counted
from agebackup.model.devices import differs
from agebackup.model.evidence import Evidence
from agebackup.model.findings import Finding, worst_first
from agebackup.model.gaps import gaps
from agebackup.model.inventory import returned
from agebackup.model.records import ArchiveRecord
from agebackup.model.strays import of_others, out_of_reach
from agebackup.model.suspicion import (
    NEW_BACKUP,
    Case,
    cases,
    of_files,
    of_restless,
    recipients_changed,
)

PROBLEMS = ("error", "warning")
"""The severities that make an audit's exit code 4. Notes do not."""


def judge(evidence: Evidence) -> tuple[Finding, ...]:
    """Return all that is to be said, the gravest first."""
    judged = cases(evidence)
    found = [
        *_device(evidence),
        *_absences(evidence),
        *of_files(evidence, judged),
        *of_restless(evidence),
        *recipients_changed(evidence, judged),
        *of_others(evidence),
        *out_of_reach(evidence),
        *_gaps(evidence),
        *_unknown_hashes(evidence, judged),
    ]
    return worst_first(tuple(found))


def amendments(evidence: Evidence) -> tuple[tuple[ArchiveRecord, dict[str, Any]], ...]:
    """Return what the ledger is to learn: which files are proved false, which proved genuine.

    A difference of size or hash makes a row `bad`, an unreadable file never does. One that was
    proved before it was published and has its hash again is good again.
    """
    changes: list[tuple[ArchiveRecord, dict[str, Any]]] = []
    taken = evidence.after.inventory.taken
    for case in cases(evidence):
        if case.record is None or case.record.pending:
            continue
        if case.genuine:
            healed = {"bad": False} if case.record.bad and case.record.proved else {}
            changes.append((case.record, {"hashed": taken, **healed}))
        elif _proved_bad(case) and not case.record.bad:
            changes.append((case.record, {"bad": True}))
    return tuple(changes)


def _proved_bad(case: Case) -> bool:
    return case.false or case.look.trouble == "damaged"


def _device(evidence: Evidence) -> Iterator[Finding]:
    known, now = evidence.ground.known, evidence.ground.device
    if known is not None and differs(known.device, now):
        yield Finding(
            "warning",
            "device-changed",
            evidence.after.inventory.destination,
            f"It lies on another device than on {known.seen:%Y-%m-%d}: {now}, not {known.device}.",
            "If a drive should be mounted there, mount it. If you moved the archives yourself, the "
            "next backup takes note of it.",
        )


def _absences(evidence: Evidence) -> Iterator[Finding]:
    missing = [one for one in evidence.missing if not one.foreign]
    inventory = evidence.after.inventory
    stubs = [other for other in inventory.others if other.kind == "evicted"]
    if missing and not inventory.archives and not stubs and not evidence.subjects:
        yield Finding(
            "error",
            "destination-empty",
            inventory.destination,
            f"It holds no archive, but the ledger knows {counted(len(missing), 'archive')} there.",
            "If a drive should be mounted there, or a cloud folder is still to be downloaded, see "
            f"to that. Else look into the trash. {NEW_BACKUP}.",
        )
        return
    for app in sorted({one.app for one in missing}):
        yield from _gone(app, [one for one in missing if one.app == app], evidence)
    for record in evidence.missing:
        if record.foreign:
            yield Finding(
                "note",
                "foreign-gone",
                record.file_name,
                "It is gone; whether the machine that made it deleted it, is not known here.",
                "If all archives here are this machine's: agebackup ledger rebuild --mine DEST",
            )


def _gone(app: str, missing: Sequence[ArchiveRecord], evidence: Evidence) -> Iterator[Finding]:
    series = evidence.ground.series
    names = {one.name for one in missing}
    alive = sorted(
        (
            one
            for one in evidence.after.here
            if one.app == app and one.deleted is None and not (one.pending or one.foreign)
        ),
        key=lambda one: (one.series == series, one.sequence or 0, one.time),
    )
    tail = []
    while alive and alive[-1].name in names:
        tail.append(alive.pop())
    back = tail if alive else []
    if back:
        yield _rolled_back(app, back, alive[-1], evidence)
    later = {one.name for one in back}
    for record in missing:
        if record.name not in later:
            yield Finding(
                "error",
                "archive-gone",
                record.file_name,
                "It is gone, and no rule deleted it.",
                "Look into the trash of the folder or of the cloud service. If you removed it "
                "yourself: agebackup clean --forget takes note of it.",
            )


def _rolled_back(
    app: str, tail: Sequence[ArchiveRecord], newest: ArchiveRecord, evidence: Evidence
) -> Finding:
    back = sum(1 for one in evidence.subjects if one.app == app and returned(one))
    also = f", and {counted(back, 'archive')} deleted before came back" if back else ""
    what = "the newest archive is" if len(tail) == 1 else f"the {len(tail):,} newest archives are"
    return Finding(
        "error",
        "rolled-back",
        app,
        f"The folder shows an older state: {what} gone ({tail[0].file_name}){also}. The newest "
        f"still there is {newest.file_name}.",
        "Look into the cloud service's history and trash, and whether another machine or an old "
        f"copy overwrote the folder. {NEW_BACKUP} {app}.",
    )


def _gaps(evidence: Evidence) -> Iterator[Finding]:
    series = evidence.ground.series
    if not series:
        return
    for app, gap in gaps(evidence.after.records, series).items():
        if not evidence.ground.means(app):
            continue
        more = f" and {gap.count - len(gap.first):,} more" if gap.count > len(gap.first) else ""
        yield Finding(
            "warning",
            "sequence-gap",
            app,
            f"The ledger has lost rows: number {', '.join(map(str, gap.first))}{more} of its own "
            "series.",
            "If the ledger's file was restored or edited: agebackup ledger rebuild DEST",
        )


def _unknown_hashes(evidence: Evidence, judged: Sequence[Case]) -> Iterator[Finding]:
    blind = [case for case in judged if case.record and not case.record.sha256]
    if blind:
        yield Finding(
            "note",
            "hash-unknown",
            evidence.after.inventory.destination,
            f"Of {counted(len(blind), 'archive')} the ledger has no hash, so the content is not "
            "compared.",
            "agebackup ledger rebuild --read DEST takes the hashes as they are now.",
        )
