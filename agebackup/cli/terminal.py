"""Progress on a terminal: phase, bytes, rate, time left; nothing anywhere else."""

import sys
from contextlib import suppress

from agebackup.cli.output import Output
from agebackup.model.sizes import human_bytes as human_bytes
from agebackup.system.clock import Stopwatch
from agebackup.system.progress import Progress, Stop

INTERVAL = 0.2
"""Seconds between two drawings of the line."""


class Reporter(Progress):
    """Warnings to stderr, and no progress line."""

    def __init__(self, stop: Stop, output: Output) -> None:
        super().__init__(stop)
        self._output = output

    def warn(self, text: str) -> None:
        """Write a warning; it stays, unlike the progress line."""
        self._output.warn(text)


class TerminalReporter(Reporter):
    """One line on stderr that is drawn again and again, and removed before anything is written."""

    shows_totals = True

    def __init__(self, stop: Stop, output: Output) -> None:
        super().__init__(stop, output)
        self._name = ""
        self._total: int | None = None
        self._done = 0
        self._since = Stopwatch()
        self._drawn_at = 0.0
        self._visible = False
        output.settings.clear_line = self.clear

    def phase(self, name: str, total: int | None = None) -> None:
        """Begin the phase `name` of `total` bytes."""
        super().phase(name, total)
        self._name, self._total, self._done = name, total, 0
        self._since, self._drawn_at = Stopwatch(), 0.0
        self._draw()

    def advance(self, count: int) -> None:
        """Count `count` more bytes."""
        super().advance(count)
        self._done += count
        if self._since.seconds - self._drawn_at >= INTERVAL:
            self._drawn_at = self._since.seconds
            self._draw()

    def clear(self) -> None:
        """Remove the line, if it is there."""
        if self._visible:
            self._write("\r\x1b[K")
            self._visible = False

    def _draw(self) -> None:
        self._write(f"\r\x1b[K{self._line()}")
        self._visible = True

    def _write(self, text: str) -> None:
        # A terminal that has gone must not fail a backup that nobody watches any more.
        with suppress(OSError, ValueError):
            print(text, end="", file=sys.stderr, flush=True)

    def _line(self) -> str:
        seconds = self._since.seconds
        parts = [self._name]
        if self._done and self._total:
            parts.append(f"{human_bytes(self._done)} of {human_bytes(self._total)}")
        elif self._done or self._total:
            parts.append(human_bytes(self._done or self._total or 0))
        if self._done and seconds > 1:
            rate = self._done / seconds
            parts.append(f"{human_bytes(int(rate))}/s")
            if self._total and self._done < self._total:
                parts.append(f"{int((self._total - self._done) / rate) + 1} s left")
        return ", ".join(parts)
