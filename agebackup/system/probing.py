"""Look at places that may never answer: a dead network mount hangs whoever only asks its status."""

import os
import select
from collections.abc import Callable, Sequence

from agebackup.system.clock import Deadline
from agebackup.system.conversation import TICK
from agebackup.system.outcome import Result
from agebackup.system.process import Worker
from agebackup.system.progress import Progress


def within(
    seconds: float, functions: Sequence[Callable[[], Result]], progress: Progress
) -> tuple[Result | None, ...]:
    """Return what each of `functions` returns, None for each that is not done in `seconds`.

    Each runs in a child process of its own, all at once, so that the whole takes little longer than
    `seconds` however many hang. A child that hangs in the kernel cannot be killed: it is left
    behind and ends when the system lets it. To be called from the main thread; the functions must
    not touch SQLite connections of this process. Raises what a function raises, and `StoppedError`.
    """
    deadline = Deadline(seconds)
    workers: list[Worker] = []
    try:
        for function in functions:
            workers.append(Worker.start(function))
        _listen(workers, deadline, progress)
        return tuple(None if one.fileno() >= 0 else one.result(progress) for one in workers)
    finally:
        for worker in workers:
            worker.abandon()


def lingering() -> bool:
    """Return whether children that `within` left behind still hang; those that ended are reaped.

    To be called while no other child is at work: it takes whatever has ended.
    """
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _listen(workers: Sequence[Worker], deadline: Deadline, progress: Progress) -> None:
    """Take in what the workers have to say until all are done, or the time is up."""
    talking = {one.fileno(): one for one in workers if one.fileno() >= 0}
    poller = select.poll()
    for descriptor in talking:
        poller.register(descriptor, select.POLLIN)
    while talking and not deadline.expired:
        progress.stop.check()
        for descriptor, _ in poller.poll(min(TICK, deadline.remaining) * 1000):
            worker = talking[descriptor]
            worker.receive()
            if worker.fileno() < 0:
                poller.unregister(descriptor)
                del talking[descriptor]
