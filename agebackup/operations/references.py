"""Attachments that databases name: which must be there, with which content."""

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from agebackup.errors import FailedError
from agebackup.model.manifest import TreeRecord
from agebackup.model.names import printable
from agebackup.model.source import TreeSource
from agebackup.system.progress import Stop

Row = Sequence[object]

_LONGEST = 16_384
"""No path of more characters is looked for: twice PATH_MAX, and room for what normalising drops."""
_POLL = 4096
_BEGINNING, _END = 200, 80


@dataclass(frozen=True)
class TreePlace:
    """Where an attachments tree lies in the bag, its name, and its directory when known."""

    name: str
    place: str
    path: str = ""


def tree_places(trees: Iterable[TreeSource]) -> tuple[TreePlace, ...]:
    """Return the places of the attachments among `trees`."""
    return tuple(
        TreePlace(tree.name, tree.place, recorded_source(tree))
        for tree in trees
        if tree.role == "attachments"
    )


def recorded_source(tree: TreeSource) -> str:
    """Return the absolute path of `tree` as a manifest can hold it: "" where it is no UTF-8."""
    return recorded_path(tree.path)


def recorded_path(path: Path) -> str:
    """Return `path` as a manifest can hold it: "" where it is no UTF-8."""
    text = str(path)
    return text if text.isascii() or text.encode("utf-8", "ignore").decode() == text else ""


def recorded_places(trees: Iterable[TreeRecord]) -> tuple[TreePlace, ...]:
    """Return the places of the attachments among the `trees` of a manifest."""
    return tuple(
        TreePlace(tree.name, tree.path, tree.source) for tree in trees if tree.role == "attachments"
    )


@dataclass(frozen=True)
class Placing:
    """Where in the bag a path lies that a database names."""

    trees: tuple[TreePlace, ...]

    def place(self, path: str) -> str | None:
        """Return the place of `path`, None where it lies in no tree.

        An absolute path lies in the tree whose directory it is below; a relative one in the only
        tree, or in the one whose NAME it begins with; always in the innermost that fits.
        """
        if len(path) > _LONGEST:
            return None
        normal = posixpath.normpath(path)
        if normal.startswith("/"):
            return _below(self._by_path, "/" + normal.lstrip("/"))
        if normal in ("..", ".") or normal.startswith("../"):
            return None
        if len(self.trees) == 1:
            return f"{self.trees[0].place}/{normal}"
        return _below(self._by_name, normal)

    @cached_property
    def _by_path(self) -> dict[str, str]:
        return {posixpath.normpath(tree.path): tree.place for tree in self.trees if tree.path}

    @cached_property
    def _by_name(self) -> dict[str, str]:
        return {tree.name: tree.place for tree in self.trees if tree.name}


def _below(places: dict[str, str], path: str) -> str | None:
    end = len(path)
    while (end := path.rfind("/", 0, end)) >= 0:
        place = places.get(path[:end] or "/")
        if place is not None:
            return place + path[end:]
    return None


@dataclass
class References:
    """The files that queries named, struck off as they are found.

    Holds only the referenced places, so that memory follows their number and not the tree's.
    """

    trees: tuple[TreePlace, ...]
    stop: Stop = field(default_factory=Stop)
    active: bool = False
    found: int = 0
    _wanted: dict[str, bytes | None] = field(default_factory=dict)
    _differing: dict[str, None] = field(default_factory=dict)
    _outside: dict[str, None] = field(default_factory=dict)

    def add(self, rows: Iterable[Row], origin: str) -> int:
        """Add the rows (path, and optionally SHA-256 as hex or blob); return how many there were.

        Raises `FailedError` naming `origin` for a row that is not of that shape. Two rows that
        want different contents of one file cannot both be right: that is a problem.
        """
        self.active = True
        count = 0
        for count, row in enumerate(rows, 1):
            if count % _POLL == 0:
                self.stop.check()
            path, digest = path_and_digest(row, origin)
            place = self._placing.place(path)
            if place is None:
                self._outside[outside(path)] = None
            elif (wanted := self._wanted.setdefault(place, digest)) is None:
                self._wanted[place] = digest
            elif digest not in (None, wanted):
                self._differing[place] = None
        return count

    def settle(self, place: str, digest: bytes) -> bool:
        """Strike off `place`, found with `digest`; return whether it was referenced."""
        if place not in self._wanted:
            return False
        wanted = self._wanted.pop(place)
        self.found += 1
        if wanted is not None and wanted != digest:
            self._differing[place] = None
        return True

    def places(self) -> tuple[str, ...]:
        """Return the places that are wanted and not yet found."""
        return tuple(self._wanted)

    def problems(self) -> list[str]:
        """Return a line for each referenced file that is missing, misplaced or different."""
        lines = [missing(place) for place in self._wanted]
        lines += [differing(place) for place in self._differing]
        return lines + list(self._outside)

    @cached_property
    def _placing(self) -> Placing:
        return Placing(self.trees)


def missing(place: str) -> str:
    """Say that nothing lies at `place`, which a database names."""
    return f"referenced but missing: {brief(place.removeprefix('data/'))}"


def differing(place: str) -> str:
    """Say that what lies at `place` is not what a database says of it."""
    return f"content differs from its reference: {brief(place.removeprefix('data/'))}"


def outside(path: str) -> str:
    """Say that a database names `path`, which lies in no tree."""
    return f"referenced outside the attachments: {brief(path)}"


def brief(name: str) -> str:
    """Return `name` fit for a terminal and for a list of ten thousand, however long it is."""
    if len(name) > _BEGINNING + _END:
        name = f"{name[:_BEGINNING]}…{name[-_END:]}"
    return printable(name)


def path_and_digest(row: Row, origin: str) -> tuple[str, bytes | None]:
    """Return what a row of a reference query names; `FailedError` naming `origin` if nothing."""
    path = row[0] if row else None
    digest = row[1] if len(row) > 1 else None
    if isinstance(path, bytes):
        path = path.decode("utf-8", "surrogateescape")
    if isinstance(digest, str) and len(digest) == 64:
        try:
            digest = bytes.fromhex(digest)
        except ValueError:
            digest = ""
    if not isinstance(path, str) or not (
        digest is None or (isinstance(digest, bytes) and len(digest) == 32)
    ):
        raise FailedError(
            f"The reference query of {origin} gave a row that is not (path, SHA-256).",
            hint="Select the path first and, if at all, the SHA-256 as 64 hex digits or 32 bytes.",
        )
    return path, digest
