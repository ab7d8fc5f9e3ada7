"""Bech32 as age writes its keys with it: 32 characters, six of which at the end are a checksum.

Source: BIP 173. The checksum says that something is wrong, with up to four characters for certain;
where it is wrong is for `model.keygroups` to say.
"""

from collections.abc import Iterable

ALPHABET = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"
"""The characters for 0 to 31, as capitals: 1, B, I and O, which look like others, are none."""

_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def is_valid(prefix: str, symbols: Iterable[int]) -> bool:
    """Return whether `symbols` (0 to 31 each), checksum included, go with the small-letter prefix.

    `prefix` is what stands before the separating 1.
    """
    high = [ord(letter) >> 5 for letter in prefix]
    low = [ord(letter) & 31 for letter in prefix]
    remainder = 1
    for value in (*high, 0, *low, *symbols):
        top = remainder >> 25
        remainder = (remainder & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate(_GENERATOR):
            if top >> bit & 1:
                remainder ^= term
    return remainder == 1
