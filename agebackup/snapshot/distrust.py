"""Let the schema of a database that somebody else wrote call nothing that has effects."""

import sqlite3
from contextlib import suppress

from agebackup.snapshot.soundness import UNREADABLE

_JSON_IS_UNSAFE = "unsafe use of json"


def distrust(connection: sqlite3.Connection) -> None:
    """Take SQLite's trust in the schema away, as far as the schema can be read without it.

    Some versions (3.40 is one) count their own JSON functions among those that may have effects,
    and then refuse all of a database with an index or a generated column over JSON. There trust is
    given back: what really has effects, load_extension() and fts3_tokenizer(), no schema may call
    in any case (sqlite.org/c3ref/c_deterministic.html, SQLITE_DIRECTONLY). Never raises for what
    the file holds; raises `sqlite3.OperationalError` where it cannot be opened.
    """
    connection.execute("PRAGMA trusted_schema=OFF")
    try:
        connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1")
    except UNREADABLE as error:
        with suppress(UnicodeError):
            if _JSON_IS_UNSAFE in str(error):
                connection.execute("PRAGMA trusted_schema=ON")
