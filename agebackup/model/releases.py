"""How archives lie in the releases of a repository: tags, assets, parts and the text that says so.

One release per archive. Its tag is the archive's name without suffixes, its asset the archive; one
that is too large for an asset is several, whose concatenation it is. The text tells a person how to
get it back, and agebackup what lies there. All of it may have been written by somebody else: what
does not fit exactly is somebody else's.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from agebackup.model.inventory import FolderEntry
from agebackup.model.names import ArchiveName

MOST_PARTS = 999
"""GitHub takes 1,000 assets in a release (docs.github.com, "About releases")."""
FACTS_LENGTH = 700
"""Characters of a release's text that surely hold what `described_in` reads."""
_CARRIED = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,119}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_PART = re.compile(r"(?P<name>.+)\.part-(?P<number>\d{3})-of-(?P<count>\d{3})", re.ASCII)
_TEXT = re.compile(
    r"\A\| \| \|\n\|---\|---\|\n"
    r"\| File \| `(?P<name>[A-Za-z0-9._-]{1,120})` \|\n"
    r"\| Size \| (?P<size>0|[1-9]\d{0,18}) bytes \|\n"
    r"\| SHA-256 \| `(?P<sha256>[0-9a-f]{64})` \|\n"
    r"(?:\| Parts \| (?P<count>[1-9]\d{0,2}), of (?P<part>[1-9]\d{0,18}) bytes each but the last"
    r" \|\n)?\n",
    re.ASCII,
)


