"""What rclone means when it fails: told from its exit code and what it wrote, by pure rules.

Its codes tell little (rclone.org/docs, "Exit code"): most failures are 1, and a directory that is
absent is 3. What a server refused stands in the words that each service has for it.
"""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from agebackup.errors import printable
from agebackup.model.credentials import without_credentials

Trouble = Literal[
    "undefined", "locked", "busy", "full", "login", "refused", "absent", "unreachable", "failed"
]
"""no such remote; the configuration is encrypted; the server wants a pause; no space; who we are
was not accepted; what we may was not enough; not there; network or server; anything else."""

_ABSENT, _FILE_ABSENT, _RETRY = 3, 4, 5
_SHOWN = 300
_READ = 1 << 16
_PREFIX = re.compile(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (?:Failed to [^:]*: )?(?:last error was: )?")

_RULES: tuple[tuple[Trouble, str], ...] = (
    ("undefined", r"didn't find section in config file"),
    ("locked", r"unable to decrypt config|password command failed|most likely wrong password"),
    (
        "busy",
        r"rate.?limit|too many requests|too_many_requests|\b429\b|slow ?down|throttl"
        r"|too many connections",
    ),
    (
        "full",
        r"no space left|remaining disk space|disk quota|quota ?exceeded|storagequota"
        r"|insufficient.?(?:storage|space)|\b507\b|not enough (?:free )?space|over quota"
        r"|quota has been exceeded|storage limit",
    ),
    (
        "login",
        r"\b401\b|unauthori[sz]ed|invalid_grant|token (?:has )?expired|couldn't fetch token"
        r"|empty token|unable to authenticate|invalidaccesskeyid|signaturedoesnotmatch"
        r"|knownhosts|host key|expiredtoken",
    ),
    (
        "refused",
        r"access ?denied|permission denied|permission_denied|method ?not ?allowed|\b405\b"
        r"|object ?lock|legal hold|retention|\bworm\b|read.only file ?system|not permitted"
        r"|forbidden|\b403\b|insufficient ?permission|cannot be deleted|immutable",
    ),
    (
        "unreachable",
        r"dial tcp|dial udp|connection (?:refused|reset|lost|timed out)|time ?out|timed out"
        r"|no such host|network is unreachable|no route to host|host is down|broken pipe"
        r"|unexpected eof|\beof\b|\b50[0234]\b|\b5(?:2\d)\b|bad gateway|service unavailable"
        r"|serviceunavailable|internal ?(?:server ?)?error|server misbehaving|temporary failure"
        r"|tls handshake|couldn't connect|context deadline|use of closed network|try again later",
    ),
    (
        "absent",
        r"directory not found|object not found|no ?such ?bucket|doesn't exist|no such file"
        r"|does not exist|nosuchkey",
    ),
)
_COMPILED = tuple((trouble, re.compile(pattern)) for trouble, pattern in _RULES)


@dataclass(frozen=True)
class Complaint:
    """How a run of rclone failed. `said` is its last word: one line, printable, without secrets."""

    trouble: Trouble
    said: str


def complaint(code: int, stderr: str) -> Complaint:
    """Return what the exit code and the log of a failed run of rclone mean.

    The last word counts; only where it tells nothing, what was logged before. Any text will do.
    """
    lines = _errors(stderr[-_READ:])
    last = lines[-1] if lines else ""
    said = printable(without_credentials(last)[:_SHOWN])
    if code in (_ABSENT, _FILE_ABSENT):
        return Complaint("absent", said)
    for text in (last, "\n".join(lines)):
        trouble = _told(text)
        if trouble is not None:
            return Complaint(trouble, said)
    return Complaint("unreachable" if code == _RETRY else "failed", said)


def bytes_done(line: str) -> int | None:
    """Return how many bytes a line of rclone's JSON log says were transferred; None if none."""
    with suppress(ValueError, TypeError, KeyError, RecursionError):
        count = json.loads(line)["stats"]["bytes"]
        if isinstance(count, int) and count >= 0:
            return count
    return None


def _told(text: str) -> Trouble | None:
    lowered = text.lower()
    return next((trouble for trouble, rule in _COMPILED if rule.search(lowered)), None)


def _errors(stderr: str) -> list[str]:
    """Return what the log complains of: JSON messages of errors, and what is no JSON."""
    found = []
    for line in filter(None, map(str.strip, stderr.splitlines())):
        said: str | None = _PREFIX.sub("", line)
        if line.startswith("{"):
            with suppress(ValueError, TypeError, AttributeError, RecursionError):
                record = json.loads(line)
                grave = record.get("level") in ("error", "critical", "fatal", "emergency")
                said = str(record.get("msg", "")) if grave else None
        if said:
            found.append(said.splitlines()[-1] if said.strip() else said)
    return found
