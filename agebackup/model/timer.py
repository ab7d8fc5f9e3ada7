"""A timer that was installed, as doctor and status look at it: there, altered, heard of."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from agebackup.model.durations import span_text
from agebackup.model.findings import Finding

LATENESS = timedelta(minutes=10)
"""How much later than its second firing one may hear of a timer."""


@dataclass(frozen=True)
class Timer:
    """A timer that was installed at `since`, for one app, or for all of them ("").

    `every` is how often, as the person wrote it, `seconds` the same. `gone`: it is no longer there;
    `altered`: it is there, and does not fire as often as that. `next_run` None: nobody knows when.
    """

    app: str
    kind: str
    every: str
    seconds: float
    since: datetime
    gone: bool = False
    altered: bool = False
    next_run: datetime | None = None
    task: Literal["backup", "drill"] = "backup"

    @property
    def whose(self) -> str:
        """Return what it is a timer of, in words."""
        whose = self.app or "all apps"
        return f"drills of {whose}" if self.task == "drill" else whose

    @property
    def again(self) -> str:
        """Return the command that installs it again."""
        install = f"agebackup schedule install {self.app}".rstrip()
        if self.task == "drill":
            return f"{install} --drill {self.every} -i KEY"
        return f"{install} --every {self.every}"

    def expected(self, interval: float) -> float:
        """Return how often, in seconds, an app is backed up: one timer for all apps only asks."""
        return self.seconds if self.app else max(self.seconds, interval)


def missed(period: float, heard: datetime, now: datetime) -> timedelta | None:
    """Return for how long nothing was heard of a timer, None where that is not too long."""
    silence = now - heard
    return silence if silence > timedelta(seconds=2 * period) + LATENESS else None


def silent(timer: Timer, app: str, silence: timedelta) -> Finding:
    """Return what is to be said of a timer that takes `app` and was not heard of."""
    return Finding(
        "error",
        "timer-silent",
        app,
        f"Nothing was heard of its timer for {span_text(silence)}.",
        "See whether the machine sleeps then; try: "
        + f"agebackup schedule run-now {timer.app}".rstrip(),
    )


def not_firing(timer: Timer) -> Iterator[Finding]:
    """Yield that the timer is no longer there, or no longer fires as it did."""
    if timer.gone:
        yield Finding(
            "error",
            "timer-gone",
            timer.whose,
            f"The timer that was installed ({timer.kind}) is no longer there.",
            f"Install it again: {timer.again}",
        )
    elif timer.altered:
        yield Finding(
            "warning",
            "timer-altered",
            timer.whose,
            f"The timer ({timer.kind}) no longer fires as it was installed ({timer.every}).",
            f"Install it again, or at another rhythm: {timer.again}",
        )


def undeclared(timer: Timer, app: str) -> Finding:
    """Return what is to be said of a timer whose app the configuration does not declare."""
    return Finding(
        "error",
        "undeclared",
        app,
        f"A timer of {timer.whose} is installed, but the configuration does not declare {app} and "
        "its destination.",
        "Put the configuration back, or remove the timer: "
        + f"agebackup schedule remove {timer.app}".rstrip(),
    )
