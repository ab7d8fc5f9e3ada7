"""When a timer fires: a few forms that cron, systemd and launchd all understand alike."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from agebackup.errors import UsageError, printable

MINUTES = (5, 10, 15, 20, 30)
HOURS = (1, 2, 3, 4, 6, 8, 12)
DAY, WEEK, MONTH = 86_400, 604_800, 31 * 86_400
NIGHT = (3, 30)
"""When `daily` and `weekly` fire, local time: no zone's summer time skips or repeats it."""
MONTHLY = (4, 30)
"""When `monthly` fires on the first: after the night's backup."""
SUNDAY = 6
_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_STEP = re.compile(r"([1-9][0-9]{0,4})([mhdw])")
_MINUTES = {"m": 1, "h": 60, "d": DAY // 60, "w": WEEK // 60}
_WORDS = {DAY // 60: "daily", WEEK // 60: "weekly"}
_ALLOWED = (
    "Allowed: 5m, 10m, 15m, 20m, 30m, 1h (hourly), 2h, 3h, 4h, 6h, 8h, 12h, daily (24h, 1d), "
    "weekly (7d, 1w), monthly, or a time of the day such as 03:30."
)


@dataclass(frozen=True)
class Every:
    """How often a timer fires, in local time. `text` says it, each rhythm in one way only.

    Either each `minutes` of the hour or each `hours` of the day, or at `clock` (hour, minute), on
    Sundays if `weekly`, on the first of a month if `monthly`.
    """

    text: str
    minutes: int = 0
    hours: int = 0
    clock: tuple[int, int] = NIGHT
    weekly: bool = False
    monthly: bool = False

    @classmethod
    def parse(cls, text: str) -> "Every":
        """Return what `text` says; raise `UsageError` for what not every timer can do."""
        if match := _CLOCK.fullmatch(text):
            hour, minute = int(match[1]), int(match[2])
            return cls(f"{hour:02}:{minute:02}", clock=(hour, minute))
        if text == "monthly":
            return cls(text, clock=MONTHLY, monthly=True)
        minutes = _period(text)
        if minutes in _WORDS:
            return cls(_WORDS[minutes], weekly=_WORDS[minutes] == "weekly")
        if minutes in MINUTES:
            return cls(f"{minutes}m", minutes=minutes)
        if minutes % 60 == 0 and minutes // 60 in HOURS:
            return cls(f"{minutes // 60}h", hours=minutes // 60)
        raise UsageError(
            f"{printable(text)!r} is no rhythm that every kind of timer can keep.", hint=_ALLOWED
        )

    @property
    def seconds(self) -> int:
        """The time from one firing to the next, in seconds; of months the longest."""
        if self.minutes:
            return self.minutes * 60
        if self.hours:
            return self.hours * 3600
        if self.monthly:
            return MONTH
        return WEEK if self.weekly else DAY

    def fires_at(self, local: datetime) -> bool:
        """Return whether it fires in the minute of `local`, a local time."""
        if self.minutes:
            return local.minute % self.minutes == 0
        if self.hours:
            return local.minute == 0 and local.hour % self.hours == 0
        today = not self.weekly or local.weekday() == SUNDAY
        today = today and (not self.monthly or local.day == 1)
        return today and (local.hour, local.minute) == self.clock

    def next_after(self, moment: datetime, zone: tzinfo | None = None) -> datetime:
        """Return the next firing after `moment`, in UTC; `zone` None is this system's.

        A time that summer skips is left out.
        """
        tried = moment.astimezone(UTC).replace(second=0, microsecond=0)
        while True:
            tried += timedelta(minutes=1)
            if self.fires_at(tried.astimezone(zone)):
                return tried


def _period(text: str) -> int:
    """Return the minutes of a period: a word, or a count with its unit; 0 for anything else."""
    words = {"hourly": "1h", "daily": "1d", "weekly": "1w"}
    match = _STEP.fullmatch(words.get(text, text))
    return int(match[1]) * _MINUTES[match[2]] if match else 0


def rhythm_of(said: object, written: Callable[[Every], object]) -> Every | None:
    """Return the rhythm that a timer says as `said`, where `written` says any; None if none."""
    return next((one for one in rhythms() if written(one) == said), None)


def rhythms() -> Iterator[Every]:
    """Yield every rhythm that there is, `daily` before `03:30`, which is the same."""
    steps = [f"{count}m" for count in MINUTES] + [f"{count}h" for count in HOURS]
    clocks = [f"{hour:02}:{minute:02}" for hour in range(24) for minute in range(60)]
    yield from map(Every.parse, ["daily", "weekly", "monthly", *steps, *clocks])
