"""What a supervised run reports to: ledger, log, last-run.json, the service manager."""

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from agebackup import __version__
from agebackup.cli import directories
from agebackup.cli.console import Console
from agebackup.cli.failures import translated
from agebackup.cli.scope import known_ledger, now
from agebackup.errors import FailedError

if TYPE_CHECKING:
    from agebackup.cli.wiring import Job
    from agebackup.operations.journal import Journal
    from agebackup.operations.record import Post
    from agebackup.operations.supervision import Supervised
    from agebackup.system.notify import ServiceManager

NOTIFY_VARIABLE = "NOTIFY_SOCKET"


def supervised(
    job: "Job",
    to: Console,
    *,
    needed: Callable[[], bool] = lambda: True,
    waits: tuple[float, ...] = (),
) -> "Supervised | None":
    """Run `job`, recorded and told; None where inside the app's lock it was not `needed`."""
    from agebackup.operations.supervision import Charge, supervise

    charge = Charge(
        job.known_app,
        "manual" if job.flags.manual else "auto",
        translated()(job.site),
        translated()(job.order),
        job.profile,
        needed,
        waits,
    )
    with reporting_to(job.known_app, to) as post:
        return supervise(charge, post, to.progress)


@contextmanager
def reporting_to(app: str, to: Console) -> "Iterator[Post]":
    """Yield where runs of `app` are recorded; the ledger is open during the body."""
    from agebackup.operations.record import Post

    ledger = known_ledger(to, make=True)
    with ledger or nullcontext():
        yield Post(
            ledger,
            directories.last_run_file(app),
            journal(to),
            directories.claims(),
            now,
            services=service_manager(to),
            proxies=proxies(to),
            host=platform.node(),
            versions={"agebackup": __version__, "python": platform.python_version()},
        )


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
