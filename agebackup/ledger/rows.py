"""Rows of the ledger from and to the values of `model.records`.

Times are text that sorts as they do, flags are 0 or 1, what has a structure is JSON. Text that
SQLite cannot hold as it is (a path that is no UTF-8) is a JSON string behind a NUL.
"""

import gc
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from agebackup.model.records import (
    ArchiveRecord,
    DestinationRecord,
    DrillRecord,
    Figures,
    KeycheckRecord,
    PushRecord,
    RunRecord,
)

Record = RunRecord | ArchiveRecord | DestinationRecord | KeycheckRecord | DrillRecord | PushRecord
R = TypeVar(
    "R", RunRecord, ArchiveRecord, DestinationRecord, KeycheckRecord, DrillRecord, PushRecord
)
TABLES: Mapping[type[Record], str] = {
    RunRecord: "runs",
    ArchiveRecord: "archives",
    DestinationRecord: "destinations",
    KeycheckRecord: "keychecks",
    DrillRecord: "drills",
    PushRecord: "pushes",
}
_TIMES = ("begun", "ended", "time", "checked", "hashed", "deleted", "seen")
_STRUCTURES: Mapping[str, Any] = {
    "versions": dict[str, str],
    "stanzas": tuple[str, ...],
    "figures": Figures | None,
    "former": tuple[str, ...],
    "recipients": tuple[str, ...],
}
LATER = {"former": "'[]'", "recipients": "'[]'"}
"""Columns that an older ledger lacks, with the SQL of what they would hold."""
_ESCAPED = "\0"
_COLUMNS = {kind: tuple(field.name for field in fields(kind)) for kind in TABLES}
_RESTORED = {
    kind: tuple(name for name in names if name in _STRUCTURES or name in _TIMES)
    for kind, names in _COLUMNS.items()
}


def columns(kind: type[Record]) -> tuple[str, ...]:
    """Return the columns of `kind`'s table: one for each field, of the field's name."""
    return _COLUMNS[kind]


def stored(name: str, value: Any) -> Any:
    """Return what the column `name` holds for `value`; raises ValueError for what it cannot."""
    if name in _STRUCTURES:
        return _json(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{name} is a time of no known zone")
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, str):
        return _text(value)
    return int(value) if isinstance(value, bool) else value


def loaded(kind: type[R], row: tuple[Any, ...]) -> R:
    """Return the record that `row`, which has the columns of `kind` in their order, holds.

    Raises ValueError, or msgspec's errors, where its values make no sense.
    """
    names = columns(kind)
    values = dict(zip(names, row, strict=True))
    for name in _RESTORED[kind]:
        text = values[name]
        if name in _STRUCTURES:
            values[name] = _structure(name, text)
        elif text is not None and not text.endswith("+00:00"):
            raise ValueError(f"{name} is no time in UTC")
    for name, value in values.items():
        if value.__class__ is str and value.startswith(_ESCAPED):
            values[name] = restored(value)
    return msgspec.convert(values, kind, strict=False)


def restored(text: str) -> str:
    """Return what a column of text holds; raises ValueError where it is damaged."""
    return str(json.loads(text[1:])) if text.startswith(_ESCAPED) else text


def key_of(record: ArchiveRecord) -> tuple[str, str]:
    """Return what `name` and `destination`, the key of its table, hold for `record`."""
    return stored("name", record.name), stored("destination", record.destination)


def insertion(verb: str, record: Record) -> tuple[str, list[Any]]:
    """Return the statement, which begins with `verb`, and the values that write `record`."""
    names = columns(type(record))
    listed, holders = (", ".join(f"[{name}]" for name in names), ", ".join("?" * len(names)))
    statement = f"{verb} INTO {TABLES[type(record)]} ({listed}) VALUES ({holders})"
    return statement, [stored(name, getattr(record, name)) for name in names]


def removal(record: ArchiveRecord | RunRecord) -> tuple[str, tuple[str, ...]]:
    """Return the statement and the values that remove the row of `record`."""
    if isinstance(record, RunRecord):
        return "DELETE FROM runs WHERE id = ?", (stored("id", record.id),)
    return "DELETE FROM archives WHERE name = ? AND destination = ?", key_of(record)


@contextmanager
def uncollected() -> Iterator[None]:
    """Make many records at once: the collector would walk through all that are there, each time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _text(value: str) -> str:
    plain = value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)
    if plain and not value.startswith(_ESCAPED):
        return value
    return _ESCAPED + json.dumps(value)


def _json(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # only json escapes half a surrogate pair
        return json.dumps(msgspec.to_builtins(value))


def _structure(name: str, text: str) -> Any:
    try:
        return _stanzas(text) if name == "stanzas" else _DECODERS[name].decode(text)
    except msgspec.DecodeError:
        return msgspec.convert(json.loads(text), _STRUCTURES[name])


_DECODERS = {name: msgspec.json.Decoder(shape) for name, shape in _STRUCTURES.items()}


@lru_cache(maxsize=64)
def _stanzas(text: str) -> tuple[str, ...]:
    """Nearly all archives of a machine have the same."""
    found: tuple[str, ...] = _DECODERS["stanzas"].decode(text)
    return found
