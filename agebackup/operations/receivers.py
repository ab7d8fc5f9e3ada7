"""Where a reader's payload goes: nowhere, to private copies of databases, or into staging.

A receiver decides by place and first bytes; the reader hashes everything whatever the answer.
Nothing a receiver wrote is used before the whole archive was read and found authentic.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agebackup.errors import FailedError, RefusedError
from agebackup.model.globs import compile_globs, covers
from agebackup.model.layout import SQLITE_MAGIC
from agebackup.model.names import printable
from agebackup.model.reports import ListedFile
from agebackup.snapshot.bag import Member

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


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
    do not pass through the disk of a machine that only verifies.
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
        if not self._leading:
            return None
        self._count += 1
        self._path = self.directory / f"database-{self._count}"
        self._open = os.open(self._path, _CREATE, 0o600)
        return self._open

    def end(self, place: str, digest: bytes) -> None:
        """Close the private file of `place` and hand it on."""
        if self._open >= 0:
            os.close(self._open)
            self._open = -1
            self.arrived(place, self._path)


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


@dataclass
class Staging:
    """Writes the wanted payload below `root`, privately: directories 0700, files 0600 or 0700.

    `prefix` is "data/" where a whole bag is kept and "" where only its content is. `root` is ours
    alone, so no name in it can be a link. Leading databases are handed on as they arrive.
    """

    root: Path
    only: "Selection"
    arrived: Callable[[str, Path], None]
    prefix: str = ""
    files: int = 0
    size: int = 0
    _leading: bool = True
    _directory: str = ""
    _path: str = ""
    _open: int = -1
    _mtime: int = 0

    def begin(self, place: str, member: Member, head: bytes) -> int | None:
        """Return a new file for a wanted place, else None."""
        relative = place.removeprefix("data/")
        self._leading = self._leading and head.startswith(SQLITE_MAGIC)
        if not self.only.wants(relative):
            return None
        path = self._path = f"{self.root}/{self.prefix}{relative}"
        directory = path.rpartition("/")[0]
        if directory != self._directory:
            make_directories(Path(directory))
            self._directory = directory
        try:
            self._open = os.open(path, _CREATE, 0o700 if member.mode & 0o100 else 0o600)
        except FileExistsError:
            raise RefusedError(
                f"{printable(relative)} and an earlier name are one name on this file system.",
                hint="Restore onto a file system that tells upper from lower case.",
            ) from None
        except OSError as error:
            raise FailedError(
                f"{printable(relative)} cannot be written: {error.strerror}.",
                hint="Restore to another place, or leave this file out with --only.",
            ) from None
        self._mtime = member.mtime
        self.files += 1
        self.size += member.size
        return self._open

    def end(self, place: str, digest: bytes) -> None:
        """Set the file's time and close it."""
        if self._open >= 0:
            os.utime(self._open, (self._mtime, self._mtime))
            os.close(self._open)
            self._open = -1
            if self._leading:
                self.arrived(place, Path(self._path))


@dataclass(frozen=True)
class Selection:
    """Which paths inside `data/` are asked for: all, or those that `pattern` covers."""

    pattern: re.Pattern[str] | None = None

    @classmethod
    def of(cls, globs: Sequence[str]) -> "Selection":
        """Return the selection of what one of `globs` matches; of everything without globs."""
        return cls(compile_globs(globs) if globs else None)

    def wants(self, relative: str) -> bool:
        """Return whether the file or directory at `relative` is asked for."""
        return self.pattern is None or covers(self.pattern, relative)


EVERYTHING = Selection()
"""The selection of a restore that was not asked for a part."""


def make_directories(path: Path) -> None:
    """Make `path` and what is missing above it, each 0700."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        make_directories(path.parent)
        os.mkdir(path, 0o700)
    except OSError as error:
        raise FailedError(
            f"The directory {printable(str(path))} cannot be made: {error.strerror}.",
            hint="Check the disk and your permissions there.",
        ) from None
