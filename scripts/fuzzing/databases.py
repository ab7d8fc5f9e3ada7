"""Databases as a hostile archive may hold them: sound ones, and what was done to them.

A mutant keeps the manifest of the sound database that it was made from.
"""

import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from agebackup.errors import AgebackupError
from agebackup.system.process import Worker
from agebackup.system.progress import Progress

PAGE = 1024
"""Small pages, so that a small file has trees with inner pages, overflow and a freelist."""

_PLAIN = """
CREATE TABLE entries (id INTEGER PRIMARY KEY, name TEXT NOT NULL, body BLOB);
CREATE INDEX entries_by_name ON entries (name);
CREATE TABLE pairs (a TEXT, b INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TABLE parents (id INTEGER PRIMARY KEY);
CREATE TABLE children (id INTEGER PRIMARY KEY, parent REFERENCES parents (id));
CREATE VIEW recent AS SELECT * FROM entries WHERE id > 10;
CREATE TRIGGER noted AFTER INSERT ON entries BEGIN UPDATE parents SET id = id WHERE 0; END;
WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 150)
    INSERT INTO entries SELECT i, 'name ' || (i * 7919 % 150), randomblob(i % 40) FROM n;
INSERT INTO entries VALUES (1000, 'large', zeroblob(6000));
INSERT INTO pairs SELECT name, id FROM entries;
INSERT INTO parents SELECT id FROM entries WHERE id < 20;
INSERT INTO children SELECT id, id FROM parents;
CREATE TABLE gone (x);
INSERT INTO gone SELECT zeroblob(3000) FROM parents;
DROP TABLE gone;
PRAGMA user_version = 7;
"""
_SEARCH = """
CREATE VIRTUAL TABLE words USING fts5 (title, body);
CREATE VIRTUAL TABLE old USING fts4 (body);
CREATE VIRTUAL TABLE boxes USING rtree (id, x0, x1, y0, y1);
WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 120)
    INSERT INTO words SELECT 'title ' || i, 'alpha beta ' || (i % 13) FROM n;
INSERT INTO old SELECT body FROM words;
INSERT INTO boxes SELECT rowid, rowid, rowid + 2, -rowid, rowid FROM words;
CREATE TABLE plain (x);
INSERT INTO plain SELECT title FROM words;
CREATE VIEW recent AS SELECT * FROM plain;
"""
_MADE = """
CREATE TABLE made (x INTEGER, y TEXT, z AS (x * 2), s TEXT AS (y || '!') STORED, CHECK (x >= 0));
CREATE INDEX made_by_z ON made (z, lower(y));
CREATE INDEX made_partly ON made (y) WHERE x > 5;
CREATE TABLE strictly (x INTEGER PRIMARY KEY AUTOINCREMENT, y ANY) STRICT;
WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200)
    INSERT INTO made (x, y) SELECT i, hex(i * 977) FROM n;
INSERT INTO strictly (y) SELECT y FROM made;
CREATE VIEW recent AS SELECT x, z FROM made;
"""
BASES = {
    "plain": (_PLAIN, "delete", "SELECT count(*) FROM entries e JOIN pairs p ON e.name = p.a"),
    "vacuuming": ("PRAGMA auto_vacuum = FULL;" + _PLAIN, "wal", "SELECT sum(id) FROM entries"),
    "search": (_SEARCH, "wal", "SELECT count(*) FROM words WHERE words MATCH 'alpha'"),
    "boxes": (_SEARCH, "delete", "SELECT count(*) FROM boxes WHERE x0 > 5 AND y1 < 90"),
    "made": (_MADE, "wal", "SELECT count(DISTINCT z) FROM made"),
    "utf-16": ("PRAGMA encoding = 'UTF-16le';" + _MADE, "delete", "SELECT max(s) FROM made"),
}
"""Schema and content, the journal mode that the manifest gives, and a count that it declares."""
VIEW = "SELECT count(*) FROM recent"

_ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS x FROM n"
_SLOW = "instr(hex(zeroblob(500000)), hex(zeroblob(250000)) || '1')"
_SQL = (
    "",
    "\0",
    "CREATE",
    "CREATE TABLE t (x)",
    "CREATE TABLE t (x, x)",
    "CREATE TABLE t AS SELECT 1",
    "CREATE TABLE entries (id, name, body, " + ", ".join(f"c{n}" for n in range(1990)) + ")",
    "CREATE TABLE made (x, y COLLATE nobody)",
    "CREATE TABLE made (x, y, z AS (nobody(x)), s)",
    "CREATE TABLE made (x, y, z AS (s), s AS (z))",
    f"CREATE TABLE made (x, y, z AS ({_SLOW}), s)",
    f"CREATE TABLE entries (id INTEGER PRIMARY KEY, name, body, CHECK ({_SLOW}))",
    f"CREATE INDEX entries_by_name ON entries ({_SLOW})",
    f"CREATE INDEX entries_by_name ON entries (name) WHERE {_SLOW}",
    "CREATE INDEX entries_by_name ON entries (name COLLATE nobody)",
    "CREATE INDEX entries_by_name ON entries (load_extension(name))",
    "CREATE INDEX entries_by_name ON entries (randomblob(100000000))",
    f"CREATE VIEW recent AS {_ENDLESS}",
    "CREATE VIEW recent AS SELECT * FROM recent",
    "CREATE VIEW recent AS SELECT " + "(" * 900 + "1" + ")" * 900,
    "CREATE VIEW recent AS SELECT hex(zeroblob(900000000))",
    "CREATE VIEW recent AS SELECT load_extension('/tmp/evil')",
    "CREATE VIEW recent AS SELECT * FROM dbstat",
    "CREATE VIEW recent AS SELECT fts3_tokenizer('simple', x'4141414141414141')",
    "CREATE VIEW recent AS SELECT * FROM entries a, entries b, entries c, entries d, entries e",
    "CREATE VIEW recent AS SELECT " + " UNION ALL SELECT ".join("1" * 499),
    "CREATE VIEW recent AS SELECT printf('%.*c', 900000000, 'x')",
    "CREATE VIEW recent AS SELECT max(x) OVER () FROM (" + _ENDLESS + ")",
    "CREATE TRIGGER noted AFTER INSERT ON entries BEGIN DELETE FROM entries; END",
    "CREATE VIRTUAL TABLE words USING fts5 (title, body, content='', columnsize=0)",
    "CREATE VIRTUAL TABLE words USING fts5 (title, body, tokenize='nobody')",
    "CREATE VIRTUAL TABLE words USING fts5 (x, content='words', content_rowid='x')",
    "CREATE VIRTUAL TABLE old USING fts4 (body, tokenize=nobody)",
    "CREATE VIRTUAL TABLE boxes USING rtree (id, x0, x1)",
    "CREATE VIRTUAL TABLE words USING nobody (x)",
    "CREATE VIRTUAL TABLE words USING csv (filename='/etc/passwd')",
    "CREATE VIRTUAL TABLE words USING dbstat",
    "CREATE VIRTUAL TABLE old USING fts3tokenize (simple)",
)
_DAMAGE = (
    "UPDATE words_data SET block = randomblob(length(block))",
    "UPDATE words_data SET block = zeroblob(2000000) WHERE id = 1",
    "UPDATE words_data SET block = x'00' || block WHERE id > 10",
    "UPDATE words_config SET v = 99",
    "DELETE FROM words_content WHERE id % 2",
    "DELETE FROM words_data",
    "DELETE FROM words_idx",
    "UPDATE words_docsize SET sz = randomblob(9)",
    "UPDATE old_segdir SET root = randomblob(length(root))",
    "UPDATE old_segdir SET start_block = 1, leaves_end_block = 1 << 40, end_block = 1 << 40",
    "DELETE FROM old_segments",
    "UPDATE old_stat SET value = x'ffffffffffffffffff'",
    "UPDATE boxes_node SET data = randomblob(length(data))",
    "UPDATE boxes_node SET data = x'0029' || substr(data, 3)",
    "UPDATE boxes_node SET data = x'0001ffff' || substr(data, 5)",
    "UPDATE boxes_node SET data = zeroblob(3)",
    "UPDATE boxes_parent SET parentnode = nodeno",
    "DELETE FROM boxes_node WHERE nodeno > 1",
)
_LIES = (
    "INSERT INTO entries (name) VALUES ('one more')",
    "DELETE FROM entries WHERE id = 7",
    "UPDATE entries SET body = zeroblob(5000000) WHERE id = 1",
    "INSERT INTO pairs VALUES ('one more', 1)",
    "INSERT INTO children VALUES (900, 900)",
    "DELETE FROM parents",
    "INSERT INTO made (x, y) VALUES (9, 'one more')",
    "DELETE FROM made WHERE x % 3 = 0",
    "DROP TABLE made",
    "DROP INDEX entries_by_name",
    "DROP VIEW recent",
    "CREATE TABLE added (x)",
    "CREATE VIEW added AS SELECT load_extension('/tmp/evil')",
    "CREATE TRIGGER added AFTER INSERT ON entries BEGIN DELETE FROM entries; END",
    'CREATE TABLE "" (x)',
    'CREATE TABLE "a""b\x1b[2J" (x)',
    'CREATE TABLE "' + "n" * 100_000 + '" (x)',
    "CREATE TABLE collated (x TEXT COLLATE theirs)",
    "CREATE INDEX collated ON entries (name COLLATE theirs)",
    "PRAGMA user_version = 8",
    "PRAGMA application_id = 8",
    "INSERT INTO words VALUES ('one more', 'alpha')",
    "DELETE FROM boxes WHERE id < 9",
    "DELETE FROM sqlite_sequence",
    "ANALYZE",
    "REINDEX",
)
_HEADER = (
    *((16, 2), (18, 1), (19, 1), (20, 1), (21, 1), (24, 4), (28, 4), (32, 4), (36, 4), (40, 4)),
    *((44, 4), (52, 4), (56, 4), (60, 4), (64, 4), (68, 4), (92, 4), (96, 4)),
)
"""Offset and length of the fields of a file's header (sqlite.org/fileformat2.html, 1.3)."""
_WORDS: tuple[object, ...] = (
    *("", "table", "index", "view", "trigger", "sqlite_master", "sqlite_stat1", "x\0y", None, 7),
    *(b"\xff\xfe", "\x1b[31m", "entries", "made", "n" * 70_000),
)
_SECONDS = 10
_NUMBERS = (0, 1, 2, 3, 5, 9, 127, 128, 255, 256, 1023, 1024, 4096, 65535, 1 << 24, (1 << 32) - 1)

