"""What an audit reads: every header, and as many whole files as its budget allows.

The files are hostile: nothing is followed, no more is read than the size that the name had, and
what fails is a fact about that file alone.
"""

import hashlib
import os
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from agebackup.destinations.folder import Folder
from agebackup.errors import FailedError, NotFoundError, VerificationError
from agebackup.model.ageheader import NONCE_BYTES
from agebackup.model.budget import Budget
from agebackup.model.evidence import Look, Snapshot, Subject
from agebackup.model.inventory import FolderEntry
from agebackup.model.names import printable
from agebackup.operations.reading import check_from_outside
from agebackup.system.clock import Stopwatch
from agebackup.system.progress import Progress
from agebackup.system.streams import pieces

_NEVER = datetime.min.replace(tzinfo=UTC)


class Sample:
    """What was read so far: `looks` by file name, `hashed` files whole, `read` bytes of those."""

    def __init__(self, folder: Folder, budget: Budget, progress: Progress) -> None:
        self.looks: dict[str, Look] = {}
        self.hashed = 0
        self.read = 0
        self._folder = folder
        self._budget = budget
        self._progress = progress
        self._watch = Stopwatch()

    def take_headers(self, subjects: Iterable[Subject]) -> None:
        """Look at the header and size of each file; may raise `StoppedError`."""
        self._progress.phase("headers")
        for subject in subjects:
            self._progress.stop.check()
            entry = subject.entry
            self._look_at(entry, partial(_header, entry))

    def take_hashes(self, snapshot: Snapshot, subjects: Iterable[Subject]) -> None:
        """Read whole files: suspects, then by turns those that were not read for longest.

        Of the turns at least one is read whole, so that every archive gets its own however small
        the budget; with a budget of 0 none. What has the size of no archive that the ledger knows
        is never read: its hash could say nothing, and holes of a terabyte are soon made. May raise
        `StoppedError`.
        """
        sizes = {one.size for one in snapshot.here if one.sha256}
        listed = tuple(one for one in subjects if _is_telling(one, sizes))
        doubtful = self._doubtful(listed)
        known = {one.entry.name for one in doubtful}
        turns = sorted((one for one in listed if one.entry.name not in known), key=_turn)
        copies = _conflict_copies(snapshot)
        total = sum(entry.size for entry in [*(one.entry for one in listed), *copies])
        limit = self._budget.bytes
        self._progress.phase("hashes", total if limit is None else min(total, limit))
        reading = _Order(
            {one.sha256: one.file_name for one in snapshot.here if one.sha256},
            {one.entry.name: one.entry for one in listed},
        )
        self._hash((one.entry for one in doubtful), reading)
        self._hash((one.entry for one in turns if _comparable(one)), reading, at_least=1)
        rest = (one.entry for one in turns if not _comparable(one))
        self._hash([*copies, *rest], reading)

    def _doubtful(self, subjects: tuple[Subject, ...]) -> tuple[Subject, ...]:
        marks = Counter(look.fingerprint for look in self.looks.values() if look.fingerprint)

        def suspect(one: Subject) -> bool:
            if one.record is None or one.record.bad:
                return False
            mark = self.looks.get(one.entry.name, Look()).fingerprint
            return one.odd_size or marks[mark] > 1

        return tuple(one for one in subjects if suspect(one))

    def _hash(
        self, entries: Iterable[FolderEntry], reading: "_Order", *, at_least: int = 0
    ) -> None:
        queue, done = deque(entries), 0
        while queue and self._budget.bytes != 0:
            entry = queue.popleft()
            if self.looks.get(entry.name, Look()).sha256:
                continue
            sure = done < at_least
            if not sure and not self._room(entry.size):
                return
            found = self._hash_one(entry, sure=sure)
            done += bool(found)
            other = reading.contents.get(found, entry.name)
            if other != entry.name and other in reading.entries:
                queue.appendleft(reading.entries[other])  # its content is here: what has it itself?

    def _room(self, size: int) -> bool:
        return not self._late and (
            self._budget.bytes is None or self.read + size <= self._budget.bytes
        )

    @property
    def _late(self) -> bool:
        limit = self._budget.seconds
        return limit is not None and self._watch.seconds >= limit

    def _hash_one(self, entry: FolderEntry, *, sure: bool) -> str:
        """Read the file to its end, note its hash and return it; "" where that failed.

        Unless `sure` it is left where the time is up.
        """

        def whole(descriptor: int) -> Look | None:
            digest, rest = hashlib.sha256(), entry.size
            for piece in pieces(descriptor, rest, self._progress):
                if self._late and not sure:
                    return None
                digest.update(piece)
                rest -= len(piece)
                self.read += len(piece)
            status = os.fstat(descriptor)
            if rest or (status.st_size, status.st_mtime) != (entry.size, entry.mtime):
                return Look(trouble="changed")
            _forget_pages(descriptor)
            self.hashed += 1
            return replace(self.looks.get(entry.name, Look()), sha256=digest.hexdigest())

        self._look_at(entry, whole)
        return self.looks.get(entry.name, Look()).sha256

    def _look_at(self, entry: FolderEntry, work: Callable[[int], Look | None]) -> None:
        """Let `work` look at the open file; what goes wrong becomes the look."""
        look = None
        try:
            descriptor = self._folder.open(entry)
            try:
                look = work(descriptor)
            finally:
                os.close(descriptor)
        except NotFoundError:
            pass  # gone since it was listed: the list after the reading says so
        except VerificationError as error:
            why = error.message.removeprefix(f"{printable(entry.name)}: ")
            look = Look(trouble="damaged", why=why)
        except OSError as error:
            look = Look(trouble="unreadable", why=error.strerror or str(error))
        except FailedError as error:
            look = Look(trouble="unreadable", why=error.message.rstrip("."))
        if look is not None:
            self.looks[entry.name] = look


@dataclass(frozen=True)
class _Order:
    """Which file each known content belongs to, and the files that may be read."""

    contents: Mapping[str, str]
    entries: Mapping[str, FolderEntry]


def _header(entry: FolderEntry, descriptor: int) -> Look:
    header = check_from_outside(Path(entry.name), descriptor)
    beginning = os.pread(descriptor, header.length + NONCE_BYTES, 0)
    return Look(
        stanzas=tuple(sorted(header.recipients)),
        fingerprint=hashlib.sha256(beginning).hexdigest(),
    )


def _is_telling(subject: Subject, sizes: Collection[int | None]) -> bool:
    """Return whether the file's hash could say anything."""
    own = subject.record is not None and (not subject.odd_size or subject.former_size)
    return own or subject.entry.size in sizes


def _comparable(subject: Subject) -> bool:
    return subject.record is not None and bool(subject.record.sha256)


def _turn(subject: Subject) -> tuple[bool, datetime, str]:
    record = subject.record
    last = record.hashed if record is not None else None
    return record is not None and record.bad, last or _NEVER, subject.entry.name


def _conflict_copies(snapshot: Snapshot) -> tuple[FolderEntry, ...]:
    """Return the conflict copies that only their content can tell from the original."""
    sizes = {one.entry.name: one.entry.size for one in snapshot.inventory.archives}
    sizes |= {one.file_name: one.size for one in snapshot.here if one.size is not None}
    return tuple(
        other.entry
        for other in snapshot.inventory.others
        if other.kind == "conflict"
        and other.entry.regular
        and not other.entry.evicted
        and sizes.get(other.resembles) == other.entry.size
    )


def _forget_pages(descriptor: int) -> None:
    """Leave the page cache to others: nobody reads these bytes again soon."""
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
