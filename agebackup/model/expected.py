"""Which files a folder should hold by the ledger's rows, and which of them it does not."""

from collections import defaultdict
from collections.abc import Iterable

from agebackup.model.inventory import Held, Other
from agebackup.model.records import ArchiveRecord


def expected(records: Iterable[ArchiveRecord]) -> dict[str, ArchiveRecord]:
    """Return, of the rows of one folder, which one each file name stands for.

    Under a name that the person chose only the newest archive lies; while its successor may or may
    not have taken its place, none is expected.
    """
    rows: dict[str, list[ArchiveRecord]] = defaultdict(list)
    for record in records:
        rows[record.file_name].append(record)
    found = {}
    for name, group in rows.items():
        alive = [one for one in group if one.deleted is None] or group
        if len(group) == 1 or not any(one.pending == "publish" for one in group):
            found[name] = max(alive, key=lambda one: (one.time, one.sequence or 0))
    return found


def without_file(
    records: Iterable[ArchiveRecord], archives: Iterable[Held], others: Iterable[Other]
) -> tuple[ArchiveRecord, ...]:
    """Return the rows of one folder that should have a file and have none, newest first.

    An evicted file is one, and so is anything else that has the name.
    """
    there = {held.entry.name for held in archives}
    for other in others:
        there.add(other.entry.name)
        if other.kind == "evicted":
            there.add(other.resembles)
    gone = [
        one
        for name, one in expected(records).items()
        if one.deleted is None and not one.pending and name not in there
    ]
    return tuple(sorted(gone, key=lambda one: (one.time, one.name), reverse=True))
