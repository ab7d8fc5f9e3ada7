"""Recognise rowids that changed: SQLite documents that VACUUM may renumber them.

An application may use the rowid of a table that has no INTEGER PRIMARY KEY, as full-text indexes
and `last_insert_rowid()` invite it to; a copy with other rowids would then be another database.
"""

import sqlite3

from agebackup.snapshot.schema import ordinary_tables, quoted

Marks = dict[str, tuple[object, ...]]

_ALIASES = ("rowid", "oid", "_rowid_")
_MODULUS = 1_048_573


def renumberable_tables(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the tables that may lose their rowids, each with a name for its rowid.

    Those with an INTEGER PRIMARY KEY keep them as values; WITHOUT ROWID tables have none.
    """
    tables, _ = ordinary_tables(connection)
    return {name: alias for name in tables if (alias := _free_rowid(connection, name))}


def rowid_marks(connection: sqlite3.Connection) -> Marks:
    """Return count, least, greatest and a sum of the rowids of each table that may lose them."""
    tables = renumberable_tables(connection)
    return {name: _marks(connection, name, alias) for name, alias in tables.items()}


def _marks(connection: sqlite3.Connection, table: str, alias: str) -> tuple[object, ...]:
    # The remainder keeps the sum exact, whatever order the rows are read in.
    figures = f"count(*), min({alias}), max({alias}), sum({alias} % {_MODULUS})"
    row: tuple[object, ...] = connection.execute(
        f"SELECT {figures} FROM {quoted(table)}"
    ).fetchone()
    return row


def _free_rowid(connection: sqlite3.Connection, table: str) -> str | None:
    """Return a name of the rowid of `table`, None where it has no rowid that is only a rowid."""
    columns = connection.execute(f"PRAGMA table_info({quoted(table)})").fetchall()
    indexes = connection.execute(f"PRAGMA index_list({quoted(table)})").fetchall()
    has_key = any(column[5] for column in columns)
    key_is_an_index = any(index[3] == "pk" for index in indexes)
    if has_key and not key_is_an_index:
        return None
    names = {column[1].lower() for column in columns}
    alias = next((alias for alias in _ALIASES if alias not in names), None)
    if alias and key_is_an_index and _is_without_rowid(connection, table, alias):
        return None
    return alias


def _is_without_rowid(connection: sqlite3.Connection, table: str, alias: str) -> bool:
    try:
        connection.execute(f"SELECT {alias} FROM {quoted(table)} LIMIT 0")
    except sqlite3.OperationalError as error:
        if "no such column" in str(error):
            return True
        raise
    return False
