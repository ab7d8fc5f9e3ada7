"""How fast transfers may be, as rclone's `--bwlimit` has it (rclone.org/docs, "--bwlimit")."""

import re

from agebackup.errors import UsageError, printable

_RATE = r"(?:off|(?:\d+(?:\.\d*)?|\.\d+)(?:[bB]|[kKmMgGtTpP](?:i|iB|B)?)?)"
_RATES = rf"{_RATE}(?::{_RATE})?"
_DAY = r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*-)?"
_SLOT = rf"{_DAY}(?:[01]?\d|2[0-3]):[0-5]\d,{_RATES}"
_LIMIT = re.compile(rf"{_RATES}|{_SLOT}(?: +{_SLOT})*", re.ASCII)


def require_bandwidth(text: str) -> str:
    """Return `text`, a limit in rclone's syntax or "" for none; raise `UsageError` for another.

    `10M` are 10 MiB a second, `512` are 512 KiB, `10M:1M` is up and down, and a timetable is
    `08:00,512k 19:00,off`.
    """
    if text and not _LIMIT.fullmatch(text):
        raise UsageError(
            f"{printable(text)!r} is no limit of bandwidth.",
            hint='Write it as rclone does: "10M" for 10 MiB a second, or "08:00,512k 19:00,off".',
        )
    return text
