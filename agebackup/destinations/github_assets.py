"""An archive's bytes on their way to the assets of a release, and back."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agebackup.destinations.github_calls import Calls, sized
from agebackup.destinations.interface import OutOfReachError, Parcel
from agebackup.errors import FailedError, NotFoundError, VerificationError, printable
from agebackup.model.inventory import FolderEntry
from agebackup.model.releases import (
    Asset,
    Described,
    Piece,
    Release,
    assets_for,
    described_in,
    digest_of,
)
from agebackup.system.streams import PIPE_BYTES, write_all
from agebackup.system.syncing import explained
from agebackup.system.transfers import Traffic
from agebackup.system.workspace import free_bytes

if TYPE_CHECKING:
    from hashlib import _Hash

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_ROOM = 64 << 20
"""Bytes that stay free besides an archive that is fetched."""
ASSETS = '{id, name, size, uploaded: (.state == "uploaded"), digest: (.digest // "")}'
"""What is asked of an asset, in jq's language; `asset_of` reads it."""


def asset_of(row: Any) -> Asset:
    """Return the asset that `ASSETS` made."""
    return Asset(row["id"], row["name"], row["size"], row["uploaded"], digest_of(row["digest"]))


@dataclass(frozen=True)
class Shelf:
    """The assets of one release of a repository."""

    calls: Calls
    release: int

    @property
    def path(self) -> str:
        """The release's place in the API."""
        return f"repos/{self.calls.place}/releases/{self.release}"

    def assets(self) -> tuple[Asset, ...]:
        """Return what lies there."""
        rows = self.calls.lines(f"{self.path}/assets?per_page=100", f".[] | {ASSETS}")
        return tuple(asset_of(row) for row in rows)

    def remove(self, asset: Asset) -> None:
        """Remove `asset`; one that is gone is fine."""
        gone(self.calls, f"repos/{self.calls.place}/releases/assets/{asset.id}")


def gone(calls: Calls, path: str) -> None:
    """Delete what is at `path` of the API; what is gone is fine."""
    with suppress(NotFoundError):
        calls.ask("DELETE", path)


@dataclass(frozen=True)
class Upload:
    """`parcel`, which `described` describes, on its way into the release of `shelf`.

    `address` is where GitHub takes uploads for it.
    """

    shelf: Shelf
    parcel: Parcel
    described: Described
    address: str

    def send(self) -> None:
        """Send each piece that is missing or different, in order; compare what arrived.

        Raises `FailedError` where the file is not what the parcel says; what was sent of it then
        does not count as the archive.
        """
        progress = self.shelf.calls.means.progress
        progress.phase("copying", self.parcel.size)
        source, whole = os.open(self.parcel.path, _READ), hashlib.sha256()
        try:
            for piece in self.described.pieces:
                step = _Step(self, piece, source, whole.copy())
                whole = self.shelf.calls.patiently(step.done)
        finally:
            os.close(source)
        if whole.hexdigest() != self.parcel.sha256:
            self._withdraw()
            raise FailedError(
                f"{printable(str(self.parcel.path))} is not what was to be carried away.",
                hint="The file changed meanwhile, or memory or a disk is damaged: verify it.",
            )

    def _withdraw(self) -> None:
        for asset in assets_for(self.parcel.name, self.shelf.assets()):
            self.shelf.remove(asset)


@dataclass(frozen=True)
class _Step:
    """One piece; `before` has seen what comes before it in the archive."""

    upload: Upload
    piece: Piece
    source: int
    before: "_Hash"

    def done(self) -> "_Hash":
        """See that the piece lies there; return what `before` is with it."""
        shelf, piece = self.upload.shelf, self.piece
        whole, own = self._hashes()
        mine = [asset for asset in shelf.assets() if asset.name == piece.name]
        if any(asset.holds(piece) for asset in mine):
            for block in self._blocks():
                _see(block, whole, own)
            if any(asset.holds(piece, own.hexdigest()) for asset in mine):
                return whole
            whole, own = self._hashes()
        for asset in mine:
            shelf.remove(asset)
        arrived = self._sent((whole, own))
        if not arrived.holds(piece, own.hexdigest()):
            shelf.remove(arrived)
            raise OutOfReachError(
                f"{printable(piece.name)} did not arrive as it was sent to {shelf.calls.place}.",
                hint="Push again; if that happens often, look for a faulty proxy or memory.",
            )
        if not arrived.digest:
            shelf.calls.means.progress.warn(
                "The server tells no hash of what arrived: only its size was compared."
            )
        return whole

    def _hashes(self) -> tuple["_Hash", "_Hash"]:
        """Return what is to see the archive up to here, and this piece: one where it is all."""
        whole = self.before.copy()
        return whole, whole if self.piece.size == self.upload.parcel.size else hashlib.sha256()

    def _sent(self, hashes: tuple["_Hash", "_Hash"]) -> Asset:
        def blocks() -> Iterator[bytes]:
            for block in self._blocks():
                _see(block, *hashes)
                yield block

        words = sized(self.piece.size, "application/octet-stream")
        address = f"{self.upload.address}?name={self.piece.name}"
        row = self.upload.shelf.calls.send("POST", address, words, Traffic(blocks()))
        uploaded = row.get("state") == "uploaded"
        digest = digest_of(row.get("digest") or "")
        return Asset(row["id"], row["name"], row["size"], uploaded, digest)

    def _blocks(self) -> Iterator[bytes]:
        offset, end = self.piece.offset, self.piece.offset + self.piece.size
        progress = self.upload.shelf.calls.means.progress
        while offset < end:
            block = os.pread(self.source, min(PIPE_BYTES, end - offset), offset)
            if not block:
                raise FailedError(
                    f"{printable(str(self.upload.parcel.path))} became shorter meanwhile.",
                    hint="Find out what changes it; archives are never changed.",
                )
            yield block
            offset += len(block)
            progress.advance(len(block))


