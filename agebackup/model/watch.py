"""What the configuration says about running unattended: when, how watched, how guarded."""

from dataclasses import dataclass, field
from typing import Literal

from agebackup.model.command import Command

DAY = 86_400.0


@dataclass(frozen=True)
class Hooks:
    """Who is told how a run ended. The commands get a JSON report on stdin.

    `healthcheck_url` is a secret: it is never shown, logged or put into `--json`.
    """

    on_success: Command | None = None
    on_failure: Command | None = None
    healthcheck_url: str = field(default="", repr=False)
    desktop: bool = False


@dataclass(frozen=True)
class Watch:
    """How an app is backed up unattended. Times in seconds.

    `enabled`: `agebackup run` takes it; None leaves that to `schedule install`. `interval` is how
    often, `jitter` the most that is added at random; a run is tried again `retries` times after
    what may pass (busy, destination away), waiting `retry_after` and twice as long each time.
    `max_age` is when `status` calls the newest archive stale; None: the interval and two hours.
    `shrink` "refuse" keeps prune from running after a sudden shrinkage. `keycheck_every` is how
    often the private keys are to be tried; None: `status` does not ask.
    """

    enabled: bool | None = None
    interval: float = DAY
    jitter: float = 0.0
    retries: int = 3
    retry_after: float = 60.0
    max_age: float | None = None
    shrink: Literal["note", "refuse"] = "note"
    keycheck_every: float | None = 90 * DAY
    hooks: Hooks = field(default_factory=Hooks)
