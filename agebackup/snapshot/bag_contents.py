"""What a reader found in a bag, to be compared with what the bag promises."""

from array import array
from binascii import hexlify
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from agebackup.errors import VerificationError, printable
from agebackup.model.layout import SQLITE_MAGIC
from agebackup.model.limits import Limits
from agebackup.model.manifest import Manifest
from agebackup.model.origin import Origin
from agebackup.snapshot.archive import Member, over_limit
from agebackup.snapshot.places import Places

Content = bytes | bytearray
Digest = bytes

_HASH = 64
_SEARCHES = 16
"""So many lookups search the text; only then is an index of it worth its memory."""


class Receiver(Protocol):
    """Takes the payload while it is read. Nothing it gets is proven before the reader returns."""

    def begin(self, place: str, member: Member, head: bytes) -> int | None:
        """Return the descriptor to write the file to, None to have it hashed only.

        `head` are its first bytes, at most 100.
        """

    def end(self, place: str, digest: bytes) -> None:
        """Take note that the file is complete, and of its SHA-256."""


class Payload:
    """The payload as it was found: about 200 bytes are kept of each file."""

    def __init__(self, limits: Limits) -> None:
        self.places = Places()
        self.lines = bytearray()
        self.sizes = array("Q")
        self.bytes = 0
        self.databases = 0
        self._limits = limits

    def admit(self, member: Member) -> None:
        """Raise `VerificationError` where a file cannot be there, for its name or for limits."""
        why = self.places.add(member.place)
        if why:
            raise VerificationError(f"The archive holds {printable(member.place)}, but {why}.")
        self._require_few()

    def admit_directory(self, place: str) -> None:
        """Raise `VerificationError` where an empty directory is beyond the limits."""
        if len(place.encode()) > self._limits.path_bytes:
            raise over_limit("path_bytes", self._limits.path_bytes)
        if place.count("/") > self._limits.depth:
            raise over_limit("depth", self._limits.depth)
        self.places.add_empty(place)
        self._require_few()

    def _require_few(self) -> None:
        if self.places.directories + len(self.sizes) > self._limits.members:
            raise over_limit("members", self._limits.members)

    def add(self, member: Member, digest: bytes, head: bytes) -> None:
        """Take in a file that was admitted and read; raises `VerificationError` at a limit."""
        if self.databases == len(self.sizes) and head.startswith(SQLITE_MAGIC):
            self.databases += 1
        self.lines += b"%b  %b\n" % (hexlify(digest), member.place.encode())
        if len(self.lines) > self._limits.manifest_bytes:
            raise over_limit("manifest_bytes", self._limits.manifest_bytes)
        self.sizes.append(member.size)
        self.bytes += member.size

    def files(self) -> Iterator[tuple[str, int]]:
        """Yield each file's place and size, in the order of the stream."""
        for (place, _), size in zip(parse_lines(self.lines), self.sizes, strict=True):
            yield place.decode(), size


def parse_lines(text: bytes | bytearray) -> Iterator[tuple[bytes, bytes]]:
    """Yield path and hash (as hex) of each line of a manifest; what is no such line, as it is."""
    start = 0
    while start < len(text):
        end = text.find(b"\n", start)
        end = len(text) if end < 0 else end
        yield bytes(text[start + _HASH + 2 : end]), bytes(text[start : start + _HASH])
        start = end + 1


@dataclass(frozen=True)
class BagContents:
    """A bag that was read to its end, well formed; `differences` are the promises it breaks.

    `lines` is what `manifest-sha256.txt` must say, made from what was found. `tag_files` maps the
    names of all tag files to their content; without differences its payload manifest is `lines`.
    `origin` is unproved until somebody has asked the `signature`.
    """

    app: str
    tag_files: dict[str, Content]
    manifest: Manifest
    files: int
    bytes: int
    lines: bytearray
    differences: tuple[str, ...]
    signature: Content | None = None
    origin: Origin = field(default_factory=Origin)
    _searches: list[str] = field(default_factory=list, repr=False, compare=False)

    def digest_of(self, place: str) -> Digest | None:
        """Return the SHA-256 of the payload file found at `place`, None where there is none."""
        name = place.encode("utf-8", "surrogateescape")
        if len(self._searches) >= _SEARCHES:
            return self._digest_at(self._index.get(hash(name), -1), name)
        self._searches.append(place)
        at = self.lines.find(b"  %b\n" % name)
        while at >= 0:
            digest = self._digest_at(at - _HASH, name)
            if digest is not None:
                return digest
            at = self.lines.find(b"  %b\n" % name, at + 1)
        return None

    @cached_property
    def _index(self) -> dict[int, int]:
        index = {}
        start = 0
        for name, _ in parse_lines(self.lines):
            index[hash(name)] = start
            start += _HASH + 2 + len(name) + 1
        return index

    def _digest_at(self, start: int, name: Digest) -> Digest | None:
        """Return the hash of the line that begins at `start`, if it is that of `name`."""
        if start < 0 or (start and self.lines[start - 1] != 0x0A):
            return None
        if not self.lines.startswith(b"  %b\n" % name, start + _HASH):
            return None
        return bytes.fromhex(self.lines[start : start + _HASH].decode())
