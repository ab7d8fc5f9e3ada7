"""Notice that an app's data changed more in a night than it should: judged by figures alone."""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from agebackup.errors import printable, shortened
from agebackup.model.findings import Finding
from agebackup.model.layout import DATA
from agebackup.model.records import ArchiveRecord, Figures

LOSS = 0.5
"""Half of what was there is a sudden loss."""
GROWTH = 10
"""Ten times as much as before is a sudden growth."""
FLOORS = {"rows": 100, "files": 20, "bytes": 1 << 20}
"""Below so much before (for a loss) or after (for a growth) nothing is sudden: 12 rows become 3."""

SHRUNK = frozenset({"shrunk-rows", "shrunk-files", "shrunk-bytes", "gone-database", "gone-files"})
"""The codes that mean that something may have been lost."""
MEMORY = timedelta(days=14)
"""How long a sudden loss holds pruning back: time for somebody to notice."""
_LOOK = "Look at the application, before the archives that still have it are pruned."


def sudden(before: Figures, after: Figures) -> tuple[Finding, ...]:
    """Return what changed suddenly from one archive's figures to those of the next."""
    return tuple(_changes(before, after))


def shrunk(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Return those of `findings` that mean that something may have been lost."""
    return tuple(finding for finding in findings if finding.code in SHRUNK)


def lost(
    newest: ArchiveRecord, others: Iterable[ArchiveRecord]
) -> tuple[ArchiveRecord, tuple[Finding, ...]] | None:
    """Return the first of `others` that has much of what `newest` has not, and what that is.

    Those of the two weeks before it count that are still there and sound: what shrank one night
    would otherwise be the measure of the next.
    """
    for one in others:
        if one.deleted or one.bad or not newest.time - MEMORY <= one.time <= newest.time:
            continue
        if one.figures is None or newest.figures is None:
            continue
        if findings := shrunk(sudden(one.figures, newest.figures)):
            return one, findings
    return None


def held_back(newest: ArchiveRecord, others: Iterable[ArchiveRecord]) -> str:
    """Return why nothing may be pruned under `guard.shrink = "refuse"`, "" for no reason."""
    found = lost(newest, others)
    if found is None:
        return ""
    facts = [printable(finding.fact) for finding in found[1]]
    return f"much less is in the app than in {found[0].name}: {' '.join(shortened(facts))}"


def _changes(before: Figures, after: Figures) -> Iterator[Finding]:
    for place, had in sorted(before.databases.items()):
        shown, has = _shown(place), after.databases.get(place)
        if has is None:
            fact = f"The database {shown} was in the last archive and is not in this one."
            yield Finding("warning", "gone-database", shown, fact, _LOOK)
            continue
        yield from _compared("rows", shown, had.rows, has.rows)
        yield from _compared("bytes", shown, had.bytes, has.bytes)
    for place, tree in sorted(before.trees.items()):
        shown, now = _shown(place), after.trees.get(place)
        if tree.files and (now is None or not now.files):
            fact = f"{shown} has no files now; the last archive had {tree.files:,}."
            yield Finding("warning", "gone-files", shown, fact, "Is its disk mounted?")
            continue
        if now is None:
            continue
        yield from _compared("files", shown, tree.files, now.files)
        yield from _compared("bytes", shown, tree.bytes, now.bytes)


def _compared(unit: str, shown: str, had: int, has: int) -> Iterator[Finding]:
    if had >= FLOORS[unit] and has < had * (1 - LOSS):
        lost = (had - has) * 100 // had
        fact = f"{shown} lost {lost}% of its {unit}: {had:,} before, {has:,} now."
        yield Finding("warning", f"shrunk-{unit}", shown, fact, _LOOK)
    elif has >= FLOORS[unit] and has > max(had, 1) * GROWTH:
        fact = f"{shown} has {has:,} {unit} now, and had {had:,}: more than {GROWTH} times as much."
        yield Finding("note", f"grown-{unit}", shown, fact, "Is that meant to be backed up?")


def _shown(place: str) -> str:
    return place.removeprefix(DATA)
