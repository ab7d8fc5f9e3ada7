"""The files that a pattern with `{name}` matches: next week's workspace in next week's archive."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from agebackup.errors import FailedError, UsageError, printable
from agebackup.model.globs import component
from agebackup.model.layout import SQLITE_COMPANIONS

NAME_MARK = "{name}"
Part = str | re.Pattern[str]
"""One component: a name as it is, or an expression, perhaps with the group `name`."""


def literal(text: str) -> str:
    """Return the pattern that stands for `text` alone."""
    return re.sub(r"([*?\[\\])", r"\\\1", text)


def parse_pattern(text: str) -> tuple[Part, ...]:
    """Return the components of `text`, a pattern relative to some directory.

    `{name}`, which must be there, once in a component, stands for one or more characters; the rest
    is as in `model.globs`, without `**`. Like a shell's, no wildcard matches a dot at a name's
    beginning. Raises `UsageError`.
    """
    marks = [part.count(NAME_MARK) for part in text.split("/")]
    if max(marks) != 1:
        raise UsageError(
            f"a glob must hold {NAME_MARK}, once between two slashes, "
            f"and {printable(text)!r} does not."
        )
    try:
        return tuple(map(_part, text.split("/")))
    except re.error:
        raise UsageError(f"{printable(text)!r} is not a glob: its [set] is not one.") from None


def _part(text: str) -> Part:
    if text == "**":
        raise UsageError("** is not understood here; write one * for each directory.")
    if NAME_MARK not in text and not any(character in text for character in "*?[\\"):
        return text
    before, mark, after = text.partition(NAME_MARK)
    named = "(?P<name>.+)" if mark else ""
    guard = "" if text.startswith(".") else r"(?!\.)"
    return re.compile(f"{guard}{component(before)}{named}{component(after)}", re.DOTALL)


def matches(directory: Path, pattern: str) -> tuple[tuple[str, Path], ...]:
    """Return name and path of every file below `directory` that matches, by name.

    What several `{name}` stand for is joined by "-". What belongs to a matched database (-wal,
    -shm, -journal) is not one. Raises `FailedError` where a directory on the way cannot be read: a
    match there would be missed in silence; and `UsageError` where two files would have one name.
    """
    walked = sorted(_walk(str(directory), parse_pattern(pattern), ""))
    paths = {path for _, path in walked}
    companions = {path + suffix for path in paths for suffix in SQLITE_COMPANIONS}
    found: dict[str, str] = {}
    for name, path in walked:
        if path not in companions and found.setdefault(name, path) != path:
            raise UsageError(
                f"The glob {printable(pattern)!r} finds two databases called {printable(name)!r}: "
                f"{printable(found[name])} and {printable(path)}.",
                hint=f"Let {NAME_MARK} cover what tells them apart.",
            )
    return tuple((name, Path(path)) for name, path in found.items())


def _walk(directory: str, parts: Sequence[Part], name: str) -> Iterator[tuple[str, str]]:
    """Yield name and path of what matches; `name` is what a component above has matched."""
    part, rest = parts[0], parts[1:]
    for entry, named in _entries(directory, part):
        path = os.path.join(directory, entry)
        if not _is(path, directory=bool(rest)):
            continue
        if rest:
            yield from _walk(path, rest, _joined(name, named))
        else:
            yield _joined(name, named), path


def _joined(*names: str) -> str:
    return "-".join(filter(None, names))


def _entries(directory: str, part: Part) -> Iterator[tuple[str, str]]:
    """Yield the entries of `directory` that fit `part`, with what `{name}` stands for in them."""
    if isinstance(part, str):
        yield part, ""
        return
    try:
        entries = os.listdir(directory)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unsearched(directory, error) from None
    for entry in entries:
        if match := part.fullmatch(entry):
            yield entry, match.groupdict().get("name", "")


def _is(path: str, *, directory: bool) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode) is directory
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unsearched(path, error) from None


def _unsearched(path: str, error: OSError) -> FailedError:
    return FailedError(
        f"{printable(path)} cannot be searched for databases: {error.strerror}.",
        hint="Check its permissions: a database in there would be missed.",
    )
