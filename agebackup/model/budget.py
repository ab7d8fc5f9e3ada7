"""How much an audit may read: bytes or time."""

import re
from dataclasses import dataclass

from agebackup.errors import UsageError, printable
from agebackup.model.durations import parse_duration

_SIZE = re.compile(r"([0-9]{1,12})([KMGT])(?:i?B)?")
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True)
class Budget:
    """At most this many `bytes`, and no more after this many `seconds`; None: no limit."""

    bytes: int | None = None
    seconds: float | None = None


UNLIMITED = Budget()
USUAL = Budget(bytes=1 << 30)


def parse_budget(text: str) -> Budget:
    """Return the budget that `text` says: a size with a capital unit, a time, or 0 for nothing.

    Sizes are binary: 500M, 2G, 2GiB; times 10m, 1h. Raises `UsageError` for anything else.
    """
    stripped = text.strip()
    if stripped == "0":
        return Budget(bytes=0)
    match = _SIZE.fullmatch(stripped)
    if match and int(match[1]):
        return Budget(bytes=int(match[1]) * _UNITS[match[2]])
    try:
        return Budget(seconds=parse_duration(stripped).total_seconds())
    except (UsageError, OverflowError):
        raise UsageError(
            f"--budget {printable(text)!r} is neither a size nor a span of time.",
            hint="Write a size as 500M or 2G, a time as 10m or 1h; 0 reads headers only.",
        ) from None
