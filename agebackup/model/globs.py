"""The pattern language for paths: what `exclude`, `derived` and `--only` understand.

It is what people know from .gitignore, without negation:

- `*` stands for any run of characters, `?` for one, `[abc]`, `[a-z]` and `[!a]` for one of a set;
  none of them crosses a `/`. `\\` takes the next character as it is. Case counts.
- A pattern without an inner or leading `/` matches a name at any depth: `*.tmp`, `cache/`.
- Any other pattern is matched from the top: `blobs/thumbs`, `/cache`.
- `**` as a whole component stands for any number of directories, none included: `**/cache`,
  `a/**/b`; as the last component for everything inside: `cache/**`.
- A trailing `/` restricts the pattern to directories.
- A directory that matches takes everything below it along.

The top is the app's root where it has one, else the tree itself. Dots are characters like others.
"""

import re
from collections.abc import Iterable

from agebackup.errors import UsageError
from agebackup.model.names import printable


def compile_globs(patterns: Iterable[str]) -> re.Pattern[str]:
    """Return one expression whose `fullmatch` is true where any of `patterns` matches.

    It takes a path from the top without a leading `/`; a directory's path ends with `/`. Without
    patterns it matches nothing. Raises `UsageError` naming the first pattern that is not one.
    """
    return re.compile("|".join(map(_translated, patterns)) or r"(?!)", re.DOTALL)


def covers(expression: re.Pattern[str], path: str) -> bool:
    """Say whether `path`, or a directory that it lies in, matches `expression`."""
    ends = [end for end, character in enumerate(path, 1) if character == "/"]
    return any(expression.fullmatch(path, 0, end) for end in [*ends, len(path)])


def _translated(pattern: str) -> str:
    body = pattern.strip("/")
    parts = body.split("/")
    if not body or pattern.startswith("!") or any(part in ("", ".", "..") for part in parts):
        raise _unusable(pattern, "it can match nothing")
    anywhere = "" if "/" in pattern.rstrip("/") else "(?:.*/)?"
    *inner, last = parts
    leading = _joined([None if part == "**" else component(part) + "/" for part in inner], "[^/]+/")
    final = "[^/].*" if last == "**" else component(last)
    expression = f"{anywhere}{leading}{final}{'/' if pattern.endswith('/') else '/?'}"
    try:
        re.compile(expression)
    except re.error:
        raise _unusable(pattern, "its [set] is not one") from None
    return expression


_TOKEN = re.compile(r"\\(?P<escaped>.)|(?P<run>\*+)|(?P<one>\?)|\[(?P<set>[!^]?\]?[^\]]*)\]", re.S)


def component(text: str) -> str:
    """Return the expression for `text`, one component of a pattern: what lies between slashes."""
    pieces: list[str | None] = []
    end = 0
    for match in _TOKEN.finditer(text):
        pieces.append(re.escape(text[end : match.start()]))
        pieces.append(None if match["run"] else _token(match))
        end = match.end()
    return _joined([*pieces, re.escape(text[end:])], "[^/]")


def _joined(pieces: Iterable[str | None], one: str) -> str:
    """Return the expression for `pieces` in a row; None stands for any number of `one`.

    What lies between two of those is taken where it comes first, for good: a later place could
    match nothing more, but to try them all takes time beyond all bounds on a hostile name.
    """
    runs = [""]
    for piece in pieces:
        if piece is not None:
            runs[-1] += piece
        elif runs[-1] or len(runs) == 1:
            runs.append("")
    first, *between = runs
    if not between:
        return first
    *between, last = between
    return first + "".join(f"(?>(?:{one})*?{run})" for run in between) + f"(?:{one})*{last}"


def _token(match: re.Match[str]) -> str:
    if match["escaped"]:
        return re.escape(match["escaped"])
    if match["one"]:
        return "[^/]"
    members = match["set"]
    negated = members[:1] in ("!", "^")
    inside = re.sub(r"([\\\[\]&~|^])", r"\\\1", members[negated:])
    return f"(?!/)[{'^' if negated else ''}{inside}]"


def _unusable(pattern: str, why: str) -> UsageError:
    return UsageError(
        f"{printable(pattern)!r} is not a pattern for paths: {why}.",
        hint="Patterns look like '*.tmp', 'cache/', 'blobs/**/thumbs'; there is no negation.",
    )
