"""The installed timers, as `status` and `doctor` look at them: there, and as they were?"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from agebackup.cli import directories
from agebackup.cli.console import Console
from agebackup.cli.scope import now
from agebackup.cli.terminal import Reporter
from agebackup.errors import AgebackupError, StoppedError
from agebackup.model.calendar import Every
from agebackup.model.timer import Timer
from agebackup.system.clock import Deadline
from agebackup.system.progress import Stop

if TYPE_CHECKING:
    from agebackup.scheduling import Installed
    from agebackup.scheduling.job import Task

_LOOK, _PATIENCE = 3.0, 2.5
"""Seconds that all of the looking may take, and that it takes before it is ended in good order."""


@dataclass(frozen=True)
class Sight:
    """How a timer was found: whether it is there, and how often it fires, "" where unknown."""

    there: bool
    every: str = ""


def timers(to: Console) -> Mapping[str, Timer]:
    """Return the installed timers by app ("": one for all); what cannot be known is a warning.

    Takes 3 seconds at most: a timer that nothing was seen of by then counts as there.
    """
    backups, _ = all_timers(to)
    return backups


def all_timers(to: Console) -> tuple[Mapping[str, Timer], Mapping[str, Timer]]:
    """Return what `timers` does of backups, and the same of drills; one look for both."""
    backups, drills = _noted("backup", to), _noted("drill", to)
    both = (*backups.values(), *drills.values())
    seen = _seen(both, to)

    def found(one: "Installed") -> Timer:
        unseen = Sight(there=True, every=one.every.text)
        return timer_of(one, seen.get(_key(one), unseen))

    return (
        {app: found(one) for app, one in backups.items()},
        {app: found(one) for app, one in drills.items()},
    )


def _noted(task: "Task", to: Console) -> "Mapping[str, Installed]":
    from agebackup.scheduling import installed

    try:
        return installed(directories.schedule_file(task), task)
    except AgebackupError as error:
        to.output.warn(f"Which timers are installed is not known: {error.message}")
        return {}


def _key(one: "Installed") -> str:
    """Return what tells the timers that are looked at together apart."""
    return f"{one.task}:{one.app}"


def timer_of(one: "Installed", sight: Sight) -> Timer:
    """Return `one` as it was found; when it fires next is known by what is there, not by notes."""
    fires = Every.parse(sight.every) if sight.every else None
    return Timer(
        one.app,
        one.kind,
        one.every.text,
        one.seconds,
        one.since,
        gone=not sight.there,
        altered=fires is None or fires.seconds != one.every.seconds,
        next_run=fires.next_after(now()) if fires else None,
        task=one.task,
    )


def sight_of(one: "Installed", to: Console) -> Sight:
    """Look for `one` where it was installed; raises `FailedError` where that cannot be read."""
    from agebackup.cli.timing import timers_where
    from agebackup.scheduling.cron import installed_command

    timers = timers_where(one, to)
    if one.app not in timers.apps():
        return Sight(there=False)
    every = timers.rhythm(one.app)
    if every is None and one.kind == "cron":  # commented out, perhaps, which comes to no line
        return Sight(there=installed_command("".join(timers.present(one.app).values())) is not None)
    return Sight(there=True, every=every.text if every else "")


def last_told(app: str) -> tuple[datetime | None, datetime | None]:
    """Return when the app's last run ended and the last good one began, as last-run.json says."""
    from agebackup.model.lastrun import ended_in, success_in

    try:
        content = directories.last_run_file(app).read_bytes()
    except OSError:
        return None, None
    success = success_in(content)
    return ended_in(content), success.time if success else None


def _seen(known: "Iterable[Installed]", to: Console) -> Mapping[str, Sight]:
    """Return how each is found, by `_key`; nothing, but a warning, of what cannot be looked at."""
    from agebackup.system.probing import within

    alike: dict[tuple[str, bool], list[Installed]] = {}
    for one in known:
        alike.setdefault((one.kind, one.system), []).append(one)
    asked = [partial(_look, ones, to) for ones in alike.values()]
    seen: dict[str, Sight] = {}
    for (kind, _), result in zip(alike, within(_LOOK, asked, to.progress), strict=True):
        found: Any = result or {"problem": f"{kind} does not answer."}
        seen |= {key: Sight(**fields) for key, fields in found.get("seen", {}).items()}
        if "problem" in found:
            to.output.warn(f"Whether the timers are still there is not known: {found['problem']}")
    return seen


def _look(ones: "Collection[Installed]", to: Console) -> dict[str, object]:
    """Return what a child process hands over; whatever it asked has ended by then."""
    impatient = replace(to, progress=Reporter(_Impatience(), to.output))
    seen: dict[str, object] = {}
    for one in ones:
        try:
            seen[_key(one)] = asdict(sight_of(one, impatient))
        except StoppedError:
            return {"seen": seen, "problem": f"{one.kind} does not answer."}
        except AgebackupError as error:
            return {"seen": seen, "problem": error.message}
        except OSError as error:
            return {"seen": seen, "problem": f"{error.strerror}."}
    return {"seen": seen}


class _Impatience(Stop):
    """Asks for the end when time is up."""

    def __init__(self) -> None:
        super().__init__()
        self._deadline = Deadline(_PATIENCE)

    def check(self) -> None:
        if self._deadline.expired:
            raise StoppedError(0)
