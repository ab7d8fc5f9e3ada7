"""A file of variables for the paths of the configuration (`--env-file`, `env_file`)."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from agebackup.config.tables import Where
from agebackup.errors import UsageError, printable
from agebackup.system.regular import content

LARGEST = 1 << 20
_SHAPE = "Each line is NAME=VALUE, and a # begins a comment; quotes must be closed."


def read_env_file(file: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of `file`, which is written as shells and python-dotenv have it.

    `${NAME}` and `${NAME:-default}` in a value stand for variables above it, else for those of
    `environment`; a value that needs one which is not set is left out. Raises `UsageError` naming
    file and line; no message has a value in it, for other programs keep secrets in such files.
    """
    found: dict[str, str] = {}
    for name, value in _statements(_text(file), file):
        expanded = _expanded(value, {**environment, **found})
        if expanded is not None:
            found[name] = expanded
    return found


def _text(file: Path) -> str:
    where = Where(file)
    try:
        raw = content(file, LARGEST + 1)
    except FileNotFoundError:
        raise UsageError(
            f"There is no file of variables {printable(str(file))}.",
            hint="Check the path given with --env-file, or as env_file in the configuration.",
        ) from None
    except OSError as error:
        raise where.error(f"it cannot be read: {error.strerror or error}") from None
    if len(raw) > LARGEST:
        raise where.error(f"it has more than {LARGEST:,} bytes, so it is no file of variables")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _refused(file, line, "it is not UTF-8 text") from None
    if "\0" in text:
        raise _refused(file, text.count("\n", 0, text.index("\0")) + 1, "it holds a NUL")
    return text


def _statements(text: str, file: Path) -> Iterator[tuple[str, str]]:
    """Yield name and value of each statement of `text`."""
    from io import StringIO

    from dotenv.parser import parse_stream

    for one in parse_stream(StringIO(text, newline="")):
        said = one.original.string
        before = said[: len(said) - len(said.lstrip())]
        line = one.original.line + before.count("\n")
        if one.error:
            raise _refused(file, line, "this is no NAME=VALUE")
        if one.key is None:
            continue
        if one.value is None:
            raise _refused(file, line, "this gives a name no value")
        yield one.key, one.value


def _expanded(value: str, environment: Mapping[str, str]) -> str | None:
    from dotenv.variables import Variable, parse_variables

    pieces = list(parse_variables(value))
    for one in pieces:
        if isinstance(one, Variable) and one.default is None and one.name not in environment:
            return None  # it may be a secret that only looks like it: no reason to fail, or to echo
    return "".join(one.resolve(environment) for one in pieces)


def _refused(file: Path, line: int, problem: str) -> UsageError:
    return UsageError(f"{printable(str(file))}: line {line}: {problem}.", hint=_SHAPE)
