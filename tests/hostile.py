"""Builds bags and tar streams by hand, honest ones and every hostile kind of them.

Nothing here uses agebackup's own writer, so that writer and reader cannot share a mistake.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

APP = "app"
SQLITE = b"SQLite format 3\x00" + bytes(84) + b"not much of a database"
FORMAT_LINE = b"<!-- agebackup archive, format 1, minimum reader 1 -->\n"
BAGIT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
END = bytes(1024)


def header(path: bytes, length: int = 0, **fields: bytes) -> bytes:
    """Return a ustar header as agebackup writes it, but for what `fields` replace."""
    layout = {
        "name": (path, 100),
        "mode": (b"0000600\0", 8),
        "uid": (b"0000000\0", 8),
        "gid": (b"0000000\0", 8),
        "size": (b"%011o\0" % length, 12),
        "mtime": (b"14540404000\0", 12),
        "checksum": (b" " * 8, 8),
        "kind": (b"0", 1),
        "link": (b"", 100),
        "magic": (b"ustar\x0000", 8),
        "uname": (b"", 32),
        "gname": (b"", 32),
        "major": (b"0000000\0", 8),
        "minor": (b"0000000\0", 8),
        "prefix": (b"", 155),
        "rest": (b"", 12),
    }
    parts = [fields.get(key, value).ljust(width, b"\0") for key, (value, width) in layout.items()]
    block = b"".join(parts)
    assert len(block) == 512, "a field is too long"
    if "checksum" in fields:
        return block
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def padded(content: bytes) -> bytes:
    """Return `content` with zeros up to a whole block."""
    return content + bytes(-len(content) % 512)


def member(place: str | bytes, content: bytes = b"", **fields: bytes) -> bytes:
    """Return a member with `content`; what `fields` replace goes into its header."""
    path = place if isinstance(place, bytes) else place.encode()
    return header(path, len(content), **fields) + padded(content)


def long_named(path: str | bytes, content: bytes = b"") -> bytes:
    """Return a member whose path goes before it, as agebackup does for a long one."""
    name = path if isinstance(path, bytes) else path.encode()
    stand_in = b"app/long-name-" + hashlib.sha256(name).hexdigest()[:16].encode()
    return member("././@LongLink", name + b"\0", kind=b"L", mtime=b"%011o\0" % 0) + member(
        stand_in, content
    )


def filled(stream: bytes) -> bytes:
    """Return `stream` with an end marker and the last record filled."""
    stream += END
    return stream + bytes(-len(stream) % 10240)


def pax(*records: tuple[str, str]) -> bytes:
    """Return the content of a pax header."""
    lines = b""
    for key, value in records:
        body = f" {key}={value}\n".encode()
        length = len(body)
        while len(str(length)) + len(body) != length:
            length = len(str(length)) + len(body)
        lines += str(length).encode() + body
    return lines


def manifest_for(files: dict[str, bytes], databases: tuple[str, ...] = ()) -> dict[str, object]:
    """Return an honest manifest.json of `files`, all in one tree but for `databases`."""
    others = {place: content for place, content in files.items() if place not in databases}
    return {
        "format": 1,
        "minimum_reader": 1,
        "archive": "app-20261120T021500Z-1f2e3d4c.tar.age",
        "app": APP,
        "id": "1f2e3d4c",
        "time": "2026-11-20T02:15:00Z",
        "kind": "auto",
        "versions": {"agebackup": "1", "python": "3", "sqlite": "3", "pyrage": "1"},
        "host": "host",
        "consistency": "single" if len(databases) < 2 else "atomic",
        "complete": True,
        "proof": "none",
        "payload_files": len(files),
        "payload_bytes": sum(map(len, files.values())),
        "databases": [_database(place, files[place]) for place in databases],
        "trees": [
            {
                "name": "attachments",
                "path": "data/attachments",
                "role": "attachments",
                "files": len(others),
                "bytes": sum(map(len, others.values())),
            }
        ],
    }


def _database(place: str, content: bytes) -> dict[str, object]:
    return {
        "name": place.rpartition("/")[2],
        "path": place,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "method": "vacuum-into",
        "user_version": 0,
        "application_id": 0,
        "schema_sha256": "0" * 64,
        "page_size": 4096,
        "encoding": "UTF-8",
        "journal_mode": "wal",
        "rows": {"t": 1},
        "foreign_key_violations": 0,
    }


FILES = {
    "data/ledger.db": SQLITE,
    "data/attachments/a.txt": b"alpha",
    "data/attachments/b/c.bin": bytes(range(256)) * 8,
    "data/attachments/empty": b"",
}
Manifest = dict[str, object]


@dataclass
class Bag:
    """A bag to be altered: whatever is set to bytes is written as it stands, the rest follows.

    A lie in one place is thus vouched for by every record above it.
    """

    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    databases: tuple[str, ...] = ("data/ledger.db",)
    lie: Callable[[Manifest], object] = lambda manifest: None
    tags: dict[str, bytes] = field(default_factory=dict)
    signature: bytes | None = None
    left_out: tuple[str, ...] = ()

    def members(self) -> list[tuple[str, bytes]]:
        """Return the names (below the top folder) and contents in their order."""
        manifest = manifest_for(self.files, self.databases)
        self.lie(manifest)
        oxum = f"{sum(map(len, self.files.values()))}.{len(self.files)}"
        info = f"Payload-Oxum: {oxum}\nBag-Software-Agent: by hand\n".encode()
        tags = {
            "bagit.txt": BAGIT,
            "RECOVER.md": FORMAT_LINE + b"Nothing more.\n",
            "bag-info.txt": info,
            "manifest-sha256.txt": lines(self.files),
            "manifest.json": json.dumps(manifest, ensure_ascii=False).encode(),
        } | self.tags
        tags = {"tagmanifest-sha256.txt": lines(tags)} | tags | self.tags
        order = ["bagit.txt", "RECOVER.md", *self.files, "bag-info.txt", "manifest-sha256.txt"]
        order += ["manifest.json", "tagmanifest-sha256.txt"]
        everything = tags | self.files
        found = [(name, everything[name]) for name in order if name not in self.left_out]
        if self.signature is not None:
            found.append(("tagmanifest-sha256.txt.sig", self.signature))
        return found

    def stream(self) -> bytes:
        """Return the tar stream."""
        return stream_of(self.members())


def lines(files: dict[str, bytes]) -> bytes:
    """Return a manifest of `files`."""
    return b"".join(
        hashlib.sha256(content).hexdigest().encode() + b"  " + name.encode() + b"\n"
        for name, content in files.items()
        if name != "tagmanifest-sha256.txt"
    )


def stream_of(members: list[tuple[str, bytes]], top: str = APP) -> bytes:
    """Return the tar stream of `members`, names being below the folder `top`."""
    return filled(b"".join(named(f"{top}/{name}", content) for name, content in members))


def named(path: str, content: bytes) -> bytes:
    """Return the member at `path`, its name short, split or long as it must be."""
    encoded = path.encode()
    if len(encoded) <= 100:
        return member(encoded, content)
    slash = encoded.find(b"/", len(encoded) - 101)
    if 0 < slash <= 155 and slash < len(encoded) - 1:
        return member(encoded[slash + 1 :], content, prefix=encoded[:slash])
    return long_named(encoded, content)


def leading() -> bytes:
    """Return the members before the payload."""
    return member("app/bagit.txt", BAGIT) + member("app/RECOVER.md", FORMAT_LINE)


def inside(hostile: bytes) -> bytes:
    """Return a stream with `hostile` where the payload begins, an honest bag around it."""
    honest = b"".join(named(f"{APP}/{name}", content) for name, content in Bag().members())
    at = len(member("app/bagit.txt", BAGIT)) + 1024
    return filled(honest[:at] + hostile + honest[at:])


def replaced(place: str, hostile: bytes) -> bytes:
    """Return an honest stream whose member at `place` is replaced by `hostile`."""
    stream = Bag().stream()
    honest = named(f"{APP}/{place}", dict(Bag().members())[place])
    assert stream.count(honest) == 1
    return stream.replace(honest, hostile)


def reordered(*names: str) -> bytes:
    """Return an honest bag's members in another order: `names` first, the rest as it was."""
    members = Bag().members()
    first = [pair for name in names for pair in members if pair[0] == name]
    return stream_of(first + [pair for pair in members if pair[0] not in names])


def endless(start: bytes, piece: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield `start`, then `piece(0)`, `piece(1)` … for ever."""
    yield start
    count = 0
    while True:
        yield piece(count)
        count += 1


def endless_members(count: int) -> bytes:
    """Return the numbered piece of a stream of members that never ends."""
    return b"".join(
        member(f"app/data/attachments/{count * 100 + extra:012}", b"x") for extra in range(100)
    )
