"""Signals become the wish to stop; descriptors 0 to 2 always lead somewhere."""

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from agebackup.errors import StoppedError
from agebackup.system.progress import Stop


def listen(stop: Stop) -> None:
    """Let SIGINT, SIGTERM and SIGHUP ask `stop`; one that was ignored at the start stays so.

    nohup(1) ignores SIGHUP, a shell's `&` SIGINT: whoever did that wants the run to go on.
    """

    def request(number: int, frame: FrameType | None) -> None:
        stop.request(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, request)


def fill_standard_descriptors() -> None:
    """Open /dev/null on each of 0 to 2 that is closed.

    Otherwise the archive could be opened as descriptor 1, and a message be written into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


@contextmanager
def raising() -> Iterator[None]:
    """Let the signals that stop a run raise `StoppedError` at once while the body waits.

    A prompt, or a pipe that nobody reads, would wait for ever beside a flag that is only set.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise StoppedError(number)

    before = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        for number in before:
            signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def await_input(descriptor: int) -> None:
    """Return once `descriptor` has something to read, or as soon as a signal was noticed.

    Within `raising` no signal is missed. A plain read would miss one that comes after Python has
    last looked for signals and before the system call begins, and then wait on.
    """
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    before = signal.set_wakeup_fd(wake)
    try:
        select.select([descriptor, woken], [], [])
    finally:
        signal.set_wakeup_fd(before)
        os.close(woken)
        os.close(wake)
