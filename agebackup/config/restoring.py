"""What the config file says about a restore into the application's own places."""

import re
from dataclasses import replace
from typing import Any

from agebackup.config.nights import command
from agebackup.config.tables import (
    CommandTable,
    DatabaseRulesTable,
    GateTable,
    RestoreTable,
    Where,
    convert,
)
from agebackup.model.appversion import parse_version
from agebackup.model.command import Command
from agebackup.model.profile import Profile, allowed
from agebackup.model.rules import (
    INSTALLED,
    DatabaseRules,
    Gate,
    RestoreRules,
    Tolerance,
)

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PERCENT = re.compile(r"(?P<number>\d{1,3}(?:\.\d{1,6})?)\s*%")


def restore_rules(raw: object, profile: Profile, where: Where) -> RestoreRules:
    """Return what the table `restore` of `profile` says; raise `UsageError` naming a wrong key."""
    table: RestoreTable = convert(raw or {}, RestoreTable, where)
    pause = command(table.pause, where / "pause")
    resume = command(table.resume, where / "resume")
    if pause is not None and resume is None:
        raise where.error("the key 'resume' is missing, which ends what 'pause' begins")
    return RestoreRules(
        pause=pause,
        resume=resume,
        running=command(table.running, where / "running"),
        min_app_version=_version(table.min_app_version, where / "min_app_version"),
        max_app_version=_newest_version(table.max_app_version, profile, where / "max_app_version"),
        gates=tuple(
            _gate(name, one, profile, where / "gates" / name) for name, one in table.gates.items()
        ),
        databases={
            name: _database(one, name, profile, where / "databases" / name)
            for name, one in table.databases.items()
        },
        migrate=_elsewhere(_commands(table.migrate, where / "migrate"), profile),
        rebuild=_elsewhere(_commands(table.rebuild, where / "rebuild"), profile),
        check=_commands(table.check, where / "check"),
        tolerance=_tolerance(table.row_tolerance, where / "row_tolerance"),
    )


def _commands(raw: object, where: Where) -> tuple[Command, ...]:
    """Return one command or several: a list of words, a table, or a list of these."""
    if isinstance(raw, list) and raw and not all(isinstance(one, str) for one in raw):
        given: list[list[str] | CommandTable] = convert(raw, list[list[str] | CommandTable], where)
        found = [command(_plain(one), where / f"[{i}]") for i, one in enumerate(given)]
    else:
        found = [command(raw, where)]
    return tuple(one for one in found if one is not None)


def _elsewhere(commands: tuple[Command, ...], profile: Profile) -> tuple[Command, ...]:
    """Return `commands`, which run in another directory, with their programs' whole paths."""
    return tuple(
        replace(one, argv=(str(profile.base / one.argv[0]), *one.argv[1:]))
        if "/" in one.argv[0]
        else one
        for one in commands
    )


def _plain(given: list[str] | CommandTable) -> object:
    return given if isinstance(given, list) else {"argv": given.argv, "seconds": given.seconds}


def _version(text: str, where: Where) -> str:
    if text and parse_version(text) is None:
        raise where.error("this is no version", 'Write it as numbers between dots: "2.4.1".')
    return text


def _newest_version(text: str, profile: Profile, where: Where) -> str:
    if text != INSTALLED:
        return _version(text, where)
    if not profile.version:
        raise where.error(
            "nothing says which version is installed",
            "Declare the app's 'version' as a command that prints it.",
        )
    return text


def _gate(name: str, raw: object, profile: Profile, where: Where) -> Gate:
    table: GateTable = convert(raw, GateTable, where)
    if not name.isprintable() or not name:
        raise where.error("a gate's name must be printable")
    if table.argv is not None and table.database is None and table.sql is None:
        asked = command({"argv": table.argv, "seconds": table.seconds}, where)
        return Gate(name, table.compare, command=asked)
    if table.argv is not None or table.database is None or table.sql is None:
        raise where.error("it needs either 'argv', or 'database' and 'sql'")
    entry = _entry(table.database, profile, where / "database")
    if entry.pattern:
        raise (where / "database").error("a gate asks one database, this is a glob of several")
    return Gate(name, table.compare, database=table.database, sql=table.sql)


def _database(raw: object, name: str, profile: Profile, where: Where) -> DatabaseRules:
    table: DatabaseRulesTable = convert(raw, DatabaseRulesTable, where)
    _entry(name, profile, where)
    given = table.schema_sha256
    schemas = (given,) if isinstance(given, str) else tuple(given)
    for schema in schemas:
        if not _SHA256.fullmatch(schema):
            raise (where / "schema_sha256").error(
                "this is no SHA-256", "64 lower-case hex digits: agebackup inspect -i shows them."
            )
    tolerances = {
        table_name: _tolerance(one, where / "row_tolerance" / table_name)
        for table_name, one in table.row_tolerance.items()
    }
    return DatabaseRules(table.role, table.heads, schemas, tolerances)


def _entry(name: str, profile: Profile, where: Where) -> Any:
    known = {entry.name: entry for entry in profile.databases}
    if name not in known:
        raise where.error("no such database is declared", allowed(name, known) if known else "")
    return known[name]


def _tolerance(given: int | str, where: Where) -> Tolerance:
    if isinstance(given, int) and given >= 0:
        return Tolerance(rows=given)
    match = _PERCENT.fullmatch(given) if isinstance(given, str) else None
    if match is None or float(match["number"]) > 100:
        raise where.error("this is no tolerance", 'A number of rows, or a text like "5%".')
    return Tolerance(percent=float(match["number"]))
