"""Looking into copies and restored databases, which may be made to harm whoever opens them."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live_databases import content, copied, make, make_endless
from system_faults import fault, run

from agebackup.errors import StoppedError
from agebackup.snapshot import inspection, schema
from agebackup.snapshot.inspection import (
    DatabaseFacts,
    QueryError,
    answer,
    examine,
    open_untrusted,
)
from agebackup.system.progress import Stop


@contextmanager
def untrusted(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_untrusted(path)) as connection:
        yield connection


def facts_of(path: Path) -> DatabaseFacts:
    with untrusted(path) as connection:
        return examine(connection, stop=Stop())


def scripted(path: Path, script: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    return path


class After(Stop):
    """Asks for the end at the `count`th look."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def check(self) -> None:
        self.count -= 1
        if not self.count:
            self.request(15)
        super().check()


def test_the_facts_of_a_sound_database(tmp_path: Path) -> None:
    """What the manifest records: header figures, rows of every ordinary table, foreign keys."""
    script = """
        CREATE TABLE child (parent REFERENCES entries (id), other REFERENCES absent (id));
        INSERT INTO child VALUES (1, NULL), (-1, NULL), (NULL, 5);
        CREATE VIRTUAL TABLE words USING fts5 (word);
        INSERT INTO words VALUES ('a'), ('b');
        CREATE TABLE "odd ""name" (x INTEGER PRIMARY KEY AUTOINCREMENT);
        CREATE VIEW seen AS SELECT * FROM entries;
    """
    facts = facts_of(make(tmp_path / "a.db", script=script))
    assert facts.problems == ()
    assert facts.unchecked == ""
    assert (facts.user_version, facts.application_id) == (7, 4711)
    assert (facts.page_size, facts.encoding) == (4096, "UTF-8")
    assert facts.foreign_key_violations == 2
    counted = {table: rows for table, rows in facts.rows.items() if not table.startswith("words_")}
    assert counted == {"child": 3, "entries": 200, 'odd "name': 0, "plain": 160, "tags": 134}
    assert facts.rows["words_content"] == 2
    assert "sqlite_sequence" not in facts.rows


def test_facts_are_those_of_every_copy(tmp_path: Path) -> None:
    """The schema hash and all the other facts survive VACUUM INTO and the backup API."""
    script = "CREATE TRIGGER t AFTER INSERT ON plain BEGIN SELECT 1; END; ANALYZE;"
    path = make(tmp_path / "a.db", script=script)
    original = facts_of(path)
    with copied(path) as (copy,):
        assert examine(copy.connection, stop=Stop()) == original
    with closing(sqlite3.connect(path)) as connection:
        with closing(sqlite3.connect(tmp_path / "b.db")) as backup:
            connection.backup(backup)
        connection.execute("CREATE INDEX one_more ON plain (value)")
    assert facts_of(tmp_path / "b.db") == original
    assert facts_of(path).schema_sha256 != original.schema_sha256


def test_the_schema_hash_is_the_one_that_the_format_describes(tmp_path: Path) -> None:
    """A second reader gets the same hash from the documented bytes."""
    path = scripted(
        tmp_path / "a.db", "CREATE TABLE t (k TEXT PRIMARY KEY); CREATE INDEX i ON t(k);"
    )
    found = facts_of(path).schema_sha256
    import hashlib

    text = (
        b"index\0i\0t\0CREATE INDEX i ON t(k)\ntable\0t\0t\0CREATE TABLE t (k TEXT PRIMARY KEY)\n"
    )
    assert found == hashlib.sha256(text).hexdigest()


def test_a_foreign_key_without_a_key_to_point_at_counts_once(tmp_path: Path) -> None:
    """A schema mistake that SQLite cannot check is recorded and ends nothing."""
    script = """
        CREATE TABLE parent (x); CREATE TABLE child (x REFERENCES parent (x));
        INSERT INTO child VALUES (1), (2);
    """
    facts = facts_of(scripted(tmp_path / "a.db", script))
    assert (facts.problems, facts.foreign_key_violations) == ((), 1)


