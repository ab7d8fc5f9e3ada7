"""The tar headers of an archive (FORMAT.md, "tar dialect"): one way to write each, nothing else.

A header is well formed exactly when writing what it says gives the same bytes again. That single
rule refuses every other dialect, sparse files, links, odd numbers and stray bytes alike.
"""

import hashlib
from typing import NamedTuple
from zlib import adler32

from agebackup.errors import VerificationError, printable

BLOCK = 512
RECORD = 10240
ZERO_BLOCK = bytes(BLOCK)
PLAIN, EXECUTABLE = 0o600, 0o700
"""The two modes there are; whose file it was and who else may read it is not carried."""

_LONG_LINK = b"././@LongLink"
_REGULAR, _LONG = b"0", b"L"
_NAME, _PREFIX = 100, 155
_MAX_OCTAL = 8**11 - 1
_SIZES = range(1 << 63)
_TIMES = range(-(1 << 63), 1 << 63)
_OWNER = b"0000000\0" * 2
_MODES = {PLAIN: b"0000600\0" + _OWNER, EXECUTABLE: b"0000700\0" + _OWNER}
_MODE_OF = {text: mode for mode, text in _MODES.items()}
_AFTER_TYPE = bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2
_REST = _REGULAR + _AFTER_TYPE + bytes(_PREFIX + 12)
_REST_SUM = sum(_REST) + sum(b" " * 8) - 1
_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"5": "a directory",
    b"6": "a fifo",
    b"7": "a contiguous file",
    b"g": "a global pax header",
    b"x": "a pax header",
    b"K": "a long link name",
    b"M": "a continued file",
    b"S": "a sparse file",
    b"V": "a volume label",
}


class Header(NamedTuple):
    """One member: its path with the top folder, size in bytes, mtime in whole seconds, mode."""

    path: bytes
    size: int
    mtime: int
    mode: int


def encode_header(path: bytes, size: int, mtime: int, mode: int = PLAIN) -> bytes:
    """Return the blocks that announce a member: one, or three and more for a long path.

    `path` is valid UTF-8 with the top folder, sizes reach from 0 to 2**63 - 1, times (seconds
    since 1970) from -2**63 to 2**63 - 1, `mode` is PLAIN or EXECUTABLE.
    """
    if len(path) <= _NAME and 0 <= size <= _MAX_OCTAL and 0 <= mtime <= _MAX_OCTAL:
        start = b"%b%b%011o\0%011o\0" % (path.ljust(_NAME, b"\0"), _MODES[mode], size, mtime)
        # The low half of Adler-32 is 1 + the sum of the bytes modulo 65521, which 148 bytes with
        # 100 of UTF-8 cannot reach: the quickest sum that Python has.
        return b"%b%06o\0 %b" % (start, (adler32(start) & 0xFFFF) + _REST_SUM, _REST)
    split = _split(path)
    if split is not None:
        name, prefix = split
        return _block(Header(name, size, mtime, mode), prefix)
    return long_name_blocks(path) + _block(Header(_stand_in(path), size, mtime, mode))


def long_name_blocks(path: bytes) -> bytes:
    """Return the blocks that carry a path which no header can hold."""
    content = path + b"\0"
    return _long_link(len(content)) + content + bytes(-len(content) % BLOCK)


def long_name_size(block: bytes) -> int | None:
    """Return how many bytes a long path takes that `block` opens, its NUL included, else None."""
    if block[156:157] != _LONG:
        return None
    size = _number(block[124:136])
    if size < 1 or _long_link(size) != block:
        raise _malformed(block)
    return size


def decode_header(block: bytes, long_path: bytes | None = None) -> Header:
    """Return what the 512 bytes of `block` announce; `long_path` is what preceded it, if any.

    Raises `VerificationError` for every header that agebackup does not write itself.
    """
    if long_path is None:
        try:  # the usual header in the fewest steps; what it does not fit is looked at below
            mode = EXECUTABLE if block[105] == 0x37 else PLAIN
            path, size, mtime = block[:_NAME], int(block[124:135], 8), int(block[136:147], 8)
            header = Header(path.rstrip(b"\0"), size, mtime, mode)
            if encode_header(*header) == block:
                return header
        except ValueError:
            pass
    return _decode_rare(block, long_path)


def _decode_rare(block: bytes, long_path: bytes | None) -> Header:
    path = long_path
    if path is None:
        path = block[345:500].rstrip(b"\0") + b"/" + block[:_NAME].rstrip(b"\0")
        path = path if block[345] else path[1:]
    mode = _MODE_OF.get(block[100:124], PLAIN)
    header = Header(path, _number(block[124:136]), _number(block[136:148]), mode)
    in_range = header.size in _SIZES and header.mtime in _TIMES
    expected = encode_header(*header) if in_range else b""
    if long_path is not None:
        opening = long_name_blocks(long_path)
        # A path that fits needs no long name: one path, one way to write it.
        expected = expected[len(opening) :] if expected.startswith(opening) else b""
    if expected != block:
        raise _malformed(block)
    return header


def _split(path: bytes) -> tuple[bytes, bytes] | None:
    """Return name and prefix of `path`, cut at the first slash that leaves at most 100 bytes."""
    if len(path) <= _NAME:
        return path, b""
    slash = path.find(b"/", len(path) - _NAME - 1)
    if slash < 1 or slash > _PREFIX or slash == len(path) - 1:
        return None
    return path[slash + 1 :], path[:slash]


def _stand_in(path: bytes) -> bytes:
    """Return a name for tars that ignore long names: unlike any other, so that nothing is lost."""
    top = path.partition(b"/")[0]
    return top[:40] + b"/long-name-" + hashlib.sha256(path).hexdigest()[:16].encode()


def _long_link(size: int) -> bytes:
    return _block(Header(_LONG_LINK, size, 0, PLAIN), kind=_LONG)


def _block(header: Header, prefix: bytes = b"", kind: bytes = _REGULAR) -> bytes:
    fields = (
        header.path.ljust(_NAME, b"\0"), _MODES[header.mode], _octal(header.size),
        _octal(header.mtime), b" " * 8, kind, _AFTER_TYPE, prefix.ljust(_PREFIX + 12, b"\0"),
    )  # fmt: skip
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _octal(value: int) -> bytes:
    """Return a 12 byte number: octal, or GNU's base 256 where eleven digits do not hold it."""
    if 0 <= value <= _MAX_OCTAL:
        return b"%011o\0" % value
    if value > 0:
        return (value | 1 << 95).to_bytes(12)
    return value.to_bytes(12, signed=True)


def _number(field: bytes) -> int:
    """Return the number in `field`; what is not one gives a number that encodes otherwise."""
    try:
        return int(field[:11], 8)
    except ValueError:
        if field[0] == 0x80:
            return int.from_bytes(field[1:])
        return int.from_bytes(field, signed=True) if field[0] == 0xFF else 0


def _malformed(block: bytes) -> VerificationError:
    name = printable(block[:_NAME].partition(b"\0")[0].decode("utf-8", "surrogateescape"))
    kind = _KINDS.get(block[156:157])
    if kind and block[257:262] == b"ustar":
        return VerificationError(f"The archive holds {kind}, {name}, which no agebackup wrote.")
    return VerificationError("The tar stream inside the archive is damaged: a header is malformed.")
