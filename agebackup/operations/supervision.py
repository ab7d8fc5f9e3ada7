"""One app's run from its beginning to its end: recorded, told, and what follows from it done.

Nothing here can make a backup fail, or a failed one look good: whatever goes wrong with the
ledger, the log, last-run.json, the hooks or pruning is a warning, and the exit code stays.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from agebackup.errors import BusyError, NotFoundError, printable
from agebackup.ledger import Ledger
from agebackup.model.lastrun import Pruning
from agebackup.model.profile import Profile
from agebackup.model.reports import CreateReport
from agebackup.model.watch import Hooks
from agebackup.operations.bookkeeping import Bookkeeping
from agebackup.operations.create import create, sole_run
from agebackup.operations.hooks import Telling
from agebackup.operations.order import Order, Site
from agebackup.operations.record import Post, Recording
from agebackup.operations.upkeep import before_create, prune_after
from agebackup.system.clock import Deadline, pause
from agebackup.system.progress import Progress

_STEP = 0.1


@dataclass(frozen=True)
class Charge:
    """What is to be run. `profile` is None for an ad hoc run, which has no hooks and no policy.

    `site` and `order` are asked within the run, at each try, so that their failures are its own.
    `needed` is asked, with the ledger, once nobody else can run the app. `waits` are the seconds
    to wait before further tries after what may pass.
    """

    app: str
    site: Callable[[], Site]
    order: Callable[[], Order]
    profile: Profile | None = None
    manual: bool = False
    needed: Callable[[Ledger | None], bool] = lambda ledger: True
    waits: tuple[float, ...] = ()


@dataclass(frozen=True)
class Supervised:
    """A run that published. `warnings` came up around it and were told; `run` is its id."""

    run: str
    report: CreateReport
    pruning: Pruning = field(default_factory=Pruning)
    warnings: tuple[str, ...] = ()


class OtherRunError(BusyError):
    """Another run of the app is at work, and will itself tell how it ended."""


def supervise(charge: Charge, post: Post, progress: Progress) -> Supervised | None:
    """Make one archive of `charge.app` and see to all that belongs to a run; None if not needed.

    Raises what `create` and the charge raise, after it was recorded and told; `OtherRunError`,
    which only the log knows of, where another run of the app holds its lock.
    """
    record = Recording(charge.app, "manual" if charge.manual else "auto", post, progress)
    telling = _telling(charge.profile, record)
    try:
        report = _tried(charge, record, telling)
    except OtherRunError as error:
        post.journal.event("run-skipped", charge.app, message=error.message)
        raise
    except BaseException as error:
        _told(partial(record.failed, error, telling), progress)
        raise
    if report is None:
        return None
    _told(partial(record.published, report, telling), progress)
    return Supervised(record.run.id, report, record.pruning, tuple(record.warnings))


def _told(tell: Callable[[], None], progress: Progress) -> None:
    """Let nothing that goes wrong while a run is recorded change what became of it."""
    try:
        tell()
    except Exception as error:
        text = printable(f"{type(error).__name__}: {error}")
        progress.warn(f"What became of the run could not be recorded everywhere: {text}.")


def record_failure(
    app: str, profile: Profile | None, error: BaseException, post: Post, progress: Progress
) -> None:
    """Record and tell that `app` could not even be tried, for `error`."""
    record = Recording(app, "auto", post, progress)
    _told(partial(record.failed, error, _telling(profile, record)), progress)


def _telling(profile: Profile | None, record: Recording) -> Telling:
    hooks, directory = (profile.watch.hooks, profile.base) if profile else (Hooks(), None)
    return Telling(hooks, record.run.id, directory, record.post.proxies)


def _tried(charge: Charge, record: Recording, telling: Telling) -> CreateReport | None:
    for seconds in charge.waits:
        try:
            return _once(charge, record, telling)
        except (BusyError, NotFoundError) as error:
            record.waiting(error, seconds)
            wait(seconds, record.progress)
    return _once(charge, record, telling)


def _once(charge: Charge, record: Recording, telling: Telling) -> CreateReport | None:
    record.tries += 1
    books, locked = Bookkeeping(record.ledger, record.post.losses), False
    site = replace(charge.site(), books=books)
    try:
        with sole_run(site, charge.app, record.progress):
            locked = True
            if not charge.needed(record.ledger):
                return None
            record.begin(site.destination.key)
            telling.begin()
            before_create(charge.app, site, record)
            report = create(charge.order(), site, record.progress)
            if charge.profile is not None:
                record.pruning = prune_after(charge.profile, site, report, record)
            return report
    except BusyError as error:
        if locked:
            raise
        raise OtherRunError(error.message, hint=error.hint) from None


def wait(seconds: float, progress: Progress) -> None:
    """Do nothing for `seconds`; raise `StoppedError` when a stop is asked for meanwhile."""
    deadline = Deadline(seconds)
    while not deadline.expired:
        progress.stop.check()
        pause(min(_STEP, deadline.remaining))
