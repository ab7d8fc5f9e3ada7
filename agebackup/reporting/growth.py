"""How large the archives of an app were, one after the other, and month by month."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby

from agebackup.errors import counted
from agebackup.model.records import ArchiveRecord
from agebackup.model.sizes import human_bytes
from agebackup.reporting.scales import TimeScale

MONTHS = 24
"""So many months are told one by one, the last ones."""
POINTS = 400
"""So many points of a line are drawn; of more the largest of each few."""
_MONTH = timedelta(days=30)


@dataclass(frozen=True)
class Month:
    """The archives that were made in a month, those that are gone since among them."""

    name: str
    made: int
    smallest: int
    largest: int
    last: int


@dataclass(frozen=True)
class Growth:
    """The line through all sizes, as a path in a box of 1000 by 100, and its figures.

    `change` compares the newest with the last one made 30 days before it.
    """

    path: str
    area: str
    first: str
    last: str
    largest: int
    newest: int
    change: str
    months: tuple[Month, ...]
    earlier: int
    description: str


def growth(made: Sequence[ArchiveRecord]) -> Growth | None:
    """Return the growth of `made`, oldest first; None where no two sizes are known."""
    sized = [one for one in made if one.size]
    if len(sized) < 2:
        return None
    sizes = [one.size or 0 for one in sized]
    largest = max(sizes)
    scale = TimeScale(sized[0].time, sized[-1].time)
    places = [(scale.x(one.time) * 10, 100 - 100 * (one.size or 0) / largest) for one in sized]
    step = -(-len(places) // POINTS)
    drawn = [min(places[i : i + step], key=lambda one: one[1]) for i in range(0, len(places), step)]
    line = " ".join(f"{x:g} {y:.4g}" for x, y in dict.fromkeys((*drawn, places[-1])))
    months = _months(sized)
    return Growth(
        path=f"M{line}",
        area=f"M0 100 L{line} L1000 100Z",
        first=f"{sized[0].time:%Y-%m-%d}",
        last=f"{sized[-1].time:%Y-%m-%d}",
        largest=largest,
        newest=sizes[-1],
        change=_change(sized),
        months=months[:MONTHS],
        earlier=max(0, len(months) - MONTHS),
        description=(
            f"Sizes of {counted(len(sized), 'archive')} made from {sized[0].time:%Y-%m-%d} to "
            f"{sized[-1].time:%Y-%m-%d}: the first {human_bytes(sizes[0])}, the last "
            f"{human_bytes(sizes[-1])}, the largest {human_bytes(largest)}. "
            "The table below has them by month."
        ),
    )


def _change(sized: Sequence[ArchiveRecord]) -> str:
    newest = sized[-1]
    before = [one for one in sized if newest.time - one.time >= _MONTH]
    then = before[-1].size if before else None
    if not then:
        return ""
    percent = 100 * ((newest.size or 0) - then) / then
    return f"{percent:+,.0f} % in 30 days".replace("-", "\N{MINUS SIGN}")


def _months(sized: Sequence[ArchiveRecord]) -> tuple[Month, ...]:
    """Return the months in which archives were made, the last one first."""
    found = []
    for name, ones in groupby(sized, key=lambda one: f"{one.time:%Y-%m}"):
        sizes = [one.size or 0 for one in ones]
        found.append(Month(name, len(sizes), min(sizes), max(sizes), sizes[-1]))
    return tuple(reversed(found))
