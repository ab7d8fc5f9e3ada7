"""Small states of known applications, with the tables that their own schemas have.

The definitions are written from what the files named in each profile's `sources` say, as far as a
backup can tell them apart: tables, columns, keys, indexes, generated columns, full-text tables.
"""

import hashlib
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class State:
    """What lies below an application's root: databases as SQL, files that the archive has to have,
    and files that must not be in it. `wal` says that its databases are in WAL mode."""

    profile: str
    databases: Mapping[str, str]
    files: Mapping[str, bytes] = field(default_factory=dict)
    left_out: Mapping[str, bytes] = field(default_factory=dict)
    wal: bool = True

    def build(self, root: Path) -> None:
        """Make the state below the new directory `root`."""
        for path, content in {**self.files, **self.left_out}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        for path, script in self.databases.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(root / path)) as connection:
                if self.wal:
                    connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(script)

    def damage(self, root: Path) -> None:
        """Ruin everything that the archive is to have."""
        for path in self.files:
            (root / path).write_bytes(b"ruined")
        for path in self.databases:
            content = (root / path).read_bytes()
            (root / path).write_bytes(content[: len(content) // 2] + bytes(100))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


SQLITE = b"SQLite format 3\x00" + bytes(84)
"""How a database begins: one that is left out need not be a whole one."""

_PHOTO, _THUMB, _PACK = b"photo" * 50, b"thumb" * 9, b"pack" * 99
_PACKED = b"in a pack"
_PACK_ID = "01kx758hcw5gnkdz233217fd9a"

MSGVAULT = State(
    "msgvault",
    {
        "msgvault.db": f"""
CREATE TABLE archive_metadata (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE sources (id INTEGER PRIMARY KEY, source_type TEXT NOT NULL, identifier TEXT NOT NULL,
    display_name TEXT, google_user_id TEXT UNIQUE, last_sync_at DATETIME, sync_cursor TEXT,
    sync_config JSON, oauth_app TEXT, created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
    updated_at DATETIME DEFAULT CURRENT_TIMESTAMP, UNIQUE (source_type, identifier));
CREATE TABLE participants (id INTEGER PRIMARY KEY, email_address TEXT, phone_number TEXT,
    display_name TEXT, domain TEXT, canonical_id TEXT,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP, updated_at DATETIME DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE conversations (id INTEGER PRIMARY KEY,
    source_id INTEGER NOT NULL REFERENCES sources(id) ON DELETE CASCADE,
    source_conversation_id TEXT, conversation_type TEXT NOT NULL, title TEXT,
    participant_count INTEGER DEFAULT 0, message_count INTEGER DEFAULT 0,
    unread_count INTEGER DEFAULT 0, last_message_at DATETIME, last_message_preview TEXT,
    metadata JSON, created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
    updated_at DATETIME DEFAULT CURRENT_TIMESTAMP, UNIQUE (source_id, source_conversation_id));
CREATE TABLE messages (id INTEGER PRIMARY KEY,
    conversation_id INTEGER NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,
    source_id INTEGER NOT NULL REFERENCES sources(id) ON DELETE CASCADE,
    source_message_id TEXT, rfc822_message_id TEXT, message_type TEXT NOT NULL, sent_at DATETIME,
    received_at DATETIME, read_at DATETIME, delivered_at DATETIME, internal_date DATETIME,
    sender_id INTEGER REFERENCES participants(id), is_from_me BOOLEAN DEFAULT FALSE,
    subject TEXT, snippet TEXT, reply_to_message_id INTEGER REFERENCES messages(id),
    size_estimate INTEGER, has_attachments BOOLEAN DEFAULT FALSE,
    attachment_count INTEGER DEFAULT 0, deleted_at DATETIME, metadata JSON, embed_gen INTEGER,
    content_changed_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')),
    UNIQUE (source_id, source_message_id));
CREATE TABLE message_bodies (
    message_id INTEGER PRIMARY KEY REFERENCES messages(id) ON DELETE CASCADE,
    body_text TEXT, body_html TEXT);
CREATE TABLE message_raw (
    message_id INTEGER PRIMARY KEY REFERENCES messages(id) ON DELETE CASCADE,
    raw_data BLOB NOT NULL, raw_format TEXT NOT NULL, compression TEXT DEFAULT 'zlib',
    encryption_version INTEGER DEFAULT 0);
CREATE TABLE attachments (id INTEGER PRIMARY KEY,
    message_id INTEGER NOT NULL REFERENCES messages(id) ON DELETE CASCADE, filename TEXT,
    mime_type TEXT, size INTEGER, content_hash TEXT, storage_path TEXT NOT NULL, media_type TEXT,
    width INTEGER, height INTEGER, duration_ms INTEGER, thumbnail_hash TEXT, thumbnail_path TEXT,
    source_attachment_id TEXT, attachment_metadata JSON, attachment_state TEXT,
    attachment_role TEXT NOT NULL DEFAULT 'unknown', content_id TEXT,
    encryption_version INTEGER DEFAULT 0, created_at DATETIME DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE attachment_packs (pack_id TEXT PRIMARY KEY, entry_count BIGINT NOT NULL,
    stored_bytes BIGINT NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE attachment_pack_index (blob_hash TEXT PRIMARY KEY, pack_id TEXT NOT NULL,
    pack_offset BIGINT NOT NULL, stored_len BIGINT NOT NULL, raw_len BIGINT NOT NULL,
    flags INTEGER NOT NULL, crc32c BIGINT NOT NULL);
CREATE TABLE labels (id INTEGER PRIMARY KEY,
    source_id INTEGER REFERENCES sources(id) ON DELETE CASCADE, source_label_id TEXT,
    name TEXT NOT NULL, label_type TEXT, system_role TEXT, color TEXT, UNIQUE (source_id, name));
CREATE TABLE account_identities (
    source_id INTEGER NOT NULL REFERENCES sources(id) ON DELETE CASCADE, address TEXT NOT NULL,
    source_signal TEXT NOT NULL DEFAULT '', confirmed_at DATETIME NOT NULL DEFAULT
    CURRENT_TIMESTAMP, PRIMARY KEY (source_id, address));
CREATE VIRTUAL TABLE messages_fts USING fts5(message_id UNINDEXED, subject, body, from_addr,
    to_addr, cc_addr, tokenize='unicode61 remove_diacritics 1');
INSERT INTO sources (id, source_type, identifier) VALUES (1, 'gmail', 'me@example.org');
INSERT INTO conversations (id, source_id, conversation_type) VALUES (1, 1, 'email_thread');
INSERT INTO messages (id, conversation_id, source_id, message_type, subject)
    VALUES (1, 1, 1, 'email', 'Hello'), (2, 1, 1, 'email', 'Again');
INSERT INTO messages_fts VALUES (1, 'Hello', 'body', 'a@b', 'c@d', '');
INSERT INTO labels (source_id, name) VALUES (1, 'INBOX');
INSERT INTO account_identities (source_id, address) VALUES (1, 'me@example.org');
INSERT INTO attachments (message_id, content_hash, storage_path, thumbnail_hash, thumbnail_path)
    VALUES (1, '{sha256(_PHOTO)}', '{sha256(_PHOTO)[:2]}/{sha256(_PHOTO)}',
            '{sha256(_THUMB)}', '{sha256(_THUMB)[:2]}/{sha256(_THUMB)}'),
           (2, '{sha256(_PHOTO)}', '{sha256(_PHOTO)[:2]}/{sha256(_PHOTO)}', NULL, NULL),
           (2, '{sha256(_PACKED)}', '{sha256(_PACKED)[:2]}/{sha256(_PACKED)}', NULL, NULL),
           (2, NULL, 'discord:pending:7', NULL, NULL),
           (2, '', 'https://example.org/x', NULL, NULL);
INSERT INTO attachment_packs VALUES ('{_PACK_ID}', 1, {len(_PACK)}, '2026-07-06');
INSERT INTO attachment_pack_index VALUES ('{sha256(_PACKED)}', '{_PACK_ID}', 0, 9, 9, 0, 1);
"""
    },
    {
        f"attachments/{sha256(_PHOTO)[:2]}/{sha256(_PHOTO)}": _PHOTO,
        f"attachments/{sha256(_THUMB)[:2]}/{sha256(_THUMB)}": _THUMB,
        f"attachments/packs/01/{_PACK_ID}.mvpack": _PACK,
        "deletions/2026.json": b"{}",
    },
    {
        "config.toml": b"[data]\n",
        "tokens/me@example.org.json": b"secret",
        "client_secret_1.json": b"secret",
        "vectors.db": SQLITE,
        "vectors.db-wal": b"x",
        "analytics/messages.parquet": b"x",
        "backup-cache/pages": b"x",
        "logs/msgvault.log": b"x",
        "imports/synctech-sms/a.xml": b"x",
        "tmp/x": b"x",
    },
)

WORKMEM = State(
    "workmem",
    {
        "memory.db": """
CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL);
CREATE TABLE entities (id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE, entity_type TEXT, deleted_at TEXT,
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE reconcile_runs (id INTEGER PRIMARY KEY AUTOINCREMENT,
    ts TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now')), mode TEXT NOT NULL,
    trigger_source TEXT, scope TEXT NOT NULL, scanned_entities INTEGER NOT NULL DEFAULT 0,
    candidates_proposed INTEGER NOT NULL DEFAULT 0,
    supersessions_applied INTEGER NOT NULL DEFAULT 0, duration_ms INTEGER NOT NULL DEFAULT 0,
    notes TEXT);
CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, label TEXT NOT NULL, event_date TEXT,
    event_type TEXT, context TEXT, expires_at TEXT,
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE observations (id INTEGER PRIMARY KEY AUTOINCREMENT, entity_id INTEGER NOT NULL,
    content TEXT NOT NULL, source TEXT DEFAULT 'user', confidence REAL DEFAULT 1.0,
    access_count INTEGER DEFAULT 0, last_accessed TEXT, event_id INTEGER, entity_type TEXT,
    deleted_at TEXT, superseded_by INTEGER REFERENCES observations(id), superseded_at TEXT,
    superseded_reason TEXT, superseded_by_run INTEGER REFERENCES reconcile_runs(id),
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    FOREIGN KEY (entity_id) REFERENCES entities(id) ON DELETE CASCADE,
    FOREIGN KEY (event_id) REFERENCES events(id));
CREATE TABLE relations (id INTEGER PRIMARY KEY AUTOINCREMENT,
    from_entity_id INTEGER NOT NULL REFERENCES entities(id) ON DELETE CASCADE,
    to_entity_id INTEGER NOT NULL REFERENCES entities(id) ON DELETE CASCADE,
    relation_type TEXT NOT NULL, context TEXT,
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (from_entity_id, to_entity_id, relation_type));
CREATE TABLE observation_embeddings (
    observation_id INTEGER NOT NULL REFERENCES observations(id) ON DELETE CASCADE,
    provider TEXT NOT NULL CHECK (trim(provider) <> ''),
    endpoint_key TEXT NOT NULL CHECK (trim(endpoint_key) <> ''),
    model_id TEXT NOT NULL CHECK (trim(model_id) <> ''),
    dimensions INTEGER NOT NULL CHECK (dimensions > 0),
    embedding BLOB NOT NULL CHECK (typeof(embedding) = 'blob' AND length(embedding) > 0),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now')),
    PRIMARY KEY (observation_id, provider, endpoint_key, model_id, dimensions));
CREATE INDEX idx_obs_active_entity_content ON observations(entity_id, content)
    WHERE deleted_at IS NULL AND superseded_by IS NULL;
CREATE VIRTUAL TABLE memory_fts USING fts5(entity_name, observation_content, entity_type,
    content='');
INSERT INTO schema_migrations VALUES (16, '2026-07-13');
INSERT INTO entities (id, name) VALUES (1, 'Ada'), (2, 'Bert');
INSERT INTO observations (entity_id, content) VALUES (1, 'likes tea'), (2, 'likes coffee');
INSERT INTO relations (from_entity_id, to_entity_id, relation_type) VALUES (1, 2, 'knows');
INSERT INTO observation_embeddings (observation_id, provider, endpoint_key, model_id, dimensions,
    embedding) VALUES (1, 'p', 'e', 'm', 1, x'00000000');
INSERT INTO memory_fts (rowid, entity_name, observation_content) VALUES (1, 'Ada', 'likes tea');
"""
    },
    left_out={
        "workmem": b"\x7fELF",
        "telemetry.db": SQLITE,
        "project/.memory/memory.db": SQLITE,
    },
)

_MOMENT = "'2026-05-11T14:23:00Z'"
_HISTORY = """CREATE TABLE _migration_history (version INTEGER PRIMARY KEY, name TEXT NOT NULL,
    hash TEXT NOT NULL, applied_at TEXT NOT NULL);
"""

WORK_BUDDY = State(
    "work-buddy",
    {
        "db/task_metadata.db": f"""{_HISTORY}
CREATE TABLE task_metadata (task_id TEXT PRIMARY KEY, state TEXT NOT NULL DEFAULT 'inbox',
    urgency TEXT NOT NULL DEFAULT 'medium', complexity TEXT, contract TEXT, note_uuid TEXT,
    snooze_until TEXT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, completed_at TEXT,
    archived_at TEXT, description TEXT, deleted_at TEXT);
CREATE TABLE task_state_history (id INTEGER PRIMARY KEY AUTOINCREMENT, task_id TEXT NOT NULL,
    old_state TEXT, new_state TEXT NOT NULL, changed_at TEXT NOT NULL, reason TEXT,
    FOREIGN KEY (task_id) REFERENCES task_metadata(task_id));
CREATE TABLE task_tags (task_id TEXT NOT NULL, tag TEXT NOT NULL,
    is_namespace INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (task_id, tag),
    FOREIGN KEY (task_id) REFERENCES task_metadata(task_id));
INSERT INTO task_metadata (task_id, created_at, updated_at) VALUES ('t1', {_MOMENT}, {_MOMENT});
INSERT INTO task_state_history (task_id, new_state, changed_at) VALUES ('t1', 'inbox', {_MOMENT});
PRAGMA user_version = 11;
""",
        "db/projects.db": f"""{_HISTORY}
CREATE TABLE projects (id INTEGER PRIMARY KEY, slug TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'paused', 'past', 'future', 'deleted')),
    description TEXT, origin TEXT NOT NULL CHECK (origin IN ('vault', 'manual')),
    created_at TEXT NOT NULL CHECK (created_at GLOB '????-??-??T??:??:??*'),
    updated_at TEXT NOT NULL CHECK (updated_at GLOB '????-??-??T??:??:??*'));
INSERT INTO projects (slug, name, status, origin, created_at, updated_at)
    VALUES ('one', 'One', 'active', 'manual', {_MOMENT}, {_MOMENT});
PRAGMA user_version = 7;
""",
        "db/messages.db": f"""
CREATE TABLE messages (id TEXT PRIMARY KEY, thread_id TEXT, sender TEXT NOT NULL,
    sender_session TEXT, recipient TEXT NOT NULL, recipient_session TEXT, type TEXT NOT NULL,
    priority TEXT NOT NULL DEFAULT 'normal', status TEXT NOT NULL DEFAULT 'pending',
    subject TEXT NOT NULL, body TEXT, in_reply_to TEXT, created_at TEXT NOT NULL,
    updated_at TEXT, tags TEXT, disposition TEXT);
CREATE TABLE message_reads (message_id TEXT NOT NULL, session_id TEXT NOT NULL,
    reader_project TEXT, read_at TEXT NOT NULL, PRIMARY KEY (message_id, session_id),
    FOREIGN KEY (message_id) REFERENCES messages(id));
CREATE INDEX idx_recipient ON messages(recipient, status);
INSERT INTO messages (id, sender, recipient, type, subject, created_at)
    VALUES ('m1', 'a', 'b', 'note', 'Hello', {_MOMENT});
""",
        "db/threads.db": f"""
CREATE TABLE threads (thread_id TEXT PRIMARY KEY, parent_id TEXT, subtype TEXT,
    parent_relationship TEXT NOT NULL DEFAULT 'decompose', originating_scrape_id TEXT,
    fsm_state TEXT NOT NULL DEFAULT 'proposed', parent_event_id INTEGER,
    autonomy_policy_json TEXT NOT NULL DEFAULT '{{}}',
    context_items_json TEXT NOT NULL DEFAULT '[]', current_focus_thread_id TEXT,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, archived_at TEXT, resurface_at TEXT,
    order_index INTEGER NOT NULL DEFAULT 0, search_blob TEXT NOT NULL DEFAULT '',
    FOREIGN KEY (parent_id) REFERENCES threads(thread_id) ON DELETE CASCADE,
    FOREIGN KEY (current_focus_thread_id) REFERENCES threads(thread_id) ON DELETE SET NULL);
CREATE TABLE thread_events (id INTEGER PRIMARY KEY AUTOINCREMENT, thread_id TEXT NOT NULL,
    kind TEXT NOT NULL, actor TEXT NOT NULL, inference_tier TEXT, timestamp TEXT NOT NULL,
    data_json TEXT NOT NULL DEFAULT '{{}}', parent_event_id INTEGER,
    FOREIGN KEY (thread_id) REFERENCES threads(thread_id) ON DELETE CASCADE);
INSERT INTO threads (thread_id, created_at, updated_at) VALUES ('th1', {_MOMENT}, {_MOMENT});
INSERT INTO thread_events (thread_id, kind, actor, timestamp)
    VALUES ('th1', 'created', 'user', {_MOMENT});
""",
        "db/entities.db": f"""{_HISTORY}
CREATE TABLE entities (id INTEGER PRIMARY KEY, canonical_name TEXT NOT NULL,
    canonical_norm TEXT NOT NULL UNIQUE, description TEXT,
    author TEXT NOT NULL CHECK (author IN ('user', 'agent')),
    created_at TEXT NOT NULL CHECK (created_at GLOB '????-??-??T??:??:??*'),
    updated_at TEXT NOT NULL CHECK (updated_at GLOB '????-??-??T??:??:??*'));
CREATE TABLE entity_aliases (id INTEGER PRIMARY KEY,
    entity_id INTEGER NOT NULL REFERENCES entities(id) ON DELETE CASCADE, alias TEXT NOT NULL,
    alias_norm TEXT NOT NULL UNIQUE);
INSERT INTO entities (canonical_name, canonical_norm, author, created_at, updated_at)
    VALUES ('Ada', 'ada', 'user', {_MOMENT}, {_MOMENT});
PRAGMA user_version = 1;
""",
        "db/settings.db": """
CREATE TABLE setting_value_state (setting_id TEXT NOT NULL, scope TEXT NOT NULL,
    scope_id TEXT NOT NULL, value_version INTEGER NOT NULL DEFAULT 1, active_value_json TEXT,
    pending_source TEXT CHECK (pending_source IS NULL OR pending_source IN ('profile', 'default')),
    revision INTEGER NOT NULL DEFAULT 0, updated_at TEXT NOT NULL,
    PRIMARY KEY (setting_id, scope, scope_id));
PRAGMA user_version = 3;
""",
    },
    left_out={
        "db/vault-index.db": SQLITE,
        "db/broker_metrics.db": SQLITE,
        "cache/llm_cache.json": b"{}",
        "credentials/google_oauth_token.json": b"secret",
        "backups/last_run.json": b"{}",
    },
)

_EVENTLOG = """
CREATE TABLE eventlog (seqNumGlobal INTEGER, seqNumClient INTEGER, seqNumRebaseGeneration INTEGER,
    parentSeqNumGlobal INTEGER NOT NULL, parentSeqNumClient INTEGER NOT NULL,
    parentSeqNumRebaseGeneration INTEGER NOT NULL, name TEXT NOT NULL, argsJson TEXT NOT NULL,
    clientId TEXT NOT NULL, sessionId TEXT NOT NULL, schemaHash INTEGER NOT NULL,
    syncMetadataJson TEXT NOT NULL,
    PRIMARY KEY (seqNumGlobal, seqNumClient, seqNumRebaseGeneration));
CREATE INDEX idx_eventlog_seqNumGlobal ON eventlog (seqNumGlobal);
CREATE TABLE __livestore_sync_status (head INTEGER PRIMARY KEY, backendId TEXT);
INSERT INTO eventlog VALUES (1, 0, 0, 0, 0, 0, 'todoCreated', '{}', 'c', 's', 2746, '{}'),
                            (2, 0, 0, 1, 0, 0, 'todoDone', '{}', 'c', 's', 2746, '{}');
INSERT INTO __livestore_sync_status VALUES (1, 'backend-1');
"""
_STORE_STATE = """
CREATE TABLE __livestore_schema (tableName TEXT PRIMARY KEY, schemaHash INTEGER NOT NULL,
    updatedAt TEXT NOT NULL);
CREATE TABLE __livestore_schema_event_defs (eventName TEXT PRIMARY KEY,
    schemaHash INTEGER NOT NULL, updatedAt TEXT NOT NULL);
CREATE TABLE __livestore_state_head (id INTEGER PRIMARY KEY, seqNumGlobal INTEGER NOT NULL,
    seqNumClient INTEGER NOT NULL, seqNumRebaseGeneration INTEGER NOT NULL);
CREATE TABLE __livestore_session_changeset (seqNumGlobal INTEGER NOT NULL,
    seqNumClient INTEGER NOT NULL, seqNumRebaseGeneration INTEGER NOT NULL, changeset BLOB,
    debug TEXT);
CREATE TABLE todos (id TEXT PRIMARY KEY, text TEXT NOT NULL, done INTEGER NOT NULL);
INSERT INTO __livestore_state_head VALUES (1, 2, 0, 0);
INSERT INTO todos VALUES ('a', 'tea', 1);
"""

LIVESTORE = State(
    "livestore",
    {
        "one/eventlog@6.db": _EVENTLOG,
        "one/state2746@6.db": _STORE_STATE,
        "one/state1111@6.db": _STORE_STATE,
        "two/eventlog@6.db": _EVENTLOG,
        "two/state2746@6.db": _STORE_STATE,
        "processed-messages.db": """
CREATE TABLE processed_messages (id TEXT NOT NULL, store_id TEXT NOT NULL,
    processed_at DATETIME DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (id, store_id));
CREATE INDEX idx_store_processed ON processed_messages (store_id, processed_at);
INSERT INTO processed_messages (id, store_id) VALUES ('m', 'one');
""",
    },
    wal=False,
)

TINY_FORGE = State(
    "tiny-forge",
    {
        "tiny-forge.db": """
CREATE TABLE settings (id INTEGER PRIMARY KEY, backup_enabled INTEGER NOT NULL DEFAULT 0,
    backup_interval_hours INTEGER NOT NULL DEFAULT 24,
    backup_retention_count INTEGER NOT NULL DEFAULT 10);
CREATE TABLE backups (id TEXT PRIMARY KEY, filename TEXT NOT NULL, size_bytes INTEGER NOT NULL,
    backup_type TEXT NOT NULL, created_at TEXT NOT NULL);
INSERT INTO settings (id) VALUES (1);
INSERT INTO backups VALUES ('b', 'b.db', 4096, 'manual', '2026-04-02');
"""
    },
    left_out={"backups/b.db": SQLITE},
)

VAULTWARDEN = State(
    "vaultwarden",
    {
        "db.sqlite3": """
CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL,
    run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE users (uuid TEXT NOT NULL PRIMARY KEY, enabled BOOLEAN NOT NULL DEFAULT 1,
    created_at DATETIME NOT NULL, updated_at DATETIME NOT NULL, email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL, password_hash BLOB NOT NULL, salt BLOB NOT NULL,
    password_iterations INTEGER NOT NULL, password_hint TEXT, akey TEXT NOT NULL,
    private_key TEXT, public_key TEXT, totp_secret TEXT, totp_recover TEXT,
    security_stamp TEXT NOT NULL, equivalent_domains TEXT NOT NULL,
    excluded_globals TEXT NOT NULL, client_kdf_type INTEGER NOT NULL DEFAULT 0,
    client_kdf_iter INTEGER NOT NULL DEFAULT 100000, api_key TEXT, avatar_color TEXT);
CREATE TABLE organizations (uuid TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL,
    billing_email TEXT NOT NULL, private_key TEXT, public_key TEXT);
CREATE TABLE ciphers (uuid TEXT NOT NULL PRIMARY KEY, created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL, user_uuid TEXT REFERENCES users (uuid),
    organization_uuid TEXT REFERENCES organizations (uuid), key TEXT, atype INTEGER NOT NULL,
    name TEXT NOT NULL, notes TEXT, fields TEXT, data TEXT NOT NULL, password_history TEXT,
    deleted_at DATETIME, reprompt INTEGER);
CREATE TABLE attachments (id TEXT NOT NULL PRIMARY KEY,
    cipher_uuid TEXT NOT NULL REFERENCES ciphers (uuid), file_name TEXT NOT NULL,
    file_size INTEGER NOT NULL, akey TEXT);
CREATE TABLE sends (uuid TEXT NOT NULL PRIMARY KEY, user_uuid TEXT REFERENCES users (uuid),
    organization_uuid TEXT REFERENCES organizations (uuid), name TEXT NOT NULL, notes TEXT,
    atype INTEGER NOT NULL, data TEXT NOT NULL, akey TEXT NOT NULL, password_hash BLOB,
    password_salt BLOB, password_iter INTEGER, max_access_count INTEGER,
    access_count INTEGER NOT NULL, creation_date DATETIME NOT NULL,
    revision_date DATETIME NOT NULL, expiration_date DATETIME, deletion_date DATETIME NOT NULL,
    disabled BOOLEAN NOT NULL, hide_email BOOLEAN);
INSERT INTO __diesel_schema_migrations (version) VALUES ('20180114171611'), ('20260505120000');
INSERT INTO users (uuid, created_at, updated_at, email, name, password_hash, salt,
    password_iterations, akey, security_stamp, equivalent_domains, excluded_globals)
    VALUES ('u', 0, 0, 'a@b', 'A', x'00', x'00', 1, 'k', 's', '[]', '[]');
INSERT INTO ciphers (uuid, created_at, updated_at, user_uuid, atype, name, data)
    VALUES ('c-1', 0, 0, 'u', 1, '2.x', '{}');
INSERT INTO attachments VALUES ('att-1', 'c-1', '2.y', 9, NULL);
"""
    },
    {
        "attachments/c-1/att-1": b"encrypted",
        "sends/s-1/file-1": b"encrypted too",
    },
    {
        "config.json": b"{}",
        "rsa_key.pem": b"secret",
        "rsa_key.pub.pem": b"public",
        "icon_cache/example.org.png": b"x",
        "tmp/upload": b"x",
        "db_20260101_000000.sqlite3": SQLITE,
    },
)

_SCAN, _PDF, _OLD = b"%PDF scan", b"%PDF/A archived", b"%PDF of old"

PAPERLESS = State(
    "paperless-ngx",
    {
        "data/db.sqlite3": f"""
CREATE TABLE django_migrations (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    app VARCHAR(255) NOT NULL, name VARCHAR(255) NOT NULL, applied DATETIME NOT NULL);
CREATE TABLE documents_correspondent (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name VARCHAR(128) NOT NULL, match VARCHAR(256) NOT NULL,
    matching_algorithm SMALLINT UNSIGNED NOT NULL CHECK (matching_algorithm >= 0),
    is_insensitive BOOL NOT NULL);
CREATE TABLE documents_tag (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name VARCHAR(128) NOT NULL, color VARCHAR(7) NOT NULL, is_inbox_tag BOOL NOT NULL);
CREATE TABLE documents_document (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    title VARCHAR(128) NOT NULL, content TEXT NOT NULL,
    content_length INTEGER UNSIGNED GENERATED ALWAYS AS (length(content)) STORED,
    mime_type VARCHAR(256) NOT NULL, checksum VARCHAR(64) NOT NULL,
    archive_checksum VARCHAR(64) NULL, page_count INTEGER UNSIGNED NULL CHECK (page_count >= 0),
    created DATE NOT NULL, modified DATETIME NOT NULL, added DATETIME NOT NULL,
    filename VARCHAR(1024) NULL UNIQUE, archive_filename VARCHAR(1024) NULL UNIQUE,
    original_filename VARCHAR(1024) NULL, archive_serial_number INTEGER UNSIGNED NULL UNIQUE,
    correspondent_id INTEGER NULL REFERENCES documents_correspondent (id)
    DEFERRABLE INITIALLY DEFERRED, deleted_at DATETIME NULL, version_index SMALLINT NULL);
CREATE TABLE documents_document_tags (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    document_id INTEGER NOT NULL REFERENCES documents_document (id) DEFERRABLE INITIALLY DEFERRED,
    tag_id INTEGER NOT NULL REFERENCES documents_tag (id) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO django_migrations (app, name, applied) VALUES ('documents', '0022_add_perf_indexes', 0);
INSERT INTO documents_tag (name, color, is_inbox_tag) VALUES ('inbox', '#a6cee3', 1);
INSERT INTO documents_document (title, content, mime_type, checksum, archive_checksum, created,
    modified, added, filename, archive_filename) VALUES
    ('Scan', 'text', 'application/pdf', '{sha256(_SCAN)}', '{sha256(_PDF)}', 0, 0, 0,
     '2026/scan.pdf', '2026/scan.pdf'),
    ('Old', 'text', 'application/pdf', '{hashlib.md5(_OLD).hexdigest()}', NULL, 0, 0, 0,
     '0000002.pdf', NULL);
INSERT INTO documents_document_tags (document_id, tag_id) VALUES (1, 1);
"""
    },
    {
        "media/documents/originals/2026/scan.pdf": _SCAN,
        "media/documents/originals/0000002.pdf": _OLD,
        "media/documents/archive/2026/scan.pdf": _PDF,
        "media/documents/thumbnails/0000001.webp": b"RIFF",
    },
    {
        "data/index/meta.json": b"{}",
        "data/classification_model.pickle": b"x",
        "data/log/paperless.log": b"x",
        "media/media.lock": b"",
        "paperless.conf": b"PAPERLESS_SECRET_KEY=secret",
    },
)

HOME_ASSISTANT = State(
    "home-assistant",
    {
        "home-assistant_v2.db": """
CREATE TABLE event_data (data_id INTEGER NOT NULL PRIMARY KEY, hash BIGINT, shared_data TEXT);
CREATE TABLE event_types (event_type_id INTEGER NOT NULL PRIMARY KEY, event_type VARCHAR(64));
CREATE UNIQUE INDEX ix_event_types_event_type ON event_types (event_type);
CREATE TABLE events (event_id INTEGER NOT NULL PRIMARY KEY, event_type CHAR(0),
    event_data CHAR(0), origin CHAR(0), origin_idx SMALLINT, time_fired CHAR(0),
    time_fired_ts FLOAT, context_id CHAR(0), data_id INTEGER REFERENCES event_data (data_id),
    context_id_bin BLOB, event_type_id INTEGER REFERENCES event_types (event_type_id));
CREATE TABLE state_attributes (attributes_id INTEGER NOT NULL PRIMARY KEY, hash BIGINT,
    shared_attrs TEXT);
CREATE TABLE states_meta (metadata_id INTEGER NOT NULL PRIMARY KEY, entity_id VARCHAR(255));
CREATE UNIQUE INDEX ix_states_meta_entity_id ON states_meta (entity_id);
CREATE TABLE states (state_id INTEGER NOT NULL PRIMARY KEY, entity_id CHAR(0),
    state VARCHAR(255), attributes CHAR(0), event_id SMALLINT, last_changed CHAR(0),
    last_changed_ts FLOAT, last_updated CHAR(0), last_updated_ts FLOAT,
    old_state_id INTEGER REFERENCES states (state_id),
    attributes_id INTEGER REFERENCES state_attributes (attributes_id), origin_idx SMALLINT,
    context_id_bin BLOB, metadata_id INTEGER REFERENCES states_meta (metadata_id));
CREATE INDEX ix_states_metadata_id_last_updated_ts ON states (metadata_id, last_updated_ts);
CREATE TABLE statistics_meta (id INTEGER NOT NULL PRIMARY KEY, statistic_id VARCHAR(255),
    source VARCHAR(32), unit_of_measurement VARCHAR(255), has_mean BOOLEAN, has_sum BOOLEAN,
    name VARCHAR(255));
CREATE TABLE statistics (id INTEGER NOT NULL PRIMARY KEY, created CHAR(0), created_ts FLOAT,
    metadata_id INTEGER REFERENCES statistics_meta (id) ON DELETE CASCADE, start CHAR(0),
    start_ts FLOAT, mean FLOAT, min FLOAT, max FLOAT, last_reset CHAR(0), last_reset_ts FLOAT,
    state FLOAT, sum FLOAT);
CREATE TABLE recorder_runs (run_id INTEGER NOT NULL PRIMARY KEY, start DATETIME NOT NULL,
    "end" DATETIME, closed_incorrect BOOLEAN NOT NULL, created DATETIME NOT NULL);
CREATE TABLE schema_changes (change_id INTEGER NOT NULL PRIMARY KEY, schema_version INTEGER,
    changed DATETIME NOT NULL);
INSERT INTO schema_changes (schema_version, changed) VALUES (40, 0), (41, 0);
INSERT INTO states_meta VALUES (1, 'sensor.kitchen');
INSERT INTO state_attributes VALUES (1, 7, '{}');
INSERT INTO states (state, last_updated_ts, attributes_id, metadata_id)
    VALUES ('21.5', 1.0, 1, 1), ('21.6', 2.0, 1, 1);
INSERT INTO statistics_meta (id, statistic_id, source) VALUES (1, 'sensor.kitchen', 'recorder');
INSERT INTO statistics (created_ts, metadata_id, start_ts, mean) VALUES (1.0, 1, 0.0, 21.55);
""",
        "zigbee.db": "CREATE TABLE devices_v13 (ieee TEXT NOT NULL, nwk INTEGER NOT NULL, status "
        "INTEGER NOT NULL, last_seen REAL NOT NULL);",
    },
    left_out={
        ".HA_VERSION": b"2026.7.1",
        "configuration.yaml": b"default_config:\n",
        "secrets.yaml": b"x: secret",
        ".storage/auth": b"{}",
        "home-assistant.log": b"x",
        "deps/x": b"x",
        "custom_components/x/store.db": SQLITE,
    },
)

FIREFOX = State(
    "firefox",
    {
        "places.sqlite": """
CREATE TABLE moz_origins (id INTEGER PRIMARY KEY, prefix TEXT NOT NULL, host TEXT NOT NULL,
    frecency INTEGER NOT NULL, recalc_frecency INTEGER NOT NULL DEFAULT 0, alt_frecency INTEGER,
    recalc_alt_frecency INTEGER NOT NULL DEFAULT 0, UNIQUE (prefix, host));
CREATE TABLE moz_places (id INTEGER PRIMARY KEY, url LONGVARCHAR, title LONGVARCHAR,
    rev_host LONGVARCHAR, visit_count INTEGER DEFAULT 0, hidden INTEGER DEFAULT 0 NOT NULL,
    typed INTEGER DEFAULT 0 NOT NULL, frecency INTEGER DEFAULT -1 NOT NULL,
    last_visit_date INTEGER, guid TEXT, foreign_count INTEGER DEFAULT 0 NOT NULL,
    url_hash INTEGER DEFAULT 0 NOT NULL, description TEXT, preview_image_url TEXT,
    site_name TEXT, origin_id INTEGER REFERENCES moz_origins(id),
    recalc_frecency INTEGER NOT NULL DEFAULT 0, alt_frecency INTEGER,
    recalc_alt_frecency INTEGER NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX moz_places_guid_uniqueindex ON moz_places (guid);
CREATE TABLE moz_historyvisits (id INTEGER PRIMARY KEY, from_visit INTEGER, place_id INTEGER,
    visit_date INTEGER, visit_type INTEGER, session INTEGER, source INTEGER DEFAULT 0 NOT NULL,
    triggeringPlaceId INTEGER);
CREATE TABLE moz_inputhistory (place_id INTEGER NOT NULL, input LONGVARCHAR NOT NULL,
    use_count INTEGER, PRIMARY KEY (place_id, input));
CREATE TABLE moz_bookmarks (id INTEGER PRIMARY KEY, type INTEGER, fk INTEGER DEFAULT NULL,
    parent INTEGER, position INTEGER, title LONGVARCHAR, keyword_id INTEGER, folder_type TEXT,
    dateAdded INTEGER, lastModified INTEGER, guid TEXT, syncStatus INTEGER NOT NULL DEFAULT 0,
    syncChangeCounter INTEGER NOT NULL DEFAULT 1);
CREATE TABLE moz_bookmarks_deleted (guid TEXT PRIMARY KEY, dateRemoved INTEGER NOT NULL DEFAULT 0);
CREATE TABLE moz_keywords (id INTEGER PRIMARY KEY AUTOINCREMENT, keyword TEXT UNIQUE,
    place_id INTEGER, post_data TEXT);
CREATE TABLE moz_meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
INSERT INTO moz_origins (id, prefix, host, frecency) VALUES (1, 'https://', 'example.org', 10);
INSERT INTO moz_places (id, url, guid, origin_id) VALUES (1, 'https://example.org/', 'g1', 1);
INSERT INTO moz_historyvisits (place_id, visit_date, visit_type) VALUES (1, 0, 1), (1, 1, 1);
INSERT INTO moz_bookmarks (type, fk, parent, title, guid) VALUES (2, NULL, 0, 'menu', 'b1'),
    (1, 1, 1, 'Example', 'b2');
INSERT INTO moz_meta VALUES ('sync/history/syncId', 'x');
"""
    },
    left_out={"favicons.sqlite": SQLITE, "key4.db": SQLITE, "logins.json": b"{}"},
)

_AUTH = """
CREATE TABLE django_migrations (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    app VARCHAR(255) NOT NULL, name VARCHAR(255) NOT NULL, applied DATETIME NOT NULL);
CREATE TABLE auth_user (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    password VARCHAR(128) NOT NULL, last_login DATETIME NULL, is_superuser BOOL NOT NULL,
    username VARCHAR(150) NOT NULL UNIQUE, first_name VARCHAR(150) NOT NULL,
    last_name VARCHAR(150) NOT NULL, email VARCHAR(254) NOT NULL, is_staff BOOL NOT NULL,
    is_active BOOL NOT NULL, date_joined DATETIME NOT NULL);
CREATE TABLE django_session (session_key VARCHAR(40) NOT NULL PRIMARY KEY,
    session_data TEXT NOT NULL, expire_date DATETIME NOT NULL);
INSERT INTO django_migrations (app, name, applied) VALUES ('auth', '0001_initial', 0);
INSERT INTO auth_user (password, is_superuser, username, first_name, last_name, email, is_staff,
    is_active, date_joined) VALUES ('pbkdf2', 1, 'ada', '', '', '', 1, 1, 0);
"""

DJANGO = State(
    "django",
    {"db.sqlite3": _AUTH},
    {"media/photos/a.jpg": b"jpg"},
    {".env": b"SECRET_KEY=secret", "manage.py": b"", "static/site.css": b""},
    wal=False,
)

RAILS = State(
    "rails",
    {
        "storage/production.sqlite3": """
CREATE TABLE schema_migrations (version VARCHAR NOT NULL PRIMARY KEY);
CREATE TABLE ar_internal_metadata (key VARCHAR NOT NULL PRIMARY KEY, value VARCHAR,
    created_at DATETIME(6) NOT NULL, updated_at DATETIME(6) NOT NULL);
CREATE TABLE active_storage_blobs (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    key VARCHAR NOT NULL, filename VARCHAR NOT NULL, content_type VARCHAR, metadata TEXT,
    byte_size BIGINT NOT NULL, checksum VARCHAR NOT NULL, created_at DATETIME NOT NULL);
CREATE UNIQUE INDEX index_active_storage_blobs_on_key ON active_storage_blobs (key);
CREATE TABLE active_storage_attachments (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    name VARCHAR NOT NULL, record_type VARCHAR NOT NULL, record_id INTEGER NOT NULL,
    blob_id INTEGER NOT NULL, created_at DATETIME NOT NULL);
CREATE UNIQUE INDEX index_active_storage_attachments_uniqueness
    ON active_storage_attachments (record_type, record_id, name, blob_id);
INSERT INTO schema_migrations VALUES ('20170806125915');
INSERT INTO active_storage_blobs (key, filename, byte_size, checksum, created_at)
    VALUES ('abcdefgh', 'a.png', 3, 'x', 0);
INSERT INTO active_storage_attachments (name, record_type, record_id, blob_id, created_at)
    VALUES ('avatar', 'User', 1, 1, 0);
""",
        "storage/production_queue.sqlite3": """
CREATE TABLE solid_queue_jobs (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    queue_name VARCHAR NOT NULL, class_name VARCHAR NOT NULL, arguments TEXT,
    priority INTEGER DEFAULT 0 NOT NULL, created_at DATETIME NOT NULL);
""",
    },
    {"storage/ab/cd/abcdefgh": b"png"},
    {
        "storage/production_cache.sqlite3": SQLITE,
        "storage/production_cache.sqlite3-wal": b"x",
        "storage/production_cable.sqlite3": SQLITE,
        "storage/development.sqlite3": SQLITE,
        "config/master.key": b"secret",
        "config/database.yml": b"production:\n",
        "config/credentials.yml.enc": b"x",
        "app/models/user.rb": b"",
    },
)

OBSIDIAN = State(
    "obsidian",
    {
        ".obsidian/plugins/index/notes.db": """
CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT NOT NULL, type TEXT NOT NULL,
    path TEXT NOT NULL UNIQUE, created TEXT, updated TEXT, body TEXT, mtime INTEGER,
    value INTEGER DEFAULT 50, compacts TEXT DEFAULT '[]', author TEXT, verified INTEGER,
    custom_json TEXT DEFAULT '{}', index_level INTEGER DEFAULT 2);
CREATE INDEX idx_notes_value ON notes(value);
CREATE INDEX idx_notes_custom ON notes(json_extract(custom_json, '$'));
CREATE VIRTUAL TABLE notes_fts USING fts5(title, body, tags, tokenize='porter unicode61');
CREATE TABLE tags (note_id TEXT NOT NULL REFERENCES notes(id) ON DELETE CASCADE,
    tag TEXT NOT NULL, PRIMARY KEY (note_id, tag));
CREATE TABLE edges (source_id TEXT NOT NULL, target_id TEXT NOT NULL, link_type TEXT,
    inline INTEGER DEFAULT 0, position INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (source_id, target_id, link_type));
CREATE TABLE index_meta (key TEXT PRIMARY KEY, value TEXT);
INSERT INTO notes (id, title, type, path, custom_json)
    VALUES ('n1', 'One', 'note', 'One.md', '{"mood": "calm"}');
INSERT INTO notes_fts VALUES ('One', 'links to Two', '');
INSERT INTO index_meta VALUES ('schema_version', '8');
""",
        "library.sqlite": "CREATE TABLE books (id INTEGER PRIMARY KEY, title TEXT NOT NULL);",
    },
    {
        "One.md": b"[[Two]]",
        "Folder/Two.md": b"two",
        ".obsidian/app.json": b"{}",
        ".obsidian/plugins/index/main.js": b"",
    },
    {".obsidian/workspace.json": b"{}", ".obsidian/workspace-mobile.json": b"{}"},
)

STATES = (
    MSGVAULT,
    WORKMEM,
    WORK_BUDDY,
    LIVESTORE,
    TINY_FORGE,
    VAULTWARDEN,
    PAPERLESS,
    HOME_ASSISTANT,
    FIREFOX,
    DJANGO,
    RAILS,
    OBSIDIAN,
)
