"""What a drill asserts of a restored copy, and what came of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agebackup.errors import counted, printable
from agebackup.model.command import Command, rooted_path
from agebackup.model.redaction import redacted

if TYPE_CHECKING:
    from agebackup.model.manifest import DatabaseRecord

Value = int | float | str | None
"""What SQL gives and a receipt can hold; None is NULL."""

ROWS, COUNTS = "rows.", "counts."
FIGURES = (
    *("user_version", "application_id", "page_size", "encoding", "schema_sha256", "bytes"),
    "foreign_key_violations",
)
"""What the manifest records of a database as a whole."""
TARGET = "{target}"
"""Stands for the restored copy's directory in the words of a command."""
_PASSED_ON = ("HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ")
_SHOWN, _LONGEST = 200, 600


@dataclass(frozen=True)
class Query:
    """SQL that gives one value of the database `database`; it may take so many `seconds`.

    One expectation is given: the value `equals`, or is at least `minimum`, or is what the archive's
    manifest records of this database under `manifest`: "rows.TABLE", "counts.NAME", or one of
    `FIGURES`.
    """

    name: str
    database: str
    sql: str
    seconds: float
    equals: int | float | str | None = None
    minimum: int | float | None = None
    manifest: str = ""


@dataclass(frozen=True)
class Program:
    """A command, as a rule the application itself, that ends with 0 on a good restored copy."""

    name: str
    command: Command


Assertion = Query | Program


@dataclass(frozen=True)
class Asserted:
    """What came of one assertion: what was `asked`, `expected` and `found`, all fit to be shown.

    `seconds` is how long it took; None for SQL that could not be put.
    """

    name: str
    asked: str
    expected: Value
    found: Value
    ok: bool
    seconds: float | None = None

    @property
    def complaint(self) -> str:
        """Return in words that it failed."""
        return f"{self.name}: {self.found}, expected {self.expected}"


def promised(query: Query, record: "DatabaseRecord") -> Value:
    """Return what the manifest records under `query.manifest`; None where it records nothing."""
    what = query.manifest
    if what.startswith(ROWS):
        return record.rows.get(what.removeprefix(ROWS))
    if what.startswith(COUNTS):
        name = what.removeprefix(COUNTS)
        return next((count.value for count in record.counts if count.name == name), None)
    found: int | str = getattr(record, what)
    return found


def judged(
    query: Query, rows: Sequence[Sequence[object]], record: "DatabaseRecord", seconds: float
) -> Asserted:
    """Return how `rows`, which the SQL gave, stand to what `query` expects."""
    if len(rows) != 1 or len(rows[0]) != 1:
        odd = counted(len(rows[0]), "column") if rows else "no row"
        return failed(query, f"{odd} instead of one value", seconds)
    (value,) = rows[0]
    if query.minimum is not None:
        good = isinstance(value, int | float) and value >= query.minimum
        return _asserted(query, f"at least {query.minimum}", value, good=good, seconds=seconds)
    wanted = promised(query, record) if query.manifest else query.equals
    if wanted is None:
        return failed(query, f"the manifest records no {printable(query.manifest)}", seconds)
    return _asserted(query, wanted, value, good=alike(value, wanted), seconds=seconds)


def alike(one: object, other: object) -> bool:
    """Return whether two values are the same: numbers by what they are worth, never with a text."""
    numbers = [isinstance(value, int | float) for value in (one, other)]
    return one == other and (all(numbers) or not any(numbers))


def failed(assertion: Assertion, why: str, seconds: float | None = None) -> Asserted:
    """Return that `assertion` does not hold, or could not be tried, and `why`, fit to be shown."""
    expected: Value = "exit code 0"
    if isinstance(assertion, Query):
        expected = _expectation(assertion)
    return Asserted(
        printable(assertion.name),
        asked(assertion),
        _plain(expected),
        _shortened(redacted(why)),
        ok=False,
        seconds=_rounded(seconds),
    )


def passed(program: Program, seconds: float) -> Asserted:
    """Return that `program` ended well after so many `seconds`."""
    name, said = printable(program.name), "exit code 0"
    return Asserted(name, asked(program), said, said, ok=True, seconds=_rounded(seconds))


def asked(assertion: Assertion) -> str:
    """Return what is asked, for people."""
    if isinstance(assertion, Query):
        return printable(f"{assertion.database}: {assertion.sql}"[:_SHOWN])
    return printable(" ".join(assertion.command.argv)[:_SHOWN])


def with_target(argv: Sequence[str], target: str) -> tuple[str, ...]:
    """Return the words of a command with `target` in place of every {target}."""
    return tuple(word.replace(TARGET, target) for word in argv)


def command_environment(
    environment: Mapping[str, str], target: str, scratch: str
) -> dict[str, str]:
    """Return the variables that a command gets on the restored copy `target`.

    A few of the person's that hold no secret; PATH without relative entries, which would lead into
    the copy, so that whoever made the archive would choose the program; TMPDIR, which is removed
    with the copy.
    """
    kept = {
        name: value
        for name, value in environment.items()
        if name in _PASSED_ON or name.startswith("LC_")
    }
    return kept | {"PATH": rooted_path(environment), "TMPDIR": scratch, "AGEBACKUP_TARGET": target}


def _expectation(query: Query) -> Value:
    if query.minimum is not None:
        return f"at least {query.minimum}"
    return f"the manifest's {query.manifest}" if query.manifest else query.equals


def _asserted(
    query: Query, expected: Value, found: object, *, good: bool, seconds: float
) -> Asserted:
    return Asserted(
        printable(query.name),
        asked(query),
        _plain(expected),
        _plain(found),
        ok=good,
        seconds=_rounded(seconds),
    )


def _plain(value: object) -> Value:
    """Return `value` so that JSON can hold it and no terminal acts on it."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return _shortened(printable(redacted(str(value))))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
