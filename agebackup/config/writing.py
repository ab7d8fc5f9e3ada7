"""Values as TOML, on one line each."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from agebackup.errors import UsageError, printable

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml(value: object) -> str:
    """Return `value`, of what TOML files are read to, as TOML on one line; a `TypeError` if not."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key(name)} = {toml(one)}" for name, one in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(toml, value)) + "]"
    raise TypeError(f"{type(value).__name__} is not written here")


def key(name: str) -> str:
    """Return `name` as a key of TOML."""
    return name if _BARE.fullmatch(name) else quoted(name)


def quoted(text: str) -> str:
    """Return `text` as a basic string of TOML, which JSON's escapes suit but for DEL."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"{printable(text)!r} is not valid UTF-8, so the configuration cannot name it.",
            hint="Rename it, or name a directory above it.",
        ) from None
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def quoted_path(path: Path) -> str:
    """Return the TOML of `path`, which is meant literally: no variable is replaced in it."""
    return quoted(str(path).replace("$", "$$"))
