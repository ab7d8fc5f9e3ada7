"""What is tried again, how often, and what a person learns of it."""

import pytest

from agebackup.destinations.attempts import PAUSES, persistently
from agebackup.destinations.interface import OutOfReachError, StoodStillError
from agebackup.errors import AgebackupError, FailedError, RefusedError, StoppedError
from agebackup.system.clock import Stopwatch
from agebackup.system.progress import Progress, Stop


class Flaky:
    """Fails with each of `errors` in turn, then works; counts how often it was asked."""

    def __init__(self, *errors: AgebackupError) -> None:
        self.errors, self.asked = list(errors), 0

    def __call__(self) -> str:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return "there"


class Warned(Progress):
    """Keeps what a person would be told."""

    def __init__(self, stop: Stop | None = None) -> None:
        super().__init__(stop)
        self.told: list[str] = []

    def warn(self, text: str) -> None:
        self.told.append(text)


GONE = OutOfReachError("The server is away.", hint="Check the network.")


def test_what_works_at_once_is_done_once() -> None:
    """A sound transfer is made once, and nobody is told anything."""
    flaky, told = Flaky(), Warned()
    assert persistently(flaky, told, (0, 0)) == "there"
    assert flaky.asked == 1 and not told.told


def test_a_passing_fault_is_tried_again() -> None:
    """A server that is away for a moment costs a pause, not the transfer; each pause is said."""
    flaky, told = Flaky(GONE, GONE), Warned()
    assert persistently(flaky, told, (0, 0)) == "there"
    assert flaky.asked == 3
    assert told.told == ["The server is away. Trying again in 0 seconds."] * 2


def test_three_attempts_are_enough() -> None:
    """What stays away is tried three times, and the message says so and keeps its hint."""
    flaky = Flaky(GONE, GONE, GONE, GONE)
    with pytest.raises(OutOfReachError) as caught:
        persistently(flaky, Progress(), (0, 0))
    assert flaky.asked == 3
    assert caught.value.message == "The server is away. It was tried 3 times."
    assert caught.value.hint == "Check the network."
    assert len(PAUSES) == 2 and sorted(PAUSES) == list(PAUSES)


@pytest.mark.parametrize(
    "error", [FailedError("No room."), RefusedError("No permission."), StoodStillError("Silence.")]
)
def test_a_permanent_fault_is_not_tried_again(error: AgebackupError) -> None:
    """What another attempt cannot mend is said at once."""
    flaky = Flaky(error)
    with pytest.raises(type(error)) as caught:
        persistently(flaky, Progress(), (1000, 1000))
    assert flaky.asked == 1 and caught.value is error


def test_a_stop_ends_the_waiting() -> None:
    """Ctrl-C during a pause is obeyed at once, and nothing is tried after it."""
    stop = Stop()

    class Interrupted(Warned):
        def warn(self, text: str) -> None:
            stop.request(2)

    flaky, watch = Flaky(GONE), Stopwatch()
    with pytest.raises(StoppedError):
        persistently(flaky, Interrupted(stop), (1000, 1000))
    assert flaky.asked == 1 and watch.seconds < 5