def test_what_needs_the_application_is_said_and_the_rest_checked(tmp_path: Path) -> None:
    """A missing collation hides no damage elsewhere and is no damage itself."""
    path = make(tmp_path / "a.db", rows=2000)
    with closing(sqlite3.connect(path)) as application:
        application.create_collation("app", lambda one, other: (one < other) - (one > other))
        application.execute("CREATE INDEX backward ON plain (value COLLATE app)")
        application.execute("CREATE TABLE k (x TEXT COLLATE app PRIMARY KEY) WITHOUT ROWID")
        application.execute("INSERT INTO k VALUES ('a'), ('b'), ('c')")
        application.commit()
    facts = facts_of(path)
    assert facts.problems == ()
    assert facts.unchecked == "no such collation sequence: app"
    assert facts.rows["k"] == 3
    intact = path.read_bytes()
    path.write_bytes(intact[: 20 * 4096] + bytes(4096) + intact[21 * 4096 :])
    assert facts_of(path).problems


def test_an_index_that_differs_from_its_table_is_found(tmp_path: Path) -> None:
    """integrity_check is the whole one: quick_check would pass this database."""
    path = make(tmp_path / "a.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("DELETE FROM sqlite_master WHERE name = 'entries_by_name'")
        connection.commit()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() != ("ok",)
    problems = facts_of(path).problems
    assert problems


BOXES = """
    CREATE VIRTUAL TABLE "odd ""name" USING rtree (id, x0, x1);
    INSERT INTO "odd ""name" VALUES (1, 0, 1), (2, 5, 6);
    CREATE VIRTUAL TABLE whole USING rtree_i32 (id, x0, x1);
    CREATE VIRTUAL TABLE words USING fts5 (word);
"""


@pytest.mark.parametrize(
    "damage",
    [
        'UPDATE "odd ""name_node" SET data = zeroblob(3)',
        'UPDATE "odd ""name_node" SET data = x\'0000ffff\' || substr(data, 5)',
        "DELETE FROM whole_node",
    ],
)
def test_a_damaged_r_tree_is_found(tmp_path: Path, damage: str) -> None:
    """Whatever the version of SQLite: its integrity_check looks into no R-tree before 3.44."""
    path = scripted(make(tmp_path / "a.db"), BOXES)
    assert facts_of(path).problems == ()
    assert facts_of(scripted(path, damage + ";")).problems


def test_problems_are_bounded(tmp_path: Path) -> None:
    """Twenty lines and a number, however much is wrong."""
    path = make(tmp_path / "a.db", rows=1000)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        row = connection.execute("SELECT * FROM sqlite_master WHERE name = 'entries_by_name'")
        row = row.fetchone()
        connection.execute("DELETE FROM sqlite_master WHERE name = 'entries_by_name'")
        connection.commit()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE entries SET name = name || '!'")
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)
        connection.commit()
    problems = facts_of(path).problems
    assert len(problems) == 21
    assert problems[-1].startswith("and at least ")


def lying_header(path: Path, offset: int, value: bytes) -> Path:
    intact = make(path).read_bytes()
    path.write_bytes(intact[:offset] + value + intact[offset + len(value) :])
    return path


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (16, b"\x00\x00"),  # page size 0
        (16, b"\xff\xff"),
        (20, b"\xff"),  # more reserved bytes than the page has room for
        (28, b"\x00\x00\x00\x00"),  # a database of 0 pages
        (28, b"\xff\xff\xff\xff"),  # of more pages than there can be
        (32, b"\xff\xff\xff\xff"),  # a freelist that begins nowhere
        (44, b"\x00\x00\x00\x09"),  # a schema format of the future
        (100, b"\x00" * 8),  # no b-tree on the first page
        (103, b"\xff\xff"),  # more cells than fit
    ],
)
def test_a_lying_header_is_a_finding_and_no_crash(
    tmp_path: Path, offset: int, value: bytes
) -> None:
    """Whatever the header says, examining ends soon and answers."""
    path = lying_header(tmp_path / "a.db", offset, value)
    begun = time.monotonic()
    facts = facts_of(path)
    assert isinstance(facts, DatabaseFacts)
    assert facts.problems or facts.rows["entries"] == 200
    assert time.monotonic() - begun < 5


@given(st.lists(st.tuples(st.integers(0, 40_000), st.binary(min_size=1, max_size=40)), max_size=5))
@settings(deadline=None, max_examples=150)
def test_damage_of_any_kind_is_a_finding_and_no_crash(damage: list[tuple[int, bytes]]) -> None:
    """However pages are overwritten, examining raises nothing and its lines can be printed."""
    content = bytearray(SOUND)
    for offset, value in damage:
        content[offset : offset + len(value)] = value
    HOSTILE.write_bytes(content)
    facts = facts_of(HOSTILE)
    assert all(line.isprintable() for line in facts.problems)


