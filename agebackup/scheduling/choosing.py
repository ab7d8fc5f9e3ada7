"""Which kind of timer this machine has."""

from collections.abc import Sequence

from agebackup.errors import RefusedError
from agebackup.scheduling.cron import Cron
from agebackup.scheduling.job import Person, Task, Timers
from agebackup.scheduling.launchd import Launchd
from agebackup.scheduling.systemd import Systemd
from agebackup.system.claims import Claims
from agebackup.system.progress import Progress


def all_timers(
    person: Person, claims: Claims, progress: Progress, *, system: bool, task: Task = "backup"
) -> Sequence[Timers]:
    """Return timers of every kind, the better ones first. `system`: the machine's own."""
    systemd = Systemd(person, progress, claims, system=system, task=task)
    if system:
        return (systemd,)
    return Launchd(person, progress, claims, task=task), systemd, Cron(person, progress, task=task)


def timers_of(kind: str, among: Sequence[Timers]) -> Timers:
    """Return those of `kind`, whether it works here or not; raise `RefusedError` for none such."""
    for timers in among:
        if timers.kind == kind:
            return timers
    raise RefusedError("Only systemd has timers of the machine's own.", hint="Leave --system out.")


def working(among: Sequence[Timers]) -> Timers:
    """Return the first kind that works here; raise `RefusedError`, with why none does."""
    found = []
    for timers in among:
        trouble = timers.trouble()
        if not trouble:
            return timers
        found.append(f"{timers.kind}: {trouble}")
    raise RefusedError(
        "No kind of timer works for this user here.",
        hint="Let whatever starts jobs on this machine run: agebackup run. "
        "--kind KIND --print shows what would be installed.",
        details=found,
    )
