"""What can happen in a night, and how often."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

BEGIN = datetime(2026, 12, 1, 3, 30, tzinfo=UTC)

EVENTS = {
    "quiet": 60,
    "killed": 12,
    "terminated": 4,
    "disk full": 5,
    "destination away": 3,
    "asleep": 4,
    "by hand": 4,
    "burst": 1,
    "clock ahead": 2,
    "clock behind": 2,
    "conflict copy": 2,
    "pruned by hand": 1,
}
"""Each event with its weight."""


@dataclass(frozen=True)
class Night:
    """One night: when it really is, what the machine's clock says, and what happens.

    `chance` is a number from 0 to 1 that places the event within the run.
    """

    number: int
    time: datetime
    clock: datetime
    event: str
    chance: float


def nights(count: int, seed: int) -> Iterator[Night]:
    """Yield `count` nights, the same ones for the same seed; the last one is quiet."""
    dice = random.Random(seed)
    for number in range(count):
        time = BEGIN + timedelta(days=number, seconds=dice.randrange(1200))
        event = dice.choices(list(EVENTS), list(EVENTS.values()))[0]
        event = event if number < count - 1 else "quiet"
        clock = time
        if event == "clock ahead":
            clock = time + timedelta(days=dice.choice((2, 40, 400)))
        elif event == "clock behind":
            clock = time - timedelta(days=dice.choice((1, 10, 200)))
        yield Night(number, time, clock, event, dice.random())
