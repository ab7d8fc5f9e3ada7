"""agebackup log"""

import json
import select
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from agebackup.cli.console import Console, console
from agebackup.cli.output import OutputLostError
from agebackup.cli.settings import current, global_options
from agebackup.errors import StoppedError, printable

if TYPE_CHECKING:
    from agebackup.system.rotation import Tail

STEP = 0.2
"""Seconds between two looks for new lines."""
_WORDS = {
    "run-retried": "to be tried again",
    "run-skipped": "left to another run",
    "run-cut-off": "cut off",
    "not-run": "not run",
    "not-told": "not told",
    "cannot-run": "nothing can be run",
}


@click.command("log", short_help="Show what happened: runs, prunings, what could not be told.")
@click.argument("app", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until interrupted.")
@click.option(
    "-n", "count", type=click.IntRange(min=0), default=50, help="How many lines at most; 50."
)
@global_options
def command(app: str | None, count: int, *, follow: bool) -> int:
    """Show the last lines of the log, of every app or of APP.

    Each line is an event: a run that ended, with its outcome, size and seconds; what was pruned and
    why; what could not be told to a hook. Times are UTC. With --json the events are one object, or
    with --follow one object per line. The log is kept in about 6 MB.
    """
    from agebackup.cli.directories import log_file
    from agebackup.model.names import require_app
    from agebackup.operations.journal import events, old_lines
    from agebackup.system.rotation import Tail

    to = console(current(), "log")
    if app is not None:
        require_app(app)
    file = log_file()
    with Tail(file) as tail:
        old = (one for lines in (old_lines(file), tail.lines()) for one in events(lines))
        last = deque((one for one in old if app in (None, one.get("app"))), maxlen=count)
        if not follow:
            return _shown(list(last), to)
        new = (one for one in events(_coming(tail, to)) if app in (None, one.get("app")))
        return _follow(last, new, to)


def _shown(events: list[dict[str, Any]], to: Console) -> int:
    to.output.result("\n".join(map(event_line, events)), events=events)
    if not events:
        to.output.say("Nothing was logged yet.")
    return 0


def _follow(last: "deque[dict[str, Any]]", new: Iterator[dict[str, Any]], to: Console) -> int:
    """Write events as they come; the reader who goes away, or interrupts, has had enough."""
    try:
        for event in chain(last, new):
            _write(event, to)
    except StoppedError as error:
        return error.code
    except OutputLostError as error:
        if not isinstance(error.__context__, BrokenPipeError):
            raise
    return 0


def _coming(tail: "Tail", to: Console) -> Iterator[bytes]:
    from agebackup.system.clock import pause

    while not _reader_has_gone():
        to.settings.stop.check()
        yield from tail.lines()
        pause(STEP)


def _reader_has_gone() -> bool:
    """Return whether stdout is a pipe that nobody reads any more (poll(2): POLLERR)."""
    with suppress(OSError, ValueError, AttributeError):
        poller = select.poll()
        poller.register(sys.stdout.fileno(), 0)
        return any(seen & select.POLLERR for _, seen in poller.poll(0))
    return False


def _write(event: dict[str, Any], to: Console) -> None:
    if to.settings.json:
        shown = json.dumps({"schema": "agebackup/log-event/v1", **event})
    else:
        shown = event_line(event)
    to.output.line(shown)


def event_line(event: dict[str, Any]) -> str:
    """Return `event` as one line for a person; whatever it holds, no terminal acts on it."""
    time = str(event.get("time", "")).replace("T", " ")
    name = str(event["event"])
    head = f"{time}  {event.get('app') or '-'}  "
    if name == "run-ended":
        return printable(head + _ended(event))
    words = _WORDS.get(name, name.replace("-", " "))
    if event.get("archive"):
        words += f" {event['archive']}"
    return printable(head + ": ".join(filter(None, (words, str(event.get("message") or "")))))


def _ended(event: dict[str, Any]) -> str:
    code, outcome = event.get("exit"), event.get("outcome")
    said = str(outcome) + (f" (exit {code})" if code else "")
    if event.get("archive"):
        said += f": {event['archive']}"
        with suppress(TypeError, ValueError):
            said += f", {int(event['size']):,} bytes"
    if event.get("message"):
        said += f": {str(event['message']).rstrip('.')}"
    with suppress(TypeError, ValueError, KeyError):
        said += f", {float(event['seconds']):.1f} s"
    warnings = event.get("warnings")
    if isinstance(warnings, list) and warnings:
        said += "; warning: " + "; warning: ".join(map(str, warnings))
    return said
