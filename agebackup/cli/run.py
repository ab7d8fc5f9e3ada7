"""agebackup run"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from agebackup.cli.console import Console, console
from agebackup.cli.outcomes import Outcomes
from agebackup.cli.settings import current, global_options
from agebackup.errors import INCOMPLETE, AgebackupError

if TYPE_CHECKING:
    from agebackup.model.due import Rhythm, Verdict
    from agebackup.model.profile import Profile
    from agebackup.operations.record import Post
    from agebackup.operations.supervision import Supervised


_WORDS = {"not-enabled": "not enabled", "not-due": "not due", "at-work": "not needed"}


@dataclass(frozen=True)
class _Call:
    """What was asked for, and the periods of the installed timers by app ("": one for all).

    `at_once`: by --now; `wished`: by `schedule`, which tries the timer out. `timers` is None where
    they cannot be known: then rather a backup too many than none at all.
    """

    to: Console
    named: bool
    at_once: bool
    wished: bool
    timers: Mapping[str, float] | None

    @property
    def due_anyway(self) -> bool:
        """Whether an archive is made, due or not."""
        return self.at_once or self.wished


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
    call = _Call(to, bool(apps), at_once, _wished(apps), _timers(to))
    outcomes = Outcomes(to)
    for profile in profiles:
        if not outcomes.add(profile.name, partial(_one, profile, call)):
            break
    if all(one["status"] == "not-enabled" for one in outcomes.results):
        to.output.say("No app is backed up unattended: agebackup schedule install, or set enabled.")
    code = outcomes.report()
    services.stopping()
    return code


def _profiles(apps: tuple[str, ...], to: Console) -> "list[Profile]":
    from agebackup.cli.directories import config_path
    from agebackup.cli.failures import translated
    from agebackup.config import load_config

    with translated():
        config = load_config(config_path(to.settings), to.settings.environment)
    return [config.app(name) for name in dict.fromkeys(apps)] if apps else list(config.apps)


def _wished(apps: tuple[str, ...]) -> bool:
    """Take the wishes for `apps`, or for all; return whether there was one."""
    from agebackup.cli.directories import wish_file
    from agebackup.cli.scope import now
    from agebackup.operations.wish import take_wish

    return any([take_wish(wish_file(app), now()) for app in apps or ("",)])


def _timers(to: Console) -> Mapping[str, float] | None:
    from agebackup.cli.directories import schedule_file
    from agebackup.scheduling import installed

    try:
        return {app: timer.seconds for app, timer in installed(schedule_file()).items()}
    except AgebackupError as error:
        to.output.warn(f"{error.message} So every app is taken that is not disabled. {error.hint}")
        return None


def _one(profile: "Profile", call: _Call) -> tuple[int, dict[str, Any]]:
    from agebackup.cli.supervising import reporting_to
    from agebackup.model.due import enabled, rhythm

    timers = call.timers or {}
    own, shared = timers.get(profile.name), timers.get("")
    taken = enabled(profile.watch, own, shared) or (call.named and call.at_once)
    if not taken and (call.timers is not None or profile.watch.enabled is False):
        return _left(profile, call, "not-enabled", "neither enabled = true nor an installed timer")
    beat = rhythm(profile.watch, own, shared)
    with reporting_to(profile.name, call.to) as post:
        verdict = _verdict(profile, beat, post)
    if not verdict.due and not call.due_anyway:
        return _left(profile, call, "not-due", verdict.why)
    if not call.due_anyway:
        _jitter(profile, call)
    with reporting_to(profile.name, call.to) as post:
        return _backed_up(profile, call, beat, post)


def _verdict(profile: "Profile", beat: "Rhythm", post: "Post") -> "Verdict":
    from agebackup.operations.run import due

    return due(profile.name, beat, post.ledger, post.last_run, post.clock())


def _jitter(profile: "Profile", call: _Call) -> None:
    from agebackup.operations.supervision import wait

    if profile.watch.jitter:
        wait(random.uniform(0, profile.watch.jitter), call.to.progress)


def _backed_up(
    profile: "Profile", call: _Call, beat: "Rhythm", post: "Post"
) -> tuple[int, dict[str, Any]]:
    from dataclasses import replace

    from agebackup.cli.create import created_fields, tell_created
    from agebackup.cli.flags import CreateFlags
    from agebackup.cli.supervising import charge
    from agebackup.cli.wiring import Job
    from agebackup.model.due import waits
    from agebackup.operations.supervision import OtherRunError, supervise

    job = Job(profile.name, CreateFlags.of(), call.to, profile, alone=False)
    asked = replace(
        charge(job),
        needed=lambda ledger: (
            call.due_anyway or _verdict(profile, beat, replace(post, ledger=ledger)).due
        ),
        waits=waits(profile.watch),
    )
    try:
        done: Supervised | None = supervise(asked, post, call.to.progress)
    except OtherRunError:
        _require_alive(profile, call, beat, post)
        return _left(profile, call, "at-work", "another run is at work")
    if done is None:
        return _left(profile, call, "not-due", "another run was faster")
    tell_created(call.to, done)
    return (INCOMPLETE if done.report.problems else 0), {
        "app": profile.name,
        **created_fields(done),
    }


def _require_alive(profile: "Profile", call: _Call, beat: "Rhythm", post: "Post") -> None:
    from agebackup.operations.run import require_alive
    from agebackup.operations.supervision import record_failure

    try:
        require_alive(profile.name, beat, post.ledger, post.clock())
    except AgebackupError as error:
        record_failure(profile.name, profile, error, post, call.to.progress)
        raise


def _left(profile: "Profile", call: _Call, status: str, why: str) -> tuple[int, dict[str, Any]]:
    """Say why nothing was done for an app; the log keeps it where somebody asked for the app."""
    from agebackup.cli.supervising import journal

    call.to.output.say(f"{profile.name}: {_WORDS[status]}: {why}.")
    if status != "not-enabled" or call.named:
        journal(call.to).event("not-run", profile.name, status=status, message=why)
    return 0, {"app": profile.name, "status": status, "why": why}
