"""What the config file says of an app's origin, and of what lies outside its archives."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from agebackup.config.nights import command
from agebackup.config.tables import CommandTable, Table, Where, convert
from agebackup.model.command import Command
from agebackup.model.profile import DatabaseEntry, allowed
from agebackup.model.provenance import Checkout, Version, VersionFile
from agebackup.model.source import PointerSource

SECONDS = 10.0
"""What a command that prints the app's version may take, and git for its checkout."""
_LONGEST_NAME, _LONGEST_HINT = 100, 300

Seconds = Annotated[float, msgspec.Meta(gt=0, le=86400)]
Words = Annotated[list[str], msgspec.Meta(min_length=1)]
Place = Callable[[str, Where], Path]
"""Gives the absolute path of a text that stands at a key."""


class VersionTable(Table, frozen=True):
    """`version`, where it is more than a text or a command's words."""

    file: str | None = None
    command: Words | None = None
    seconds: Seconds | None = None


class ProvenanceTable(Table, frozen=True):
    """`provenance`."""

    checkout: str
    seconds: Seconds = SECONDS


class PointerTable(Table, frozen=True):
    """One of `pointers`: a query of a database, or a file."""

    database: str | None = None
    sql: str | None = None
    file: str | None = None
    hint: str = ""


def version(raw: object, where: Where, place: Place) -> Version:
    """Return what `raw` says of the app's version; raise `UsageError` naming a wrong key."""
    given: str | list[str] | VersionTable = convert(raw, str | Words | VersionTable, where)
    if isinstance(given, str):
        return given
    if isinstance(given, list):
        given = VersionTable(command=given)
    if (given.file is None) == (given.command is None):
        raise where.error("it needs either 'file' or 'command'")
    if given.command is not None:
        words = CommandTable(argv=given.command, seconds=given.seconds or SECONDS)
        return _command(words, where)
    if given.seconds is not None:
        raise (where / "seconds").error("only a 'command' has a limit of time")
    return VersionFile(place(given.file or "", where / "file"))


def _command(table: CommandTable, where: Where) -> Command:
    found = command({"argv": table.argv, "seconds": table.seconds}, where)
    assert found is not None
    return found


def provenance(raw: object, where: Where, place: Place) -> Checkout | None:
    """Return the checkout that `raw` names, None for none; raise `UsageError` for a wrong key."""
    if raw is None:
        return None
    table: ProvenanceTable = convert(raw, ProvenanceTable, where)
    return Checkout(place(table.checkout, where / "checkout"), table.seconds)


def pointers(
    raw: Mapping[str, Any], databases: Sequence[DatabaseEntry], where: Where, place: Place
) -> tuple[PointerSource, ...]:
    """Return what the table `pointers` names; raise `UsageError` naming a wrong key."""
    return tuple(_pointer(name, one, databases, where / name, place) for name, one in raw.items())


def _pointer(
    name: str, raw: object, databases: Sequence[DatabaseEntry], where: Where, place: Place
) -> PointerSource:
    table: PointerTable = convert(raw, PointerTable, where)
    if not name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise where.error(f"the name of pointers is 1 to {_LONGEST_NAME} printable characters")
    if not table.hint.isprintable() or len(table.hint) > _LONGEST_HINT:
        problem = f"a hint is one line of at most {_LONGEST_HINT} printable characters"
        raise (where / "hint").error(problem)
    if table.file is not None and table.database is None and table.sql is None:
        return PointerSource(name, path=place(table.file, where / "file"), hint=table.hint)
    if table.file is not None or table.database is None or not (table.sql or "").strip():
        raise where.error("it needs either 'file', or 'database' and 'sql'")
    names = [entry.name for entry in databases]
    if table.database not in names:
        hint = allowed(table.database, names) if names else ""
        raise (where / "database").error("no such database is declared", hint)
    return PointerSource(name, table.database, table.sql or "", hint=table.hint)
