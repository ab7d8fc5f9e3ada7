"""The ledger keeps what it was told, and where it cannot, it says so and changes nothing."""

import os
import random
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from system_faults import OWN_MOUNTS, ROOT, fault, run, start

from agebackup.ledger import Ledger, LedgerError, open_ledger
from agebackup.ledger.patience import patience
from agebackup.ledger.rows import TABLES, columns, loaded, stored
from agebackup.ledger.salvage import content_of
from agebackup.ledger.schema import APPLICATION_ID, STEPS, VERSION, bring_forward, version_of
from agebackup.ledger.store import RUNS_KEPT
from agebackup.model.names import ArchiveName
from agebackup.model.records import (
    ArchiveRecord,
    DatabaseFigures,
    Figures,
    RunRecord,
    TreeFigures,
)
from agebackup.system.claims import Claims
from agebackup.system.clock import Stopwatch
from agebackup.system.process import Worker
from agebackup.system.progress import Progress

START = datetime(2026, 11, 20, 2, 15, tzinfo=UTC)
FOLDER = "/home/person/Dropbox/backups"


def archive(number: int, app: str = "notes", **changes: Any) -> ArchiveRecord:
    """Return an archive, the later the larger its number."""
    name = ArchiveName(app, START + timedelta(hours=number), f"{number:08x}")
    record = ArchiveRecord.of(name, FOLDER)
    figures = Figures(
        {"data/notes.db": DatabaseFigures(4096 * number, number)}, {"data/a": TreeFigures(1, 2)}
    )
    usual = {"size": 1000 + number, "sha256": "ab" * 32, "figures": figures}
    return replace(record, **(usual | changes))


def ran(number: int, outcome: str = "ok", app: str = "notes") -> RunRecord:
    """Return a run, the later the larger its number."""
    begun = START + timedelta(hours=number)
    return RunRecord(f"{app}-{number}", app, "auto", begun, outcome=outcome)  # type: ignore[arg-type]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a ledger is to be."""
    return tmp_path / "state" / "ledger.db"


@pytest.fixture
def ledger(file: Path) -> Iterator[Ledger]:
    """A new, open ledger."""
    with open_ledger(file) as made:
        yield made


@contextmanager
def database(file: Path) -> Iterator[sqlite3.Connection]:
    """Open the ledger's file as anybody could; what is done there counts."""
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as connection:
        yield connection


# ---- values


TEXTS = st.text(st.characters(), max_size=20) | st.sampled_from(["\0", '\0"', "ü", "\udcff/x"])
TIMES = st.datetimes(
    datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)
) | st.datetimes(
    datetime(2000, 1, 1),
    timezones=st.just(timezone(timedelta(hours=-5))),
    max_value=datetime(2100, 1, 1),
)
COUNTS = st.integers(0, 2**63 - 1)
FIGURES = st.builds(
    Figures,
    st.dictionaries(TEXTS, st.builds(DatabaseFigures, COUNTS, COUNTS), max_size=3),
    st.dictionaries(TEXTS, st.builds(TreeFigures, COUNTS, COUNTS), max_size=3),
)
_BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    datetime: TIMES,
    datetime | None: st.none() | TIMES,
    int | None: st.none() | COUNTS,
    float | None: st.none() | st.floats(allow_nan=False, allow_infinity=False),
    Figures | None: st.none() | FIGURES,
    tuple[str, ...]: st.lists(TEXTS, max_size=3).map(tuple),
}


def records(kind: type) -> st.SearchStrategy[Any]:
    """Any record of `kind`."""
    given = {one.name: _BY_TYPE[one.type] for one in fields(kind) if one.type in _BY_TYPE}
    if kind is RunRecord:
        given["versions"] = st.dictionaries(TEXTS, TEXTS, max_size=3)
    return st.builds(kind, **given)


@given(st.one_of([records(kind) for kind in TABLES]))
@settings(max_examples=150, deadline=None)
def test_any_record_comes_back_as_it_went(record: Any) -> None:
    """Whatever a record holds, names that are no UTF-8 among it, it is loaded as it was stored."""
    kind = type(record)
    names = columns(kind)
    values = [stored(name, getattr(record, name)) for name in names]
    with closing(sqlite3.connect(":memory:")) as connection:
        row = connection.execute(f"SELECT {', '.join('?' * len(values))}", values).fetchone()
    assert loaded(kind, row) == record


