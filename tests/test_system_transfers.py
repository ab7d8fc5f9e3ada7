"""Commands whose streams pass through us: whole, bounded in time, ended with all they started."""

import os
from collections.abc import Iterator

import pytest

from agebackup.errors import FailedError, StoppedError
from agebackup.system.progress import Progress
from agebackup.system.transfers import StalledError, Traffic, run_transfer

ENVIRONMENT = {"PATH": os.environ["PATH"]}


def _run(command: str, traffic: Traffic, progress: Progress | None = None) -> int:
    argv = ["sh", "-c", command]
    where = progress or Progress()
    return run_transfer(argv, traffic, environment=ENVIRONMENT, progress=where).code


def test_everything_passes_in_both_directions() -> None:
    """Far more than a pipe holds goes in and comes out, in order, until the very last byte."""
    given, taken = os.urandom(5 << 20), bytearray()
    pieces = iter([given[:3], given[3 : 4 << 20], given[4 << 20 :]])
    assert _run("cat; printf end", Traffic(pieces, taken.extend)) == 0
    assert bytes(taken) == given + b"end"


def test_what_is_not_read_is_no_fault() -> None:
    """A command that ends before it read everything tells by its own code how it ended."""
    endless: Iterator[bytes] = iter(lambda: b"x" * 100_000, b"")
    assert _run("exit 7", Traffic(endless)) == 7


def test_the_end_of_a_background_child_is_not_waited_for() -> None:
    """What a command leaves running keeps nobody waiting."""
    taken = bytearray()
    assert _run("sleep 30 & echo done", Traffic(None, taken.extend)) == 0
    assert taken == b"done\n"


def test_what_stands_still_is_ended() -> None:
    """A command through which nothing goes is killed after its time, with what it started."""
    with pytest.raises(StalledError, match="Nothing has moved"):
        _run("sleep 30; :", Traffic(stall=0.1))


def test_errors_of_either_side_end_it() -> None:
    """What the source of the bytes or their taker raises ends the command and comes out."""

    def broken() -> Iterator[bytes]:
        yield b"first"
        raise FailedError("The disk broke.")

    with pytest.raises(FailedError, match="disk broke"):
        _run("cat >/dev/null", Traffic(broken()))

    def refuse(piece: bytes) -> None:
        raise FailedError("No room.")

    with pytest.raises(FailedError, match="No room"):
        _run("yes", Traffic(None, refuse))


def test_a_stop_ends_it() -> None:
    """Ctrl-C is obeyed while a command runs."""
    progress = Progress()

    def stop(piece: bytes) -> None:
        progress.stop.request(2)

    with pytest.raises(StoppedError):
        _run("echo; sleep 30", Traffic(None, stop), progress)


def test_what_is_no_program_is_said() -> None:
    """A missing program is a sentence with a hint."""
    with pytest.raises(FailedError, match="cannot be started"):
        run_transfer(["no-such-program"], Traffic(), environment=ENVIRONMENT, progress=Progress())
