"""`status --watch`: the same look again and again, drawn over the last one, until a key."""

import os
import select
import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from agebackup.cli.console import Console
from agebackup.cli.output import Output, OutputLostError, write_out
from agebackup.cli.scope import now
from agebackup.cli.settings import Settings
from agebackup.cli.terminal import Reporter
from agebackup.errors import AgebackupError, StoppedError, UsageError, counted, printable
from agebackup.model.durations import parse_duration, span_text
from agebackup.system.clock import Deadline, pause
from agebackup.system.probing import lingering

USUAL = "5s"
STEP = 0.1
"""Seconds between two looks at the keyboard."""
PATIENCE = 300.0
"""Seconds before a further look while processes hang that the last one left behind: each look at a
dead network drive leaves another, and none of them can be ended."""

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_TOP, _REST_OF_LINE, _BELOW = "\x1b[H", "\x1b[K", "\x1b[J"

Look = Callable[[Console], tuple[int, list[str]]]


def span(interval: str | None, *, watch: bool) -> float:
    """Return how many seconds are between two looks; raise `UsageError` where none are wanted."""
    if interval is not None and not watch:
        raise UsageError("--interval says how often --watch looks.", hint="Give --watch too.")
    return parse_duration(USUAL if interval is None else interval).total_seconds()


def require_screen(out: Console) -> None:
    """Raise `UsageError` where there is no terminal to draw on, or JSON is wanted."""
    if out.settings.json:
        raise UsageError("--watch draws for a person: it has no JSON.", hint="Leave one out.")
    drawable = sys.stdout is not None and sys.stdout.isatty()
    if not drawable or out.settings.variable("TERM") == "dumb":
        raise UsageError(
            "--watch needs a terminal that it can draw on.",
            hint="Without it, status says the same once.",
        )


def watched(look: Look, every: float, out: Console) -> int:
    """Draw what `look` returns until a key is pressed or a signal comes; return the exit code.

    The first look may fail as the command would without --watch; what goes wrong later is drawn,
    and may pass. In the end the terminal is as it was, with the last lines on it.
    """
    watch = _Watch(look, every, out, _seen(look, out))
    try:
        with _screen(), _keyboard() as keys:
            code = watch.run(keys)
    except StoppedError as error:
        code = error.code
    except OutputLostError:  # the terminal has gone
        return watch.seen.code
    with suppress(OutputLostError):
        write_out(("\n".join(watch.seen.lines) + "\n",), sys.stdout)
    return code


@dataclass(frozen=True)
class _Seen:
    """What one look showed."""

    code: int
    lines: tuple[str, ...]
    time: str


@dataclass
class _Watch:
    """Looks every so many seconds; `seen` is the last look."""

    look: Look
    every: float
    out: Console
    seen: _Seen

    def run(self, keys: int | None) -> int:
        """Look and draw until a key is pressed; return the last look's exit code."""
        patience, waiting = Deadline(PATIENCE), False
        while True:
            _draw([self._heading(waiting=waiting), "", *self.seen.lines])
            if _pressed(keys, self.every, self.out):
                return self.seen.code
            waiting = lingering() and not patience.expired
            if not waiting:
                patience = Deadline(PATIENCE)
                self.seen = self._again()

    def _heading(self, *, waiting: bool) -> str:
        rhythm = span_text(timedelta(seconds=self.every))
        rest = "; now waiting for what does not answer" if waiting else ""
        return f"agebackup status, every {rhythm}; any key leaves. {self.seen.time}{rest}"

    def _again(self) -> _Seen:
        try:
            return _seen(self.look, self.out)
        except StoppedError:
            raise
        except AgebackupError as error:  # such as a configuration that is just being edited
            return _Seen(error.code, (printable(error.message), printable(error.hint)), _clock())


def _seen(look: Look, out: Console) -> _Seen:
    heard = _Heard(out.settings, out.output.command)
    progress = Reporter(out.settings.stop, heard)
    code, lines = look(replace(out, output=heard, progress=progress))
    return _Seen(code, (*heard.warnings, *lines), _clock())


class _Heard(Output):
    """Keeps warnings, which would be written across the screen."""

    def __init__(self, settings: Settings, command: str) -> None:
        super().__init__(settings, command)
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(f"warning: {printable(text)}")


def _clock() -> str:
    return f"{now().astimezone():%Y-%m-%d %H:%M:%S %Z}"


def _draw(lines: Sequence[str]) -> None:
    width, height = _size()
    rows = [row for line in lines for row in _wrapped(line, width)]
    if len(rows) > height:
        more = len(rows) - height + 1
        rows = [*rows[: height - 1], f"and {counted(more, 'more line')}"]
    drawn = "\r\n".join(f"{row[:width]}{_REST_OF_LINE}" for row in rows)
    write_out((f"{_TOP}{drawn}{_BELOW}",), sys.stdout)


def _size() -> tuple[int, int]:
    width, height = 80, 24
    with suppress(OSError):
        width, height = os.get_terminal_size(sys.stdout.fileno())
    return width or 80, height or 24


def _wrapped(line: str, width: int) -> list[str]:
    return [line[i : i + width] for i in range(0, len(line), width)] or [""]


def _pressed(keys: int | None, seconds: float, out: Console) -> bool:
    """Wait so long; return at once, with True, where a key was pressed or the keyboard is gone."""
    deadline = Deadline(seconds)
    while not deadline.expired:
        out.settings.stop.check()
        step = min(STEP, deadline.remaining)
        if keys is None:
            pause(step)
        elif select.select([keys], [], [], step)[0]:
            with suppress(OSError):
                os.read(keys, 1024)
            out.settings.stop.check()  # a hangup makes it readable too
            return True
    return False


@contextmanager
def _screen() -> Iterator[None]:
    write_out((_ENTER,), sys.stdout)
    try:
        yield
    finally:
        with suppress(OutputLostError):
            write_out((_LEAVE,), sys.stdout)


@contextmanager
def _keyboard() -> Iterator[int | None]:
    """Yield the descriptor that tells of each key at once, unseen; None where there is none.

    Ctrl-C stays a signal. Ctrl-Z is a key as others: it would leave the screen as it is.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        yield None
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    changed: list[Any] = termios.tcgetattr(descriptor)
    changed[3] &= ~(termios.ICANON | termios.ECHO)
    changed[6] = [*changed[6]]
    changed[6][termios.VMIN], changed[6][termios.VTIME] = 1, 0
    changed[6][termios.VSUSP] = bytes([os.fpathconf(descriptor, "PC_VDISABLE")])
    termios.tcsetattr(descriptor, termios.TCSADRAIN, changed)
    try:
        yield descriptor
    finally:
        with suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
