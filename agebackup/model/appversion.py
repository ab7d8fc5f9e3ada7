"""Versions of an application, as far as two of them can be put in order.

What a program prints of itself is free text. The first word in it that is numbers between dots,
perhaps with a `v` before and a suffix behind (`notes 2.4.1-rc1 (linux)`), is taken for its version.
"""

import re
from dataclasses import dataclass

_VERSION = re.compile(
    r"(?<![\w.])[vV]?(?P<numbers>\d{1,18}(?:\.\d{1,18}){0,15})"
    r"(?P<suffix>[-.]?[A-Za-z][0-9A-Za-z.-]{0,60}|-[0-9][0-9A-Za-z.-]{0,60})?"
    r"(?:\+[0-9A-Za-z.-]{0,60})?(?!\w)",
    re.ASCII,
)
"""A build (`+…`) says nothing of the order (semver.org, section 10)."""
_EARLIER = re.compile(r"[-.]?(?:a|alpha|b|beta|c|rc|pre|preview|dev|snapshot)(?![A-Za-z])", re.I)


@dataclass(frozen=True)
class AppVersion:
    """Numbers, and what follows them: "" for a release."""

    numbers: tuple[int, ...]
    suffix: str = ""

    @property
    def text(self) -> str:
        """The version as it is written."""
        return ".".join(map(str, self.numbers)) + self.suffix


def parse_version(text: str) -> AppVersion | None:
    """Return the first version in `text`; None where there is none."""
    match = _VERSION.search(text)
    if match is None:
        return None
    numbers = tuple(int(number) for number in match["numbers"].split("."))
    return AppVersion(numbers, (match["suffix"] or "").lower())


def compare(one: AppVersion, other: AppVersion) -> int | None:
    """Return -1, 0 or 1 as `one` is older, the same or newer; None where nobody can tell.

    Missing numbers are zeros: 2.4 is 2.4.0. With the same numbers, what is called alpha, beta, rc,
    pre, dev or snapshot is older than the release, whose order with other suffixes is unknown, and
    so is that of two different suffixes.
    """
    length = max(len(one.numbers), len(other.numbers))
    first, second = (_filled(version.numbers, length) for version in (one, other))
    if first != second:
        return -1 if first < second else 1
    if one.suffix == other.suffix:
        return 0
    if not other.suffix and _EARLIER.match(one.suffix):
        return -1
    if not one.suffix and _EARLIER.match(other.suffix):
        return 1
    return None


def at_most(version: AppVersion, limit: AppVersion) -> bool | None:
    """Return whether `version` is not newer than `limit`, to as many numbers as that names.

    2.4 is a limit that 2.4.9 keeps, 2.4.0 is not. None where nobody can tell.
    """
    named = len(limit.numbers)
    if limit.suffix or _filled(version.numbers, named)[:named] != limit.numbers:
        order = compare(version, limit)
        return None if order is None else order <= 0
    return True


def _filled(numbers: tuple[int, ...], length: int) -> tuple[int, ...]:
    return numbers + (0,) * (length - len(numbers))
