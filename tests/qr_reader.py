"""Reads QR codes of version 4, level M, that hold alphanumeric text (ISO/IEC 18004).

Written from the standard, without the library that draws them; corrects no errors.
"""

from collections.abc import Iterator, Sequence

SIZE = 33
BLOCKS, DATA = 2, 64
"""Blocks that the codewords are interleaved from, and the data codewords of both (table 9)."""
LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
MASKS = (
    lambda row, column: (row + column) % 2,
    lambda row, column: row % 2,
    lambda row, column: column % 3,
    lambda row, column: (row + column) % 3,
    lambda row, column: (row // 2 + column // 3) % 2,
    lambda row, column: row * column % 2 + row * column % 3,
    lambda row, column: (row * column % 2 + row * column % 3) % 2,
    lambda row, column: ((row + column) % 2 + row * column % 3) % 2,
)
"""Where each is 0, the module is inverted (table 10)."""

Modules = Sequence[Sequence[int]]


def read(modules: Modules) -> str:
    """Return the text in `modules`, rows of 0 and 1, whatever white is around the code."""
    code = _without_border(modules)
    assert len(code) == SIZE and all(len(row) == SIZE for row in code)
    format_bits = [code[8][column] for column in (0, 1, 2, 3, 4, 5, 7, 8)]
    level_and_mask = int("".join(map(str, format_bits[:5])), 2) ^ 0b10101
    assert level_and_mask >> 3 == 0, "not of level M"
    mask = MASKS[level_and_mask & 7]
    bits = [code[row][at] ^ (mask(row, at) == 0) for row, at in _path()]
    words = [int("".join(map(str, bits[at : at + 8])), 2) for at in range(0, 8 * DATA, 8)]
    ordered = [word for block in range(BLOCKS) for word in words[block::BLOCKS]]
    return _text("".join(f"{word:08b}" for word in ordered))


def from_blocks(lines: Sequence[str]) -> Modules:
    """Return the modules of a code that is printed in half blocks."""
    width = max(map(len, lines))
    upper_lower = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}
    rows: list[list[int]] = []
    for line in lines:
        pairs = [upper_lower[character] for character in line.ljust(width)]
        rows += [[pair[0] for pair in pairs], [pair[1] for pair in pairs]]
    return rows


def _without_border(modules: Modules) -> Modules:
    dark = [(row, at) for row, cells in enumerate(modules) for at, cell in enumerate(cells) if cell]
    top, left = min(row for row, _ in dark), min(at for _, at in dark)
    bottom, right = max(row for row, _ in dark), max(at for _, at in dark)
    return [list(row[left : right + 1]) for row in modules[top : bottom + 1]]


def _path() -> Iterator[tuple[int, int]]:
    """Yield where the bits lie: two columns at a time from the right, up and down in turn."""
    upwards = True
    for right in (*range(SIZE - 1, 6, -2), 5, 3, 1):
        for row in range(SIZE - 1, -1, -1) if upwards else range(SIZE):
            for column in (right, right - 1):
                if not _is_function(row, column):
                    yield row, column
        upwards = not upwards


def _is_function(row: int, column: int) -> bool:
    finder = (row < 9 and (column < 9 or column >= SIZE - 8)) or (row >= SIZE - 8 and column < 9)
    aligning = abs(row - 26) < 3 and abs(column - 26) < 3
    return finder or aligning or 6 in (row, column)


def _text(bits: str) -> str:
    assert bits[:4] == "0010", "not alphanumeric"
    count, at, text = int(bits[4:13], 2), 13, ""
    while count > len(text) + 1:
        first, second = divmod(int(bits[at : at + 11], 2), 45)
        text, at = text + LETTERS[first] + LETTERS[second], at + 11
    if count > len(text):
        text += LETTERS[int(bits[at : at + 6], 2)]
    return text
