"""Putting files and directories into place, whole or not at all, and so that a power cut cannot
take them away again (FACTS: file fsync before the rename, directory fsync after it)."""

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agebackup.errors import FailedError, NotFoundError, RefusedError, UsageError, printable
from agebackup.system.renaming import exchange
from agebackup.system.renaming import rename_new as rename_new
from agebackup.system.streams import write_all
from agebackup.system.syncing import DraftWriteError, explained, sync_path
from agebackup.system.syncing import failure as failure
from agebackup.system.syncing import sync_directory as sync_directory
from agebackup.system.syncing import sync_file as sync_file
from agebackup.system.syncing import sync_tree as sync_tree

if TYPE_CHECKING:
    from agebackup.system.claims import Claim, Claims

TEMPORARY_NAME = re.compile(r"\.~agebackup-(?:[a-z]{1,20}-)?[0-9a-f]{16}\.nosync\.tmp", re.ASCII)
"""Names that Dropbox, iCloud, OneDrive, Insync and Nextcloud leave alone."""


def temporary_name(label: str = "") -> str:
    """Return a fresh name that matches `TEMPORARY_NAME`; `label` is up to 20 small letters."""
    return f".~agebackup-{label}{'-' if label else ''}{secrets.token_hex(8)}.nosync.tmp"


@dataclass(frozen=True)
class Draft:
    """A file without a name of its own: `path` is temporary, `descriptor` reads and writes."""

    path: Path
    descriptor: int

    def write(self, content: bytes) -> None:
        """Write all of `content`; raises `DraftWriteError`."""
        try:
            write_all(self.descriptor, content)
        except OSError as error:
            raise DraftWriteError(error.errno, error.strerror) from error


@contextmanager
def publication(directory: Path, name: str, claims: "Claims", *, replace: bool) -> Iterator[Draft]:
    """Yield a draft that becomes `directory`/`name` on a clean exit, and vanishes on any other.

    The file is 0600. With `replace` it takes the place of what has that name, atomically; without
    it, it never does: `RefusedError`. The directory is opened once: raises `NotFoundError` where
    it is absent, and `FailedError` where at the end it is no longer what its path leads to, or
    where the disk refuses. After any exception the old state of `name` is intact, but for one
    case: the directory's own fsync failed after a replacement on a file system that cannot
    exchange two names; then `name` is the new file.
    """
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise UsageError(f"{printable(name)!r} cannot be a file's name.", hint="Leave out any '/'.")
    folder = _open_directory(directory)
    try:
        with claims.claim(directory / temporary_name()) as claim:
            try:
                with _drafted(folder, directory, claim) as draft:
                    yield draft
                with explained(directory):
                    _put_in_place(folder, claim.path.name, name, replace=replace)
            except BaseException:
                with suppress(OSError):
                    os.unlink(claim.path.name, dir_fd=folder)
                raise
    finally:
        os.close(folder)


def write_durably(
    path: Path, content: bytes, claims: "Claims", *, mode: int = 0o600, replace: bool
) -> None:
    """Write `content` to `path` as `publication` does, with the permission bits `mode`."""
    with publication(path.parent, path.name, claims, replace=replace) as draft:
        draft.write(content)
        if mode != 0o600:
            with explained(path.parent):
                os.fchmod(draft.descriptor, mode)


def _open_directory(directory: Path) -> int:
    shown = printable(str(directory))
    try:
        return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFoundError(
            f"The directory {shown} does not exist.",
            hint="If it lies on another drive, mount that first.",
        ) from None
    except OSError as error:
        raise FailedError(
            f"The directory {shown} cannot be opened: {error.strerror}.",
            hint="Check that it is a directory and that you may read and write in it.",
        ) from None


@contextmanager
def _drafted(folder: int, directory: Path, claim: "Claim") -> Iterator[Draft]:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with explained(directory):
        descriptor = os.open(claim.path.name, flags, 0o600, dir_fd=folder)
    try:
        made = os.fstat(descriptor)
        claim.identify(made)
        with suppress(OSError):  # FAT knows no modes; elsewhere this undoes a umask
            os.fchmod(descriptor, 0o600)
        with _explained_if_writing(directory):
            yield Draft(claim.path, descriptor)
        with explained(directory):
            sync_file(descriptor)
    finally:
        with explained(directory):  # NFS reports some lost writes only here
            os.close(descriptor)
    _require_same(os.fstat(folder), _status(directory), f"The directory {directory}")
    now = _status(claim.path.name, folder)
    _require_same(made, now, f"The temporary file in {directory}")


