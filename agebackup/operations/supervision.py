"""One app's run from its beginning to its end: recorded, told, and what follows from it done.

Nothing here can make a backup fail, or a failed one look good: whatever goes wrong with the
ledger, the log, last-run.json, the hooks or pruning is a warning, and the exit code stays.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from agebackup.errors import INCOMPLETE, BusyError, NotFoundError, worst
from agebackup.ledger import Ledger
from agebackup.model.lastrun import Pruning
from agebackup.model.profile import Profile
from agebackup.model.reports import CreateReport
from agebackup.operations.bookkeeping import Bookkeeping
from agebackup.operations.create import create, sole_run
from agebackup.operations.hooks import Telling
from agebackup.operations.order import Order, Site
from agebackup.operations.pusheverywhere import Pusher, Pushing
from agebackup.operations.record import Post, Recording
from agebackup.operations.telling import telling_of, told
from agebackup.operations.upkeep import before_create, prune_after
from agebackup.system.clock import wait
from agebackup.system.progress import Progress


@dataclass(frozen=True)
class Charge:
    """What is to be run. `profile` is None for an ad hoc run, which has no hooks and no policy.

    `site` and `order` are asked within the run, at each try, so that their failures are its own.
    `needed` is asked, with the ledger, once nobody else can run the app. `waits` are the seconds
    to wait before further tries after what may pass. `push` carries copies of what was published
    to other places, once the app's lock is free: a slow network keeps no other run waiting.
    """

    app: str
    site: Callable[[], Site]
    order: Callable[[], Order]
    profile: Profile | None = None
    manual: bool = False
    needed: Callable[[Ledger | None], bool] = lambda ledger: True
    waits: tuple[float, ...] = ()
    push: Pusher | None = None


@dataclass(frozen=True)
class Supervised:
    """A run that published. `warnings` came up around it and were told; `run` is its id.

    `pushing` None: the archive was not to be carried anywhere.
    """

    run: str
    report: CreateReport
    pruning: Pruning = field(default_factory=Pruning)
    warnings: tuple[str, ...] = ()
    pushing: Pushing | None = None

    @property
    def code(self) -> int:
        """The exit code: 3 where something is missing, in the archive or in another place."""
        codes = (
            INCOMPLETE if self.report.problems else 0,
            self.pushing.code if self.pushing else 0,
        )
        return worst(codes)


class OtherRunError(BusyError):
    """Another run of the app is at work, and will itself tell how it ended."""


def supervise(charge: Charge, post: Post, progress: Progress) -> Supervised | None:
    """Make one archive of `charge.app` and see to all that belongs to a run; None if not needed.

    Raises what `Supervision.attempt` raises.
    """
    run = Supervision(charge, post, progress)
    while (seconds := run.attempt()) is not None:
        run.wait(seconds)
    return run.done


class Supervision:
    """One run of an app, from its first try to its last; `done` is what came of it.

    Between two tries, other apps may have their turn.
    """

    def __init__(self, charge: Charge, post: Post, progress: Progress) -> None:
        self.done: Supervised | None = None
        self._charge = charge
        self._record = Recording(charge.app, "manual" if charge.manual else "auto", post, progress)
        self._telling = telling_of(charge.profile, self._record)
        self._waits = list(charge.waits)
        self._progress = progress

    def attempt(self) -> float | None:
        """Try to make the archive; return in how many seconds to try again, None at the end.

        Raises what `create` and the charge raise, after it was recorded and told; `OtherRunError`,
        which only the log knows of, where another run of the app holds its lock.
        """
        record, telling = self._record, self._telling
        with self._recorded():
            try:
                report = _once(self._charge, record, telling)
            except (BusyError, NotFoundError) as error:
                if not self._waits:
                    raise
                seconds = self._waits.pop(0)
                if not isinstance(error, OtherRunError):
                    record.given_up(error)
                record.waiting(error, seconds)
                return seconds
        if report is None:
            told(
                partial(record.withdrawn, telling, "Another run made the archive."), self._progress
            )
        else:
            pushing = self._pushed()
            told(partial(record.published, report, telling), self._progress)
            warnings = tuple(record.warnings)
            self.done = Supervised(record.run.id, report, record.pruning, warnings, pushing)
        return None

    def _pushed(self) -> Pushing | None:
        """Carry copies of what was published; whatever becomes of that, the archive stays."""
        record, push = self._record, self._charge.push
        if push is None:
            return None
        pushing = push(record.ledger, record.progress, record.note)
        told(partial(record.carried, pushing), self._progress)
        return pushing

    def wait(self, seconds: float) -> None:
        """Wait for the next try; a stop that is asked for meanwhile ends the run."""
        with self._recorded():
            wait(seconds, self._progress.stop)

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        record = self._record
        try:
            yield
        except OtherRunError as error:
            record.note("run-skipped", message=error.message)
            told(partial(record.withdrawn, self._telling, ""), self._progress)
            raise
        except BaseException as error:
            told(partial(record.failed, error, self._telling), self._progress)
            raise


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
            told(partial(record.made, report), record.progress)
            return report
    except BusyError as error:
        if locked:
            raise
        raise OtherRunError(error.message, hint=error.hint) from None