@pytest.fixture(autouse=True, scope="module")
def _sound(tmp_path_factory: pytest.TempPathFactory) -> None:
    global SOUND, HOSTILE
    HOSTILE = tmp_path_factory.mktemp("hostile") / "a.db"
    SOUND = make(HOSTILE, rows=60).read_bytes()


SOUND: bytes
HOSTILE: Path


@pytest.mark.parametrize("content", [b"", b"x", b"SQLite format 3\0", os.urandom(5000)])
def test_what_is_no_database_at_all_is_a_finding(tmp_path: Path, content: bytes) -> None:
    """An archive may call anything a database."""
    (tmp_path / "a.db").write_bytes(content)
    assert facts_of(tmp_path / "a.db").problems or not content


def test_a_companion_beside_a_restored_database_changes_nothing(tmp_path: Path) -> None:
    """A smuggled -wal is neither read nor touched."""
    path = make(tmp_path / "a.db", mode="wal")
    (tmp_path / "other").mkdir()
    with closing(sqlite3.connect(path)) as application:
        application.execute("INSERT INTO plain VALUES ('EVIL')")
        application.commit()
        for name in ("a.db", "a.db-wal"):
            (tmp_path / "other" / name).write_bytes((tmp_path / name).read_bytes())
        before = content(tmp_path / "other")
        with untrusted(tmp_path / "other" / "a.db") as connection:
            sql = "SELECT count(*) FROM plain WHERE value = 'EVIL'"
            assert answer(connection, sql, stop=Stop()) == [(0,)]
        assert content(tmp_path / "other") == before


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO plain VALUES (1)",
        "DELETE FROM plain",
        "CREATE TABLE made (x)",
        "CREATE TEMP TABLE made (x)",
        "DROP TABLE plain",
        "ATTACH 'made.db' AS made",
        "ATTACH 'file:made.db?mode=rwc' AS made",
        "VACUUM INTO 'made.db'",
        "PRAGMA query_only=OFF",
        "PRAGMA trusted_schema=ON",
        "PRAGMA writable_schema=ON",
        "PRAGMA temp_store_directory='/'",
        "PRAGMA journal_mode",
        "SELECT load_extension('/tmp/evil')",
        "SELECT 1; SELECT 2",
        "SELECT ?",
        "SELECT * FROM absent",
        "SELECT 1 FROM (",
        "BEGIN",
        "",
        "-- nothing",
        "\0",
        "SELECT '\udcff'",
    ],
)
def test_a_query_that_does_more_than_select_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    """Queries come from archives too: none can write, attach, load or change a setting."""
    path = make(tmp_path / "a.db")
    monkeypatch.chdir(tmp_path)
    before = content(tmp_path)
    with untrusted(path) as connection:
        with pytest.raises(QueryError) as error:
            answer(connection, sql, stop=Stop())
        assert error.value.message.isprintable()
        assert answer(connection, "SELECT count(*) FROM plain", stop=Stop()) == [(160,)]
    assert content(tmp_path) == before


def test_queries_see_what_the_application_would(tmp_path: Path) -> None:
    """Joins, aggregates, views, full text, recursion, blobs and paths that are no text work."""
    script = """
        CREATE VIEW names AS SELECT name FROM entries WHERE id < 2;
        CREATE VIRTUAL TABLE words USING fts5 (word);
        INSERT INTO words VALUES ('needle'), ('hay');
        INSERT INTO plain VALUES (CAST(x'ff2e6a7067' AS TEXT)), (x'0001');
    """
    with untrusted(make(tmp_path / "a.db", script=script)) as connection:

        def ask(sql: str) -> list[tuple[object, ...]]:
            return answer(connection, sql, stop=Stop())

        assert ask("SELECT * FROM names ORDER BY 1") == [("name 0",), ("name 1",)]
        assert ask("SELECT word FROM words WHERE words MATCH 'needle'") == [("needle",)]
        assert ask("SELECT value FROM plain WHERE rowid <= 2") == [("\udcff.jpg",), (b"\0\1",)]
        numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION SELECT i + 1 FROM n LIMIT 9)"
        assert ask(f"{numbers} SELECT count(*), max(i) FROM n") == [(9, 9)]
        assert ask("SELECT 1 WHERE 0") == []


