"""The private directory in which a restore builds the target, whatever the lengths of its paths.

Paths within the format's bounds are longer, below any directory, than the system takes in one
piece; so everything is named relative to a descriptor of the directory it lies in.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agebackup.errors import FailedError, RefusedError
from agebackup.model.layout import DATA, SQLITE_MAGIC
from agebackup.model.limits import MIB
from agebackup.model.names import printable
from agebackup.operations.receivers import CREATE, MAX_SPOOLED, Selection
from agebackup.snapshot.archive import write_payload
from agebackup.snapshot.bag import Member

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE = 900
"""Bytes of a path that any system takes in one piece: macOS ends at 1,024."""


@dataclass
class Tree:
    """A directory of ours alone, open as `top`; everything in it is named by its path below."""

    top: int

    def opened(self, directory: str) -> int:
        """Return a new descriptor of `directory`; raises OSError."""
        descriptor = os.dup(self.top)
        for piece in _pieces(directory):
            try:
                below = os.open(piece, _DIRECTORY, dir_fd=descriptor)
            finally:
                os.close(descriptor)
            descriptor = below
        return descriptor

    @contextmanager
    def within(self, path: str) -> Iterator[tuple[int, str]]:
        """Yield a descriptor of the directory in which `path` lies, and its name there."""
        directory, _, name = path.rpartition("/")
        descriptor = self.opened(directory)
        try:
            yield descriptor, name
        finally:
            os.close(descriptor)

    def made(self, directory: str) -> int:
        """Do as `opened`, and make what is missing, 0700; `FailedError` where that cannot be."""
        shown = printable(directory)
        missing: list[str] = []
        try:
            while True:
                try:
                    descriptor = self.opened(directory)
                    break
                except FileNotFoundError:
                    directory, _, name = directory.rpartition("/")
                    missing.append(name)
            for name in reversed(missing):
                try:
                    os.mkdir(name, 0o700, dir_fd=descriptor)
                    below = os.open(name, _DIRECTORY, dir_fd=descriptor)
                finally:
                    os.close(descriptor)
                descriptor = below
        except OSError as error:
            raise FailedError(
                f"The directory {shown} cannot be made: {error.strerror}.",
                hint="Check the disk and your permissions there.",
            ) from None
        return descriptor

    def remove(self, path: str) -> int:
        """Remove the file at `path`; return how many bytes it had. Raises OSError."""
        with self.within(path) as (folder, name):
            size = os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
            os.unlink(name, dir_fd=folder)
        return size

    def prune(self, directory: str) -> None:
        """Remove `directory`, and those above it, as far as they are empty."""
        with suppress(OSError):
            while directory:
                with self.within(directory) as (folder, name):
                    os.rmdir(name, dir_fd=folder)
                directory = directory.rpartition("/")[0]


def _pieces(directory: str) -> Iterator[str]:
    start = 0
    while start < len(directory):
        end = len(directory)
        if end - start > _PIECE // 4:  # a character has at most four bytes
            end = directory.rfind("/", start, start + _PIECE // 4)
            if end <= start:
                end = directory.find("/", start + 1)
            end = len(directory) if end < 0 else end
        yield directory[start:end]
        start = end + 1


@dataclass
class Staging(Tree):
    """Writes the wanted payload, privately: directories 0700, files 0600 or 0700.

    `prefix` is "data/" where a whole bag is kept and "" where only its content is. Leading
    databases are handed on as they arrive, under short names in `private`. `untimed` counts the
    files whose times this system cannot set. To be closed.
    """

    private: Path
    only: Selection
    arrived: Callable[[str, Path], None]
    prefix: str = ""
    files: int = 0
    size: int = 0
    untimed: int = 0
    _spooled: int = 0
    _leading: bool = True
    _directory: str | None = None
    _folder: int = -1
    _name: str = ""
    _open: int = -1
    _mtime: int = 0

    def path_of(self, place: str) -> str:
        """Return the path below `top` of what is at `place` in the bag."""
        return self.prefix + place.removeprefix(DATA)

    def begin(self, place: str, member: Member, head: bytes) -> int | None:
        """Return a new file for a wanted place, else None."""
        self._leading = self._leading and head.startswith(SQLITE_MAGIC)
        relative = place.removeprefix(DATA)
        if not self.only.wants(relative):
            return None
        directory, _, self._name = self.path_of(place).rpartition("/")
        if directory != self._directory:
            self._leave()
            self._folder, self._directory = self.made(directory), directory
        mode = 0o700 if member.mode & 0o100 else 0o600
        try:
            self._open = os.open(self._name, CREATE, mode, dir_fd=self._folder)
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
        if self._open < 0:
            return
        try:
            os.utime(self._open, (self._mtime, self._mtime))
        except (OSError, OverflowError):
            self.untimed += 1
        path = self._handed_over() if self._leading and self._spooled < MAX_SPOOLED else None
        os.close(self._open)
        self._open = -1
        if path is not None:
            self.arrived(place, path)

    def close(self) -> None:
        """Let go of what is held."""
        self._leave()
        if self._open >= 0:
            os.close(self._open)
            self._open = -1

    def _leave(self) -> None:
        if self._folder >= 0:
            os.close(self._folder)
            self._folder, self._directory = -1, None

    def _handed_over(self) -> Path:
        """Give the file just written a short name as well, for SQLite takes 512 bytes at most."""
        self._spooled += 1
        path = self.private / f"database-{self._spooled}"
        try:
            os.link(self._name, path, src_dir_fd=self._folder, follow_symlinks=False)
        except OSError:  # there are file systems without hard links
            self._copy(path)
        return path

    def _copy(self, path: Path) -> None:
        descriptor = os.open(path, CREATE, 0o600)
        try:
            at = 0
            while piece := os.pread(self._open, MIB, at):
                write_payload(descriptor, piece)
                at += len(piece)
        finally:
            os.close(descriptor)
