"""Claims: how a run that died leaves word of what it left behind.

A claim is a small file in the state directory, locked by the living run, that names one temporary
file or directory before it is made. Whoever can take the lock knows that the run is dead and may
clean up after it. What is removed must carry one of our random names and be the very thing that
was made (by its inode number; device numbers may change at a reboot), so that nothing of anybody
else's, the old state that a restore keeps least of all, can be taken for leftovers.
"""

import errno
import fcntl
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from agebackup.errors import printable
from agebackup.system.durable import TEMPORARY_NAME, rename_new
from agebackup.system.streams import write_all
from agebackup.system.syncing import explained, sync_directory, sync_file, sync_path


@dataclass(frozen=True)
class Record:
    """What a claim file says. Numbers are inodes.

    `made` is None until the thing was made. With `target` and `kept` a swap is under way: the
    thing becomes `target`, which was `old` and becomes `kept`.
    """

    path: str
    folder: int | None
    made: int | None = None
    target: str | None = None
    kept: str | None = None
    old: int | None = None


class Claim:
    """A hold on one temporary path; its claim file is open and locked."""

    def __init__(self, file: Path, descriptor: int, record: Record) -> None:
        self._file = file
        self._descriptor = descriptor
        self._record = record
        self.released = False

    @property
    def path(self) -> Path:
        """The temporary path."""
        return Path(self._record.path)

    @property
    def record(self) -> Record:
        """What the claim file says now."""
        return self._record

    def identify(self, made: os.stat_result | None = None) -> None:
        """Record that the claimed thing exists now, before anything is put into it."""
        status = made or self.path.lstat()
        self.write(replace(self._record, made=status.st_ino))

    def journal_swap(self, target: Path, kept: Path) -> None:
        """Record that the claimed directory is about to take the place of `target`."""
        made, old = (path.lstat().st_ino for path in (self.path, target))
        self.write(
            replace(
                self._record,
                made=made,
                target=os.path.abspath(target),
                kept=os.path.abspath(kept),
                old=old,
            )
        )

    def release(self) -> None:
        """Say that the thing is no longer temporary: nothing will be removed."""
        self.released = True

    def write(self, record: Record) -> None:
        """Append `record`, which then counts: a torn last line leaves the one before in force."""
        line = json.dumps(asdict(record)).encode() + b"\n"
        with explained(self._file.parent):
            write_all(self._descriptor, line)
            sync_file(self._descriptor)
        self._record = record


class Claims:
    """The claims of all runs of this user, in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def claim(self, path: Path) -> Iterator[Claim]:
        """Hold `path`, whose name must match `TEMPORARY_NAME` and which must not exist yet.

        At the end what was made there is removed, unless it was released. What cannot be removed
        now (a drive that vanished) stays claimed for a later sweep.
        """
        if not TEMPORARY_NAME.fullmatch(path.name):
            raise ValueError("only our own temporary names can be claimed")
        absolute = Path(os.path.abspath(path))
        with explained(self._directory):
            file, descriptor = self._new_file()
        try:
            claim = Claim(file, descriptor, Record(str(absolute), _inode(absolute.parent)))
            try:
                claim.write(claim.record)
                with explained(self._directory):
                    sync_path(self._directory)
                yield claim
            finally:
                if claim.released or _settle(claim.record).done:
                    with suppress(OSError):
                        os.unlink(file)
        finally:
            os.close(descriptor)

    def sweep(self) -> tuple[str, ...]:
        """Clean up after runs that died; return a sentence for each thing removed or finished.

        What a living run claims is never touched. What cannot be cleaned up now is said, and
        stays claimed. Raises `FailedError` where the claims themselves cannot be read.
        """
        with explained(self._directory):
            try:
                names = sorted(os.listdir(self._directory))
            except FileNotFoundError:
                return ()
            files = [self._directory / name for name in names if name.endswith(".json")]
            return tuple(words for file in files if (words := _sweep_one(file)))

    def _new_file(self) -> tuple[Path, int]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            file = self._directory / f"{secrets.token_hex(8)}.json"
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(file, flags, 0o600)
            if _lock(descriptor):
                return file, descriptor
            os.close(descriptor)  # a sweep came between open and lock


def _lock(descriptor: int) -> bool:
    """Take the lock of a claim file, unless somebody holds it or has removed the file."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(descriptor).st_nlink > 0


