"""Bring a private database to rest that another program has left with companions."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from agebackup.errors import FailedError, printable
from agebackup.model.layout import SQLITE_COMPANIONS
from agebackup.snapshot.distrust import distrust
from agebackup.snapshot.soundness import UNREADABLE, said


def bring_to_rest(path: Path) -> None:
    """Take what a `-wal` or a hot journal beside the private file `path` holds into it.

    Afterwards no companion is left. Raises `FailedError` where one holds what cannot be taken in,
    or a process still has the database open. To be called in a process that can be ended: what
    wrote the database is not trusted.
    """
    if not any(os.path.lexists(f"{path}{suffix}") for suffix in SQLITE_COMPANIONS):
        return
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
            distrust(connection)
            connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except UNREADABLE as error:
        raise _left(path, said(error)) from None
    if busy:
        raise _left(path, "a process still has it open")
    for suffix in SQLITE_COMPANIONS:
        beside = Path(f"{path}{suffix}")
        with suppress(FileNotFoundError):
            if suffix != "-shm" and beside.stat().st_size:
                raise _left(path, f"its {suffix} is still there")
            beside.unlink()


def _left(path: Path, why: str) -> FailedError:
    return FailedError(
        f"The database {printable(path.name)} was not left at rest: {why}.",
        hint="The command must close it before it ends.",
    )
