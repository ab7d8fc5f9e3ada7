"""A key too long for groups on paper: base64 in numbered lines, each with a check code of its own.

The code is CRC-16/CCITT (`binascii.crc_hqx`) over the line, begun with the line's number, and
otherwise for the last line. It finds every error within two characters side by side for certain,
any other but for one in 65,536, a line in another one's place, and that the last one is missing.

Such keys are a passphrase-protected identity file (age's armor) and an OpenSSH private key
(PROTOCOL.key).
"""

import re
from binascii import crc_hqx
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_KINDS = {
    "YWdlLWVuY3J5cHRpb24u": "AGE ENCRYPTED FILE",
    "b3BlbnNzaC1rZXktdjEA": "OPENSSH PRIVATE KEY",
}
"""How the base64 of each kind begins, and its name between the markers."""
_NUMBER = re.compile(r"[0-9]{1,2}[.:]?")
_CODE = re.compile(r"[0-9A-FOIL]{4}", re.IGNORECASE)
_ALIKE = str.maketrans("OIL", "011")
_LAST = 0x8000
MOST_LINES = 12
"""More than these nobody types, and they would not fit on a page with everything else."""


@dataclass(frozen=True, repr=False)
class LinesVerdict:
    """What was found in typed-back lines. `text` is the whole key file if all is right, else "".

    `lines` are the numbers (from 1) of those that do not go with their codes, `uncoded` of those
    without one. `problem` is a clause about the whole, "" for none.
    """

    text: str = ""
    lines: tuple[int, ...] = ()
    uncoded: tuple[int, ...] = ()
    problem: str = ""


def lines_of(text: str) -> tuple[tuple[str, str], ...]:
    """Return each line of base64 in the key file `text` with its code."""
    lines = [line for line in map(str.strip, text.splitlines()) if line and line[0] != "-"]
    return tuple(zip(lines, _codes(lines), strict=True))


def is_lines(text: str) -> bool:
    """Return whether the typed `text` is of this form, not of `model.keygroups`."""
    return "-----" in text or any(beginning in text for beginning in _KINDS)


def judge_lines(text: str) -> LinesVerdict:
    """Return what is wrong with the lines in `text`, which a person typed from paper.

    Each as it is printed: perhaps its number, the base64 with any blanks, its code. The markers
    may be left out. Capitals and small letters differ, but for the code.
    """
    rows = list(_rows(text))
    codes = _codes([line for line, _ in rows])
    uncoded = tuple(number for number, (_, code) in enumerate(rows, 1) if not code)
    wrong = tuple(
        number
        for number, ((_, typed), code) in enumerate(zip(rows, codes, strict=True), 1)
        if typed not in ("", code)
    )
    if rows and rows[-1][1] == _code(len(rows), rows[-1][0]):
        return LinesVerdict(lines=wrong[:-1], uncoded=uncoded, problem="its last line is missing")
    if wrong or uncoded:
        return LinesVerdict(lines=wrong, uncoded=uncoded)
    kind = next(
        (kind for start, kind in _KINDS.items() if rows and rows[0][0].startswith(start)), ""
    )
    if not kind:
        return LinesVerdict(problem="its first line is not that of a key")
    body = "\n".join(line for line, _ in rows)
    return LinesVerdict(f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n")


def _rows(text: str) -> Iterator[tuple[str, str]]:
    """Yield the base64 and the code ("" where there is none) of each typed line."""
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("--"):
            continue
        if len(words) > 1 and _NUMBER.fullmatch(words[0]):
            del words[0]
        code = words.pop() if len(words) > 1 and _CODE.fullmatch(words[-1]) else ""
        yield "".join(words), code.upper().translate(_ALIKE)


def _codes(lines: Sequence[str]) -> list[str]:
    """Return the code of each of `lines`, the last of which is the key's last one."""
    ends = [
        number if number < len(lines) else number | _LAST for number in range(1, len(lines) + 1)
    ]
    return [_code(end, line) for end, line in zip(ends, lines, strict=True)]


def _code(begun: int, line: str) -> str:
    return f"{crc_hqx(line.encode(), begun):04X}"
