"""Runs targets in processes of their own, ends those that hang, and gathers what they found."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from fuzzing.board import Board
from fuzzing.plain import fuzz as fuzz_plainly
from fuzzing.targets import TARGETS
from fuzzing.watch import HUNG, Watch

_HUNG = 2 * HUNG
"""Seconds after which an input is ended from outside, where the process itself did not."""
_POLL = 0.1
_STARTING = 5.0
"""Seconds more than its time that a process has, to begin and to end."""


@dataclass(frozen=True)
class Report:
    """What became of one target: inputs, how many were refused, sentences with their inputs."""

    name: str
    runs: int
    refused: int
    findings: dict[str, bytes]


def fuzz(
    names: Sequence[str],
    directory: Path,
    seed: int,
    *,
    seconds: float,
    inputs: int | None = None,
    plain: bool,
) -> list[Report]:
    """Fuzz the targets `names` below `directory`, as many at once as there are processors.

    All of them together take `seconds`; with `inputs` each gets as many, if that is sooner.
    """
    at_once = min(os.cpu_count() or 1, len(names))
    shares = sum(TARGETS[name].share for name in names)

    def session(name: str) -> Report:
        place = directory / name
        place.mkdir()
        kind = "plain" if plain else "guided"
        due = seconds * TARGETS[name].share * at_once / shares
        return Session(name, place, seed, due, inputs, kind).report()

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(session, names))


@dataclass
class Session:
    """The processes that fuzz one target, one after the other; a crash costs only the input."""

    name: str
    directory: Path
    seed: int
    seconds: float
    inputs: int | None
    kind: str

    def report(self) -> Report:
        """Fuzz for the time given, and return what came of it."""
        board = Board(self.directory / "board")
        end = time.monotonic() + self.seconds
        attempt = 0
        while (left := end - time.monotonic()) > 0.5 and not self._enough(board.runs):
            before = board.runs
            code = self._one(board, attempt, left)
            attempt += 1
            if code and board.begun:
                board.found(f"the process ended with {code}")
                board.end(refused=False)
            elif code and board.runs == before:
                said = (self.directory / "said").read_text(errors="replace")[-2000:]
                board.found(f"the process did not start: {said}")
                break
        return Report(self.name, board.runs, board.refused, board.findings())

    def _enough(self, runs: int) -> bool:
        return self.inputs is not None and runs >= self.inputs

    def _one(self, board: Board, attempt: int, left: float) -> int:
        rest = -1 if self.inputs is None else self.inputs - board.runs
        words = [self.name, str(self.directory), str(self.seed + attempt), str(int(left) + 1)]
        if self.kind == "plain":
            words = ["fuzzing.sessions", *words, str(rest)]
        else:
            words.insert(0, "fuzzing.guided")
        with (self.directory / "said").open("wb") as said:
            child = subprocess.Popen(
                [sys.executable, "-m", *words], stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
        return _watched(child, board, left + _STARTING)


def _watched(child: "subprocess.Popen[bytes]", board: Board, seconds: float) -> int:
    """Return how `child` ended, 0 where its time was over."""
    end = time.monotonic() + seconds
    try:
        while child.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                child.wait(_POLL)
            begun, now = board.begun, time.monotonic()
            if begun and now - begun > _HUNG:
                child.kill()
                break
            if now > end and not begun:
                return 0
    finally:
        child.kill()
        child.wait()
    return child.returncode


def _plainly(name: str, place: str, seed: str, seconds: str, inputs: str) -> None:
    directory, target = Path(place), TARGETS[name]
    private = directory / "private"
    private.mkdir(exist_ok=True)
    end, board = time.monotonic() + float(seconds), Board(directory / "board")
    tried = fuzz_plainly(target, Watch(target, private), board, Random(f"{name} {seed}"))
    for number, _ in enumerate(tried, 1):
        if number == int(inputs) or time.monotonic() > end:
            break


if __name__ == "__main__":
    _plainly(*sys.argv[1:])
