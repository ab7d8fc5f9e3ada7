"""An age private key on paper: groups of characters, and a check line that tells which is mistyped.

Each group of five has one check character. Seen as numbers of the field of 32 elements, the group's
characters, each times another weight, and its check character add up to nothing. As no two weights
are equal, every wrong character, and every two that changed places, is found in its own group. Of
groups that changed places the key's own checksum tells, and the check line where, unless by chance
(1 in 32) they have the same check character. The key itself stays what age reads: the check
characters stand in a line of their own.
"""

import re
from dataclasses import dataclass
from functools import reduce

from agebackup.model.bech32 import ALPHABET, is_valid

PREFIX = "AGE-SECRET-KEY-1"
SYMBOLS = 58
"""Characters after the prefix: 32 bytes of key in 52, and a checksum of 6."""
GROUP = 5
GROUPS = -(-SYMBOLS // GROUP)
_ALIKE = str.maketrans("O1IB", "0LL8")
"""Characters that Bech32 does not have, as those that they were probably read for."""
_LABEL = re.compile(r"\s*check(?:\s*line)?\s*:?", re.IGNORECASE)
_TYPED_PREFIX = re.compile(r"^AGESECRETKEYL?")
_NEAR = 3
"""By how many characters a check line may be too long or short, and still be taken for one."""


@dataclass(frozen=True)
class Verdict:
    """What was found in a typed-back key. `secret` is the key where it is right, else "".

    `groups` are the numbers (from 1) of those in which something is wrong; `check_groups` of those
    whose check character alone is. `problem` is a clause about the whole, "" for none.
    """

    secret: str = ""
    groups: tuple[int, ...] = ()
    check_groups: tuple[int, ...] = ()
    problem: str = ""

    def __repr__(self) -> str:
        """Leave the secret out: a traceback or a log may show this."""
        return f"Verdict(groups={self.groups}, problem={self.problem!r})"


def groups_of(secret: str) -> tuple[str, ...]:
    """Return the groups of `secret`, a whole age identity, without its prefix."""
    return _chunks(secret.upper().removeprefix(PREFIX))


def check_line(groups: tuple[str, ...]) -> str:
    """Return one check character for each of `groups`."""
    return "".join(map(_check, groups))


def judge_typed(text: str) -> Verdict:
    """Return what is wrong with the key in `text`, which a person typed from paper.

    In any case, with any blanks, hyphens and line ends, with or without the prefix, and with O, I,
    1 and B for what they look like. The check line is the last line, or one that begins with
    "check"; without it nothing says where an error is. A character too many or too few is found
    as well, perhaps with its neighbouring groups.
    """
    key, check = _parted(text)
    tokens = _without_prefix(key)
    typed = "".join(tokens)
    strange = {letter for letter in typed + check if letter not in ALPHABET}
    if strange:
        return Verdict(problem=f"{_quoted(strange)} is in no key", groups=_holding(tokens, strange))
    if not typed:
        return Verdict(problem="there is no key in it")
    groups = tuple(tokens) if len(tokens) == GROUPS else _chunks(typed)
    if len(typed) != SYMBOLS:
        return Verdict(
            problem=f"it has {len(typed)} characters in its groups instead of {SYMBOLS}",
            groups=_uneven(tokens, typed, check),
        )
    whole = is_valid("age-secret-key-", map(ALPHABET.index, typed))
    wrong = _failing(groups, check)
    if whole:
        return Verdict(PREFIX + typed, check_groups=wrong)
    return Verdict(groups=wrong, problem=_vague(wrong, check))


def _vague(wrong: tuple[int, ...], check: str) -> str:
    """Return what is to be said of a wrong key beside the groups."""
    if not check:
        return "a character is wrong; with the check line it can be said in which group"
    if len(check) != GROUPS:
        return f"its check line has {len(check)} characters instead of {GROUPS}"
    return (
        ""
        if wrong
        else "several characters of a group are wrong, or groups changed places; compare all"
    )


def _parted(text: str) -> tuple[str, str]:
    """Return the lines of the key, and the characters of the check line."""
    lines = [line for line in text.splitlines() if line.strip()]
    for number, line in enumerate(lines):
        label = _LABEL.match(line)
        if label and len(_plain(line[label.end() :])) <= GROUPS + _NEAR:
            rest = lines[:number] + lines[number + 1 :]
            return "\n".join(rest), _plain(line[label.end() :])
    bare = _TYPED_PREFIX.sub("", _plain(text), count=1)
    more = len(bare) - SYMBOLS  # or the last line may be the last row of the key
    if len(lines) > 1 and more > GROUPS // 2 and abs(len(_plain(lines[-1])) - GROUPS) <= _NEAR:
        return "\n".join(lines[:-1]), _plain(lines[-1])
    if more == GROUPS:
        return bare[:SYMBOLS], bare[SYMBOLS:]
    return text, ""


def _without_prefix(key: str) -> list[str]:
    """Return the words of the key as plain characters, the prefix removed however it was spaced."""
    words = [_plain(word) for word in re.split(r"[\s\-]+", key) if word]
    joined = "".join(words)
    match = _TYPED_PREFIX.match(joined)
    superfluous = match.end() if match else 0
    while superfluous:
        taken = min(superfluous, len(words[0]))
        superfluous -= taken
        words[0] = words[0][taken:]
        if not words[0]:
            del words[0]
    return words


def _plain(text: str) -> str:
    return re.sub(r"[\s\-]+", "", text).upper().translate(_ALIKE)


def _chunks(typed: str) -> tuple[str, ...]:
    return tuple(typed[start : start + GROUP] for start in range(0, len(typed), GROUP))


def _failing(groups: tuple[str, ...], check: str) -> tuple[int, ...]:
    """Return the numbers of the groups that do not go with their check characters."""
    if len(check) != GROUPS:
        return ()
    pairs = enumerate(zip(groups, check, strict=True), 1)
    return tuple(number for number, (group, said) in pairs if _check(group) != said)


def _uneven(tokens: list[str], typed: str, check: str) -> tuple[int, ...]:
    """Return the groups in which a character may be missing, or too many."""
    lengths = [GROUP] * (GROUPS - 1) + [SYMBOLS - GROUP * (GROUPS - 1)]
    if len(tokens) == GROUPS:
        pairs = enumerate(zip(tokens, lengths, strict=True), 1)
        return tuple(number for number, (token, length) in pairs if len(token) != length)
    if len(check) != GROUPS or abs(len(typed) - SYMBOLS) > _NEAR:
        return ()
    ahead = _failing((*_chunks(typed), *[""] * GROUPS)[:GROUPS], check)
    shift = SYMBOLS - len(typed)
    padded = "?" * shift + typed if shift > 0 else typed[-shift:]
    behind = _failing(_chunks(padded), check)
    # Before the error all groups fit, and after it, counted from the end; others only by chance.
    first, last = sorted((behind[-1] if behind else 1, ahead[0] if ahead else GROUPS))
    return tuple(range(first, last + 1))


def _holding(tokens: list[str], strange: set[str]) -> tuple[int, ...]:
    groups = tokens if len(tokens) == GROUPS else _chunks("".join(tokens))
    return tuple(number for number, group in enumerate(groups, 1) if strange & set(group))


def _quoted(letters: set[str]) -> str:
    """Return a few characters that no key has, as a person may be shown them."""
    return ", ".join(repr(letter) for letter in sorted(letters)[:3])


def _check(group: str) -> str:
    """Return the check character of the group."""
    total = 0
    for weight, letter in enumerate(group, 2):  # 1 is the check character's own
        total ^= _times(weight, ALPHABET.find(letter) & 31)
    return ALPHABET[total]


def _times(one: int, other: int) -> int:
    """Return the product in the field of 32 elements, modulo x^5 + x^2 + 1."""
    product = reduce(lambda sum_, bit: sum_ ^ (one << bit if other >> bit & 1 else 0), range(5), 0)
    for bit in range(8, 4, -1):
        if product >> bit & 1:
            product ^= 0b100101 << (bit - 5)
    return product