def _see(block: bytes, whole: "_Hash", own: "_Hash") -> None:
    whole.update(block)
    if own is not whole:
        own.update(block)


@dataclass(frozen=True)
class Download:
    """The archive `entry`, called `called`, on its way out of `release`."""

    calls: Calls
    entry: FolderEntry
    called: str
    release: Release

    def write(self, output: Path) -> None:
        """Write it to the new file `output`; raises as `Remote.get`."""
        assets = self._assets()
        self._require_room(output.parent)
        self.calls.means.progress.phase("fetching", self.entry.size)
        with explained(output.parent):
            target = os.open(output, _NEW, 0o600)
        try:
            received, whole = 0, hashlib.sha256()
            for asset in assets:
                step = _Receipt(self, asset, (target, output.parent), (received, whole))
                received, whole = self.calls.patiently(step.done)
        finally:
            os.close(target)
        if received != self.entry.size or self.entry.sha256 not in ("", whole.hexdigest()):
            raise self.other()

    def other(self) -> VerificationError:
        """Return the failure for what came and is not what was listed."""
        return VerificationError(
            f"{printable(self.called)} is not what was listed there.",
            hint="Try again; if it stays so, take another archive and look who changed this one.",
        )

    def _assets(self) -> tuple[Asset, ...]:
        described, there = described_in(self.release.text), self.release.assets
        name = self.entry.name
        mine = assets_for(name, there)
        if not mine:
            raise NotFoundError(f"{printable(self.called)} is not there.", hint="List what is.")
        if described is None or described.name != name or not described.part_size:
            mine = tuple(asset for asset in mine if asset.name == name)
        else:
            by_name = {asset.name: asset for asset in mine}
            names = [piece.name for piece in described.pieces]
            mine = tuple(by_name[one] for one in names if one in by_name)
        if sum(asset.size for asset in mine) != self.entry.size:
            raise self.other()
        return mine

    def _require_room(self, directory: Path) -> None:
        with explained(directory):
            free = free_bytes(directory)
        if free is not None and free < self.entry.size + _ROOM:
            raise FailedError(
                f"{printable(str(directory))} has {free:,} free bytes, and {printable(self.called)}"
                f" needs {self.entry.size:,}.",
                hint="Make space there, or choose another place.",
            )


@dataclass(frozen=True)
class _Receipt:
    """One asset, written to `target` (descriptor, directory) after what `before` has seen."""

    download: Download
    asset: Asset
    target: tuple[int, Path]
    before: "tuple[int, _Hash]"

    def done(self) -> "tuple[int, _Hash]":
        """Fetch it; return how many bytes there are now, and what has seen them all."""
        offset, seen = self.before
        whole, count = seen.copy(), 0
        descriptor, directory = self.target
        calls = self.download.calls
        with explained(directory):
            os.ftruncate(descriptor, offset)
            os.lseek(descriptor, offset, os.SEEK_SET)

        def take(piece: bytes) -> None:
            nonlocal count
            count += len(piece)
            if count > self.asset.size:
                raise self.download.other()
            with explained(directory):
                write_all(descriptor, piece)
            whole.update(piece)
            calls.means.progress.advance(len(piece))

        calls.fetch(f"repos/{calls.place}/releases/assets/{self.asset.id}", take)
        if count != self.asset.size:
            raise OutOfReachError(
                f"{printable(self.download.called)} was cut short on its way.", hint="Try again."
            )
        return offset + count, whole