JSON_SCHEMA = """
CREATE TABLE notes (body TEXT, kind GENERATED ALWAYS AS (json_extract(body, '$.kind')));
CREATE INDEX notes_by_title ON notes (json_extract(body, '$.title'));
INSERT INTO notes VALUES ('{"title": "one", "kind": "page"}'), ('{"title": "two"}');
"""


def test_an_index_over_json_is_no_damage(tmp_path: Path) -> None:
    """A schema that uses SQLite's JSON functions is sound, whatever this SQLite thinks of them."""
    facts = facts_of(scripted(tmp_path / "a.db", JSON_SCHEMA))
    assert (facts.problems, facts.unchecked, facts.rows) == ((), "", {"notes": 2})


@pytest.mark.parametrize("call", ["load_extension('/tmp/evil')", "fts3_tokenizer('simple')"])
def test_a_schema_with_json_may_not_do_more_than_others(tmp_path: Path, call: str) -> None:
    """Beside an index over JSON a function with effects is refused as in any other schema."""
    script = f"{JSON_SCHEMA} CREATE VIEW trap AS SELECT {call} AS c;"
    with (
        untrusted(scripted(tmp_path / "a.db", script)) as connection,
        pytest.raises(QueryError, match=r"unsafe use|not authorized|prohibited"),
    ):
        answer(connection, "SELECT * FROM trap", stop=Stop())


HOSTILE_SCHEMA = """
    CREATE VIEW bomb AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
        SELECT count(*) AS c FROM n;
    CREATE VIEW trap AS SELECT load_extension('/tmp/evil') AS c;
    CREATE TRIGGER t AFTER INSERT ON plain BEGIN DELETE FROM entries; END;
    CREATE TRIGGER u INSTEAD OF INSERT ON bomb BEGIN DELETE FROM entries; END;
    CREATE VIEW huge AS SELECT hex(zeroblob(900000000)) AS c;
"""


def test_a_hostile_schema_does_not_run(tmp_path: Path) -> None:
    """Triggers and views of a restored database are inert while it is examined."""
    begun = time.monotonic()
    facts = facts_of(scripted(make(tmp_path / "a.db"), HOSTILE_SCHEMA))
    assert time.monotonic() - begun < 5
    assert facts.rows["entries"] == 200
    with untrusted(tmp_path / "a.db") as connection:
        for sql in ("SELECT c FROM trap", "SELECT c FROM huge"):
            with pytest.raises(QueryError):
                answer(connection, sql, stop=Stop())


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM bomb",
        "SELECT count(*) FROM entries a, entries b, entries c, entries d, entries e",
    ],
)
def test_an_endless_query_ends_at_its_deadline_or_at_a_stop(tmp_path: Path, sql: str) -> None:
    """Neither an archive nor a careless config can keep a run busy for ever."""
    with untrusted(scripted(make(tmp_path / "a.db"), HOSTILE_SCHEMA)) as connection:
        begun = time.monotonic()
        with pytest.raises(QueryError, match="longer than"):
            answer(connection, sql, stop=Stop(), deadline_seconds=0.1)
        with pytest.raises(StoppedError):
            answer(connection, sql, stop=After(3))
        assert time.monotonic() - begun < 1


def test_a_query_cannot_take_all_the_memory(tmp_path: Path) -> None:
    """What a query of a restored database gathers is bounded, and so is what it returns."""
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
    with untrusted(make(tmp_path / "a.db")) as connection:
        for sql in (
            f"{endless} SELECT count(DISTINCT hex(zeroblob(500000)) || i) FROM n",
            "SELECT hex(zeroblob(400000000))",
        ):
            with pytest.raises(QueryError):
                answer(connection, sql, stop=Stop())
        with pytest.raises(QueryError, match="more than 5 rows"):
            answer(connection, f"{endless} SELECT i FROM n", stop=Stop(), max_rows=5)


def test_an_endless_check_ends_at_its_deadline_or_at_a_stop(tmp_path: Path) -> None:
    """A small database can be made so that its check takes minutes: it is given up."""
    with untrusted(make_endless(tmp_path / "a.db")) as connection:
        begun = time.monotonic()
        facts = examine(connection, stop=Stop(), deadline_seconds=0.1)
        assert facts.problems == ("it took longer than 0.1 seconds",)
        with pytest.raises(StoppedError):
            examine(connection, stop=After(3))
        assert time.monotonic() - begun < 1


