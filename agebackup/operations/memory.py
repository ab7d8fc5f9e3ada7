"""Which databases the last run of an app had, so that one which vanished is noticed."""

import json
from collections.abc import Iterable
from pathlib import Path

from agebackup.errors import AgebackupError, printable
from agebackup.model.source import Source
from agebackup.system.claims import Claims
from agebackup.system.durable import write_durably


def vanished(file: Path, source: Source) -> tuple[str, ...]:
    """Return a sentence for each database that the last run had and `source` no longer has.

    A record that is absent or unreadable remembers nothing.
    """
    try:
        known = json.loads(file.read_bytes())["databases"]
        names = {str(name) for name in known}
    except (OSError, ValueError, TypeError, KeyError):
        return ()
    gone = names - set(_names(source))
    return tuple(
        f"The database {printable(name)} was in the last run of {source.app} and is not in this."
        for name in sorted(gone)
    )


def remember(file: Path, source: Source, claims: Claims) -> tuple[str, ...]:
    """Record the databases of `source`; return a warning where that is impossible."""
    content = json.dumps({"databases": list(_names(source))}).encode() + b"\n"
    try:
        write_durably(file, content, claims, replace=True)
    except AgebackupError as error:
        return (f"The next run will not notice a database that vanishes: {error.message}",)
    return ()


def _names(source: Source) -> Iterable[str]:
    return (database.place.removeprefix("data/") for database in source.databases)
