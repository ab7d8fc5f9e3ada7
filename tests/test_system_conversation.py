"""Commands that are told something: they need not listen, and nobody ever waits for the other."""

import sys
import time

import pytest

from agebackup.errors import FailedError
from agebackup.system.process import CommandResult, tell_command
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
