"""Which SQLite and which pyrage have a part in an archive."""

import sqlite3
from importlib.metadata import version

SQLITE = sqlite3.sqlite_version
"""The version of the SQLite library that copies the databases."""


def pyrage() -> str:
    """Return the installed version of pyrage, which carries no version of its own."""
    return version("pyrage")
