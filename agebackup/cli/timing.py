"""What a timer is to start on this machine, and what could keep that from working."""

import getpass
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from agebackup.cli import directories
from agebackup.cli.carriers import TIMER_PATH, carriers_own_places, carrying_variables
from agebackup.cli.console import Console
from agebackup.cli.settings import RECIPIENTS_VARIABLE
from agebackup.errors import RefusedError, UsageError, printable
from agebackup.model.calendar import Every
from agebackup.model.durations import span_text
from agebackup.model.names import folder_of
from agebackup.model.profile import Profile

if TYPE_CHECKING:
    from agebackup.scheduling import Installed
    from agebackup.scheduling.job import Job, Task, Timers

_PASSED_ON = ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")
"""Variables without which the job would look elsewhere; none of them can hold a secret."""


def job_of(app: str | None, every: Every, out: Console) -> "Job":
    """Return the job of `app` (None: of all apps) as it is to be installed.

    Raises `UsageError` where the configuration does not declare the app, or cannot be understood
    with the few variables that a timer has, and `RefusedError` for an app that cannot run by
    itself.
    """
    from agebackup.scheduling.job import Job

    profiles = _profiles(app, out)
    command = command_line(("run", *([app] if app else [])), out)
    return Job(app or "", every, command, passed_on(profiles, out), _writable(profiles, out))


def job_where(one: "Installed", out: Console) -> "Job":
    """Return the job of the timer `one` as it would be installed now; raises as `job_of`."""
    if one.task == "backup":
        return job_of(one.app or None, one.every, out)
    from agebackup.cli.drill_timers import drill_job

    return drill_job(one, out)


def command_line(words: "Sequence[str]", out: Console) -> tuple[str, ...]:
    """Return the command that a timer calls for `words`, with the configuration of now."""
    files = ["--config", os.path.abspath(directories.config_path(out.settings))]
    if out.settings.env_file is not None:
        files += ["--env-file", os.path.abspath(out.settings.env_file)]
    own = (sys.executable, "-P", "-m", "agebackup")
    return (*own, *files, *words, "--quiet", "--no-progress")


def passed_on(profiles: Sequence[Profile], out: Console) -> dict[str, str]:
    """Return the variables that a timer's job for `profiles` gets."""
    variables = out.settings.environment
    usual = {name: variables[name] for name in _PASSED_ON if variables.get(name)}
    return usual | carrying_variables(profiles, variables)


def own_places() -> tuple[Path, ...]:
    """Return the directories of agebackup's own that any job writes to."""
    log = directories.log_file().parent
    return (directories.state_directory(), log, directories.workspace(None))


def timers_for(
    kind: str | None, out: Console, *, system: bool, task: "Task" = "backup"
) -> "Timers":
    """Return the timers of `kind`, or (None) of the best one that works here.

    Raises `RefusedError` where none works, and for a kind that has none of the machine's own.
    """
    from agebackup.scheduling.choosing import timers_of, working

    among = timers_here(out, system=system, task=task)
    return timers_of(kind, among) if kind else working(among)


def timers_where(one: "Installed", out: Console) -> "Timers":
    """Return the timers among which `one` was installed."""
    return timers_for(one.kind, out, system=one.system, task=one.task)


def timers_here(out: Console, *, system: bool, task: "Task" = "backup") -> "Sequence[Timers]":
    """Return the timers of every kind, for the person who runs this command."""
    from agebackup.scheduling.choosing import all_timers
    from agebackup.scheduling.job import Person

    environment = out.settings.environment
    home = Path(os.path.expanduser("~"))
    person = Person(
        home,
        Path(environment.get("XDG_CONFIG_HOME") or home / ".config"),
        os.getuid(),
        getpass.getuser(),
        environment.get("PATH", os.defpath),
    )
    return all_timers(person, directories.claims(), out.progress, system=system, task=task)


def require_able(timers: "Timers", out: Console) -> None:
    """Raise `RefusedError` where `timers` do not work here, naming the kinds that do."""
    try:
        timers.require()
    except RefusedError as error:
        able = [one.kind for one in timers_here(out, system=False) if not one.trouble()]
        if not able:
            raise
        kinds = " or ".join(f"--kind {kind}" for kind in able)
        raise RefusedError(error.message, hint=f"What works for you here: {kinds}.") from None


