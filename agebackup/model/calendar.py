"""When a timer fires: a few forms that cron, systemd and launchd all understand alike."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from agebackup.errors import UsageError, printable

MINUTES = (5, 10, 15, 20, 30)
HOURS = (1, 2, 3, 4, 6, 8, 12)
DAY, WEEK = 86_400, 604_800
NIGHT = (3, 30)
"""When `daily` and `weekly` fire, local time: no zone's summer time skips or repeats it."""
SUNDAY = 6
_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_STEP = re.compile(r"([1-9][0-9]?)([mh])")


@dataclass(frozen=True)
class Every:
    """How often a timer fires, in local time. `text` is what the person wrote.

    Either each `minutes` of the hour or each `hours` of the day, or at `clock` (hour, minute), on
    Sundays if `weekly`.
    """

    text: str
    minutes: int = 0
    hours: int = 0
    clock: tuple[int, int] = NIGHT
    weekly: bool = False

    @classmethod
    def parse(cls, text: str) -> "Every":
        """Return what `text` says; raise `UsageError` for what not every timer can do."""
        if text in ("daily", "weekly"):
            return cls(text, weekly=text == "weekly")
        if match := _CLOCK.fullmatch(text):
            return cls(text, clock=(int(match[1]), int(match[2])))
        if match := _STEP.fullmatch(text):
            count = int(match[1])
            if match[2] == "m" and count in MINUTES:
                return cls(text, minutes=count)
            if match[2] == "h" and count in HOURS:
                return cls(text, hours=count)
        raise UsageError(
            f"{printable(text)!r} is nothing that a timer can do.",
            hint=f"Allowed: {', '.join(map(str, MINUTES))} with m, {', '.join(map(str, HOURS))} "
            "with h, daily, weekly, or a time such as 03:30.",
        )

    @property
    def seconds(self) -> int:
        """The time from one firing to the next, in seconds."""
        if self.minutes:
            return self.minutes * 60
        if self.hours:
            return self.hours * 3600
        return WEEK if self.weekly else DAY

    def fires_at(self, local: datetime) -> bool:
        """Return whether it fires in the minute of `local`, a local time."""
        if self.minutes:
            return local.minute % self.minutes == 0
        if self.hours:
            return local.minute == 0 and local.hour % self.hours == 0
        today = not self.weekly or local.weekday() == SUNDAY
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
