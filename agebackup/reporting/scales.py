"""Where things stand in a drawing: percentages of its width, so that it fits every screen."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import log

_HOUR, _DAY, _YEAR = 3600.0, 86_400.0, 365.25 * 86_400.0
_AGES = (
    (_DAY, "1 day"),
    (_YEAR / 12, "1 month"),
    (_YEAR, "1 year"),
    (7 * _DAY, "1 week"),
    (_HOUR, "1 hour"),
    (_YEAR / 4, "3 months"),
    (10 * _YEAR, "10 years"),
    (3 * _YEAR, "3 years"),
    (6 * _HOUR, "6 hours"),
)
"""Ages that may be written below an axis, those that say most first."""
APART = 24.0
"""Percent between two labels, so that they do not touch on a narrow screen."""
SLOTS = 200
"""So many places of a lane are told apart: more marks could not be."""


@dataclass(frozen=True)
class Tick:
    """A label below an axis, at `x` percent."""

    x: float
    text: str


@dataclass(frozen=True)
class AgeScale:
    """From the oldest, at the left, to now, at 100: each doubling of age takes the same room.

    A scale in proportion would press all hourly archives into one point beside a yearly one.
    """

    now: datetime
    oldest: datetime

    @property
    def span(self) -> float:
        """Seconds from the left edge to now."""
        return max((self.now - self.oldest).total_seconds() * 1.1, 2 * _DAY)

    def x(self, time: datetime) -> float:
        """Return where `time` is; what is ahead of the clock stands at its end."""
        age = max(0.0, (self.now - time).total_seconds())
        return _rounded(100 - 100 * log(1 + age / _HOUR) / log(1 + self.span / _HOUR))

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """The labels that have room, and "now"."""
        found = [Tick(100.0, "now")]
        for seconds, text in _AGES:
            x = self.x(self.now - timedelta(seconds=seconds)) if seconds < self.span else -1.0
            if x >= 5 and all(abs(x - other.x) >= APART for other in found):
                found.append(Tick(x, text))
        return tuple(sorted(found, key=lambda one: one.x))


@dataclass(frozen=True)
class TimeScale:
    """From `first`, at 0, to `last`, at 100, in proportion."""

    first: datetime
    last: datetime

    def x(self, time: datetime) -> float:
        """Return where `time` is."""
        span = (self.last - self.first).total_seconds()
        return _rounded(100 * (time - self.first).total_seconds() / span) if span else 100.0


def _rounded(percent: float) -> float:
    """Return `percent` by steps that an eye can tell apart."""
    return round(min(100.0, max(0.0, percent)) * SLOTS / 100) * 100 / SLOTS