def doubts(job: "Job", known: "Mapping[str, Installed]", out: Console) -> list[str]:
    """Return what may fail at night only, of a timer beside those that are `known`.

    Programs that its short PATH does not find, and apps for which it asks too seldom.
    """
    from agebackup.config import check

    drills, search_path = job.task == "drill", job.environment.get("PATH", TIMER_PATH)
    profiles = declared(job.app or None, out) if drills else _profiles(job.app or None, out)
    found = []
    for profile in profiles:
        for finding in check(profile, search_path=search_path).findings:
            if finding.fatal and finding.key.startswith("assertions.") == drills:
                found.append(f"{profile.name}: {finding.key}: {finding.text.rstrip('.')}.")
    others = [profile for profile in profiles if profile.name not in known]
    return found if job.app or drills else [*found, *_too_seldom(job.every, others)]


def _too_seldom(every: Every, profiles: list[Profile]) -> Iterator[str]:
    """Yield that one timer for all apps asks less often than they want an archive."""
    period = timedelta(seconds=every.seconds)
    wanted = {one.name: timedelta(seconds=one.watch.interval) for one in profiles}
    short = [f"{name} ({span_text(span)})" for name, span in wanted.items() if span < period]
    if short:
        yield (
            f"This timer asks every {span_text(period)} only, which is longer than the `interval` "
            f"of {', '.join(short)}: archives are made at its calls, and `agebackup status` will "
            "say stale in between. Install it with a shorter --every, such as 1h, or set "
            f'interval = "{span_text(period)}" there.'
        )


def declared(app: str | None, out: Console) -> list[Profile]:
    """Return what the configuration declares of `app`, or of all apps, as a timer understands it.

    Raises `UsageError` where it cannot be understood with the few variables that a timer has.
    """
    from agebackup.config import load_config
    from agebackup.config.envfile import read_env_file

    file = directories.config_path(out.settings)
    environment = {k: v for k, v in out.settings.environment.items() if k in _PASSED_ON}
    if out.settings.env_file is not None:
        environment |= read_env_file(out.settings.env_file, environment)
    load_config(file, out.settings.variables)  # what is wrong anyway is not the timer's fault
    try:
        config = load_config(file, environment)
    except UsageError as error:
        raise UsageError(
            f"{error.message} The timer does not have that variable.", hint=error.hint
        ) from None
    profiles = [config.app(app)] if app else list(config.apps)
    if not config.apps:
        raise UsageError(
            f"{printable(str(file))} declares no app.", hint="Declare one: agebackup config init."
        )
    return profiles


def _profiles(app: str | None, out: Console) -> list[Profile]:
    profiles = [one for one in declared(app, out) if app or one.watch.enabled is not False]
    for profile in profiles:
        _require_unattended(profile, out)
    if not profiles:
        file = directories.config_path(out.settings)
        raise UsageError(
            f"{printable(str(file))} says enabled = false of every app.",
            hint="Set enabled = true, or remove the line: an installed timer enables the app.",
        )
    return profiles


def _require_unattended(profile: Profile, out: Console) -> None:
    if profile.watch.enabled is False:
        raise RefusedError(
            f"{profile.name} is disabled in the configuration, so its timer would do nothing.",
            hint="Set enabled = true, or remove the line: an installed timer enables the app.",
        )
    if profile.destination is None:
        raise RefusedError(
            f"{profile.name} declares no destination, and a timer gives no --to.",
            hint="Declare destination in the configuration.",
        )
    if not profile.recipients and not profile.recipients_files:
        variable = out.settings.variable(RECIPIENTS_VARIABLE)
        known = f" {RECIPIENTS_VARIABLE} is not passed on." if variable else ""
        raise RefusedError(
            f"{profile.name} declares no recipient, and a timer gives none.{known}",
            hint="Declare recipients or recipients_files in the configuration.",
        )


def _writable(profiles: list[Profile], out: Console) -> tuple[Path, ...]:
    """Return the directories that runs write to: SQLite needs its -shm beside a live database."""
    found = [*own_places(), *carriers_own_places(profiles, out.settings.environment)]
    for profile in profiles:
        found += map(folder_of, profile.folders)
        found += [profile.root] if profile.root else []
        found += [entry.path if entry.pattern else entry.path.parent for entry in profile.databases]
    return tuple(dict.fromkeys(found))
