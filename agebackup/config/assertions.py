"""What the config file says that must hold of a restored copy: `assertions`, one by one."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from agebackup.config.tables import Table, Where, convert
from agebackup.model.assertions import COUNTS, FIGURES, ROWS, TARGET, Assertion, Program, Query
from agebackup.model.command import Command
from agebackup.model.profile import DatabaseEntry, allowed

_EXPECTATIONS = ("equals", "minimum", "manifest")


class AssertionTable(Table, frozen=True):
    """One of `assertions`: SQL with an expectation, or a command."""

    database: str | None = None
    sql: str | None = None
    equals: int | float | str | None = None
    minimum: int | float | None = None
    manifest: str | None = None
    command: Annotated[list[str], msgspec.Meta(min_length=1)] | None = None
    seconds: Annotated[float, msgspec.Meta(gt=0, le=86400)] = 300


@dataclass(frozen=True)
class Declared:
    """What else is declared of the app: its databases, and where its commands stand."""

    databases: Sequence[DatabaseEntry]
    base: str


def assertions(raw: Mapping[str, Any], app: Declared, where: Where) -> tuple[Assertion, ...]:
    """Return the assertions that `raw`, the table at `where`, declares of `app`.

    Programs that are named with a relative path stand below the app's `base`, as those of other
    commands do: never in the restored copy. Raises `UsageError`, naming the key.
    """
    return tuple(_assertion(name, one, app, where / name) for name, one in raw.items())


def _assertion(name: str, raw: object, app: Declared, where: Where) -> Assertion:
    table: AssertionTable = convert(raw, AssertionTable, where)
    if not name.strip():
        raise where.error("an assertion needs a name")
    asked = [key for key in ("database", "sql", *_EXPECTATIONS) if _given(table, key)]
    if table.command is not None:
        if asked:
            raise (where / asked[0]).error(
                "it is of no use beside 'command'", "Make two assertions of it."
            )
        argv = _program(table.command, app.base, where / "command")
        return Program(name, Command(argv, table.seconds))
    return _query(name, table, app.databases, where)


def _query(
    name: str, table: AssertionTable, databases: Sequence[DatabaseEntry], where: Where
) -> Query:
    if table.database is None or not (table.sql or "").strip():
        raise where.error("it needs 'database' and 'sql', or 'command'")
    entry = _entry(table.database, databases, where / "database")
    given = [key for key in _EXPECTATIONS if _given(table, key)]
    if len(given) != 1:
        raise where.error(
            "it needs one of 'equals', 'minimum' and 'manifest'",
            'For example: equals = "ok", minimum = 100, or manifest = "rows.entries".',
        )
    for key in ("equals", "minimum"):
        value = getattr(table, key)
        if isinstance(value, float) and not math.isfinite(value):
            raise (where / key).error("no value of a database can be compared with that")
    if table.manifest is not None:
        _require_recorded(table.manifest, entry, where / "manifest")
    return Query(
        name,
        table.database,
        table.sql or "",
        table.seconds,
        table.equals,
        table.minimum,
        table.manifest or "",
    )


def _given(table: AssertionTable, key: str) -> bool:
    return getattr(table, key) is not None


def _entry(name: str, databases: Sequence[DatabaseEntry], where: Where) -> DatabaseEntry:
    """Return what declares the database `name`; one of a glob is called as its match is."""
    for entry in databases:
        if name == entry.name and not entry.pattern:
            return entry
        if entry.pattern and name.startswith(f"{entry.name}-"):
            return entry
    names = [f"{one.name}-..." if one.pattern else one.name for one in databases]
    raise where.error("no database of that name is declared", allowed(name, names))


def _require_recorded(what: str, entry: DatabaseEntry, where: Where) -> None:
    if what in FIGURES or (what.startswith(ROWS) and what != ROWS):
        return
    counts = [count.name for count in entry.counts]
    if what.startswith(COUNTS) and what.removeprefix(COUNTS) in counts:
        return
    names = [f"{ROWS}TABLE", *(f"{COUNTS}{name}" for name in counts), *FIGURES]
    raise where.error("a manifest records no such thing of a database", allowed(what, names))


def _program(argv: Sequence[str], base: str, where: Where) -> tuple[str, ...]:
    program, *rest = argv
    if not program:
        raise where.error("a command needs a program to run")
    if TARGET in program:
        raise where.error(
            "the program itself cannot be one of the restored copy",
            "Whoever made an archive would choose what runs here.",
        )
    if "/" in program:
        program = os.path.normpath(os.path.join(base, program))
    return (program, *rest)
