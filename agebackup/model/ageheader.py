"""What an age file shows without a key: its header, and which sizes it can have.

Source: the age v1 specification (age-encryption.org/v1). The grammar is kept to the letter, like
age itself does: canonical base64 without padding, bodies wrapped at 64 columns and ended by a
shorter line. A header that passes here is one that every age implementation can take apart.
"""

import base64
import re
from binascii import Error as Base64Error
from dataclasses import dataclass

from agebackup.errors import VerificationError, printable

HEADER_LIMIT = 1 << 18
"""The longest header, in bytes, that is looked at: room for 300 recipients of the largest kind.

pyrage parses a header in quadratic time (1 MiB takes it 16 s), and a hostile one has no end.
"""
CHUNK_BYTES = 1 << 16
NONCE_BYTES = TAG_BYTES = 16

_FAMILY = b"age-encryption.org/"
_VERSION = _FAMILY + b"v1\n"
_ARMOR_BEGIN, _ARMOR_END = (
    b"-----%s AGE ENCRYPTED FILE-----" % word for word in (b"BEGIN", b"END")
)
_COLUMNS = 64
_ARGUMENTS = re.compile(rb"-> [!-~]+(?: [!-~]+)*")
_MAC = re.compile(rb"--- ([A-Za-z0-9+/]{43})")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*")
_BASE64_ORDER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_KNOWN = {
    "X25519": (re.compile(rb"([A-Za-z0-9+/]{43})"), 43),
    "ssh-ed25519": (re.compile(rb"([A-Za-z0-9+/]{6}) ([A-Za-z0-9+/]{43})"), 43),
    "ssh-rsa": (re.compile(rb"([A-Za-z0-9+/]{6})"), None),
    "scrypt": (re.compile(rb"([A-Za-z0-9+/]{22}) [1-9][0-9]?"), 43),
}
"""The arguments of the kinds that pyrage opens, each group base64, and their bodies' characters."""


@dataclass(frozen=True)
class Header:
    """The parts of an age file's header.

    `length` is its size in bytes up to and including the MAC line; `stanzas` are the kinds of its
    recipients in order, such as "X25519" (some are noise that writers add on purpose);
    `work_factor` is the base-two logarithm of scrypt's cost where a passphrase opens the file.
    """

    length: int
    stanzas: tuple[str, ...]
    work_factor: int | None = None

    @property
    def recipients(self) -> tuple[str, ...]:
        """The kinds without the noise that pyrage adds, which calls itself "...-grease"."""
        return tuple(kind for kind in self.stanzas if not kind.endswith("-grease"))


def parse(prefix: bytes) -> Header:
    """Return the header at the beginning of `prefix`.

    `prefix` is the file's first `HEADER_LIMIT` bytes, or all of it where it is shorter. Raises
    `VerificationError` where that is not a well-formed header of age's version 1.
    """
    if not prefix.startswith(_VERSION):
        raise _not_age(prefix)
    position, kinds, work_factor = len(_VERSION), [], None
    while True:
        line, position = _line(prefix, position)
        if _MAC.fullmatch(line):
            _require_canonical(line[4:])
            break
        if not _ARGUMENTS.fullmatch(line):
            raise _malformed("a line is neither a recipient's nor the last one")
        kind, _, arguments = line[3:].partition(b" ")
        position, body = _skip_body(prefix, position)
        kinds.append(kind.decode("ascii"))
        _require_known_shape(kinds[-1], arguments, body)
        if kind == b"scrypt":
            work_factor = int(arguments.split(b" ")[1])
    if not kinds:
        raise _malformed("it names no recipient")
    if work_factor is not None and len(kinds) > 1:
        raise _malformed("a passphrase stands beside other recipients")
    return Header(position, tuple(kinds), work_factor)


