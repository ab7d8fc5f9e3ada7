"""Changes inputs the way their readers take them apart: tar by its headers, JSON by its values.

What was changed is made consistent again most of the time (checksums, sizes, hashes), so that the
next reader behind the first one gets to see it.
"""

import hashlib
import json
from collections.abc import Callable
from random import Random

from hostile import END, header, long_named, pax

_BLOCK = 512
_FIELDS = (
    *((0, 100), (100, 8), (108, 8), (116, 8), (124, 12), (136, 12), (148, 8), (156, 1)),
    *((157, 100), (257, 8), (265, 32), (297, 32), (329, 8), (337, 8), (345, 155), (500, 12)),
)
"""Where each field of a ustar header begins and how long it is (POSIX.1-2017, pax)."""
_SIZE, _CHECKSUM = slice(124, 136), slice(148, 156)
NAMES = (
    *("../outside", "/etc/outside", "app/../outside", "app/data/../../outside", "app/data/./x"),
    *("app//x", "app/data/", "app", "", "app/data/x\n", "app/data/\x1b[2J", "app/data/\u2028"),
    *("app/data/state.db-wal", "app/data/A.TXT", "app/data/\u00e9", "app/data/e\u0301", "other/x"),
    *("app/data/" + "d/" * 1500 + "x", "app/data/" + "n" * 300, "app/tagmanifest-sha256.txt.sig"),
    *("app/data/attachments/a.txt/x", "app/data/ledger.db/x", "app/fetch.txt", "app/data/%0a"),
)
_SCALARS: tuple[object, ...] = (
    *(0, 1, -1, 2, 255, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, 1 << 64, -(1 << 63), 1e308),
    *(0.5, True, False, None, "", "x", "data/", "data/../x", "/etc/passwd", "\x00", "\ud800"),
    *("\x1b[2J", "data/attachments", "data/ledger.db", "n" * 5000, "\u202e", [], {}, [[]], {"": 0}),
)