@given(st.tuples(*(records(kind) for kind in TABLES)))
@settings(max_examples=15, deadline=None)
def test_the_file_keeps_any_record(
    tmp_path_factory: pytest.TempPathFactory, put: tuple[Any, ...]
) -> None:
    """Put into a ledger and read after it was closed, any record is what it was."""
    file = tmp_path_factory.mktemp("any") / "ledger.db"
    with open_ledger(file) as ledger:
        ledger.put(*put)
    run, archive, destination, keycheck, drill, push = put
    with open_ledger(file, make=False) as ledger:
        assert ledger.runs() == (run,)
        found = ledger.archives(deleted=True, pending=True, destination=archive.destination)
        assert found == (archive,)
        assert ledger.destinations() == (destination,)
        assert (ledger.keychecks(), ledger.drills()) == ((keycheck,), (drill,))
        assert ledger.pushes() == (push,)


def test_the_tables_have_the_records_fields(ledger: Ledger, file: Path) -> None:
    """Each field of a record has its column, and no column is without a field."""
    with database(file) as connection:
        for kind, table in TABLES.items():
            found = connection.execute(f"PRAGMA table_info({table})").fetchall()
            assert {row[1] for row in found} == set(columns(kind))


UNRECORDABLE: dict[str, dict[str, Any]] = {
    "a time without a zone": {"checked": datetime(2026, 1, 1)},
    "a number beyond SQLite's": {"size": 2**63},
    "a list for a text": {"tag": ["a"]},
    "nothing for a text": {"tag": None},
}


@pytest.mark.parametrize("changes", UNRECORDABLE.values(), ids=UNRECORDABLE.keys())
def test_what_cannot_be_recorded_is_refused(ledger: Ledger, changes: dict[str, Any]) -> None:
    """A value that no column can hold is a `LedgerError`, and nothing of that call is written."""
    for call in (
        lambda: ledger.put(archive(1), archive(2, **changes)),
        lambda: ledger.amend(archive(1), note="x", **changes),
    ):
        with pytest.raises(LedgerError) as caught:
            call()
        assert not caught.value.damaged
    assert ledger.archives() == ()


NONSENSE = {
    "kind": "sometimes",
    "time": "yesterday",
    "checked": "2026-01-01T00:00:00",
    "hashed": "2026-13-01T00:00:00+00:00",
    "kept": 7,
    "pending": "perhaps",
    "size": "large",
    "tag": b"bytes",
    "deleted": b"bytes",
    "check": "glance",
    "stanzas": "X25519",
    "figures": "[1, 2]",
    "note": "\0no json",
}


@pytest.mark.parametrize("column", NONSENSE)
def test_a_row_that_makes_no_sense_is_damage(ledger: Ledger, file: Path, column: str) -> None:
    """A row that somebody edited into nonsense is called damage, and is no traceback."""
    ledger.put(archive(1))
    with database(file) as connection:
        connection.execute(f'UPDATE archives SET "{column}" = ?', (NONSENSE[column],))
    with pytest.raises(LedgerError) as caught:
        ledger.archives(deleted=True, pending=True)
    assert caught.value.damaged
    with pytest.raises(LedgerError):
        ledger.problems()


def test_text_that_is_no_text_is_damage(ledger: Ledger, file: Path) -> None:
    """Bytes that are no UTF-8 in a text column are called damage."""
    ledger.put(archive(1))
    with database(file) as connection:
        connection.execute("UPDATE archives SET note = CAST(x'ff' AS TEXT)")
    with pytest.raises(LedgerError) as caught:
        ledger.archives()
    assert caught.value.damaged


@pytest.mark.parametrize("change", ["DROP TABLE runs", "ALTER TABLE archives DROP COLUMN note"])
def test_a_schema_with_a_hole_is_damage(file: Path, change: str) -> None:
    """A ledger from which a table or a column was dropped is called damaged."""
    open_ledger(file).close()
    with database(file) as connection:
        connection.execute(change)
    with pytest.raises(LedgerError) as caught, open_ledger(file) as ledger:
        ledger.archives()
    assert caught.value.damaged


# ---- what is written and asked


def test_archives_are_found_as_asked(ledger: Ledger) -> None:
    """By app and folder, newest first; deleted and unpublished ones only on request."""
    plain, other = archive(1), archive(2, "other")
    elsewhere = replace(archive(3), destination="/mnt/disk")
    deleted = archive(4, deleted=START, deleted_why="keep-last")
    doomed = archive(5, deleted=START, pending="delete")
    announced = archive(6, pending="publish")
    ledger.put(announced, plain, doomed, elsewhere, other, deleted)
    assert ledger.archives() == (elsewhere, other, plain)
    assert ledger.archives("notes") == (elsewhere, plain)
    assert ledger.archives("notes", destination=FOLDER) == (plain,)
    assert ledger.archives("notes", limit=1) == (elsewhere,)
    assert ledger.archives("notes", deleted=True) == (doomed, deleted, elsewhere, plain)
    assert ledger.archives("notes", pending=True) == (announced, elsewhere, plain)
    assert len(ledger.archives(deleted=True, pending=True)) == 6
    assert ledger.archives("unknown") == ()


