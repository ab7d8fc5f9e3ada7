"""What stands on a recovery sheet: the key, whose archives it opens, and where they lie."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from agebackup.errors import UsageError
from agebackup.model.keylines import MOST_LINES, lines_of

MARK = "AGEBACKUP RECOVERY SHEET"
"""Stands in every sheet, so that `doctor` finds one that lies where no key should."""

KeyKind = Literal["age", "protected", "ssh"]
"""age: a plain age identity; protected: an identity file with a passphrase; ssh: an SSH key."""


@dataclass(frozen=True)
class PrintedKey:
    """The key of a sheet. `text` is what its file must hold; `recipient` is "" where unknown."""

    kind: KeyKind
    text: str = field(repr=False)
    recipient: str = ""

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """The lines of a key in base64, each with its code; none of a plain age identity."""
        return () if self.kind == "age" else lines_of(self.text)


@dataclass(frozen=True)
class Sheet:
    """A recovery sheet. `places` are the destinations of `apps`; `made` is a day, `host` a name.

    Both are empty where this machine knows none: then there is room to write them down.
    """

    key: PrintedKey
    made: str
    host: str
    apps: Sequence[str] = ()
    places: Sequence[str] = ()


def require_printable(key: PrintedKey) -> PrintedKey:
    """Return `key`; raise `UsageError` where it is too long to be typed from paper."""
    if len(key.lines) <= MOST_LINES:
        return key
    raise UsageError(
        f"The key has {len(key.lines)} lines: too long for a page, and for anybody's fingers.",
        hint="Make an age key (agebackup keygen), add its recipient to the configuration, and "
        "print that one: every archive from then on opens with either.",
    )
