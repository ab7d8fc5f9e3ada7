"""The log: one line of JSON for each event, kept by this machine, and never worth a failed run."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from agebackup.errors import printable
from agebackup.model.lastrun import stamp
from agebackup.model.redaction import redacted
from agebackup.system.regular import content
from agebackup.system.rotation import LIMIT_BYTES, append, generations

LONGEST_FILE = 8 * LIMIT_BYTES
"""Bytes of one older file of the log that are read; none is larger unless somebody made it so."""
LONGEST = 4_000
"""Characters of one text in the log; what is longer is cut."""


@dataclass(frozen=True)
class Journal:
    """Where events are written down. `file` None: nowhere. `clock` tells the time of each."""

    file: Path | None
    clock: Callable[[], datetime]

    def event(self, name: str, app: str = "", **fields: Any) -> str:
        """Write down that `name` happened; return "", or why the log could not take it.

        No field holds a secret, nor a character that a terminal acts on. Never raises.
        """
        if self.file is None:
            return ""
        event = {"time": stamp(self.clock()), "event": name, "app": app, **_plain(fields)}
        line = json.dumps(event).encode() + b"\n"
        try:
            append(self.file, line)
        except OSError as error:
            why = error.strerror or str(error)
            return f"The log {printable(str(self.file))} cannot be written: {printable(why)}."
        return ""


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        text = printable(redacted(value))
        return text if len(text) <= LONGEST else text[:LONGEST] + "..."
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def events(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the events that `lines` of a log hold; what is none, or was cut off, is left out."""
    for line in lines:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and "event" in event:
            yield event


def old_lines(file: Path) -> Iterator[bytes]:
    """Yield the lines of every older file of the log `file`, the oldest first."""
    for generation in generations(file):
        if generation != file:
            try:
                yield from content(generation, LONGEST_FILE).splitlines()
            except FileNotFoundError:
                continue