def test_amend_changes_what_it_names(ledger: Ledger) -> None:
    """What another process wrote into other fields stays; an unknown archive is written whole."""
    mine = archive(1)
    ledger.put(mine)
    ledger.amend(mine, kept=True)
    assert ledger.amend(mine, tag="gold") == replace(mine, tag="gold")
    assert ledger.archives() == (replace(mine, kept=True, tag="gold"),)
    assert ledger.amend(mine) == mine
    ledger.amend(archive(2), note="new")
    assert ledger.archives()[0] == archive(2, note="new")


def test_add_replaces_nothing(ledger: Ledger) -> None:
    """What is known already stays as it is."""
    ledger.put(archive(1, tag="known"))
    ledger.add(archive(1), archive(2))
    assert ledger.archives() == (archive(2), archive(1, tag="known"))


def test_forgotten_rows_are_gone(ledger: Ledger) -> None:
    """A forgotten archive is as if it had never been; others stay."""
    ledger.put(archive(1), archive(2))
    ledger.forget([archive(1), archive(3)])
    assert ledger.archives(deleted=True, pending=True) == (archive(2),)


def test_several_writes_count_together(ledger: Ledger) -> None:
    """After an exception nothing of the body is there, and the exception comes out as it was."""
    ledger.put(archive(1))
    with pytest.raises(KeyError), ledger.together():
        ledger.put(archive(2))
        ledger.forget([archive(1)])
        ledger.amend(archive(3), tag="x")
        ledger.begin_series(START)
        raise KeyError("mine")
    assert ledger.archives() == (archive(1),)
    with ledger.together():
        ledger.put(archive(2))
        with ledger.together():
            ledger.forget([archive(1)])
    assert ledger.archives() == (archive(2),)


def test_numbers_follow_one_another(ledger: Ledger) -> None:
    """The next archive's number and predecessor are those of its app in this series alone."""
    first = ledger.sequel("notes")
    assert (first.series, first.sequence, first.previous_name) == (ledger.series, 1, "")
    ours = {"series": ledger.series}
    ledger.put(
        archive(1, sequence=1, **ours),
        archive(2, sequence=2, deleted=START, **ours),
        archive(3, sequence=3, pending="publish", **ours),
        archive(4, sequence=40, series="another"),
        archive(5, "other", sequence=50, **ours),
        archive(6),
    )
    second = ledger.sequel("notes")
    assert (second.sequence, second.previous_name) == (3, archive(2).name)
    assert second.previous_sha256 == archive(2).sha256
    old = ledger.series
    assert ledger.begin_series(START) == ledger.series != old
    assert ledger.sequel("notes").sequence == 1


def test_a_series_lasts(file: Path) -> None:
    """The series is the ledger's own, whoever opens it again."""
    with open_ledger(file) as ledger:
        series = ledger.begin_series(START)
    with open_ledger(file) as ledger:
        assert ledger.series == series


def test_old_runs_are_thinned(ledger: Ledger) -> None:
    """Of each app so many runs are kept, the newest, and its last success however old it is."""
    failures = [ran(number, "failed") for number in range(2, RUNS_KEPT + 7)]
    ledger.put(ran(0), ran(1, "incomplete"), ran(0, app="other"), *failures)
    kept = ledger.runs("notes", limit=-1)
    assert kept == (*reversed(failures[-RUNS_KEPT:]), ran(1, "incomplete"))
    assert ledger.runs("other") == (ran(0, app="other"),)
    assert len(ledger.runs(limit=3)) == 3


# ---- the file


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_nobody_else_may_read_it(file: Path, umask: int) -> None:
    """File, -wal and -shm are 0600 and the directory 0700, whatever the umask."""
    before = os.umask(umask)
    try:
        with open_ledger(file) as ledger:
            ledger.put(archive(1))
            modes = {path.name: path.stat().st_mode & 0o777 for path in file.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("ledger.db", "ledger.db-wal", "ledger.db-shm"), 0o600)
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_rights_that_others_were_given_are_taken_away(file: Path) -> None:
    """A ledger that somebody made readable for all is 0600 again once it was opened."""
    with open_ledger(file) as ledger:
        ledger.put(archive(1))
        for path in file.parent.iterdir():
            path.chmod(0o644)
        with open_ledger(file):
            assert {path.stat().st_mode & 0o777 for path in file.parent.iterdir()} == {0o600}


