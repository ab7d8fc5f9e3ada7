"""What a database's schema says: its tables, and a hash that is the same for every copy."""

import hashlib
import sqlite3

from agebackup.model.limits import MIB

MAX_SCHEMA_BYTES = 64 * MIB

UNNAMEABLE = "a table's name is not valid UTF-8"
"""Python cannot put such a name into a statement."""


class SchemaTooLargeError(sqlite3.DataError):
    """The schema takes more than `MAX_SCHEMA_BYTES`."""


def ordinary_tables(connection: sqlite3.Connection) -> tuple[list[str], bool]:
    """Return the tables that have pages of their own, sorted, and whether some cannot be named.

    The latter, and `sqlite_…` tables, are not among them. Raises `SchemaTooLargeError` rather than
    take memory without bounds.
    """
    _require_bounded(connection)
    rows = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0"
    )
    names = [name for (name,) in rows]
    nameable = [name for name in names if _is_text(name)]
    tables = sorted(name for name in nameable if not name.lower().startswith("sqlite_"))
    return tables, len(nameable) < len(names)


def schema_sha256(connection: sqlite3.Connection) -> str:
    """Return the SHA-256 of the schema, the same for every copy of a database.

    Over each row of sqlite_schema whose name does not begin with `sqlite_` (automatic indexes and
    statistics), sorted by type and name as UTF-8 bytes, of which no sound schema has two alike:
    type NUL name NUL tbl_name NUL sql LF.
    Raises `SchemaTooLargeError` as `ordinary_tables` does.
    """
    _require_bounded(connection)
    rows = connection.execute("SELECT type, name, rowid FROM sqlite_master")
    keys = sorted(
        (_encoded(kind), _encoded(name), rowid)
        for kind, name, rowid in rows
        if not str(name).lower().startswith("sqlite_")
    )
    digest = hashlib.sha256()
    for _, _, rowid in keys:
        for row in connection.execute(  # none where damage misplaced it
            "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE rowid = ?", (rowid,)
        ):
            digest.update(b"\0".join(map(_encoded, row)) + b"\n")
    return digest.hexdigest()


def quoted(name: str) -> str:
    """Return `name` as an identifier in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _require_bounded(connection: sqlite3.Connection) -> None:
    # As blobs, because the length of a text ends at its first NUL.
    lengths = "+".join(
        f"ifnull(length(CAST({column} AS BLOB)), 0)"
        for column in ("type", "name", "tbl_name", "sql")
    )
    (total,) = connection.execute(f"SELECT ifnull(sum({lengths}), 0) FROM sqlite_master").fetchone()
    if total > MAX_SCHEMA_BYTES:
        raise SchemaTooLargeError(f"its schema is larger than {MAX_SCHEMA_BYTES // MIB} MiB")


def _is_text(name: object) -> bool:
    try:
        return bool(str(name).encode()) or not name
    except UnicodeEncodeError:
        return False


def _encoded(part: object) -> bytes:
    return str(part or "").encode("utf-8", "surrogateescape")
