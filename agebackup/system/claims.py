"""Claims: how a run that died leaves word of what it left behind.

A claim is a small file in the state directory, locked by the living run, that names one temporary
file or directory before it is made. Whoever can take the lock knows that the run is dead and may
clean up after it.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields, replace
from pathlib import Path

from agebackup.errors import FailedError, printable
from agebackup.system.durable import TEMPORARY_NAME
from agebackup.system.leftovers import Record, Settled, folder_inode, settle
from agebackup.system.streams import write_all
from agebackup.system.syncing import explained, opened, sync_file, sync_path


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
        """Record that the claimed thing exists now, before anything is put into it.

        And where, if the folder could not be looked at before: such a claim would never end.
        """
        status = made or self.path.lstat()
        folder = self._record.folder or folder_inode(self.path)
        self.write(replace(self._record, made=status.st_ino, folder=folder))

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
        with _required(self._directory):
            file, descriptor = self._new_file()
        try:
            claim = Claim(file, descriptor, Record(str(absolute), folder_inode(absolute)))
            try:
                with _required(self._directory):
                    claim.write(claim.record)
                    sync_path(self._directory)
                yield claim
            finally:
                if claim.released or settle(claim.record).done:
                    with suppress(OSError):
                        os.unlink(file)
        finally:
            os.close(descriptor)

    def sweep(self) -> tuple[str, ...]:
        """Clean up after runs that died; return a sentence for each thing removed or finished.

        What a living run claims is never touched. What cannot be cleaned up now is said, and
        stays claimed, and so is what lies among the claims and is none. Raises `FailedError` where
        their directory cannot be read.
        """
        with explained(self._directory):
            try:
                with opened(self._directory) as descriptor:  # unlike listdir's, retried after EINTR
                    names = sorted(os.listdir(descriptor))
            except FileNotFoundError:
                return ()
            files = [self._directory / name for name in names if name.endswith(".json")]
        return tuple(words for file in files if (words := _swept(file)))

    def dead(self) -> tuple[Path, ...]:
        """Return what runs that died claimed and is still there, changing nothing.

        What a living run claims is not told. Where the directory cannot be read, nothing is.
        """
        found = []
        with suppress(OSError):
            for file in sorted(self._directory.glob("*.json")):
                record = _dead_record(file)
                if record is not None and os.path.lexists(record.path):
                    found.append(Path(record.path))
        return tuple(found)

    def named(self) -> frozenset[Path]:
        """Return every path that any claim names, of living runs and dead ones.

        Read without taking locks; a claim is written before what it names is made. Raises
        `FailedError` where one cannot be read.
        """
        found = set()
        with explained(self._directory):
            for file in self._directory.glob("*.json"):
                with suppress(FileNotFoundError), file.open("rb") as claim:
                    record = _last_record(claim.fileno())
                    found.add(Path(record.path) if record else file)
        return frozenset(found)

    def _new_file(self) -> tuple[Path, int]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            file = self._directory / f"{secrets.token_hex(8)}.json"
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(file, flags, 0o600)
            if _lock(descriptor):
                return file, descriptor
            os.close(descriptor)  # a sweep came between open and lock


@contextmanager
def _required(directory: Path) -> Iterator[None]:
    """Say why nothing is made that could not be claimed: after a kill nobody would know of it."""
    try:
        with explained(directory):
            yield
    except FailedError as error:
        raise FailedError(
            f"{error.message} Nothing temporary is made that cannot be noted there first.",
            hint="Make space there or see to its permissions, or set XDG_STATE_HOME elsewhere.",
        ) from error


def _lock(descriptor: int) -> bool:
    """Take the lock of a claim file, unless somebody holds it or has removed the file."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(descriptor).st_nlink > 0


def _swept(file: Path) -> str:
    """Sweep one claim; return a sentence for the person, "" where there is nothing to say."""
    try:
        return _sweep_one(file)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{printable(str(file))} cannot be taken for a claim: {error.strerror}."


def _dead_record(file: Path) -> Record | None:
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _last_record(descriptor) if _lock(descriptor) else None
    finally:
        os.close(descriptor)


def _sweep_one(file: Path) -> str:
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(file, flags)
    try:
        if not _lock(descriptor):
            return ""
        record = _last_record(descriptor)
        settled = settle(record) if record else Settled(done=True)
        if settled.done:
            os.unlink(file)
        return settled.words
    finally:
        os.close(descriptor)


def _last_record(descriptor: int) -> Record | None:
    """Return what the last whole line says; None where the run died before it made anything.

    A claim on a name that is not ours is none, whoever wrote it.
    """
    content = os.pread(descriptor, 1 << 20, 0)
    known = {field.name for field in fields(Record)}
    for line in reversed(content.split(b"\n")[:-1]):
        with suppress(ValueError, TypeError, AttributeError, RecursionError):
            record = Record(**{k: v for k, v in json.loads(line).items() if k in known})
            if TEMPORARY_NAME.fullmatch(Path(record.path).name):
                return record
    return None
