"""The installed timers, as `status` and `run` ask for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from agebackup.cli import directories
from agebackup.cli.console import Console
from agebackup.cli.scope import now
from agebackup.errors import AgebackupError


@dataclass(frozen=True)
class Timer:
    """A timer's period in seconds, and when it fires next."""

    seconds: float
    next_run: datetime


def timers(to: Console) -> Mapping[str, Timer]:
    """Return the installed timers by app ("": one for all); what cannot be known is a warning."""
    from agebackup.scheduling import installed

    try:
        known = installed(directories.schedule_file())
    except AgebackupError as error:
        to.output.warn(f"Which timers are installed is not known: {error.message}")
        return {}
    moment = now()
    return {app: Timer(one.seconds, one.every.next_after(moment)) for app, one in known.items()}
