"""An application's state of every kind, what is to take its place, and which of both is there.

Two databases whose latest rows are in their -wal alone, one with a hot journal, a tree, a file, a
file that is absent together with its directory, and a file that nothing takes the place of. As a
program (`live_parts.py HERE`) it swaps as a command would, for the fault sweep.
"""

import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from agebackup.cli.failures import translated
from agebackup.cli.signals import listen
from agebackup.errors import AgebackupError
from agebackup.model.swap import COMPANIONS, Part, Swap, SwapRecord
from agebackup.operations.moving import forward
from agebackup.operations.settling import settle
from agebackup.operations.swap import finish, prospect, swap
from agebackup.operations.swap_records import SwapRecords
from agebackup.operations.swapping import fill
from agebackup.operations.undo import undo, undoable, way_back
from agebackup.system.claims import Claims
from agebackup.system.progress import Stop
from agebackup.system.renaming import exchange
from agebackup.system.workspace import claimed_directory

ID, UNDO_ID = "20261121T091500Z", "20261121T092000Z"
TIME, UNDO_TIME = (
    datetime.strptime(one, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) for one in (ID, UNDO_ID)
)

State = dict[str, bytes | None]
"""The content of each file below a directory by its path; None for a directory."""


def build(here: Path) -> Path:
    """Make the application's state and return its directory, `here`/live."""
    app = here / "live"
    app.mkdir(parents=True)
    for name in ("ledger.db", "events.db"):
        _database(here / "draft.db", app / name, rows=f"old {name}")
    _torn(here / "draft.db", app / "torn.db")
    (app / "blobs" / "deep").mkdir(parents=True)
    for name in ("a", "b", "deep/c"):
        (app / "blobs" / name).write_text(f"old {name}")
    (app / "app.toml").write_text("old")
    (app / "obsolete").write_text("old")
    return app


def _database(draft: Path, to: Path, *, rows: str) -> None:
    """Make a database in WAL mode as a killed application leaves it, all three files."""
    with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t (row TEXT)")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("INSERT INTO t VALUES (?)", (rows,))
        for suffix in ("", "-wal", "-shm"):
            shutil.copy(draft.with_name(draft.name + suffix), to.with_name(to.name + suffix))
    draft.unlink()


def _torn(draft: Path, to: Path) -> None:
    """Make a database as an application leaves it that was killed during a transaction."""
    with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size=1")
        connection.execute("CREATE TABLE t (row TEXT)")
        connection.execute("INSERT INTO t VALUES ('old torn.db')")
        connection.execute("BEGIN")
        connection.execute("UPDATE t SET row = 'half'")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 3000,)] * 20)
        for suffix in ("", "-journal"):
            shutil.copy(draft.with_name(draft.name + suffix), to.with_name(to.name + suffix))
    draft.unlink()


def stage(app: Path, directory: Path) -> tuple[Part, ...]:
    """Fill `directory` with what is to take the place of the state in `app`; return the parts."""
    for name in ("ledger.db", "events.db", "torn.db"):
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.execute("CREATE TABLE t (row TEXT)")
            connection.execute("INSERT INTO t VALUES (?)", (f"new {name}",))
            connection.commit()
            (directory / name).write_bytes(connection.serialize())
    (directory / "blobs").mkdir()
    for name in ("b", "d"):
        (directory / "blobs" / name).write_text(f"new {name}")
    for name in ("app.toml", "first.toml"):
        (directory / name).write_text("new")
    return (
        *(Part(app / n, directory / n, "database") for n in ("ledger.db", "events.db", "torn.db")),
        Part(app / "blobs", directory / "blobs", "tree"),
        Part(app / "app.toml", directory / "app.toml", "file"),
        Part(app / "first" / "run" / "first.toml", directory / "first.toml", "file"),
        Part(app / "obsolete", None, "file"),
    )


def records(here: Path) -> SwapRecords:
    """Return the journals of the application in `here`."""
    return SwapRecords("live", machine(here) / "restores" / "live", claims(here))


def claims(here: Path) -> Claims:
    """Return the claims of this machine."""
    return Claims(machine(here) / "claims")


