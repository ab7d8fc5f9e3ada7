"""A folder that keeps archives, very often one that a cloud client carries elsewhere.

No lock, index or database ever lies in it: sync clients corrupt those. Archives are written under
a temporary name that sync clients skip, and appear under their own name complete or not at all.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agebackup.destinations.listing import open_entry, read_entries, remove_entry
from agebackup.errors import FailedError, NotFoundError, RefusedError, UsageError
from agebackup.model.inventory import FolderEntry
from agebackup.model.names import folder_of, printable
from agebackup.model.recovery import RECOVERY_NOTE, recovery_note
from agebackup.model.whereabouts import parse_whereabouts
from agebackup.system.claims import Claims
from agebackup.system.durable import Draft, publication, write_durably
from agebackup.system.eviction import is_evicted
from agebackup.system.syncing import sync_path

AGE_MAGIC = b"age-encryption.org/v1\n"


@dataclass(frozen=True)
class Folder:
    """A directory, and the free name in it where the person gave one (`--to FILE.age`).

    `absent` where it is still to be made. With `file_name` the archive replaces that file,
    atomically; without it each archive has its own name and never replaces anything.
    """

    path: Path
    file_name: str | None = None
    absent: bool = False

    def prepare(self) -> None:
        """Make the directory, 0700, where it is absent; raise `FailedError` where that fails."""
        if self.absent:
            _make(self.path)

    @property
    def key(self) -> str:
        """What the ledger calls this folder: its real path, one for every name it has."""
        return os.path.realpath(self.path)

    def called(self, name: str) -> str:
        """Return the path of `name` here."""
        return str(self.path / name)

    def entries(self) -> tuple[FolderEntry, ...]:
        """Return every name here; raises as `listing.read_entries`."""
        return read_entries(self.path)

    def has(self, name: str) -> bool:
        """Return whether a regular file called `name` lies here now."""
        try:
            return stat.S_ISREG(os.lstat(self.path / name).st_mode)
        except OSError:
            return False

    def open(self, entry: FolderEntry) -> int:
        """Return a descriptor that reads the file `entry`; raises as `listing.open_entry`."""
        return open_entry(self.path, entry)

    def remove(self, entry: FolderEntry) -> None:
        """Remove the file `entry` durably; raises as `listing.remove_entry`."""
        remove_entry(self.path, entry)

    def published_name(self, archive_name: str) -> str:
        """Return the file name that an archive called `archive_name` gets here."""
        return self.file_name or archive_name

    @contextmanager
    def publication(self, archive_name: str, claims: Claims) -> Iterator[Draft]:
        """Yield a draft that becomes the archive on a clean exit, and vanishes on any other."""
        name = self.published_name(archive_name)
        with publication(self.path, name, claims, replace=self.file_name is not None) as draft:
            yield draft

    def leave_note(self, claims: Claims) -> None:
        """Write the by-hand recipe beside the archives, unless a file of that name is there."""
        with suppress(RefusedError):  # another run was faster
            if not os.path.lexists(self.path / RECOVERY_NOTE):
                text = recovery_note().encode()
                write_durably(self.path / RECOVERY_NOTE, text, claims, replace=False)

    def has_strange_note(self) -> bool:
        """Return whether a recipe lies here that this agebackup did not write; reads only that."""
        expected = recovery_note().encode()
        with suppress(OSError):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with open(os.open(self.path / RECOVERY_NOTE, flags), "rb") as file:
                status = os.fstat(file.fileno())
                if stat.S_ISREG(status.st_mode) and not is_evicted(file.fileno(), status):
                    return file.read(len(expected) + 1) != expected
        return False


def listed_folder(to: str) -> Folder:
    """Return the folder of archives that `to` means, a FILE.age's parent; makes nothing.

    Whether it is there shows when it is read.
    """
    return Folder(folder_of(Path(os.path.abspath(to))))


def open_folder(to: str, *, make: bool, overwrite: bool) -> Folder:
    """Return the destination that `--to` names: a directory, or a file name ending in `.age`.

    Raises `UsageError` for a remote, which a directory of that name would only seem to be.
    Raises `NotFoundError` (10) where the directory is absent and `make` is false: an unmounted
    drive looks just like that. Raises `RefusedError` (13) where a free name is taken by something
    that is not an age file and `overwrite` is false. Makes nothing. A link of that name is replaced
    itself, never followed: whoever may write to the folder could have put it there.
    """
    if not parse_whereabouts(to).is_folder:
        raise UsageError(
            f"Archives are published in a folder first, and {printable(to)} is none.",
            hint="Name a directory, and have copies carried further by the configuration: "
            f'destination = ["/a/directory", "{printable(to)}"].',
        )
    path = Path(os.path.abspath(to))
    directory = folder_of(path)
    there = _is_directory(directory, or_made=make)
    if directory == path:
        return Folder(directory, absent=not there)
    if path.is_dir() and not path.is_symlink():
        raise RefusedError(
            f"The destination {printable(str(path))} is a directory, but named like an archive.",
            hint="Give the directory a name that does not end in .age.",
        )
    if there and not overwrite:
        _require_age_file(path)
    return Folder(directory, path.name, absent=not there)


def _is_directory(directory: Path, *, or_made: bool) -> bool:
    shown = printable(str(directory))
    try:
        if stat.S_ISDIR(os.stat(directory).st_mode):
            return True
    except FileNotFoundError:
        if not or_made:
            raise NotFoundError(
                f"The destination {shown} does not exist.",
                hint="If it lies on another drive, mount that first; --mkdir makes the directory.",
            ) from None
        return False
    except OSError as error:
        raise FailedError(
            f"The destination {shown} cannot be reached: {error.strerror}.",
            hint="Check that the drive is there and that you may enter its directories.",
        ) from None
    raise RefusedError(
        f"The destination {shown} is not a directory.",
        hint="Name a directory, or a file name that ends in .age.",
    )


def _make(directory: Path) -> None:
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    try:
        for path in reversed(missing):
            path.mkdir(mode=0o700, exist_ok=True)
            sync_path(path.parent)  # or a power cut takes the directory, archive and all
    except OSError as error:
        raise FailedError(
            f"The destination {printable(str(directory))} cannot be made: {error.strerror}.",
            hint="Choose a place where you may write.",
        ) from None


def _require_age_file(path: Path) -> None:
    shown = printable(str(path))
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as error:
        raise FailedError(
            f"{shown} is in the way and cannot be read: {error.strerror}.",
            hint="Choose another name, or --overwrite to replace it.",
        ) from None
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        if regular and os.pread(descriptor, len(AGE_MAGIC), 0) == AGE_MAGIC:
            return
    finally:
        os.close(descriptor)
    raise RefusedError(
        f"{shown} exists and is not an age file.",
        hint="Choose another name, or --overwrite to replace it.",
    )
