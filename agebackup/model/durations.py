"""Spans of time as people write and read them: `90m`, `26h`, `30d`, `2w`, `1d12h`."""

import re
from datetime import timedelta

from agebackup.errors import UsageError, printable

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_SPAN = re.compile("".join(rf"(?:([0-9]{{1,6}}){unit})?" for unit in _UNITS))


def parse_duration(text: str) -> timedelta:
    """Return the span that `text` says, longer than nothing; raise `UsageError` otherwise.

    Units: w, d, h, m, s, each at most once, the largest first.
    """
    match = _SPAN.fullmatch(text.strip())
    seconds = 0
    if match:
        counts = [int(count or 0) for count in match.groups()]
        seconds = sum(count * unit for count, unit in zip(counts, _UNITS.values(), strict=True))
    if not seconds:
        raise UsageError(
            f"{printable(text)!r} is no span of time.",
            hint="Write it as 90m, 26h, 30d, 2w or 1d12h.",
        )
    return timedelta(seconds=seconds)


def span_text(span: timedelta) -> str:
    """Return `span` for a person: its largest unit and the next, as in `1d 4h`; `0s` for none."""
    rest = abs(int(span.total_seconds()))
    parts: list[str] = []
    for unit, seconds in list(_UNITS.items())[1:]:
        count, rest = divmod(rest, seconds)
        if count or parts:
            parts.append(f"{count:,}{unit}" if count else "")
    return " ".join(filter(None, parts[:2])) or "0s"
