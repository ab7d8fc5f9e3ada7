"""What a supervised run reports to: ledger, log, last-run.json, the service manager."""

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agebackup import __version__
from agebackup.cli import directories
from agebackup.cli.books import run_ledger
from agebackup.cli.console import Console
from agebackup.cli.failures import translated
from agebackup.cli.pushing import pusher
from agebackup.cli.scope import now
from agebackup.errors import AgebackupError, FailedError

if TYPE_CHECKING:
    from agebackup.cli.wiring import Job
    from agebackup.model.profile import Profile
    from agebackup.operations.journal import Journal
    from agebackup.operations.record import Post
    from agebackup.operations.supervision import Charge, Supervised
    from agebackup.system.claims import Claims
    from agebackup.system.notify import ServiceManager

NOTIFY_VARIABLE = "NOTIFY_SOCKET"


def supervised(job: "Job", to: Console) -> "Supervised":
    """Run `job`, recorded and told; raises what `create` raises."""
    from agebackup.operations.supervision import supervise

    with reporting_to(job.known_app, to, job.profile) as post:
        done = supervise(charge(job), post, to.progress)
    assert done is not None  # a charge that does not ask is always needed
    return done


def charge(job: "Job") -> "Charge":
    """Return what `job` asks to be run; whatever its look-ups meet is an `AgebackupError`."""
    from agebackup.operations.supervision import Charge

    looked_up = translated()
    site, order = looked_up(job.site), looked_up(job.order)
    carried = job.flags.to is None and not job.flags.no_push
    push = pusher(job.profile, job.console) if carried else None
    return Charge(job.known_app, site, order, job.profile, job.flags.manual, push=push)


@contextmanager
def reporting_to(app: str, to: Console, profile: "Profile | None" = None) -> "Iterator[Post]":
    """Yield where runs of `app` are recorded; the ledger is open during the body.

    Where there is no place for records, the hooks of `profile` are told so before it is raised.
    """
    with _telling_hooks(app, to, profile):
        last_run, claims = directories.last_run_file(app), directories.claims()
        ledger, losses = run_ledger(app)
    with ledger or nullcontext():
        yield replace(_post(to, last_run, claims), ledger=ledger, losses=losses)


@contextmanager
def _telling_hooks(app: str, to: Console, profile: "Profile | None") -> Iterator[None]:
    from agebackup.operations.telling import record_failure
    from agebackup.system.claims import Claims

    try:
        yield
    except FailedError as error:
        state = directories.state_path()
        post = _post(to, state / "apps" / f"{app}.last-run.json", Claims(state / "claims"))
        record_failure(app, profile, error, post, to.progress)
        raise


def _post(to: Console, last_run: Path, claims: "Claims") -> "Post":
    from agebackup.operations.record import Post

    return Post(
        None,
        last_run,
        journal(to),
        claims,
        now,
        services=service_manager(to),
        proxies=proxies(to),
        host=platform.node(),
        versions={"agebackup": __version__, "python": platform.python_version()},
    )


def record_failure(error: AgebackupError, named: Sequence[str], to: Console) -> None:
    """Record `error`, for which no app can be run at all, with every app that ever ran.

    With only the `named` ones if there are any. Without a configuration no hook is known: the log
    and the last-run.json files, which monitoring reads, must do.
    """
    from agebackup.operations import telling

    journal(to).event("cannot-run", message=error.message, exit=error.code)
    try:
        suffix = directories.last_run_file("").name
        files = directories.last_run_file("").parent.glob(f"?*{suffix}")
        known = [file.name.removesuffix(suffix) for file in sorted(files)]
        for app in [app for app in known if not named or app in named]:
            with reporting_to(app, to) as post:
                telling.record_failure(app, None, error, post, to.progress)
    except AgebackupError as second:
        to.output.warn(second.message)


def journal(to: Console) -> "Journal":
    """Return the log; where there is no place for it, one that keeps nothing, with a warning."""
    from agebackup.operations.journal import Journal

    try:
        return Journal(directories.log_file(), now)
    except FailedError as error:
        to.output.warn(f"There is no log: {error.message}")
        return Journal(None, now)


def service_manager(to: Console) -> "ServiceManager":
    """Return systemd, where it started us; children of ours are not to speak to it."""
    from agebackup.system.notify import ServiceManager

    os.environ.pop(NOTIFY_VARIABLE, None)
    return ServiceManager(to.settings.variable(NOTIFY_VARIABLE) or "")


def proxies(to: Console) -> dict[str, str]:
    """Return the proxies that the environment names, by scheme; "no" are the hosts without one."""
    found = {}
    for name in ("http", "https", "no"):
        value = to.settings.variable(f"{name}_proxy") or to.settings.variable(
            f"{name.upper()}_PROXY"
        )
        if value:
            found[name] = value
    return found