@contextmanager
def _explained_if_writing(directory: Path) -> Iterator[None]:
    """Explain the draft's own refusals; others' errors pass as they are."""
    try:
        yield
    except DraftWriteError as error:
        raise failure(error, directory) from error


def _require_same(opened: os.stat_result, now: os.stat_result | None, what: str) -> None:
    if now is None or (opened.st_dev, opened.st_ino) != (now.st_dev, now.st_ino):
        raise FailedError(
            f"{printable(what)} was replaced, unmounted or removed during the run.",
            hint="Check that the drive is there and that nothing else works on it; run again.",
        )


def _status(path: Path | str, folder: int | None = None) -> os.stat_result | None:
    try:
        return os.stat(path, dir_fd=folder, follow_symlinks=folder is None)
    except OSError:
        return None


def _put_in_place(folder: int, temporary: str, name: str, *, replace: bool) -> None:
    """Rename and sync; where the sync fails, take the rename back as far as that can be."""
    exchanged = replace and _exchanged(folder, temporary, name)
    if not exchanged:
        _rename_draft(folder, temporary, name, replace=replace)
    try:
        sync_directory(folder)
    except OSError:
        with suppress(OSError):
            if exchanged:
                exchange(temporary, name, folder)
            elif not replace:
                os.unlink(name, dir_fd=folder)
        raise
    if exchanged:
        with suppress(OSError):  # the old file; what cannot be removed now stays claimed
            os.unlink(temporary, dir_fd=folder)


def _exchanged(folder: int, temporary: str, name: str) -> bool:
    """Let the draft and the regular file `name` change names; False where that cannot be."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        return stat.S_ISREG(status.st_mode) and exchange(temporary, name, folder)
    except FileNotFoundError:
        return False


def _rename_draft(folder: int, temporary: str, name: str, *, replace: bool) -> None:
    if replace:
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        return
    try:
        rename_new(temporary, name, folder)
    except FileExistsError:
        raise RefusedError(
            f"{printable(name)} exists already and is not replaced.",
            hint="Choose another name.",
        ) from None


def place_directory(staging: "Claim", target: Path, kept: Path | None) -> None:
    """Put the claimed directory `staging` into the place of `target`, durably, and release it.

    All three are siblings. A target that is absent or empty is replaced in one step. Any other is
    kept as `kept`: the two change names atomically, or, where the file system cannot do that, by
    two renames that the next run's sweep finishes. Raises `RefusedError` where the target is not
    empty and `kept` is None, where `kept` exists, or where the target is no directory;
    `FailedError` where the disk refuses, and then the target is as it was.
    """
    with explained(target.parent):
        was_there = target.is_dir()
        swapped = not _replace_empty(staging.path, target)
        if swapped:
            if kept is None:
                raise _refused(target, "is not empty")
            staging.journal_swap(target, kept)
            _keep_and_replace(staging.path, target, kept)
        try:
            sync_path(target.parent)
        except OSError:
            with suppress(OSError):
                rename_new(target, staging.path)
                if swapped and kept is not None:
                    rename_new(kept, target)
                elif was_there:
                    target.mkdir()
            raise
        staging.release()


def _replace_empty(staging: Path, target: Path) -> bool:
    try:
        os.rename(staging, target)
    except NotADirectoryError:
        raise _refused(target, "is not a directory") from None
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def _refused(path: Path, why: str) -> RefusedError:
    return RefusedError(f"{printable(str(path))} {why}.", hint="Choose another place.")


def _keep_and_replace(staging: Path, target: Path, kept: Path) -> None:
    try:
        rename_new(staging, kept)
        if exchange(kept, target):
            return
        rename_new(kept, staging)
        rename_new(target, kept)
    except FileExistsError:
        raise _refused(kept, "exists already") from None
    try:
        rename_new(staging, target)
    except BaseException:
        with suppress(OSError):
            rename_new(kept, target)
        raise
