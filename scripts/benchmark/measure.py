"""Seconds and memory of one command, the memory of all its processes together."""

import os
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.contenders import Contender, environment

_SAMPLE_SECONDS = 0.02


class CommandError(Exception):
    """A contender failed, so that there is nothing to compare."""


@dataclass(frozen=True)
class Bench:
    """Where contenders run, each time in a fresh directory below `directory`."""

    directory: Path
    drop_caches: bool = False

    def seconds(self, contender: Contender, *, keep: Path | None = None) -> float:
        """Run `contender` once and return the wall seconds; `keep` takes what it made."""
        return self._run(contender, keep, Nothing())

    def peak_bytes(self, contender: Contender) -> int | None:
        """Run `contender` once and return the largest memory of its processes together.

        It is the sum of their proportional set sizes, so that shared pages count once; None
        where the system does not tell (all but Linux).
        """
        if not Path("/proc/self/smaps_rollup").exists():
            return None
        sampler = PeakSampler()
        self._run(contender, None, sampler)
        return sampler.peak

    def _run(self, contender: Contender, keep: Path | None, watcher: "Nothing") -> float:
        place = self.directory / "run"
        home = self.directory / "home"
        for made in (place, home):
            made.mkdir()
        try:
            contender.prepare(place)
            self._settle()
            begun = time.perf_counter()
            _finish(contender, place, {**environment(home), **contender.variables}, watcher)
            seconds = time.perf_counter() - begun
            if keep:
                place.rename(keep)
        finally:
            shutil.rmtree(place, ignore_errors=True)
            shutil.rmtree(home, ignore_errors=True)
        return seconds

    def _settle(self) -> None:
        os.sync()
        if self.drop_caches:
            Path("/proc/sys/vm/drop_caches").write_text("3\n")


def _finish(
    contender: Contender, place: Path, variables: Mapping[str, str], watcher: "Nothing"
) -> None:
    process = subprocess.Popen(
        contender.command,
        cwd=place,
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    watcher.watch(process.pid)
    try:
        _, said = process.communicate()
    finally:
        process.kill()
        watcher.end()
    if process.returncode:
        raise CommandError(f"{contender.name} ended with {process.returncode}: {said.strip()}")


class Nothing:
    """Watches nothing."""

    def watch(self, process: int) -> None:
        """Begin to watch `process` and its children."""

    def end(self) -> None:
        """Watch no longer."""


class PeakSampler(Nothing):
    """Adds up the memory of a process and its descendants, fifty times a second."""

    def __init__(self) -> None:
        self.peak = 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, process: int) -> None:
        self._thread = threading.Thread(target=self._sample, args=(process,))
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        if self._thread:
            self._thread.join()

    def _sample(self, process: int) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            self.peak = max(self.peak, sum(map(_proportional_bytes, descendants(process))))


def descendants(process: int) -> list[int]:
    """Return `process` and every process below it."""
    found = [process]
    for one in found:
        try:
            tasks = list(Path(f"/proc/{one}/task").iterdir())
            for task in tasks:
                found += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return found


def _proportional_bytes(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def rotated(contenders: Sequence[Contender], turn: int) -> list[Contender]:
    """Return `contenders` beginning with another one each turn."""
    first = turn % len(contenders)
    return [*contenders[first:], *contenders[:first]]


def compare(bench: Bench, contenders: Sequence[Contender], rounds: int) -> dict[str, list[float]]:
    """Run all contenders `rounds` times in rotated order; return the seconds of each."""
    taken: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for turn in range(rounds):
        for contender in rotated(contenders, turn):
            taken[contender.name].append(bench.seconds(contender))
    return taken


def median(seconds: Sequence[float]) -> float:
    """Return the median, the figure that every ratio is made of."""
    return statistics.median(seconds)
