"""What a folder holds besides archives, and what that means for them."""

from collections import Counter
from collections.abc import Iterator

from agebackup.model.evidence import Evidence, Look
from agebackup.model.expected import expected
from agebackup.model.findings import Finding, Severity
from agebackup.model.inventory import Other
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord
from agebackup.model.recovery import RECOVERY_NOTE

_SHOWN_NAMES = 3


def of_others(evidence: Evidence) -> Iterator[Finding]:
    """Yield what is to be said of conflict copies, evicted, future, foreign and odd names."""
    rows = expected(evidence.after.here)
    before = {other.entry.name for other in evidence.before.inventory.others}
    foreign: list[str] = []
    for other in evidence.after.inventory.others:
        name = other.entry.name
        if name not in before or not evidence.ground.means(_app(other, rows)):
            continue
        if other.kind == "link" and (name in rows or ArchiveName.parse(name)):
            yield _not_a_file(other)
        elif other.kind == "conflict":
            yield _conflict(other, rows.get(other.resembles), evidence)
        elif other.kind == "evicted":
            yield _hollow(other, rows.get(name)) or _evicted(other)
        elif other.kind == "future":
            yield _future(other)
        elif other.entry.partial:
            yield _partial(other)
        elif other.kind == "temporary":
            yield _temporary(other)
        elif name not in rows and name != RECOVERY_NOTE:
            foreign.append(name)
    if foreign:
        yield _foreign(foreign, evidence)


def _app(other: Other, rows: dict[str, ArchiveRecord]) -> str | None:
    for text in (other.resembles, other.entry.name):
        name = ArchiveName.parse(text)
        if name is not None:
            return name.app
        if text in rows:
            return rows[text].app
    return None


def _not_a_file(other: Other) -> Finding:
    return Finding(
        "error",
        "not-a-file",
        other.entry.name,
        "Under this archive's name lies something that is no regular file; it was not followed.",
        "Look what put it there. Take the archive from the cloud service's history or trash.",
    )


def _conflict(other: Other, original: ArchiveRecord | None, evidence: Evidence) -> Finding:
    name, look = other.entry.name, evidence.looks.get(other.entry.name, Look())
    if other.entry.evicted:
        fact = f"A conflict copy of {other.resembles} is in the cloud only; it was not compared."
        return Finding("note", "conflict-unread", name, fact, "Download it, then audit again.")
    wanted = original.sha256 if original else ""
    seen = evidence.looks.get(other.resembles, Look()).sha256
    if original is not None and look.sha256 in original.former:
        return Finding(
            "warning",
            "conflict-old-key",
            name,
            f"It is a conflict copy of {other.resembles} from before the rekey: the old key opens "
            "it.",
            "Remove it, unless you keep it for its old key.",
        )
    odd = original is not None and original.size not in (None, other.entry.size)
    if odd or (look.sha256 and (wanted or seen) and look.sha256 != (wanted or seen)):
        return Finding(
            "warning",
            "conflict-differs",
            name,
            f"It is a conflict copy of {other.resembles} with another content.",
            "Two machines or programs wrote under one name. Verify it with the key, and keep it "
            "elsewhere if it is whole; agebackup never touches it.",
        )
    if look.sha256 and (wanted or seen):
        removed = original is not None and original.deleted is not None
        return _same_content(other, needed=bool(wanted) and seen != wanted and not removed)
    severity: Severity = "note" if original is not None else "warning"
    fact = f"It is a conflict copy of {other.resembles or 'an archive'}, not compared so far."
    if not evidence.ground.full:
        remedy = "agebackup audit --full compares it."
    else:
        fact = (
            f"It is a conflict copy of {other.resembles or 'an archive'}, which is not known here."
        )
        remedy = "Verify it with the key, and keep it elsewhere if it is whole."
    return Finding(severity, "conflict-unread", name, fact, remedy)


def _same_content(other: Other, *, needed: bool) -> Finding:
    if needed:
        return Finding(
            "warning",
            "conflict-whole",
            other.entry.name,
            f"It is a conflict copy with the content that {other.resembles} should have.",
            f"Where {other.resembles} is gone or damaged, give this file its name.",
        )
    return Finding(
        "note",
        "conflict-same",
        other.entry.name,
        f"It is a conflict copy of {other.resembles} with the same content.",
        "It may be removed.",
    )


def _hollow(other: Other, row: ArchiveRecord | None) -> Finding | None:
    """Return what is wrong where the name and size of an evicted file are not the row's."""
    if row is None or row.pending or row.size in (None, other.entry.size):
        return None
    return Finding(
        "error",
        "size-differs",
        other.entry.name,
        f"It has no content here and {other.entry.size:,} bytes; {row.size:,} were written.",
        "No cloud client changes sizes. Take another copy of it from the cloud service's history "
        "or trash; if there is none, make a new backup now: agebackup create.",
    )


def out_of_reach(evidence: Evidence) -> Iterator[Finding]:
    """Yield the apps of which no archive is here: a stub proves nothing, and anybody can make one.

    As long as one archive could be looked at, evicted ones are no more than a note.
    """
    rows = expected(evidence.after.here).values()
    looked = {one.record.app for one in evidence.subjects if one.record}
    others = evidence.after.inventory.others
    stubs = {one.resembles for one in others if one.kind == "evicted"}
    counts = Counter(
        row.app for row in rows if row.deleted is None and not row.pending and row.name in stubs
    )
    for app, count in sorted(counts.items()):
        if app not in looked and evidence.ground.means(app):
            yield Finding(
                "warning",
                "out-of-reach",
                app,
                f"None of its archives is on this machine: of {count:,} there is only a stub, so "
                "that nothing could be looked at.",
                "Let the cloud client keep the folder on this machine, then audit again: stubs "
                "are no proof that the archives are still in the cloud.",
            )


def _evicted(other: Other) -> Finding:
    return Finding(
        "note",
        "evicted",
        other.resembles or other.entry.name,
        "Its content is only in the cloud; it was neither read nor counted as missing.",
        "To have it checked, let the cloud client keep it on this machine, then audit again.",
    )


def _future(other: Other) -> Finding:
    return Finding(
        "warning",
        "future-dated",
        other.entry.name,
        "Its name carries a time that is still to come.",
        "A clock was wrong when it was made, or is now: check it. Until then it is neither "
        "'latest' nor pruned.",
    )


def _partial(other: Other) -> Finding:
    return Finding(
        "warning",
        "partial",
        other.entry.name,
        "It was not carried there whole.",
        "agebackup push carries it again.",
    )


def _temporary(other: Other) -> Finding:
    return Finding(
        "note",
        "temporary",
        other.entry.name,
        "It is a half-written file of agebackup's.",
        "A run is at work, or was killed; agebackup clean removes what nobody needs.",
    )


def _foreign(names: list[str], evidence: Evidence) -> Finding:
    shown = ", ".join(sorted(names)[:_SHOWN_NAMES])
    more = f" and {len(names) - _SHOWN_NAMES:,} more" if len(names) > _SHOWN_NAMES else ""
    return Finding(
        "note",
        "foreign",
        evidence.after.inventory.destination,
        f"Other things lie there: {shown}{more}.",
        "They are never taken for archives. A renamed archive gets its place back with its name.",
    )