def machine(here: Path) -> Path:
    """Return where agebackup keeps its own things, as `sample_app.environment` says."""
    return here / "home" / "state" / "agebackup"


def swapped(here: Path, time: datetime = TIME) -> None:
    """Stage and swap, as far as the commit and what follows it."""
    known = records(here)
    with claimed_directory(here / "live", known.claims, prefix="inplace") as staging:
        parts = stage(here / "live", staging.path)
        done = swap(Swap("live", time, "live.age", parts), known)
    finish(done, known)


def half_swapped(here: Path) -> None:
    """Do what a swap does that is killed in the midst of its third part, the first being done."""
    known = records(here)
    with claimed_directory(here / "live", known.claims, prefix="inplace") as staging:
        parts = stage(here / "live", staging.path)
        _half(prospect(Swap("live", TIME, "live.age", parts), known), known)


def half_undone(here: Path) -> None:
    """Swap, then do what an undo does that is killed like that."""
    swapped(here)
    known = records(here)
    _half(way_back(undoable(known), UNDO_TIME), known)


def _half(record: SwapRecord, known: SwapRecords) -> None:
    known.put(record)
    for move in record.moves:
        fill(move)
    for move in record.moves[:2]:
        forward(move)
    third = record.moves[2]
    for suffix in third.old.companions:
        Path(third.target + suffix).rename(third.outgoing + suffix)
    assert exchange(third.incoming, third.target)


def undone(here: Path) -> None:
    """Undo the last swap."""
    known = records(here)
    undo(undoable(known), UNDO_TIME, known, lambda paths: "")


def settled(here: Path) -> list[str]:
    """Do what the next command does; return what it says."""
    said = [one.words for one in settle(records(here))]
    return said + list(claims(here).sweep())


def state(directory: Path) -> State:
    """Return everything that is below `directory`."""
    return {
        path.relative_to(directory).as_posix(): None if path.is_dir() else path.read_bytes()
        for path in sorted(directory.rglob("*"))
    }


def after_swap(old: State, new: State) -> State:
    """Return the state in which a swap leaves what was `old`, `new` being staged content."""
    kept = {_aside(name, f"pre_restore_{ID}"): content for name, content in old.items()}
    return dict(sorted({**kept, **new}.items()))


def after_undo(old: State, new: State) -> State:
    """Return the state in which an undo leaves that."""
    aside = {
        _aside(name, f"undone_{UNDO_ID}"): content
        for name, content in new.items()
        if name not in ("first", "first/run")
    }
    made = {name: content for name, content in new.items() if name in ("first", "first/run")}
    return dict(sorted({**old, **made, **aside}.items()))


def staged_state(here: Path) -> State:
    """Return what the swapped application consists of, the old state aside."""
    directory = here / "expected"
    directory.mkdir(parents=True)
    stage(here / "live", directory)
    new = state(directory)
    shutil.rmtree(directory)
    first = new.pop("first.toml")
    return new | {"first": None, "first/run": None, "first/run/first.toml": first}


def _aside(name: str, suffix: str) -> str:
    """Return the name that the file or directory `name` of the application has aside."""
    top, _, below = name.partition("/")
    if top == "first":
        return f"{name}.{suffix}"
    ending = next((one for one in COMPANIONS if top.endswith(one)), "")
    return f"{top.removesuffix(ending)}.{suffix}{ending}" + (f"/{below}" if below else "")


def rows(database: Path) -> Iterator[str]:
    """Yield the rows that an application would see in `database`, of which a copy is opened."""
    copy = database.with_name("copy-to-look.db")
    for suffix in ("", "-wal", "-journal"):
        if (one := database.with_name(database.name + suffix)).exists():
            shutil.copy(one, copy.with_name(copy.name + suffix))
    with closing(sqlite3.connect(copy)) as connection:
        yield from (row for (row,) in connection.execute("SELECT row FROM t ORDER BY rowid"))
    for left in database.parent.glob("copy-to-look.db*"):
        left.unlink()


def main(here: Path) -> int:
    """Swap, with signals and failures treated as the command line treats them."""
    listen(Stop())
    try:
        with translated():
            swapped(here)
    except AgebackupError as error:
        print(f"{error.message} {error.hint}", file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
