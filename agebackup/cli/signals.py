"""Signals become the wish to stop; descriptors 0 to 2 always lead somewhere."""

import os
import signal
from types import FrameType

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
