"""Rows of the ledger from and to the values of `model.records`."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any

from agebackup.model.records import (
    ArchiveRecord,
    DatabaseFigures,
    DestinationRecord,
    Figures,
    RunRecord,
    TreeFigures,
)

Record = RunRecord | ArchiveRecord | DestinationRecord
TABLES: Mapping[type[Record], str] = {
    RunRecord: "runs",
    ArchiveRecord: "archives",
    DestinationRecord: "destinations",
}
_TIMES = {"begun", "ended", "time", "checked", "hashed", "deleted", "seen"}
_FLAGS = {"kept", "proved", "complete", "foreign", "bad"}
_STRUCTURED = {"versions", "stanzas", "figures"}


def columns(kind: type[Record]) -> tuple[str, ...]:
    """Return the columns of `kind`'s table: one for each field, of the field's name."""
    return tuple(field.name for field in fields(kind))


def stored(name: str, value: Any) -> Any:
    """Return what the column `name` holds for `value`. Times are text that sorts as they do."""
    if name in _STRUCTURED:
        return json.dumps(asdict(value) if isinstance(value, Figures) else value, default=list)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return int(value) if isinstance(value, bool) else value


def loaded(kind: type[Record], row: Mapping[str, Any]) -> Any:
    """Return the record that `row` holds; raises ValueError, TypeError or KeyError if none."""
    return kind(**{name: _loaded(name, row[name]) for name in columns(kind)})


def _loaded(name: str, value: Any) -> Any:
    if name in _TIMES:
        return None if value is None else datetime.fromisoformat(value)
    if name in _FLAGS:
        return bool(value)
    if name == "figures":
        return _figures(json.loads(value))
    if name == "stanzas":
        return tuple(json.loads(value))
    return json.loads(value) if name in _STRUCTURED else value


def _figures(raw: Any) -> Figures | None:
    if raw is None:
        return None
    return Figures(
        {place: DatabaseFigures(**one) for place, one in raw["databases"].items()},
        {place: TreeFigures(**one) for place, one in raw["trees"].items()},
    )
