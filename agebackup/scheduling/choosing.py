"""Which kind of timer this machine has."""

import shutil
import sys

from agebackup.errors import RefusedError
from agebackup.scheduling.cron import Cron
from agebackup.scheduling.job import Person, Timers
from agebackup.scheduling.launchd import Launchd
from agebackup.scheduling.systemd import Systemd
from agebackup.system.claims import Claims
from agebackup.system.progress import Progress

KINDS = ("systemd", "launchd", "cron")


def timers_of(
    kind: str | None, person: Person, claims: Claims, progress: Progress, *, system: bool
) -> Timers:
    """Return the timers of `kind`, or of the kind that works here. `system`: the machine's own.

    Raises `RefusedError` where there is none that works, or not the one that was asked for.
    """
    systemd = Systemd(person, progress, claims, system=system)
    if kind == "systemd" or (system and kind is None):
        return systemd
    if system:
        raise RefusedError(
            "Only systemd has timers of the machine's own here.", hint="Leave --system out."
        )
    if kind == "launchd" or (kind is None and sys.platform == "darwin"):
        return Launchd(person, progress, claims)
    cron = Cron(person, progress)
    if kind == "cron":
        return cron
    if _found("systemctl", person) and systemd.ask("systemctl", "--user", "show").code == 0:
        return systemd
    if _found("crontab", person):
        return cron
    raise RefusedError(
        "Neither systemd nor cron works for this user here.",
        hint="Let whatever starts jobs on this machine run: agebackup run. "
        "--kind KIND --print shows what would be installed.",
    )


def _found(program: str, person: Person) -> bool:
    return shutil.which(program, path=person.search_path) is not None
