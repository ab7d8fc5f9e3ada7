"""Attachments that databases name: which must be there, with which content."""

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agebackup.errors import FailedError
from agebackup.model.names import printable
from agebackup.model.source import TreeSource

Row = Sequence[object]


@dataclass(frozen=True)
class TreePlace:
    """Where an attachments tree lies in the bag, its name, and its directory when known."""

    name: str
    place: str
    path: str = ""


def tree_places(trees: Iterable[TreeSource]) -> tuple[TreePlace, ...]:
    """Return the places of the attachments among `trees`."""
    return tuple(
        TreePlace(tree.name, tree.place, str(tree.path))
        for tree in trees
        if tree.role == "attachments"
    )


@dataclass
class References:
    """The files that queries named, struck off as they are found.

    Holds only the referenced places, so that memory follows their number and not the tree's.
    """

    trees: tuple[TreePlace, ...]
    active: bool = False
    found: int = 0
    _wanted: dict[str, bytes | None] = field(default_factory=dict)
    _differing: list[str] = field(default_factory=list)
    _unplaced: list[str] = field(default_factory=list)

    def add(self, rows: Iterable[Row], origin: str) -> int:
        """Add the rows (path, and optionally SHA-256 as hex or blob); return how many there were.

        Raises `FailedError` naming `origin` for a row that is not of that shape.
        """
        self.active = True
        count = 0
        for row in rows:
            count += 1
            path, digest = _row(row, origin)
            place = self._place(path)
            if place is None:
                self._unplaced.append(path)
            elif self._wanted.setdefault(place, digest) is None:
                self._wanted[place] = digest
        return count

    def settle(self, place: str, digest: bytes) -> bool:
        """Strike off `place`, found with `digest`; return whether it was referenced."""
        if place not in self._wanted:
            return False
        wanted = self._wanted.pop(place)
        self.found += 1
        if wanted is not None and wanted != digest:
            self._differing.append(place)
        return True

    def places(self) -> tuple[str, ...]:
        """Return the places that are wanted and not yet found."""
        return tuple(self._wanted)

    def problems(self) -> list[str]:
        """Return a line for each referenced file that is missing, misplaced or different."""
        lines = [f"referenced but missing: {_shown(place)}" for place in self._wanted]
        lines += [f"content differs from its reference: {_shown(p)}" for p in self._differing]
        lines += [f"referenced outside the attachments: {printable(p)}" for p in self._unplaced]
        return lines

    def _place(self, path: str) -> str | None:
        """Return where `path` lies in the bag: relative to the only tree, or with a tree's NAME."""
        for tree in self.trees:
            if tree.path and path.startswith(tree.path + "/"):
                return f"{tree.place}/{path[len(tree.path) + 1 :]}"
        normal = posixpath.normpath(path)
        if normal.startswith(("/", "../")) or normal in ("..", "."):
            return None
        if len(self.trees) == 1:
            return f"{self.trees[0].place}/{normal}"
        for tree in self.trees:
            if tree.name and normal.startswith(tree.name + "/"):
                return f"{tree.place}/{normal[len(tree.name) + 1 :]}"
        return None


def _shown(place: str) -> str:
    return printable(place.removeprefix("data/"))


def _row(row: Row, origin: str) -> tuple[str, bytes | None]:
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
