"""Pointers: what the application needs and the archive does not hold, as a query or a file has it.

A pointer has a `location` (the key of an object, an address, a name) and, as far as they are known,
`bytes`, `hash`, `count` (how many things it stands for) and a `note`. A query gives them as columns
of these names, a file of JSON as a list of objects with these keys, or of mere locations; any other
file has a location on each line. Nobody interprets them: they are recorded, shown, and handed to
the application's own check.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from agebackup.errors import FailedError, counted, printable
from agebackup.model.limits import MIB
from agebackup.model.manifest import PointerRecord, PointersRecord

KEYS = ("location", "bytes", "hash", "count", "note")
MAX_POINTERS = 10_000
"""So many an archive records, of all its sources together; the rest is only counted."""
MAX_TEXT = 4 * MIB
"""So many bytes of text these may have together, in UTF-8."""
MAX_FILE = 16 * MIB
LONGEST = {"location": 4096, "hash": 200, "note": 500}
"""Characters that a text may have."""
_LARGEST = (1 << 63) - 1
_SURROGATE = re.compile("[\ud800-\udfff]")
_HINT = f"A pointer has a location, and perhaps {', '.join(KEYS[1:])}."


def from_rows(
    header: Sequence[str], rows: Iterable[Sequence[object]], origin: str
) -> Iterator[PointerRecord]:
    """Yield the pointers that `rows` are, whose columns are called as `header` says.

    A single column is the location, whatever it is called; NULL stands for what is not known.
    Raises `FailedError` naming `origin` for what is no pointer.
    """
    names = ["location"] if len(header) == 1 else list(header)
    if len(set(names)) < len(names):
        raise _refused(origin, "two of its columns have one name")
    for number, row in enumerate(rows, 1):
        given = dict(zip(names, row, strict=True))
        yield _pointer(given, f"{origin}, row {number:,}")


def from_json(content: bytes, origin: str) -> Iterator[PointerRecord]:
    """Yield the pointers of the JSON text `content`; raises as `from_rows`."""
    try:
        given = msgspec.json.decode(content)
    except (ValueError, RecursionError):
        raise _refused(origin, "it is not JSON") from None
    if not isinstance(given, list):
        raise _refused(origin, "it is not a list")
    for number, one in enumerate(given, 1):
        where = f"{origin}, entry {number:,}"
        if isinstance(one, str):
            one = {"location": one}
        if not isinstance(one, dict):
            raise _refused(where, "it is neither a text nor an object")
        yield _pointer(one, where)


def from_text(content: bytes, origin: str) -> Iterator[PointerRecord]:
    """Yield a pointer for each line of `content`, its location; raises as `from_rows`.

    Blanks around it do not count; empty lines, and those that begin with a `#`, are no pointers.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _refused(origin, "it is not UTF-8 text") from None
    for number, line in enumerate(text.split("\n"), 1):
        location = line.strip()
        if location and not location.startswith("#"):
            yield _pointer({"location": location}, f"{origin}, line {number:,}")


def pointed(record: PointersRecord) -> str:
    """Return in words, fit to be shown, how much `record` points to, and what to do about it."""
    said = [counted(bounded(record.count), "pointer")]
    if len(record.entries) == record.count:
        sizes = [one.bytes and bounded(one.bytes) for one in record.entries]
        things = sum(1 if one.count is None else bounded(one.count) for one in record.entries)
        said += [f"to {counted(things, 'thing')}"] if things != record.count else []
        said += [f"{sum(filter(None, sizes)):,} bytes"] if sizes and None not in sizes else []
    hint = f" ({printable(record.hint[: LONGEST['note']])})" if record.hint else ""
    return f"{', '.join(said)}{hint}"


def bounded(number: int) -> int:
    """Return `number`, or the nearest that SQLite can hold: an archive may say what none can."""
    return max(-_LARGEST, min(number, _LARGEST))


@dataclass
class Room:
    """What an archive can still record of pointers, whatever they come from."""

    number: int = MAX_POINTERS
    size: int = MAX_TEXT

    def fitted(self, found: Iterable[PointerRecord]) -> tuple[list[PointerRecord], int]:
        """Return those of `found` that there is room for, the first ones, and how many they are."""
        taken: list[PointerRecord] = []
        count = 0
        for count, one in enumerate(found, 1):
            size = sum(len(text.encode()) for text in (one.location, one.hash, one.note))
            if len(taken) == count - 1 and self.number and size <= self.size:
                self.number -= 1
                self.size -= size
                taken.append(one)
        return taken, count


def _pointer(given: Mapping[str, object], origin: str) -> PointerRecord:
    for key in given:
        if key not in KEYS:
            raise _refused(origin, f"it has no use for {printable(str(key)[:100])!r}")
    return PointerRecord(
        location=_text(given, "location", origin),
        bytes=_number(given, "bytes", origin),
        hash=_text(given, "hash", origin),
        count=_number(given, "count", origin),
        note=_text(given, "note", origin),
    )


def _text(given: Mapping[str, object], key: str, origin: str) -> str:
    value = given.get(key)
    if value is None or value == "":
        if key == "location":
            raise _refused(origin, "it has no location")
        return ""
    if not isinstance(value, str) or _SURROGATE.search(value):
        raise _refused(origin, f"its {key} is no text in UTF-8")
    if len(value) > LONGEST[key]:
        raise _refused(origin, f"its {key} has more than {LONGEST[key]:,} characters")
    return value


def _number(given: Mapping[str, object], key: str, origin: str) -> int | None:
    value = given.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST:
        raise _refused(origin, f"its {key} is no whole number from 0 on")
    return value


def _refused(origin: str, why: str) -> FailedError:
    return FailedError(f"Pointers cannot be recorded: {origin}: {why}.", hint=_HINT)