def _sweep_one(file: Path) -> str:
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    try:
        if not _lock(descriptor):
            return ""
        record = _last_record(descriptor)
        settled = _settle(record) if record else _Settled(done=True)
        if settled.done:
            os.unlink(file)
        return settled.words
    finally:
        os.close(descriptor)


def _last_record(descriptor: int) -> Record | None:
    """Return what the last whole line says; None where the run died before it made anything."""
    content = os.pread(descriptor, 1 << 20, 0)
    known = {field.name for field in fields(Record)}
    for line in reversed(content.split(b"\n")[:-1]):
        with suppress(ValueError, TypeError, AttributeError):
            return Record(**{k: v for k, v in json.loads(line).items() if k in known})
    return None


@dataclass(frozen=True)
class _Settled:
    """What became of a claim: `done` when nothing is left to do, `words` for the person."""

    done: bool
    words: str = ""


def _settle(record: Record) -> _Settled:
    try:
        if record.target is None or record.kept is None:
            return _settle_leftover(Path(record.path), record)
        return _settle_swap(record, Path(record.target), Path(record.kept))
    except (OSError, RecursionError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return _Settled(False, f"{printable(record.path)} is left over; removing it failed: {why}.")


def _settle_leftover(path: Path, record: Record) -> _Settled:
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return _Settled(False)
    try:
        # Another inode: a drive that is not mounted now. What was left on it may come back.
        done = os.fstat(folder).st_ino == record.folder
        if not _removed(path.name, folder, record.made):
            return _Settled(done)
        sync_directory(folder)
    finally:
        os.close(folder)
    return _Settled(True, f"Removed {printable(str(path))}, left by a run that was cut off.")


def _removed(name: str, folder: int, made: int | None) -> bool:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if made is None:
        return _removed_empty(name, folder, status)
    if status.st_ino != made:
        return False
    if stat.S_ISDIR(status.st_mode):
        shutil.rmtree(name, dir_fd=folder)
    else:
        os.unlink(name, dir_fd=folder)
    return True


def _removed_empty(name: str, folder: int, status: os.stat_result) -> bool:
    """Remove what was perhaps made, but never recorded: it can only be empty."""
    if stat.S_ISREG(status.st_mode) and status.st_size == 0:
        os.unlink(name, dir_fd=folder)
        return True
    try:
        os.rmdir(name, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def _settle_swap(record: Record, target: Path, kept: Path) -> _Settled:
    """Bring a swap that was cut off to its end, or undo it where nothing had happened yet.

    Both states are known by their inodes. The new one is removed only while the old one is seen
    in its own place.
    """
    staging = Path(record.path)
    new, old = record.made, record.old
    found = {path: _inode(path) for path in (staging, target, kept)}
    shown = printable(str(target))
    if found[target] == new:
        state = f"; the state before it is {printable(str(kept))}" if found[kept] == old else ""
        return _Settled(True, f"{shown} holds the restored state{state}.")
    if found[target] == old:
        place = kept if found[kept] == new else staging
        return _settle_leftover(place, record)
    if found[target] is None and found[staging] == new and found[kept] == old:
        rename_new(staging, target)
        sync_path(target.parent)
        return _Settled(
            True,
            f"Finished a restore that was cut off: {shown} holds the restored state, "
            f"{printable(str(kept))} the state before it.",
        )
    if _inode(target.parent) != record.folder:
        return _Settled(False)
    return _Settled(
        False,
        f"A restore of {shown} was cut off. Look at {printable(str(staging))} and "
        f"{printable(str(kept))}; agebackup touches neither.",
    )


def _inode(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except OSError:
        return None
