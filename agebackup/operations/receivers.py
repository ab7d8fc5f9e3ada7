"""Where a reader's payload goes: nowhere, to private copies of databases, or into staging.

A receiver decides by place and first bytes; the reader hashes everything whatever the answer.
Nothing a receiver wrote is used before the whole archive was read and found authentic.
"""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from agebackup.model.globs import compile_globs, covers
from agebackup.model.layout import SQLITE_MAGIC
from agebackup.model.reports import ListedFile
from agebackup.snapshot.bag import Member

CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
MAX_SPOOLED = 10_000
"""So many leading databases are kept and examined; a manifest that lists more does not verify."""


class HashOnly:
    """Keeps nothing."""

    def begin(self, place: str, member: Member, head: bytes) -> int | None:
        """Ask for no bytes."""
        return None

    def end(self, place: str, digest: bytes) -> None:
        """Take note of nothing."""


@dataclass
class Listing(HashOnly):
    """Keeps each payload file's place, size and time."""

    files: list[ListedFile] = field(default_factory=list)

    def begin(self, place: str, member: Member, head: bytes) -> int | None:
        """Note the member; ask for no bytes."""
        self.files.append(ListedFile(place.removeprefix("data/"), member.size, member.mtime))
        return None


@dataclass
class DatabaseSpool:
    """Keeps the databases, which lead the payload (FORMAT.md), as private files in `directory`.

    The spool ends at the first payload file that is not a SQLite database, so that attachments
    do not pass through the disk of a machine that only verifies. To be closed.
    """

    directory: Path
    arrived: Callable[[str, Path], None]
    _count: int = 0
    _leading: bool = True
    _open: int = -1
    _path: Path = Path()

    def begin(self, place: str, member: Member, head: bytes) -> int | None:
        """Return a new private file for a leading SQLite database, else None."""
        self._leading = self._leading and head.startswith(SQLITE_MAGIC)
        if not self._leading or self._count == MAX_SPOOLED:
            return None
        self._count += 1
        self._path = self.directory / f"database-{self._count}"
        self._open = os.open(self._path, CREATE, 0o600)
        return self._open

    def end(self, place: str, digest: bytes) -> None:
        """Close the private file of `place` and hand it on."""
        if self._open >= 0:
            self.close()
            self.arrived(place, self._path)

    def close(self) -> None:
        """Let go of the file that is being written, if any."""
        if self._open >= 0:
            os.close(self._open)
            self._open = -1


@dataclass
class OneFile(HashOnly):
    """Keeps the one payload file at `place` in the open file `descriptor`."""

    place: str
    descriptor: int
    digest: bytes = b""

    def begin(self, place: str, member: Member, head: bytes) -> int | None:
        """Ask for the bytes of the wanted file alone."""
        return self.descriptor if place == self.place else None

    def end(self, place: str, digest: bytes) -> None:
        """Remember that the wanted file was found."""
        if place == self.place:
            self.digest = digest


@dataclass(frozen=True)
class Selection:
    """Which paths inside `data/` are asked for: all, or those that `pattern` covers, but `none`
    of a few."""

    pattern: re.Pattern[str] | None = None
    none: frozenset[str] = frozenset()

    @classmethod
    def of(cls, globs: Sequence[str]) -> "Selection":
        """Return the selection of what one of `globs` matches; of everything without globs."""
        return cls(compile_globs(globs) if globs else None)

    def wants(self, relative: str) -> bool:
        """Return whether the file or directory at `relative` is asked for."""
        if relative in self.none:
            return False
        return self.pattern is None or covers(self.pattern, relative)

    def but(self, places: Iterable[str]) -> "Selection":
        """Return the selection of the same without `places`."""
        return replace(self, none=self.none | frozenset(places))


EVERYTHING = Selection()
"""The selection of a restore that was not asked for a part."""