def sealed_size(header_length: int, plaintext_bytes: int) -> int:
    """Return the exact size of an age file, in bytes, that holds `plaintext_bytes`."""
    chunks = max(1, -(-plaintext_bytes // CHUNK_BYTES))
    return header_length + NONCE_BYTES + plaintext_bytes + TAG_BYTES * chunks


def possible_plaintext(header_length: int, size: int) -> int | None:
    """Return how many bytes an age file of `size` bytes holds, or None where none has that size.

    Every plaintext has its own size of file, so a file that was cut or grew is found without a
    key, unless it changed by an amount that makes another possible size.
    """
    payload = size - header_length - NONCE_BYTES
    chunks = max(1, -(-payload // (CHUNK_BYTES + TAG_BYTES)))
    plaintext = payload - TAG_BYTES * chunks
    if plaintext < 0 or sealed_size(header_length, plaintext) != size:
        return None
    return plaintext


def is_armored(prefix: bytes) -> bool:
    """Return whether `prefix` begins a text form (PEM) of an age file."""
    return prefix.lstrip().startswith(_ARMOR_BEGIN)


def dearmored(text: bytes) -> bytes:
    """Return the binary age file that the armored `text` stands for.

    Raises `VerificationError` where it is not one whole armored file and nothing else.
    """
    lines = text.strip().splitlines()
    if len(lines) < 3 or lines[0] != _ARMOR_BEGIN or lines[-1] != _ARMOR_END:
        raise VerificationError("The armored age file is not whole.")
    *full, last = lines[1:-1]
    if any(len(line) != _COLUMNS for line in full) or not 0 < len(last) <= _COLUMNS:
        raise VerificationError("The lines of the armored age file have the wrong lengths.")
    try:
        return base64.b64decode(b"".join([*full, last]), validate=True)
    except Base64Error:
        raise VerificationError("The armored age file is not base64.") from None


def armored(binary: bytes) -> str:
    """Return the armored text of the age file `binary`: base64 in 64 columns between markers."""
    text = base64.b64encode(binary).decode()
    lines = [text[start : start + _COLUMNS] for start in range(0, len(text), _COLUMNS)]
    return "\n".join([_ARMOR_BEGIN.decode(), *lines, _ARMOR_END.decode()]) + "\n"


def _line(prefix: bytes, position: int) -> tuple[bytes, int]:
    end = prefix.find(b"\n", position)
    if end < 0:
        if len(prefix) < HEADER_LIMIT:
            raise _malformed("the file ends within it")
        raise _malformed(f"it is longer than {HEADER_LIMIT} bytes")
    return prefix[position:end], end + 1


def _skip_body(prefix: bytes, position: int) -> tuple[int, int]:
    """Return where the body that begins at `position` ends, and how many characters it has."""
    characters = 0
    while True:
        line, position = _line(prefix, position)
        if len(line) > _COLUMNS:
            raise _malformed(f"a line of base64 is longer than {_COLUMNS} columns")
        _require_canonical(line)
        characters += len(line)
        if len(line) < _COLUMNS:
            return position, characters


def _require_canonical(text: bytes) -> None:
    """Refuse what is not base64, and base64 that another text would decode to as well."""
    if not _BASE64.fullmatch(text):
        raise _malformed("a line is not base64")
    unused_bits = {0: 0, 2: 4, 3: 2}.get(len(text) % 4)
    if unused_bits is None:
        raise _malformed("a line of base64 has an impossible length")
    if text and _BASE64_ORDER.index(text[-1]) & ((1 << unused_bits) - 1):
        raise _malformed("a line is not canonical base64")


def _require_known_shape(kind: str, arguments: bytes, body: int) -> None:
    if kind in _KNOWN:
        pattern, characters = _KNOWN[kind]
        match = pattern.fullmatch(arguments)
        if not match or characters not in (None, body):
            raise _malformed(f"its {kind} recipient is damaged")
        for group in match.groups():
            _require_canonical(group)


def _not_age(prefix: bytes) -> VerificationError:
    if is_armored(prefix):
        return VerificationError(
            "The file is an armored age file (text); archives are binary.",
            hint="Make it binary first: decrypt it with age, then encrypt it again without -a.",
        )
    if prefix.startswith(_FAMILY):
        version = prefix[len(_FAMILY) : len(_FAMILY) + 40].split(b"\n")[0].decode("latin-1")
        return VerificationError(
            f"The file is an age file of the version {printable(version)}; only v1 is known.",
            hint="If its first line is not damaged, a newer agebackup may read it.",
        )
    if not prefix.strip(b"\0"):
        what = "The file is empty" if not prefix else "The file holds nothing but zeros"
        return VerificationError(
            f"{what}; it is not an age file.",
            hint="A copy or a synchronisation was interrupted: fetch the file again.",
        )
    return VerificationError("The file is not an age file.", hint="Check that this is an archive.")


def _malformed(why: str) -> VerificationError:
    return VerificationError(
        f"The file is not a well-formed age file: its header is damaged ({why}).",
        hint="Take another copy of the file, or an older archive.",
    )
