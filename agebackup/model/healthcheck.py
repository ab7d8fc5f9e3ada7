"""Where a ping of the healthchecks.io protocol goes, and what it says.

Source: https://healthchecks.io/docs/http_api/ (success, /start, /fail; `rid`, a UUID that ties the
pings of one run together; of the body only the first 10 kB are kept).
"""

from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from agebackup.model.lastrun import LastRun

Signal = Literal["start", "success", "fail"]
BODY_BYTES = 10_000


def ping_address(url: str, signal: Signal, run: str) -> str:
    """Return the address of `signal` for the check `url`; `run` is 32 hexadecimal digits.

    A query that the person wrote (`create=1` makes the check) stays.
    """
    parts = urlsplit(url)
    path = parts.path.rstrip("/") + ("" if signal == "success" else f"/{signal}")
    lengths, rest, groups = (8, 4, 4, 4, 12), run, []
    for length in lengths:
        groups.append(rest[:length])
        rest = rest[length:]
    query = "&".join(filter(None, (parts.query, "rid=" + "-".join(groups))))
    return urlunsplit((parts.scheme, parts.netloc, path, query, ""))


def ping_body(last: LastRun) -> bytes:
    """Return what the ping at the end of a run says, for the person who looks at the check."""
    run = last.run
    lines = [f"{run.app}: {run.outcome} (exit {run.exit_code}), {run.seconds or 0:.1f} s"]
    if run.archive:
        lines.append(f"{run.archive} ({run.size or 0:,} bytes)")
    lines += [run.message, last.pruning.message, *(f"warning: {one}" for one in last.warnings)]
    text = "\n".join(filter(None, lines)).encode(errors="replace")
    return text[:BODY_BYTES].decode(errors="ignore").encode()