Mutation = Callable[[Path, Random], None]


@dataclass(frozen=True)
class Mutant:
    """A database to be judged by the manifest of its `base`; `done` says what was done to it."""

    base: str
    done: tuple[str, ...]
    content: bytes


def build(path: Path, base: str) -> None:
    """Make the sound database `base` as the new file `path`."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE}")
        connection.executescript(BASES[base][0])


def mutant(base: str, sound: bytes, scratch: Path, chance: Random) -> Mutant:
    """Return a mutant of `sound`, a database `base`; it is made in the file `scratch`.

    In a child, because later mutations open what earlier ones made hostile.
    """
    scratch.write_bytes(sound)
    done = chance.choices(tuple(MUTATIONS), k=chance.choice((1, 1, 1, 2, 3)))
    seed = chance.random()

    def mutate() -> dict[str, object]:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_SECONDS)
        for number, name in enumerate(done):
            with suppress(sqlite3.Error, sqlite3.Warning, ValueError, OverflowError, IndexError):
                MUTATIONS[name](scratch, Random(f"{seed} {number}"))
        return {}

    with suppress(AgebackupError), Worker.start(mutate) as worker:
        worker.result(Progress())
    return Mutant(base, tuple(done), scratch.read_bytes())


def _number(chance: Random, width: int) -> bytes:
    value = chance.choice((*_NUMBERS, chance.getrandbits(8 * width)))
    return (value % (1 << 8 * width)).to_bytes(width)


def _put(path: Path, at: int, what: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(what)


def _page(path: Path, chance: Random) -> int:
    """Return where a page begins; rather one of the first, which others hang on."""
    count = max(path.stat().st_size // PAGE, 1)
    return PAGE * min(chance.randrange(count), chance.randrange(count))


def _header(path: Path, chance: Random) -> None:
    offset, width = chance.choice(_HEADER)
    _put(path, offset, _number(chance, width))


def _tree_header(path: Path, chance: Random) -> None:
    page = _page(path, chance)
    start = page or 100
    offset, width = chance.choice(((0, 1), (1, 2), (3, 2), (5, 2), (7, 1), (8, 4)))
    what = _number(chance, width)
    if (offset, width) == (0, 1):
        what = bytes([chance.choice((0, 2, 5, 10, 13, 255))])
    if offset == 8:
        what = (chance.choice((1, page // PAGE + 1, 2, 3, 1 << 31))).to_bytes(4)
    _put(path, start + offset, what)


def _cells(path: Path, chance: Random) -> None:
    page = _page(path, chance)
    for _ in range(chance.randint(1, 4)):
        at = (page or 100) + chance.choice((8, 12)) + 2 * chance.randrange(20)
        _put(path, at, _number(chance, 2))


def _noise(path: Path, chance: Random) -> None:
    size = path.stat().st_size
    for _ in range(chance.choice((1, 1, 4, 40))):
        _put(path, chance.randrange(100, size), chance.randbytes(chance.choice((1, 1, 2, 9))))


def _varints(path: Path, chance: Random) -> None:
    """Claim that a record is huge, or that its header is."""
    page = _page(path, chance)
    at = page + chance.randrange(100 if not page else 8, PAGE - 9)
    _put(path, at, chance.choice((b"\xff" * 9, b"\xff\xff\x7f", b"\x83\xff\xff\xff\x7f")))


def _pages(path: Path, chance: Random) -> None:
    one, other = (_page(path, chance) for _ in range(2))
    content = path.read_bytes()
    _put(path, one, content[other : other + PAGE])
    if chance.random() < 0.5:
        _put(path, other, content[one : one + PAGE])


def _empty(path: Path, chance: Random) -> None:
    _put(path, _page(path, chance), bytes([chance.choice((0, 0, 255))]) * PAGE)


def _freelist(path: Path, chance: Random) -> None:
    count = path.stat().st_size // PAGE
    trunk = chance.randint(1, count)
    _put(path, 32, trunk.to_bytes(4) + _number(chance, 4))
    following = chance.choice((trunk, 1, count, count + 9, 0))
    leaves = b"".join(chance.randint(0, count + 2).to_bytes(4) for _ in range(8))
    if trunk > 1:
        _put(path, (trunk - 1) * PAGE, following.to_bytes(4) + _number(chance, 4) + leaves)


def _loop(path: Path, chance: Random) -> None:
    """Lead an inner page, or an overflowing record, back to itself or to its parent."""
    page = _page(path, chance)
    number = chance.choice((page // PAGE + 1, 1, 2, 3)).to_bytes(4)
    content = path.read_bytes()[page : page + PAGE]
    start = 0 if page else 100
    if content[start : start + 1] in (b"\x02", b"\x05"):
        cell = int.from_bytes(content[start + 12 : start + 14])
        _put(path, page + chance.choice((start + 8, cell % PAGE)), number)
    else:
        _put(path, page + chance.choice((0, PAGE - 4)), number)


def _length(path: Path, chance: Random) -> None:
    size = path.stat().st_size
    new = chance.choice((0, 1, 99, 100, PAGE, size - PAGE, size - 1, size + 1, size + PAGE * 9))
    with path.open("r+b") as file:
        file.truncate(max(new, 0))


def _edited(path: Path, *statements: tuple[str, tuple[object, ...]]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.create_collation("theirs", lambda one, other: (one > other) - (one < other))
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for sql, values in statements:
            connection.execute(sql, values)


def _entry(path: Path, chance: Random) -> tuple[object, ...]:
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        rows = connection.execute("SELECT rowid, rootpage FROM sqlite_master").fetchall()
    entry: tuple[object, ...] = chance.choice(rows)
    return entry


def _roots(path: Path, chance: Random) -> None:
    (one, _), (_, other) = _entry(path, chance), _entry(path, chance)
    root = chance.choice((other, other, 0, 1, -1, 1 << 31, 1 << 62, "x", None, 2.5))
    _edited(path, ("UPDATE sqlite_master SET rootpage = ? WHERE rowid = ?", (root, one)))


def _schema(path: Path, chance: Random) -> None:
    one, _ = _entry(path, chance)
    sql = chance.choice(_SQL)
    named = [name for name in ("entries", "made", "recent", "words", "old", "boxes") if name in sql]
    where, key = (
        ("name", chance.choice(named)) if named and chance.random() < 0.8 else ("rowid", one)
    )
    _edited(path, (f"UPDATE sqlite_master SET sql = ? WHERE {where} = ?", (sql, key)))


def _entries(path: Path, chance: Random) -> None:
    one, _ = _entry(path, chance)
    column = chance.choice(("type", "name", "tbl_name"))
    sql = f"UPDATE sqlite_master SET {column} = ? WHERE rowid = ?"
    _edited(path, (sql, (chance.choice(_WORDS), one)))


def _strangers(path: Path, chance: Random) -> None:
    """Add an entry that no statement would make."""
    _, root = _entry(path, chance)
    kind = chance.choice(("table", "index", "view", "trigger", "virtual"))
    name = chance.choice(("", "added", "entries", "sqlite_added", "entries_by_name"))
    values = (kind, name, chance.choice((name, "entries", "made")), root, chance.choice(_SQL))
    _edited(path, ("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", values))


def _hidden(path: Path, chance: Random) -> None:
    """Take an entry out of the schema, its pages remaining; now and then all of them."""
    one, _ = _entry(path, chance)
    where = "1" if chance.random() < 0.1 else "rowid = ?1"
    _edited(path, (f"DELETE FROM sqlite_master WHERE {where} OR rowid = ?1", (one,)))


def _shadows(path: Path, chance: Random) -> None:
    for _ in range(3):
        with suppress(sqlite3.Error):
            _edited(path, (chance.choice(_DAMAGE), ()))


def _statements(path: Path, chance: Random) -> None:
    for _ in range(2):
        with suppress(sqlite3.Error):
            _edited(path, (chance.choice(_LIES), ()))


def _large(path: Path, chance: Random) -> None:
    """Make a schema of megabytes, or thousands of tables."""
    if chance.random() < 0.5:
        text = f"CREATE VIEW large AS SELECT '{'x' * chance.choice((10**5, 4 * 10**6))}'"
        _edited(path, (text, ()))
    else:
        _edited(path, *((f"CREATE TABLE t{n} (x)", ()) for n in range(300)))


MUTATIONS: dict[str, Mutation] = {
    "file header": _header,
    "tree header": _tree_header,
    "cell pointers": _cells,
    "noise": _noise,
    "huge records": _varints,
    "exchanged pages": _pages,
    "emptied page": _empty,
    "freelist": _freelist,
    "page loop": _loop,
    "length": _length,
    "root pages": _roots,
    "schema text": _schema,
    "schema entries": _entries,
    "added entries": _strangers,
    "hidden entries": _hidden,
    "shadow tables": _shadows,
    "other content": _statements,
    "large schema": _large,
}
