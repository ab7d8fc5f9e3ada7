"""What doctor says of timers: installed, still there, and heard of."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from agebackup.cli import directories
from agebackup.cli.console import Console
from agebackup.cli.scope import now
from agebackup.cli.timing import job_of, timers_where
from agebackup.errors import AgebackupError
from agebackup.model.checkup import of_timer
from agebackup.model.findings import Finding
from agebackup.scheduling import installed

if TYPE_CHECKING:
    from agebackup.model.profile import Profile
    from agebackup.scheduling import Installed


def of_timers(profiles: "Iterable[Profile]", out: Console) -> Iterator[Finding]:
    """Yield what is wrong with the timers of `profiles`; raises `FailedError` where none is known.

    Asks crontab, systemd or launchd whether the timer that was installed is still there.
    """
    known = installed(directories.schedule_file())
    present: dict[str, bool] = {}
    for profile in profiles:
        timer = known.get(profile.name) or known.get("")
        period = None
        if timer is not None:
            present.setdefault(timer.app, _is_there(timer, out))
            # one timer for all apps only asks: each app's interval decides
            period = timer.seconds if timer.app else max(timer.seconds, profile.watch.interval)
        heard = _heard(profile.name, timer)
        yield from of_timer(profile.name, profile.watch, period, heard, now())
    for app, there in present.items():
        again = f"agebackup schedule install {app}".rstrip() + f" --every {known[app].every.text}"
        if not there:
            yield Finding(
                "error",
                "timer-gone",
                app or "all apps",
                f"The timer that was installed ({known[app].kind}) is no longer there.",
                f"Install it again: {again}",
            )
        elif _is_outdated(known[app], out):
            yield Finding(
                "warning",
                "timer-outdated",
                app or "all apps",
                "Its service may not write to every place that the configuration names by now.",
                f"Install it again: {again}",
            )


def _is_there(timer: "Installed", out: Console) -> bool:
    return bool(timers_where(timer, out).present(timer.app))


def _is_outdated(timer: "Installed", out: Console) -> bool:
    try:
        job = job_of(timer.app or None, timer.every, out)
        return timers_where(timer, out).outdated(job)
    except AgebackupError:  # what is wrong with the configuration is said elsewhere
        return False


def _heard(app: str, timer: "Installed | None") -> datetime | None:
    """Return when the app's last run ended, at the earliest when the timer was installed."""
    from agebackup.model.lastrun import ended_in

    if timer is None:
        return None
    try:
        ended = ended_in(directories.last_run_file(app).read_bytes())
    except OSError:
        ended = None
    return max(timer.since, ended) if ended else timer.since
