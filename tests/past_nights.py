"""Archives as earlier nights would have left them: a file and its row, made in no time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from conftest import World

from agebackup.ledger import open_ledger
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord, DatabaseFigures, Figures, RunRecord

SIZE = 5000
_used = iter(range(1, 1 << 32))


def ago(**span: float) -> datetime:
    """Return the moment so long ago, in whole seconds, as names have it."""
    return (datetime.now(UTC) - timedelta(**span)).replace(microsecond=0)


def figures(rows: int) -> Figures:
    """Return what an archive with one database of so many rows holds."""
    return Figures(databases={"data/main.db": DatabaseFigures(4096, rows)})


def night(
    world: World,
    out: Path,
    time: datetime,
    *,
    app: str = "notes",
    manual: bool = False,
    **fields: Any,
) -> str:
    """Leave a proved archive of `time` in `out`, `fields` of its row changed; return its name."""
    name = ArchiveName(app, time, f"{next(_used):08x}", manual)
    (out / str(name)).write_bytes(b"x" * SIZE)
    known = {"size": SIZE, "proved": True, **fields}
    row = replace(ArchiveRecord.of(name, str(out.resolve())), **known)
    with open_ledger(state(world) / "ledger.db") as ledger:
        ledger.put(row)
    return str(name)


def ran(world: World, outcome: str, message: str = "", app: str = "notes", **span: float) -> None:
    """Let a run of `app` have begun so long ago, and ended so."""
    run = RunRecord(f"{next(_used):032x}", app, "auto", ago(**span), outcome=outcome)  # type: ignore[arg-type]
    with open_ledger(state(world) / "ledger.db") as ledger:
        ledger.put(replace(run, message=message))


def row(world: World, name: str) -> ArchiveRecord:
    """Return what the ledger knows of the archive `name`."""
    with open_ledger(world.state / "ledger.db", make=False) as ledger:
        (found,) = [one for one in ledger.archives(deleted=True, pending=True) if one.name == name]
        return found


def amend(world: World, name: str, **changes: Any) -> None:
    """Let the ledger know something else of the archive `name`."""
    known = row(world, name)
    with open_ledger(world.state / "ledger.db", make=False) as ledger:
        ledger.amend(known, **changes)


def state(world: World) -> Path:
    """Return the state directory, made."""
    world.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    return world.state


def archives(out: Path) -> set[str]:
    """Return the names of all archives in `out`."""
    return {path.name for path in out.glob("*.age")}
