"""The timeline of a destination: a lane for each rule, a mark for each archive that it keeps."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from agebackup.errors import counted
from agebackup.model.buckets import TIERS
from agebackup.model.overview import Shelved
from agebackup.model.retaining import NEWEST
from agebackup.reporting.scales import AgeScale, Tick

Shape = Literal["sound", "untried", "broken"]
"""sound: proved or verified; untried: nobody has looked; broken: damaged, incomplete, gone."""
SHAPES: dict[str, Shape] = {
    "proved": "sound",
    "verified": "sound",
    "unproved": "untried",
    "unknown": "untried",
}
LANES = (*TIERS, "last", "within", "manual", "by hand", "tag", "newest", "no rule", "to go")
HEIGHT = 26
"""Pixels of a lane."""


@dataclass(frozen=True)
class Mark:
    """One archive, or several that stand at one place: then the gravest shape counts."""

    x: float
    shape: Shape
    title: str


@dataclass(frozen=True)
class Lane:
    """One rule. `y` is its middle in pixels; `count` archives are in it."""

    name: str
    y: int
    count: int
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Timeline:
    """All lanes, of which an archive may stand in several, and the axis below them."""

    lanes: tuple[Lane, ...]
    ticks: tuple[Tick, ...]
    description: str

    @property
    def height(self) -> int:
        """Pixels down to the axis."""
        return HEIGHT * len(self.lanes)


def timeline(archives: Sequence[Shelved], now: datetime) -> Timeline | None:
    """Return the drawing of `archives`, which come newest first; None where there are none."""
    if not archives:
        return None
    scale = AgeScale(now, min(one.time for one in archives))
    lanes: dict[str, list[Shelved]] = defaultdict(list)
    for one in archives:
        for name in dict.fromkeys(lanes_of(one)):
            lanes[name].append(one)
    drawn = tuple(
        Lane(name, HEIGHT * index + HEIGHT // 2, len(lanes[name]), _marks(lanes[name], scale))
        for index, name in enumerate(name for name in LANES if name in lanes)
    )
    said = ", ".join(f"{one.name}: {one.count:,}" for one in drawn)
    first, last = archives[-1].time, archives[0].time
    description = (
        f"{counted(len(archives), 'archive')} from {first:%Y-%m-%d} to {last:%Y-%m-%d}, by the "
        f"rule that keeps them; one may be in several. {said}. The table below has each of them."
    )
    return Timeline(drawn, scale.ticks, description)


def lanes_of(archive: Shelved) -> Iterable[str]:
    """Return the lanes in which `archive` stands, at least one."""
    if not archive.stays:
        return ("to go",)
    found = [lane for reason in archive.reasons if (lane := _lane(reason))]
    alone = "newest" if NEWEST in archive.reasons else "no rule"
    return found or (alone,)


def _lane(reason: str) -> str:
    rule = reason.removesuffix(" (the oldest)")
    if rule.startswith("tag "):
        return "tag"
    if rule == "kept by hand":
        return "by hand"
    return rule if rule in LANES else ""


def _marks(archives: Iterable[Shelved], scale: AgeScale) -> tuple[Mark, ...]:
    slots: dict[float, list[Shelved]] = defaultdict(list)
    for one in archives:
        slots[scale.x(one.time)].append(one)
    return tuple(_mark(x, ones) for x, ones in sorted(slots.items()))


def _mark(x: float, ones: Sequence[Shelved]) -> Mark:
    shapes = {SHAPES.get(one.state, "broken") for one in ones}
    shape = next(one for one in ("broken", "untried", "sound") if one in shapes)
    first = ones[0]
    more = f", and {counted(len(ones) - 1, 'archive')} more" if len(ones) > 1 else ""
    return Mark(x, shape, f"{first.id}, {first.time:%Y-%m-%d %H:%M}, {first.state}{more}")
