"""What doctor says of timers: installed, still there, and heard of."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from agebackup.cli import directories
from agebackup.cli.console import Console
from agebackup.cli.scope import known_config, now
from agebackup.cli.timers import Sight, last_told, sight_of, timer_of
from agebackup.cli.timing import job_where, timers_where
from agebackup.errors import AgebackupError
from agebackup.model.checkup import of_timer
from agebackup.model.findings import Finding
from agebackup.model.timer import Timer, not_firing, undeclared
from agebackup.scheduling import installed

if TYPE_CHECKING:
    from agebackup.model.profile import Profile
    from agebackup.scheduling import Installed


def of_timers(profiles: "Iterable[Profile]", out: Console) -> Iterator[Finding]:
    """Yield what is wrong with the timers of `profiles`; raises `FailedError` where none is known.

    Asks crontab, systemd or launchd whether the timer that was installed is still there.
    """
    known = installed(directories.schedule_file())
    asked: dict[str, Timer] = {}
    for profile in profiles:
        one = known.get(profile.name) or known.get("")
        if one is not None and one.app not in asked:
            asked[one.app] = timer_of(one, sight_of(one, out))
        timer = asked[one.app] if one is not None else None
        ended, _ = last_told(profile.name)
        yield from of_timer(profile.name, profile.watch, timer, ended, now())
    for app, timer in asked.items():
        yield from not_firing(timer)
        if not timer.gone and _is_outdated(known[app], out):
            yield _outdated(timer)


def of_drills(app: str | None, out: Console) -> Iterator[Finding]:
    """Yield what is wrong with the timers of drills (of `app`; None: all); raises `FailedError`."""
    for one in installed(directories.schedule_file("drill"), "drill").values():
        if app not in (None, one.app) and one.app:
            continue
        timer = timer_of(one, sight_of(one, out))
        yield from not_firing(timer)
        if not timer.gone and _is_outdated(one, out):
            yield _outdated(timer)


def drill_identities() -> frozenset[str]:
    """Return the private keys that are meant to be here, for drills; raises `FailedError`."""
    known = installed(directories.schedule_file("drill"), "drill").values()
    return frozenset(path for one in known for path in one.identities)


def of_undeclared(app: str | None, out: Console) -> Iterator[Finding]:
    """Yield which timers (of `app`; None: all) are there for apps that no configuration declares.

    Raises `FailedError` as `of_timers`, and `UsageError` for a configuration that is none.
    """
    config = known_config(out)
    declared = {profile.name for profile in config.apps} if config else set()
    for one in installed(directories.schedule_file()).values():
        there = one.app in declared if one.app else bool(declared)
        if not there and app in (None, one.app):
            yield undeclared(timer_of(one, Sight(there=True)), one.app or "any app")


def _outdated(timer: Timer) -> Finding:
    return Finding(
        "warning",
        "timer-outdated",
        timer.whose,
        "Its service may not write to every place that the configuration names by now.",
        f"Install it again: {timer.again}",
    )


def _is_outdated(timer: "Installed", out: Console) -> bool:
    try:
        return timers_where(timer, out).outdated(job_where(timer, out))
    except AgebackupError:  # what is wrong with the configuration is said elsewhere
        return False