def test_large_records_are_read(tmp_path: Path) -> None:
    """A limit made against hostile records does not refuse honest ones."""
    path = make(tmp_path / "a.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO plain VALUES (zeroblob(30000000))")
        connection.commit()
    assert facts_of(path).problems == ()
    with untrusted(path) as connection:
        sql = "SELECT max(length(value)) FROM plain WHERE typeof(value) = 'blob'"
        assert answer(connection, sql, stop=Stop()) == [(30_000_000,)]


def with_odd_name(path: Path, rows: int = 3) -> Path:
    """Make a sound database that has a table whose name is not valid UTF-8."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE plain (x)")
        connection.execute("INSERT INTO plain VALUES (1), (2)")
        connection.execute("CREATE TABLE oddXname (x)")
        connection.executemany("INSERT INTO oddXname VALUES (?)", [(n,) for n in range(rows)])
        connection.execute("DELETE FROM oddXname WHERE x = 1")
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute(
            "UPDATE sqlite_master SET name = CAST(x'6f6464ff6e616d65' AS TEXT), "
            "tbl_name = CAST(x'6f6464ff6e616d65' AS TEXT), "
            "sql = CAST(x'435245415445205441424c45206f6464ff6e616d6520287829' AS TEXT) "
            "WHERE name = 'oddXname'"
        )
    return path


@pytest.mark.parametrize("consistency", ["single", "atomic"])
def test_a_table_whose_name_is_no_text_is_no_damage(tmp_path: Path, consistency: str) -> None:
    """Its database is copied page by page, rowids and all; what was not counted is said."""
    paths = [with_odd_name(tmp_path / "a.db")]
    if consistency == "atomic":
        paths.append(make(tmp_path / "b.db"))
    with copied(*paths, consistency=consistency) as copies:  # type: ignore[arg-type]
        found = examine(copies[0].connection, stop=Stop())
        assert copies[0].method == "backup" and "not valid UTF-8" in copies[0].reason
    assert found.problems == () and "not valid UTF-8" in found.unchecked
    assert found.rows == {"plain": 2}
    assert facts_of(paths[0]) == found


def test_a_schema_without_bounds_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hostile schema is measured before it is read; also what hides behind a NUL is counted."""
    monkeypatch.setattr(schema, "MAX_SCHEMA_BYTES", 2 << 20)
    path = make(tmp_path / "a.db")
    assert facts_of(path).problems == ()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE VIEW v AS SELECT 1")
        connection.execute("PRAGMA writable_schema=ON")
        hidden = "sql || CAST(x'00' AS TEXT) || replace(hex(zeroblob(1500000)), '00', 'xx')"
        connection.execute(f"UPDATE sqlite_master SET sql = {hidden} WHERE name = 'v'")
    (problem,) = facts_of(path).problems
    assert "schema is larger than 2 MiB" in problem


def test_an_answer_is_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows of very much text are refused like very many rows."""
    monkeypatch.setattr(inspection, "ANSWER_BYTES", 1 << 20)
    with untrusted(make(tmp_path / "a.db")) as connection:
        assert answer(connection, "SELECT zeroblob(1000000)", stop=Stop())
        with pytest.raises(QueryError, match="more than 1 MiB"):
            answer(connection, "SELECT zeroblob(600000), name FROM entries", stop=Stop())


@pytest.mark.linux
def test_a_disk_that_fails_is_not_the_databases_fault(tmp_path: Path) -> None:
    """An I/O error while a copy is examined is a failure of this machine, never a finding."""
    path = make(tmp_path / "a.db", rows=5000)
    scenario = """
    from agebackup.snapshot.inspection import examine, open_untrusted
    from agebackup.system.progress import Stop
    print(examine(open_untrusted(here / "a.db"), stop=Stop()).problems)
    """
    assert run(scenario, tmp_path).stdout == "()\ndone\n"
    for number in (1, 2, 4, 10, 40):
        under = (*fault(f"pread64:error=EIO:when={number}+", "read:error=EIO"), "-P", str(path))
        done = run(scenario, tmp_path, under=under)
        assert done.stdout.startswith("FailedError The private copy of a database cannot"), done
        assert done.returncode == 1