def of_another_app(file: Path) -> None:
    with database(file) as connection:
        connection.execute("PRAGMA application_id = 7")
        connection.execute("CREATE TABLE a (b)")


def unmarked(file: Path) -> None:
    with database(file) as connection:
        connection.execute("CREATE TABLE a (b)")


IN_ITS_PLACE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link": (lambda file: file.symlink_to(file.parent / "target"), "taken"),
    "a directory": (lambda file: file.mkdir(), "taken"),
    "a pipe": (os.mkfifo, "taken"),
    "another app's database": (of_another_app, "taken"),
    "a database of nobody": (unmarked, "taken"),
    "a text": (lambda file: file.write_text("a list of backups\n" * 100), "damaged"),
    "a short text": (lambda file: file.write_text("backups of mine"), "damaged"),
    "nothing": (lambda file: None, "absent"),
}


@pytest.mark.parametrize("put, cause", IN_ITS_PLACE.values(), ids=IN_ITS_PLACE.keys())
def test_what_is_no_ledger_is_left_alone(
    file: Path, put: Callable[[Path], object], cause: str
) -> None:
    """Something else under the ledger's name is a `LedgerError` and stays as it is."""
    file.parent.mkdir()
    put(file)
    before = seen(file.parent)
    with pytest.raises(LedgerError) as caught:
        open_ledger(file, make=cause != "absent")
    assert caught.value.cause == cause
    assert str(file) in caught.value.message and caught.value.hint
    assert seen(file.parent) == before


def seen(directory: Path) -> dict[str, bytes | str]:
    """Return names and content of what lies in `directory`, but for an empty -wal and its index."""
    return {
        path.name: path.read_bytes() if path.is_file() else f"{path.lstat().st_mode:o}"
        for path in sorted(directory.iterdir())
        if not (path.name.endswith(("-wal", "-shm")))
    }


def test_an_empty_file_becomes_a_ledger(file: Path) -> None:
    """A run that was killed right after it made the file leaves nothing that is in the way."""
    file.parent.mkdir()
    file.touch()
    with open_ledger(file) as ledger:
        assert not ledger.problems()


def test_an_empty_file_is_no_ledger_yet(file: Path) -> None:
    """Who only reads learns that there is none; what a -wal still holds is not thrown away."""
    file.parent.mkdir()
    file.touch()
    with pytest.raises(LedgerError) as caught:
        open_ledger(file, make=False)
    assert caught.value.absent and not file.stat().st_size
    with open_ledger(file) as ledger:
        ledger.put(archive(1))
        content = file.with_name("ledger.db-wal").read_bytes()
    file.write_bytes(b"")
    file.with_name("ledger.db-wal").write_bytes(content)
    for make in (False, True):
        with pytest.raises(LedgerError) as caught:
            open_ledger(file, make=make)
        assert caught.value.damaged
    assert file.with_name("ledger.db-wal").read_bytes() == content


def filled(file: Path, count: int = 200) -> bytes:
    """Make a ledger with `count` archives and runs; return its bytes, nothing being beside it."""
    with open_ledger(file) as ledger:
        ledger.put(*(archive(number) for number in range(count)), *map(ran, range(count)))
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    return file.read_bytes()


def cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "its header": lambda content: b"x" * 100 + content[100:],
    "its magic": lambda content: b"\0" + content[1:],
    "its first page": lambda content: content[:100] + bytes(3996) + content[4096:],
    "its end": cut,
    "most of it": lambda content: content[:4096],
    "all but the first page": lambda content: content[:4096] + bytes(len(content) - 4096),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damage_is_noticed_at_opening(file: Path, damage: Callable[[bytes], bytes]) -> None:
    """Gross damage is noticed before anything is written, and the file stays as it is."""
    damaged = damage(filled(file))
    file.write_bytes(damaged)
    with pytest.raises(LedgerError) as caught:
        open_ledger(file)
    assert caught.value.damaged and "rebuild" in caught.value.hint
    assert file.read_bytes() == damaged


def use(file: Path) -> tuple[ArchiveRecord, ...]:
    """Do with the ledger what commands do with it; return its archives."""
    with open_ledger(file) as ledger:
        ledger.runs()
        ledger.destinations()
        ledger.sequel("notes")
        found = ledger.archives(deleted=True, pending=True)
        ledger.put(archive(10_000), ran(10_000))
        ledger.amend(archive(3), tag="x")
        ledger.forget([archive(10_000)])
        return found


