"""Commands that are told something: they need not listen, and nobody ever waits for the other."""

import sys
import time

import pytest

from agebackup.errors import FailedError, StoppedError
from agebackup.system.clock import Deadline
from agebackup.system.process import CommandResult, Listener, follow_command, tell_command
from agebackup.system.progress import Progress

MUCH = b"0123456789abcdef" * 200_000
"""More than any pipe holds."""


def tell(body: str, said: bytes, seconds: float = 20) -> CommandResult:
    """Run the Python program `body` with `said` on its stdin."""
    argv = [sys.executable, "-S", "-c", f"import os, sys, time\n{body}"]
    return tell_command(argv, said, seconds=seconds, progress=Progress(), cwd=None)


@pytest.mark.parametrize("said", [b"", b"x", MUCH], ids=["nothing", "little", "much"])
def test_it_is_heard_whole(said: bytes) -> None:
    """What is said arrives whole, and then the input ends."""
    assert tell("print(len(sys.stdin.buffer.read()))", said).stdout == f"{len(said)}\n"


def test_both_speak_at_once() -> None:
    """A command that answers while it listens stands on no full pipe."""
    body = "while piece := os.read(0, 1 << 16): os.write(1, piece)"
    assert tell(body, MUCH).stdout.encode() == MUCH[-(1 << 20) :]


@pytest.mark.parametrize(
    "body",
    ["", "os.close(0); time.sleep(0.1)", "os.read(0, 10)", "time.sleep(0.1)"],
    ids=["ends", "closes", "reads a little", "does not read"],
)
def test_nobody_listens(body: str) -> None:
    """A command that does not read what it is told ends as it would anyway."""
    assert tell(body, MUCH).code == 0


def test_who_does_not_read_is_ended() -> None:
    """A command that neither reads nor ends is ended in time."""
    begun = time.monotonic()
    with pytest.raises(FailedError, match=r"not done in 0\.2 seconds"):
        tell("time.sleep(60)", MUCH, seconds=0.2)
    assert time.monotonic() - begun < 5


def follow(body: str, listener: Listener) -> CommandResult:
    argv = [sys.executable, "-S", "-c", f"import os, sys, time\n{body}"]
    return follow_command(argv, listener, progress=Progress())


def test_a_command_is_heard_line_by_line() -> None:
    """Each whole line of stderr is told, however it is cut into pieces on its way."""
    heard: list[str] = []
    body = "for piece in (b'on', b'e\\n', b'two\\nthr', b'ee\\nrest'): os.write(2, piece)"
    assert follow(body, Listener(Deadline(20), heard.append)).stderr == "one\ntwo\nthree\nrest"
    assert heard == ["one", "two", "three"]


def test_a_command_that_shows_life_may_go_on() -> None:
    """What is heard can put off the end; a command that falls silent is ended."""
    deadline = Deadline(0.5)
    body = "for _ in range(8): os.write(2, b'.\\n'); time.sleep(0.1)"
    follow(body, Listener(deadline, lambda _: deadline.renew()))
    with pytest.raises(FailedError, match="was not done in"):
        follow(f"{body}\ntime.sleep(60)", Listener(deadline, lambda _: deadline.renew()))


def test_who_hears_may_end_it() -> None:
    """An error of the listener ends the command and comes out as it is."""

    def refuse(line: str) -> None:
        raise StoppedError(2)

    with pytest.raises(StoppedError):
        follow("os.write(2, b'x\\n'); time.sleep(60)", Listener(Deadline(20), refuse))


def test_as_much_is_kept_as_is_asked_for() -> None:
    """A long answer is kept whole where the limit is higher, its end where it is lower."""
    body = "sys.stdout.write('x' * (3 << 20) + 'end')"
    listener = Listener(Deadline(20), lambda _: None, limit=4 << 20)
    assert len(follow(body, listener).stdout) == (3 << 20) + 3
    assert follow(body, Listener(Deadline(20), lambda _: None, limit=4)).stdout == "xend"
