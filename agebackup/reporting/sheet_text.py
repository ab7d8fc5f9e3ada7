"""A recovery sheet as plain text, 80 columns wide, for a printer that knows nothing else."""

import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from agebackup.model.keygroups import PREFIX, check_line, groups_of
from agebackup.model.sheet import Sheet
from agebackup.reporting import sheet_words as words
from agebackup.reporting.qr import characters

WIDTH = 80
_INDENT = 4
_KEY = "THE KEY"


def as_text(sheet: Sheet) -> str:
    """Return the page. A plain age identity has its QR code; of longer ones only HTML has it."""
    return "\n".join(line.rstrip() for line in _lines(sheet)) + "\n"


def _lines(sheet: Sheet) -> Iterator[str]:
    yield words.TITLE
    yield from _wrapped(words.WARNING)
    for text in words.about(sheet):
        yield from _wrapped(text)
    yield ""
    for word, said in words.facts(sheet):
        first, *rest = textwrap.wrap(said, WIDTH - 16, break_on_hyphens=False) or [""]
        yield f"{word + ':':<16}{first}"
        yield from (f"{'':<16}{line}" for line in rest)
    yield from _age(sheet.key.text) if sheet.key.kind == "age" else _long(sheet)
    for text in words.typing(sheet, scannable=sheet.key.kind == "age"):
        yield from _wrapped(text)
    yield ""
    yield "GETTING EVERYTHING BACK: put key.txt and an archive into a new folder; there:"
    for system, commands in words.COMMANDS:
        yield f"  {system}"
        yield from (f"{'':<{_INDENT}}{command}" for command in commands)
    yield from _wrapped(words.AFTERWARDS)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_on_hyphens=False, break_long_words=False)


def _age(secret: str) -> Iterator[str]:
    groups = groups_of(secret)
    numbered = [f"{number:>2} {group:<5}" for number, group in enumerate(groups, 1)]
    rows = ["   ".join(numbered[start : start + 3]) for start in range(0, len(groups), 3)]
    beside = [_KEY, "", PREFIX, "", *(line for row in rows for line in (row, ""))]
    beside += ["Check line (not part of the key):", _spaced(check_line(groups))]
    return _side_by_side(characters(secret), beside)


def _spaced(text: str) -> str:
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def _long(sheet: Sheet) -> Iterator[str]:
    first, *_, last = sheet.key.text.strip().splitlines()
    yield ""
    yield _KEY
    yield f"   {first}"
    for number, (line, code) in enumerate(sheet.key.lines, 1):
        yield f"{number:>2} {line} {code}"
    yield f"   {last}"


def _side_by_side(left: Sequence[str], right: Sequence[str]) -> Iterator[str]:
    width = max(map(len, left))
    for one, other in zip_longest(left, right, fillvalue=""):
        yield f"{one:<{width}} {other}"
