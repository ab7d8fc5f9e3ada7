"""QR codes (ISO/IEC 18004): as a drawing in a page, and as characters for plain printers."""

import segno

_BORDER = 4
"""Modules of white around the code, which the standard demands."""
_HALVES = {(0, 0): " ", (1, 0): "\u2580", (0, 1): "\u2584", (1, 1): "\u2588"}
"""Two modules, one above the other, as one character."""


def modules(text: str) -> list[tuple[int, ...]]:
    """Return the rows of the QR code of `text`, border included: 1 is dark."""
    code = segno.make(text, error="m", micro=False)
    return [tuple(row) for row in code.matrix_iter(border=_BORDER)]


def drawing(text: str) -> str:
    """Return an SVG element that shows `text`: a row of the code is a row of bars."""
    rows = modules(text)
    bars = "".join(
        f"M{left} {top}h{right - left}v1h-{right - left}z"
        for top, row in enumerate(rows)
        for left, right in _dark(row)
    )
    size = len(rows)
    return (
        f'<svg class="qr" viewBox="0 0 {size} {size}" shape-rendering="crispEdges" role="img" '
        f'aria-label="QR code"><path d="{bars}"/></svg>'
    )


def characters(text: str) -> tuple[str, ...]:
    """Return lines of block characters that show `text`, two rows of modules in each."""
    rows = modules(text)
    rows += [(0,) * len(rows[0])] * (len(rows) % 2)
    return tuple(
        "".join(_HALVES[pair] for pair in zip(upper, lower, strict=True))
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    )


def _dark(row: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return where each stretch of dark modules in `row` begins and ends."""
    edges = [
        at for at, (one, next_) in enumerate(zip((0, *row), (*row, 0), strict=True)) if one != next_
    ]
    return list(zip(edges[::2], edges[1::2], strict=True))
