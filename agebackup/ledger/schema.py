"""The ledger's tables, and the steps that bring an older ledger forward."""

VERSION = 1
"""The schema that this program writes; `PRAGMA user_version` of the file."""

APPLICATION_ID = 0x61676562
"""`PRAGMA application_id`, "ageb": tells a ledger from any other database."""

STEPS: tuple[str, ...] = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
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
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX runs_by_app ON runs (app, begun);
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
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX archives_by_app ON archives (app, time);
    CREATE TABLE destinations (
        path TEXT PRIMARY KEY,
        device TEXT NOT NULL,
        seen TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
)
"""Step n brings a ledger of version n to n + 1. Steps that were released are never changed."""