def test_no_damage_is_a_traceback(file: Path) -> None:
    """Whatever page or bits are damaged: the ledger works, or says so by a `LedgerError`."""
    content = filled(file, 60)
    chance = random.Random(3)
    noticed = 0
    for page in range(len(content) // 4096):
        for _ in range(4):
            damaged = bytearray(content)
            begin = page * 4096 + chance.randrange(4096)
            damaged[begin : begin + 40] = chance.randbytes(len(damaged[begin : begin + 40]))
            file.write_bytes(damaged)
            try:
                use(file)
            except LedgerError:
                noticed += 1
            for path in file.parent.iterdir():
                path.unlink()
    assert noticed > 20


def test_a_wal_of_garbage_is_not_forgotten(file: Path) -> None:
    """A -wal that never was one may hide lost rows: that is damage, and it stays there."""
    filled(file)
    wal = file.with_name("ledger.db-wal")
    wal.write_bytes(b"garbage " * 1000)
    with pytest.raises(LedgerError) as caught:
        open_ledger(file)
    assert caught.value.damaged and "ledger.db-wal" in caught.value.message
    assert wal.read_bytes() == b"garbage " * 1000


@pytest.mark.parametrize("content", [b"", b"short", bytes(4096)])
def test_a_wal_that_a_power_cut_left_empty_is_in_order(file: Path, content: bytes) -> None:
    """A -wal into which nothing was committed yet loses nothing."""
    filled(file)
    file.with_name("ledger.db-wal").write_bytes(content)
    assert len(use(file)) == 200


@pytest.mark.linux
def test_opening_a_large_ledger_reads_little(file: Path, tmp_path: Path) -> None:
    """However many rows there are, opening reads a few dozen pages."""
    filled(file, 5000)
    log = tmp_path / "log"
    done = run(
        "from agebackup.ledger import open_ledger\nopen_ledger(here / 'state/ledger.db').close()",
        tmp_path,
        under=fault("pread64:delay_enter=0", log=log),
    )
    assert done.stdout == "done\n", done
    reads = [line for line in log.read_text().splitlines() if "ledger.db" in line]
    assert 5 < len(reads) < 100 < file.stat().st_size / 4096


def test_another_process_may_read_while_one_writes(ledger: Ledger, file: Path) -> None:
    """A write lock that is held too long is said, with exit code 11; reading works meanwhile."""
    ledger.put(archive(1))
    with database(file) as connection, open_ledger(file, busy_seconds=0.1) as second:
        connection.execute("BEGIN IMMEDIATE")
        assert second.archives() == (archive(1),)
        with pytest.raises(LedgerError) as caught:
            second.put(archive(2))
        assert caught.value.locked and caught.value.code == 11
        connection.execute("ROLLBACK")
        second.put(archive(2))


@pytest.mark.parametrize("lock", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_a_held_ledger_is_waited_for_once(file: Path, lock: str) -> None:
    """Who waited in vain hardly waits again, in another connection neither, until it is free."""
    with open_ledger(file, busy_seconds=0.1) as ledger, database(file) as connection:
        connection.execute(lock)
        with pytest.raises(LedgerError):
            ledger.put(archive(1))
        watch = Stopwatch()
        with open_ledger(file, busy_seconds=60) as second:
            for _ in range(3):
                with pytest.raises(LedgerError):
                    second.put(archive(2))
            assert watch.seconds < 20
            connection.execute("ROLLBACK")
            second.put(archive(2))
        assert patience(file, 60) == 60
    with database(file) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        watch = Stopwatch()
        for seconds in (0.1, 60, 60):
            with pytest.raises(LedgerError):
                open_ledger(file, busy_seconds=seconds)
        assert watch.seconds < 20


@pytest.mark.parametrize("made", [True, False], ids=["a ledger", "an empty file"])
def test_a_locked_ledger_is_said(file: Path, made: bool) -> None:
    """A ledger that another process holds for itself is called locked; nothing happens to it."""
    file.parent.mkdir()
    if made:
        open_ledger(file).close()
    with database(file) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("CREATE TABLE IF NOT EXISTS meta (key, value)")
        with pytest.raises(LedgerError) as caught:
            open_ledger(file, busy_seconds=0.1)
        assert caught.value.locked
        connection.execute("ROLLBACK")


def test_a_newer_ledger_is_refused(file: Path) -> None:
    """A ledger of a later schema is left alone, and the sentence says what to upgrade."""
    filled(file)
    with database(file) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = seen(file.parent)
    with pytest.raises(LedgerError) as caught:
        open_ledger(file)
    assert caught.value.newer and caught.value.code == 13
    assert "newer agebackup" in caught.value.message and "Upgrade agebackup" in caught.value.hint
    assert seen(file.parent) == before


def test_a_ledger_that_becomes_newer_is_refused(ledger: Ledger, file: Path) -> None:
    """A newer agebackup may bring the ledger forward while this one has it open."""
    with database(file) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    for call in (lambda: ledger.put(archive(1)), ledger.archives):
        with pytest.raises(LedgerError) as caught:
            call()
        assert caught.value.newer


def test_places_are_told_without_their_archives(ledger: Ledger) -> None:
    """Each app with each folder that should hold an archive of it, whatever a folder is called."""
    odd = "/\udcff/x"
    ledger.put(
        *(archive(number) for number in range(3)),
        archive(3, "mail", destination=odd),
        archive(4, destination="/gone", deleted=START),
        archive(5, destination="/announced", pending="publish"),
    )
    assert ledger.places() == (("mail", odd), ("notes", FOLDER))
    assert ledger.places("mail") == (("mail", odd),) and not ledger.places("other")


def test_a_replaced_ledger_takes_nothing_more(ledger: Ledger, file: Path, tmp_path: Path) -> None:
    """What is written after another file got the ledger's name would be lost, so it is refused."""
    other = tmp_path / "other.db"
    open_ledger(other).close()
    os.rename(other, file)
    for call in (lambda: ledger.put(archive(1)), ledger.archives, lambda: ledger.sequel("notes")):
        with pytest.raises(LedgerError, match="replaced while it was in use"):
            call()
    file.unlink()
    with pytest.raises(LedgerError, match="removed while it was in use"):
        ledger.put(archive(1))


def test_a_forked_worker_keeps_its_hands_off(ledger: Ledger) -> None:
    """A child process cannot use its parent's ledger; the parent's goes on."""

    def work() -> dict[str, object]:
        ledger.put(archive(1))
        return {}

    with Worker.start(work) as worker, pytest.raises(LedgerError, match="another process"):
        worker.result(Progress())
    ledger.put(archive(2))
    assert ledger.archives() == (archive(2),)


def test_a_closed_ledger_says_so(file: Path) -> None:
    """Closing twice is harmless, using it afterwards is a `LedgerError`."""
    ledger = open_ledger(file)
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerError):
        ledger.archives()


RECORDS = f"""
sys.path.insert(0, {str(ROOT / "tests")!r})
from test_ledger import LATER, OLD, STEPS, LedgerError, archive, bring_forward, open_ledger, ran
import sqlite3, subprocess
"""


@pytest.mark.linux
def test_a_full_disk_is_said(tmp_path: Path) -> None:
    """On a full disk neither making a ledger nor writing into one is more than a `LedgerError`."""
    (tmp_path / "disk").mkdir()
    done = run(
        RECORDS
        + """
        def fill():
            with suppress(OSError), open(here / "disk" / "filler", "wb", buffering=0) as filler:
                while True:
                    filler.write(bytes(4096))
        from contextlib import suppress
        disk, file = here / "disk", here / "disk" / "ledger.db"
        subprocess.run(["mount", "-t", "tmpfs", "-osize=8k", "none", disk], check=True)
        try:
            open_ledger(file)
        except LedgerError as error:
            print(error.cause, os.listdir(disk))
        subprocess.run(["umount", disk], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-osize=400k", "none", disk], check=True)
        with open_ledger(file) as ledger:
            ledger.put(archive(1))
            fill()
            try:
                while True:
                    ledger.put(*map(archive, range(2, 50)))
                    ledger.forget(map(archive, range(2, 50)))
                    ledger.put(*map(ran, range(50)))
            except LedgerError as error:
                print(error.message)
            assert archive(1) in ledger.archives()
        try:
            open_ledger(file)
        except LedgerError as error:
            print(error.message)
        (disk / "filler").unlink()
        with open_ledger(file) as ledger:
            assert not ledger.problems() and archive(1) in ledger.archives()
        """.replace("\n        ", "\n"),
        tmp_path,
        under=OWN_MOUNTS,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "refused []" and lines[-1] == "done", done
    assert all("its disk" in line for line in lines[1:-1]) and len(lines) > 2, done


@pytest.mark.linux
@pytest.mark.parametrize("there", [True, False], ids=["a ledger", "none yet"])
def test_a_disk_that_can_only_be_read_is_said(tmp_path: Path, there: bool) -> None:
    """On a disk that is mounted read-only the ledger is refused, and not taken for damaged."""
    (tmp_path / "disk").mkdir()
    make = "open_ledger(file).close()" if there else "pass"
    done = run(
        RECORDS
        + f"""
        disk, file = here / "disk", here / "disk" / "ledger.db"
        subprocess.run(["mount", "-t", "tmpfs", "none", disk], check=True)
        {make}
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        try:
            with open_ledger(file) as ledger:
                ledger.put(archive(1))
        except LedgerError as error:
            print(error.cause, error.message)
        """.replace("\n        ", "\n"),
        tmp_path,
        under=OWN_MOUNTS,
    )
    said = done.stdout.splitlines()
    assert len(said) == 2 and said[0].startswith("refused The ledger"), done


@pytest.mark.linux
def test_a_directory_without_rights_is_said(file: Path, tmp_path: Path) -> None:
    """A state directory of somebody else's is a `LedgerError` too."""
    open_ledger(file).close()
    for path in (tmp_path, *tmp_path.parents[:3]):
        path.chmod(path.stat().st_mode | 0o055)
    file.chmod(0o644)
    file.parent.chmod(0o755)
    done = run(
        RECORDS
        + """
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        else:
            (here / "state").chmod(0o500)
        try:
            with open_ledger(here / "state" / "ledger.db") as ledger:
                ledger.put(archive(1))
        except LedgerError as error:
            print(error.cause)
        """.replace("\n        ", "\n"),
        tmp_path,
    )
    file.parent.chmod(0o700)
    assert done.stdout == "refused\ndone\n", done


# ---- many processes, and sudden ends


WRITER = """
import sys
sys.path[:0] = {paths!r}
from test_ledger import *
with open_ledger(Path({file!r})) as ledger:
    for number in range(*map(int, sys.argv[1:])):
        ledger.put(archive(number))
        print(number, flush=True)
"""


def writer(file: Path, first: int, end: int) -> "subprocess.Popen[str]":
    """Start a process that opens the ledger, writes archives, and prints each when it is safe."""
    source = WRITER.format(paths=[str(ROOT), str(ROOT / "tests")], file=str(file))
    command = [sys.executable, "-B", "-c", source, str(first), str(end)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_processes_that_write_at_once_lose_nothing(file: Path) -> None:
    """Three processes make the ledger together and write into it: every row is there."""
    processes = [writer(file, first, first + 40) for first in (0, 100, 200)]
    for process in processes:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    with open_ledger(file) as ledger:
        assert len(ledger.archives()) == 120
        assert not ledger.problems()


def test_what_was_confirmed_survives_a_kill(file: Path) -> None:
    """A writer that is killed the moment `put` returned loses nothing that was confirmed."""
    confirmed = 0
    for first in (0, 1000, 2000):
        with writer(file, first, first + 1000) as process:
            assert process.stdout is not None
            for _ in range(25):
                confirmed = int(process.stdout.readline())
            process.kill()
            assert process.wait() == -9
        with open_ledger(file) as ledger:
            known = {record.name for record in ledger.archives()}
            assert {archive(number).name for number in range(first, confirmed + 1)} <= known
            assert not ledger.problems()


def test_the_wal_stays_bounded(ledger: Ledger, file: Path) -> None:
    """While another process has the ledger open, the -wal is carried over all the same."""
    largest = 0
    with open_ledger(file) as idle:
        idle.archives()
        for begin in range(0, 6000, 200):
            ledger.put(*map(archive, range(begin, begin + 200)))
            largest = max(largest, file.with_name("ledger.db-wal").stat().st_size)
    assert 0 < largest < 8 << 20


# ---- older schemas


OLD = ("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)", "CREATE TABLE a (b TEXT)")
LATER_COLUMNS = ("former", "recipients")
LATER = (
    ("ALTER TABLE a ADD COLUMN c TEXT NOT NULL DEFAULT ';'", "CREATE INDEX a_by_c ON a (c)"),
    ("CREATE TABLE d (e TEXT)", "INSERT INTO d SELECT b || c FROM a"),
)


def old_ledger(file: Path) -> sqlite3.Connection:
    """Return a made-up ledger of version 1 that holds a row."""
    connection = sqlite3.connect(file, isolation_level=None)
    bring_forward(connection, (OLD,))
    connection.execute("INSERT INTO a VALUES ('row')")
    return connection


def test_an_older_ledger_is_brought_forward(tmp_path: Path) -> None:
    """Every step that is missing is taken, in order; what was there stays, the series too."""
    with closing(old_ledger(tmp_path / "old.db")) as connection:
        (series,) = connection.execute("SELECT value FROM meta").fetchone()
        assert version_of(connection) == 1
        bring_forward(connection, (OLD, *LATER))
        assert version_of(connection) == 3
        assert connection.execute("SELECT e FROM d").fetchall() == [("row;",)]
        assert connection.execute("SELECT value FROM meta").fetchall() == [(series,)]
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        bring_forward(connection, (OLD, *LATER))
        assert connection.execute("SELECT e FROM d").fetchall() == [("row;",)]


def first_ledger(file: Path) -> None:
    """Make a ledger as the first version of the schema had it, with an archive."""
    file.parent.mkdir(parents=True)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        bring_forward(connection, STEPS[:1])
        record = ArchiveRecord.of(
            ArchiveName("notes", datetime(2026, 11, 20, tzinfo=UTC), "0" * 8), "/cloud"
        )
        names = [name for name in columns(ArchiveRecord) if name not in LATER_COLUMNS]
        values = [stored(name, getattr(record, name)) for name in names]
        listed = ", ".join(f"[{name}]" for name in names)
        connection.execute(f"INSERT INTO archives ({listed}) VALUES ({'?, ' * 26}?)", values)


def test_a_ledger_of_the_first_schema_is_read(file: Path) -> None:
    """What a ledger made before rekeying and drills knows is known afterwards."""
    first_ledger(file)
    with open_ledger(file) as ledger:
        assert [record.former for record in ledger.archives()] == [()]
        assert (ledger.keychecks(), ledger.drills(), ledger.pushes()) == ((), (), ())


def test_an_older_ledger_that_is_damaged_is_saved(file: Path, tmp_path: Path) -> None:
    """What can be read of a damaged ledger of an older schema is not lost for lack of a column."""
    first_ledger(file)
    with database(file) as connection:
        connection.execute("UPDATE archives SET kept = 9")
        connection.execute(
            "INSERT INTO archives SELECT 'x', app, id, time, destination, "
            "file_name, kind, tag, note, 0, size, sha256, series, sequence, previous, proved, "
            "complete, pending, [foreign], bad, [check], checked, hashed, deleted, deleted_why, "
            "stanzas, figures FROM archives"
        )
    content = content_of(file, Claims(tmp_path / "claims"))
    assert content is not None and content.damage
    assert [record.name for record in content.archives] == ["x"]


def test_a_step_that_fails_takes_all_back(tmp_path: Path) -> None:
    """Where a later step fails, the ledger is the old one."""
    with closing(old_ledger(tmp_path / "old.db")) as connection:
        with pytest.raises(sqlite3.OperationalError):
            bring_forward(connection, (OLD, *LATER, ("CREATE TABLE d (again)",)))
        assert version_of(connection) == 1
        assert connection.execute("SELECT * FROM a").fetchall() == [("row",)]


def test_a_kill_between_the_steps_leaves_the_old_ledger(tmp_path: Path) -> None:
    """A migration that is killed in its middle has not begun, for whoever looks next."""
    old_ledger(tmp_path / "old.db").close()
    process = start(
        RECORDS
        + """
        import signal
        connection = sqlite3.connect(here / "old.db", isolation_level=None)
        connection.execute("PRAGMA cache_size = 1")
        connection.create_function("die", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
        bring_forward(connection, (OLD, *LATER, ("SELECT die()",)))
        """.replace("\n        ", "\n"),
        tmp_path,
    )
    process.communicate(timeout=60)
    assert process.returncode == -9
    with closing(sqlite3.connect(tmp_path / "old.db", isolation_level=None)) as connection:
        assert version_of(connection) == 1
        assert connection.execute("SELECT * FROM a").fetchall() == [("row",)]
        bring_forward(connection, (OLD, *LATER))
        assert version_of(connection) == 3


def test_a_kill_while_the_ledger_is_made_is_made_good(file: Path, tmp_path: Path) -> None:
    """A ledger that was only half made is made by the next one who opens it."""
    file.parent.mkdir()
    process = start(
        RECORDS
        + """
        import signal
        file = here / "state" / "ledger.db"
        file.touch(0o600)
        connection = sqlite3.connect(file, isolation_level=None)
        connection.execute("PRAGMA cache_size = 1")
        connection.create_function("die", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
        many = tuple(f"CREATE TABLE t{n} (a)" for n in range(50))
        bring_forward(connection, (*STEPS, (*many, "SELECT die()")))
        """.replace("\n        ", "\n"),
        tmp_path,
    )
    process.communicate(timeout=60)
    assert process.returncode == -9
    assert file.stat().st_size and file.with_name("ledger.db-journal").exists()
    with open_ledger(file) as ledger:
        ledger.put(archive(1))
        assert not ledger.problems()


def test_steps_are_single_statements() -> None:
    """No step relies on splitting text at semicolons; each ends in a schema of its version."""
    for step in STEPS:
        for statement in step:
            assert sqlite3.complete_statement(f"{statement};")
            assert not re.search(r";\s*\S", statement)
