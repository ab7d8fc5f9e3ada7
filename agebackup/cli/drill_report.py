"""`agebackup drill --report`: what the drills showed, from the ledger alone."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from agebackup.cli.console import Console
from agebackup.cli.scope import known_ledger
from agebackup.errors import printable
from agebackup.model.drills import decode_receipt
from agebackup.model.durations import span_text
from agebackup.model.names import require_app

if TYPE_CHECKING:
    from agebackup.model.records import DrillRecord

_HEAD = ("app", "archive", "drilled (UTC)", "recovery time", "recovery point", "age", "result")


def report(apps: tuple[str, ...], to: Console) -> int:
    """Show every drill of `apps`, or of all, newest first; raises `LedgerError` for damage."""
    named = {require_app(app) for app in apps}
    ledger = known_ledger(to)
    records: tuple[DrillRecord, ...] = ()
    if ledger is not None:
        with ledger:
            records = ledger.drills()
    shown = [one for one in records if not named or one.app in named]
    rows = [_fields(one) for one in shown]
    if not rows:
        to.output.say("No drill was made yet.")
    to.output.result("\n".join(_table(rows)), drills=rows)
    return 0


def _fields(one: "DrillRecord") -> dict[str, Any]:
    receipt = decode_receipt(one.receipt)
    return {
        "id": one.id,
        "app": one.app,
        "archive": one.archive,
        "begun": one.begun.isoformat(timespec="seconds"),
        "outcome": one.outcome,
        "message": one.message,
        "recovery_time": one.seconds,
        "recovery_point": receipt.newest_age if receipt else None,
        "age": receipt.age if receipt else None,
        "assertions": msgspec.to_builtins(receipt.assertions) if receipt else [],
        "receipt": one.receipt,
        "signature": one.signature,
    }


def _table(rows: list[dict[str, Any]]) -> list[str]:
    """Return a line for each row, under a heading, in columns; what failed says why below."""
    lines = [_cells(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(_HEAD, *lines, strict=True)]
    table = []
    for cells, row in zip([_HEAD, *lines] if lines else [], [None, *rows], strict=False):
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        table.append("  ".join(padded).rstrip())
        if row and row["message"]:
            table.append(f"  {printable(row['message'])}")
    return table


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    seconds = row["recovery_time"]
    return (
        printable(row["app"] or "-"),
        printable(row["archive"]),
        row["begun"][:16].replace("T", " "),
        "-" if seconds is None else f"{seconds:,.1f} s",
        _span(row["recovery_point"]),
        _span(row["age"]),
        _result(row),
    )


def _span(seconds: int | None) -> str:
    return "-" if seconds is None else span_text(timedelta(seconds=seconds))


def _result(row: dict[str, Any]) -> str:
    asked = row["assertions"]
    held = sum(1 for one in asked if one["ok"])
    counted = f", {held} of {len(asked)} assertions hold" if asked else ""
    return f"{row['outcome']}{counted}"
