"""Numbers that are missing in the ledger's own count: rows that it has lost."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agebackup.model.records import ArchiveRecord

_LISTED = 5


@dataclass(frozen=True)
class Gap:
    """How many numbers of one app are missing, and the `first` few of them."""

    count: int
    first: tuple[int, ...]


def gaps(records: Iterable[ArchiveRecord], series: str) -> Mapping[str, Gap]:
    """Return by app what is missing in `series`; deleted archives and pending ones are counted."""
    numbers: dict[str, set[int]] = defaultdict(set)
    for one in records:
        if one.series == series and one.sequence:
            numbers[one.app].add(one.sequence)
    found = {}
    for app, seen in sorted(numbers.items()):
        count, first, number = max(seen) - len(seen), list[int](), 1
        while len(first) < min(count, _LISTED):
            if number not in seen:
                first.append(number)
            number += 1
        if count:
            found[app] = Gap(count, tuple(first))
    return found
