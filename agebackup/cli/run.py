"""agebackup run"""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from agebackup.cli.console import Console, console
from agebackup.cli.outcomes import Outcomes
from agebackup.cli.settings import current, global_options
from agebackup.cli.turns import Call, Turn
from agebackup.errors import AgebackupError, FailedError

if TYPE_CHECKING:
    from agebackup.model.profile import Profile

_NOTHING = (
    "No app is backed up unattended. Set enabled = true for it, or install a timer, for which no "
    "enabled = false may stand there: agebackup schedule install"
)


@click.command("run", short_help="Back up every app that is due; what a timer calls.")
@click.argument("apps", nargs=-1, metavar="[APP]...")
@click.option("--now", "at_once", is_flag=True, help="Due or not; named apps, enabled or not.")
@global_options
def command(apps: tuple[str, ...], *, at_once: bool) -> int:
    """Back up every app of the configuration that is due; this is what a timer calls.

    Takes the apps that are enabled: by `enabled = true`, or because `schedule install` installed a
    timer for them. An app is due when waiting for the timer's next call would make its last archive
    older than `interval`; one that was missed while the machine slept is made up for. After what
    may pass (another run is at work, the destination is away) it is tried again, `retries` times.
    Prints the paths of the archives. Exits with 0 if nothing was due, else with the gravest code.
    """
    from agebackup.cli.supervising import record_failure, service_manager
    from agebackup.system.secrecy import forbid_core_dumps

    forbid_core_dumps()
    to = console(current(), "run")
    services = service_manager(to)
    services.ready()
    try:
        profiles = _profiles(apps, to)
    except AgebackupError as error:
        record_failure(error, apps, to)
        raise
    call = Call(to, bool(apps), at_once, _wished(apps), _timers(to))
    outcomes = Outcomes(to)
    _take_turns([Turn(profile, call) for profile in profiles], outcomes)
    if all(one["status"] == "not-enabled" for one in outcomes.results):
        to.output.say(_NOTHING)
    code = outcomes.report()
    services.stopping()
    return code


def _take_turns(turns: list[Turn], outcomes: Outcomes) -> None:
    """Let every app have its turn, and then those that need further tries, soonest first.

    After a stop no further app has its first turn; those that wait for another one are told.
    """
    for turn in turns:
        if not outcomes.add(turn.name, turn.take):
            break
    while waiting := [turn for turn in turns if turn.waits]:
        turn = min(waiting, key=lambda one: one.remaining)
        outcomes.add(turn.name, turn.take)


def _profiles(apps: tuple[str, ...], to: Console) -> "list[Profile]":
    from agebackup.cli.directories import config_path
    from agebackup.cli.failures import translated
    from agebackup.config import load_config

    with translated():
        config = load_config(config_path(to.settings), to.settings.variables)
    return [config.app(name) for name in dict.fromkeys(apps)] if apps else list(config.apps)


def _wished(apps: tuple[str, ...]) -> bool:
    """Take the wishes for `apps`, or for all; return whether there was one.

    Where none can be left, there is none: each app's own turn meets the cause, and tells it.
    """
    from agebackup.cli.directories import wish_file
    from agebackup.cli.scope import now
    from agebackup.operations.wish import take_wish

    with suppress(FailedError):
        return any([take_wish(wish_file(app), now()) for app in apps or ("",)])
    return False


def _timers(to: Console) -> Mapping[str, float] | None:
    from agebackup.cli.directories import schedule_file
    from agebackup.scheduling import installed

    try:
        return {app: timer.seconds for app, timer in installed(schedule_file()).items()}
    except AgebackupError as error:
        to.output.warn(f"{error.message} So every app is taken that is not disabled. {error.hint}")
        return None
