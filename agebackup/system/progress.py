"""Where long work reports, and where it learns that it must stop.

Every function that can take long is given one `Progress`. The class itself is the null object: it
shows nothing. The command line derives one that draws on a terminal.
"""

from agebackup.errors import StoppedError


class Stop:
    """The wish to stop, set by a signal handler and polled by the work.

    A handler that raised would strike anywhere, clean-up included; a flag that is polled strikes
    only where the work can be left. The first signal decides the exit code.
    """

    def __init__(self) -> None:
        self.signal_number = 0

    def request(self, signal_number: int) -> None:
        """Ask for the end on behalf of `signal_number`; later requests change nothing."""
        self.signal_number = self.signal_number or signal_number

    def check(self) -> None:
        """Raise `StoppedError` once a stop was requested."""
        if self.signal_number:
            raise StoppedError(self.signal_number)


class Progress:
    """The null reporter: shows nothing, but does notice the wish to stop."""

    shows_totals = False
    """Whether it is worth the time to measure beforehand how much there is to do."""

    def __init__(self, stop: Stop | None = None) -> None:
        self.stop = stop or Stop()

    def phase(self, name: str, total: int | None = None) -> None:
        """Begin the phase `name`, of `total` bytes where that is known; may raise StoppedError."""
        self.stop.check()

    def advance(self, count: int) -> None:
        """Report `count` more bytes of this phase as done; may raise `StoppedError`."""
        self.stop.check()

    def warn(self, text: str) -> None:
        """Tell the person something that does not change the outcome."""