@dataclass(frozen=True)
class Described:
    """What a release's text says of its archive: `size` in bytes, `sha256` in lower-case hex.

    `part_size` is how many bytes each part but the last has, 0 where the archive is one asset.
    """

    name: str
    size: int
    sha256: str
    part_size: int = 0

    @property
    def pieces(self) -> tuple["Piece", ...]:
        """The assets that it is made of, in order."""
        if not self.part_size:
            return (Piece(self.name, 0, self.size),)
        count = -(-self.size // self.part_size)
        return tuple(
            Piece(
                f"{self.name}.part-{index + 1:03}-of-{count:03}",
                index * self.part_size,
                min(self.part_size, self.size - index * self.part_size),
            )
            for index in range(count)
        )


@dataclass(frozen=True)
class Piece:
    """One asset: its name, and which `size` bytes of the archive it holds, from `offset` on."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class Asset:
    """A file in a release. `digest` is the SHA-256 that the server tells, "" where it does not."""

    id: int
    name: str
    size: int
    uploaded: bool = True
    digest: str = ""

    def holds(self, piece: Piece, sha256: str = "") -> bool:
        """Return whether it is all of `piece`, as far as sizes and known hashes tell."""
        fits = self.uploaded and (self.name, self.size) == (piece.name, piece.size)
        return fits and (not (self.digest and sha256) or self.digest == sha256)


@dataclass(frozen=True)
class Release:
    """A release. `others` counts the assets that are left out because their name is no archive's.

    `text` is its beginning at least.
    """

    id: int
    tag: str
    text: str = ""
    draft: bool = False
    assets: tuple[Asset, ...] = ()
    others: int = 0


def tag_of(name: str) -> str:
    """Return the tag of the release that carries the file `name`."""
    archive = ArchiveName.parse(name)
    return name.removesuffix(".age").removesuffix(".zst").removesuffix(".tar") if archive else name


def digest_of(told: str) -> str:
    """Return the SHA-256 in the digest that a server told, "" where it told none."""
    return told.removeprefix("sha256:") if _DIGEST.fullmatch(told) else ""


def can_carry(name: str) -> bool:
    """Return whether `name` can be a tag and an asset's name (git-check-ref-format(1))."""
    bad = ".." in name or name.endswith((".", ".lock"))
    return bool(_CARRIED.fullmatch(name)) and not bad and not _PART.fullmatch(name)


def described_in(text: str) -> Described | None:
    """Return what the text of a release says, None where agebackup did not write it."""
    match = _TEXT.match(text.replace("\r\n", "\n"))
    if match is None or not can_carry(match["name"]):
        return None
    size, part = int(match["size"]), int(match["part"] or 0)
    described = Described(match["name"], size, match["sha256"], part)
    if part and int(match["count"]) != -(-size // part):
        return None
    return described


def release_text(described: Described) -> str:
    """Return the text of the release that carries `described`; `described_in` reads it."""
    count = len(described.pieces)
    parts = f"| Parts | {count}, of {described.part_size} bytes each but the last |\n"
    name, wild = described.name, f"{described.name}.part-*"
    return (
        "| | |\n|---|---|\n"
        f"| File | `{name}` |\n"
        f"| Size | {described.size} bytes |\n"
        f"| SHA-256 | `{described.sha256}` |\n"
        f"{parts if described.part_size else ''}\n"
        f"A backup, encrypted with [age](https://age-encryption.org). {_recipe(name)}\n\n"
        "```sh\n"
        f"{f'cat {wild} > {name}{chr(10)}' if described.part_size else ''}"
        f"{_commands(described)}"
        "```\n\n"
        "`RECOVER.md` in what comes out says what it is and how to put it back. Without the private"
        " key nobody can read it.\n"
    )


def _recipe(name: str) -> str:
    zstd = "`age`, `zstd` and `tar`" if name.endswith(".zst.age") else "`age` and `tar`"
    return (
        f"With the private key in `key.txt` and {zstd} it comes back on any machine: download every"
        " file above (not the source code) into an empty folder and run there:"
    )


def _commands(described: Described) -> str:
    name, plain = described.name, described.name.removesuffix(".age")
    unpack = f"zstd -d --rm {plain}\n" if plain.endswith(".zst") else ""
    tar = plain.removesuffix(".zst")
    return (
        f"echo '{described.sha256}  {name}' | sha256sum -c\n"
        f"age -d -i key.txt -o {plain} {name}\n"
        f"{unpack}"
        f"{f'tar xf {tar}{chr(10)}' if tar.endswith('.tar') else ''}"
    )


def entries_of(releases: Iterable[Release]) -> tuple[FolderEntry, ...]:
    """Return what lies in `releases`, sorted by name; one entry for each name.

    What is no archive's is told once for each release, by a name that no archive has.
    """
    found: dict[str, FolderEntry] = {}
    for release in releases:
        for entry in _entries(release):
            rival = found.get(entry.name)
            if rival is None or (rival.partial and not entry.partial):
                found[entry.name] = entry
    return tuple(found[name] for name in sorted(found))


def _entries(release: Release) -> Iterator[FolderEntry]:
    described = described_in(release.text)
    if described is not None and tag_of(described.name) != release.tag:
        described = None
    mine = names_in(release)
    for name in mine:
        told = described if described and described.name == name else None
        entry = _entry(name, told, release.assets)
        yield replace(entry, partial=entry.partial or release.draft)
    if described is not None and described.name not in mine and can_carry(described.name):
        yield FolderEntry(described.name, 0, 0.0, partial=True)
    strangers = release.others + sum(1 for one in release.assets if carried(one.name) not in mine)
    if strangers or (described is None and not mine):
        yield FolderEntry(f"release:{quote(release.tag, safe='')[:200]}", 0, 0.0)


def names_in(release: Release) -> tuple[str, ...]:
    """Return the names of the files that assets of `release` are, or are parts of."""
    names = dict.fromkeys(carried(asset.name) for asset in release.assets)
    return tuple(name for name in names if can_carry(name) and tag_of(name) == release.tag)


def carried(asset_name: str) -> str:
    """Return the name of the file that the asset is, or is a part of."""
    match = _PART.fullmatch(asset_name)
    return match["name"] if match else asset_name


def assets_for(name: str, assets: Sequence[Asset]) -> tuple[Asset, ...]:
    """Return those of `assets` that are the file `name` or a part of it."""
    return tuple(asset for asset in assets if carried(asset.name) == name)


def _entry(name: str, told: Described | None, assets: Sequence[Asset]) -> FolderEntry:
    mine = assets_for(name, assets)
    whole = [asset for asset in mine if asset.name == name]
    if told is None or not told.part_size:
        if not whole:
            return FolderEntry(name, sum(asset.size for asset in mine), 0.0, partial=True)
        (asset, *_) = whole
        stated = told.sha256 if told and told.size == asset.size else ""
        partial = not asset.uploaded
        return FolderEntry(name, asset.size, 0.0, partial=partial, sha256=asset.digest or stated)
    by_name = {asset.name: asset for asset in mine}
    there = [by_name.get(piece.name) for piece in told.pieces]
    fits = all(a is not None and a.holds(p) for a, p in zip(there, told.pieces, strict=True))
    size = sum(asset.size for asset in there if asset is not None)
    return FolderEntry(name, size, 0.0, partial=not fits, sha256=told.sha256)