def bytes_changed(data: bytes, chance: Random, words: tuple[bytes, ...] = ()) -> bytes:
    """Return `data` with a few bytes changed, moved, taken out or put in."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 8))):
        at = chance.randint(0, len(found))
        length = chance.choice((1, 1, 2, 4, 16, 64))
        piece = bytes(found[at : at + length])
        kind = chance.randrange(7)
        if kind == 0 and piece:
            found[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            found[at : at + length] = chance.randbytes(length)
        elif kind == 2:
            del found[at : at + length]
        elif kind == 3:
            found[at:at] = piece * chance.choice((1, 2, 50))
        elif kind == 4 and words:
            found[at : at + chance.choice((0, length))] = chance.choice(words)
        elif kind == 5:
            found[at:at] = bytes([chance.choice(b"\0\xff\n\r /.-=%[]{}\"'0")]) * length
        else:
            to = chance.randint(0, len(found))
            found[to:to] = piece
    return bytes(found)


def json_changed(text: bytes, chance: Random) -> bytes:
    """Return the JSON `text` with some of its values changed; bytes changed where it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return bytes_changed(text, chance)
    for _ in range(chance.choice((1, 1, 2, 3))):
        value = _changed(value, chance)
    return json.dumps(value, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")


def _changed(value: object, chance: Random) -> object:
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(tuple(value))
        kind = chance.randrange(12)
        if kind == 0:
            return {name: one for name, one in value.items() if name != key}
        if kind == 1:
            return value | {chance.choice(("", "x", key + "x")): value[key]}
        return value | {key: _changed(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        at = chance.randrange(len(value))
        kind = chance.randrange(6)
        if kind == 0:
            return value[:at] + value[at + 1 :]
        if kind == 1:
            return value + [value[at]] * chance.choice((1, 1, 30))
        return [*value[:at], _changed(value[at], chance), *value[at + 1 :]]
    if isinstance(value, str) and value and chance.random() < 0.3:
        return bytes_changed(value.encode("utf-8", "replace"), chance).decode("utf-8", "replace")
    if isinstance(value, int) and chance.random() < 0.4:
        return value + chance.choice((-1, 1, 256))
    return chance.choice(_SCALARS)


Member = tuple[bytes, bytes]
"""A header and what follows it, without padding."""


def taken_apart(stream: bytes) -> list[Member]:
    """Return the members of a tar stream as far as it can be understood."""
    found, at = [], 0
    while at + _BLOCK <= len(stream) and any(stream[at : at + _BLOCK]):
        raw = stream[at : at + _BLOCK]
        try:
            size = int(raw[_SIZE].rstrip(b"\0 ") or b"0", 8)
        except ValueError:
            size = 0
        size = min(size, len(stream) - at - _BLOCK) if size >= 0 else 0
        found.append((raw, stream[at + _BLOCK :][:size]))
        at += _BLOCK + size + -size % _BLOCK
    return found


def put_together(members: list[Member]) -> bytes:
    """Return the tar stream of `members`, ended as it should be."""
    pieces = [raw + content + bytes(-len(content) % _BLOCK) for raw, content in members]
    stream = b"".join(pieces) + END
    return stream + bytes(-len(stream) % 10240)


def summed(raw: bytes) -> bytes:
    """Return the header `raw` with the right checksum."""
    blank = raw[:148] + b" " * 8 + raw[156:]
    return raw[:148] + b"%06o\0 " % (sum(blank) % (1 << 18)) + raw[156:]


def resealed(members: list[Member]) -> list[Member]:
    """Return `members` with the hashes in both manifests of the bag made right."""
    found = list(members)
    for tag in (b"manifest-sha256.txt", b"tagmanifest-sha256.txt"):
        payload = tag == b"manifest-sha256.txt"
        lines = b""
        for raw, content in found:
            path = raw[:100].rstrip(b"\0")
            prefix = raw[345:500].rstrip(b"\0")
            place = (prefix + b"/" + path if prefix else path).partition(b"/")[2]
            if place.startswith(b"data/") == payload and b"tagmanifest" not in place:
                lines += hashlib.sha256(content).hexdigest().encode() + b"  " + place + b"\n"
        found = [
            sized(raw, lines) if raw[:100].rstrip(b"\0").endswith(b"/" + tag) else (raw, content)
            for raw, content in found
        ]
    return found


def sized(raw: bytes, content: bytes) -> Member:
    """Return the member of `raw` with another content and its size."""
    return summed(raw[:124] + b"%011o\0" % len(content) + raw[136:]), content


def tar_changed(stream: bytes, chance: Random) -> bytes:
    """Return a tar stream in which members, headers, contents or bytes are changed."""
    if chance.random() < 0.1:
        return bytes_changed(stream, chance)
    members = taken_apart(stream)
    if not members:
        return bytes_changed(stream, chance)
    for _ in range(chance.choice((1, 1, 2, 3))):
        _TAR[chance.randrange(len(_TAR))](members, chance)
    if chance.random() < 0.7:
        members = resealed(members)
    made = put_together(members)
    return made if chance.random() < 0.95 else made[: chance.randrange(len(made) + 1)]


def _any(members: list[Member], chance: Random) -> int:
    return chance.randrange(len(members))


def _header_field(members: list[Member], chance: Random) -> None:
    at = _any(members, chance)
    raw, content = members[at]
    start, width = chance.choice(_FIELDS)
    octal = b"%0*o\0" % (width - 1, chance.choice((0, 1, 511, 512, 513, 4095, 8**11 - 1)))
    what = chance.choice(
        (
            *(chance.randbytes(width), bytes(width), b"\xff" * width, b"\x80" + bytes(width - 1)),
            *(octal, b"7" * width, b" " * width, bytes_changed(raw[start : start + width], chance)),
        )
    )
    raw = (raw[:start] + what[:width].ljust(width, b"\0") + raw[start + width :])[:_BLOCK]
    members[at] = (summed(raw) if chance.random() < 0.9 else raw, content)


def _kind(members: list[Member], chance: Random) -> None:
    at = _any(members, chance)
    raw, content = members[at]
    members[at] = (
        summed(raw[:156] + bytes([chance.choice(b"01234567LKxgSV\0")]) + raw[157:]),
        content,
    )


def _name(members: list[Member], chance: Random) -> None:
    at = _any(members, chance)
    name = chance.choice(NAMES).encode()
    raw, content = members[at]
    if len(name) > 100:
        long = taken_apart(long_named(name, content))
        members[at : at + 1] = long
    else:
        members[at] = summed(name.ljust(100, b"\0") + raw[100:]), content


def _added(members: list[Member], chance: Random) -> None:
    name, content = (
        chance.choice(NAMES).encode()[:100],
        chance.randbytes(chance.choice((0, 5, 600))),
    )
    kind = chance.choice((b"0", b"0", b"1", b"2", b"5", b"x", b"L"))
    if kind == b"x":
        content = pax(("path", "/etc/outside"), ("size", str(chance.getrandbits(40))))
    made = header(name, len(content), kind=kind, link=chance.choice((b"", b"/etc/passwd")))
    members.insert(chance.randint(0, len(members)), (made, content))


def _moved(members: list[Member], chance: Random) -> None:
    one = members.pop(_any(members, chance)) if len(members) > 1 else members[0]
    members.insert(chance.randint(0, len(members)), one)


def _doubled(members: list[Member], chance: Random) -> None:
    one = members[_any(members, chance)]
    for _ in range(chance.choice((1, 1, 20))):
        members.insert(chance.randint(0, len(members)), one)


def _dropped(members: list[Member], chance: Random) -> None:
    if len(members) > 1:
        del members[_any(members, chance)]


def _content(members: list[Member], chance: Random) -> None:
    at = _any(members, chance)
    raw, content = members[at]
    members[at] = sized(raw, bytes_changed(content, chance, (b"  data/x\n", b"Payload-Oxum: ")))


def _manifest(members: list[Member], chance: Random) -> None:
    for at, (raw, content) in enumerate(members):
        if raw[:100].rstrip(b"\0").endswith(b"/manifest.json"):
            members[at] = sized(raw, json_changed(content, chance))


_TAR: tuple[Callable[[list[Member], Random], None], ...] = (
    *(_header_field, _header_field, _kind, _name, _added, _moved, _doubled, _dropped, _content),
    *(_manifest, _manifest, _manifest, _content),
)
