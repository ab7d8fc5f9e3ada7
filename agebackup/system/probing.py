"""Look at places that may never answer: a dead network mount hangs whoever only asks its status."""

from collections.abc import Callable, Sequence

from agebackup.system.clock import Deadline
from agebackup.system.outcome import Result
from agebackup.system.process import Worker
from agebackup.system.progress import Progress, Stop


class _TooLateError(Exception):
    pass


class _Until(Stop):
    """The wish to stop, which also comes when a deadline does."""

    def __init__(self, deadline: Deadline, outer: Stop) -> None:
        super().__init__()
        self._deadline, self._outer = deadline, outer

    def check(self) -> None:
        self._outer.check()
        if self._deadline.expired:
            raise _TooLateError


def within(
    seconds: float, functions: Sequence[Callable[[], Result]], progress: Progress
) -> tuple[Result | None, ...]:
    """Return what each of `functions` returns, None for each that is not done in `seconds`.

    Each runs in a child process of its own, all at once, so that the whole takes little longer than
    `seconds` however many hang. A child that hangs in the kernel cannot be killed: it is left
    behind and ends when the system lets it. To be called from the main thread, before an SQLite
    connection is open. Raises what a function raises, and `StoppedError`.
    """
    deadline = Deadline(seconds)
    workers = [Worker.start(function) for function in functions]
    try:
        return tuple(_result(worker, deadline, progress) for worker in workers)
    finally:
        for worker in workers:
            worker.abandon()


def _result(worker: Worker, deadline: Deadline, progress: Progress) -> Result | None:
    try:
        return worker.result(Progress(_Until(deadline, progress.stop)))
    except _TooLateError:
        return None
