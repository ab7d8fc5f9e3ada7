"""The ledger's tables, and the steps that bring an older ledger forward."""

import secrets
import sqlite3
from collections.abc import Sequence
from contextlib import suppress

APPLICATION_ID = 0x61676562
"""`PRAGMA application_id`, "ageb": tells a ledger from any other database."""

Step = tuple[str, ...]
STEPS: tuple[Step, ...] = (
    (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        """
        CREATE TABLE runs (
            id TEXT PRIMARY KEY,
            app TEXT NOT NULL,
            kind TEXT NOT NULL,
            begun TEXT NOT NULL,
            phase TEXT NOT NULL,
            outcome TEXT NOT NULL,
            ended TEXT,
            exit_code INTEGER,
            message TEXT NOT NULL,
            archive TEXT NOT NULL,
            destination TEXT NOT NULL,
            size INTEGER,
            seconds REAL,
            versions TEXT NOT NULL
        ) WITHOUT ROWID
        """,
        "CREATE INDEX runs_by_app ON runs (app, begun)",
        """
        CREATE TABLE archives (
            name TEXT NOT NULL,
            app TEXT NOT NULL,
            id TEXT NOT NULL,
            time TEXT NOT NULL,
            destination TEXT NOT NULL,
            file_name TEXT NOT NULL,
            kind TEXT NOT NULL,
            tag TEXT NOT NULL,
            note TEXT NOT NULL,
            kept INTEGER NOT NULL,
            size INTEGER,
            sha256 TEXT NOT NULL,
            series TEXT NOT NULL,
            sequence INTEGER,
            previous TEXT NOT NULL,
            proved INTEGER NOT NULL,
            complete INTEGER NOT NULL,
            pending TEXT NOT NULL,
            "foreign" INTEGER NOT NULL,
            bad INTEGER NOT NULL,
            "check" TEXT NOT NULL,
            checked TEXT,
            hashed TEXT,
            deleted TEXT,
            deleted_why TEXT NOT NULL,
            stanzas TEXT NOT NULL,
            figures TEXT NOT NULL,
            PRIMARY KEY (name, destination)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX archives_by_app ON archives (app, time)",
        "CREATE INDEX archives_present ON archives (app, time) WHERE deleted IS NULL",
        "CREATE INDEX archives_by_sequence ON archives (app, series, sequence)",
        """
        CREATE TABLE destinations (
            path TEXT PRIMARY KEY,
            device TEXT NOT NULL,
            seen TEXT NOT NULL
        ) WITHOUT ROWID
        """,
    ),
    (
        "ALTER TABLE archives ADD COLUMN former TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE archives ADD COLUMN recipients TEXT NOT NULL DEFAULT '[]'",
        """
        CREATE TABLE keychecks (
            recipient TEXT PRIMARY KEY,
            checked TEXT NOT NULL,
            archive TEXT NOT NULL
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE drills (
            id TEXT PRIMARY KEY,
            app TEXT NOT NULL,
            archive TEXT NOT NULL,
            begun TEXT NOT NULL,
            seconds REAL,
            outcome TEXT NOT NULL,
            message TEXT NOT NULL,
            receipt TEXT NOT NULL,
            signature TEXT NOT NULL
        ) WITHOUT ROWID
        """,
        "CREATE INDEX drills_by_app ON drills (app, begun)",
    ),
    (
        """
        CREATE TABLE pushes (
            app TEXT NOT NULL,
            destination TEXT NOT NULL,
            begun TEXT NOT NULL,
            ended TEXT,
            outcome TEXT NOT NULL,
            message TEXT NOT NULL,
            pushed INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            PRIMARY KEY (app, destination)
        ) WITHOUT ROWID
        """,
    ),
)
"""Step n, one statement each, brings a ledger of version n to n + 1.

Steps that were released are never changed, and none throws anything away: there is no copy of the
ledger as it was before them.
"""

VERSION = len(STEPS)
"""The schema that this program writes; `PRAGMA user_version` of the file."""

KEYS = {
    "meta": "key",
    "runs": "id",
    "archives": "name",
    "destinations": "path",
    "keychecks": "recipient",
    "drills": "id",
    "pushes": "app",
}
"""Every table with the first column of its key."""

THIN = """
    DELETE FROM runs WHERE app = :app AND begun < (
        SELECT begun FROM runs WHERE app = :app ORDER BY begun DESC LIMIT 1 OFFSET :kept
    ) AND id IS NOT (
        SELECT id FROM runs WHERE app = :app AND outcome IN ('ok', 'incomplete')
        ORDER BY begun DESC LIMIT 1
    )
"""
"""Removes the oldest runs of `app` but the last `kept` + 1, and never its last success."""


class NewerSchemaError(Exception):
    """The ledger has a schema that this program does not know: its only argument."""


def version_of(connection: sqlite3.Connection) -> int:
    """Return the schema that the ledger has; 0 where it has none yet."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def bring_forward(connection: sqlite3.Connection, steps: Sequence[Step] = STEPS) -> None:
    """Take every step that the ledger has not taken yet, all of them or, after any failure, none.

    Two processes may do so at once. A new ledger gets its mark and its series. Raises
    `NewerSchemaError`, and sqlite3's errors.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = version_of(connection)
        if version > len(steps):
            raise NewerSchemaError(version)
        for step in steps[version:]:
            for statement in step:
                connection.execute(statement)
        if version == 0:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute("INSERT INTO meta VALUES ('series', ?)", (secrets.token_hex(16),))
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
