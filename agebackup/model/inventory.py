"""What lies in a destination, told apart by name and status alone: nothing is opened.

Only a name that is exactly an archive's counts as an archive; everything else is "other", listed
with its reason, never selected and never pruned.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, Protocol

from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord
from agebackup.model.retention import Candidate, Grade

FUTURE = timedelta(hours=1)
"""How far ahead of the clock an archive's time may be: machines differ a little."""
OtherKind = Literal["conflict", "evicted", "temporary", "foreign", "unparseable", "future", "link"]
"""conflict copy; known to the cloud but not downloaded; a half-written file of agebackup's; not an
archive; nearly an archive's name; an archive from the future; no regular file."""


@dataclass(frozen=True)
class FolderEntry:
    """One name in a folder with what `lstat` says. `inode` is (device, inode).

    `evicted`: the content is only in the cloud, so reading would download it. Of a remote, where
    there is no inode: `partial` is a file that was not carried there whole, and `sha256` what the
    server says of its content, "" where it says nothing.
    """

    name: str
    size: int
    mtime: float
    regular: bool = True
    evicted: bool = False
    inode: tuple[int, int] = (0, 0)
    partial: bool = False
    sha256: str = ""


@dataclass(frozen=True)
class Held:
    """An archive that lies in the folder, and what the ledger knows of it (None: nothing).

    `entry` is called otherwise where only a stub of iCloud's stands for the file.
    """

    name: ArchiveName
    entry: FolderEntry
    record: ArchiveRecord | None = None

    @property
    def is_stub(self) -> bool:
        """Whether the file itself is not in the folder."""
        return self.entry.name != str(self.name)


@dataclass(frozen=True)
class Other:
    """A name in the folder that is not to be taken for an archive, and why.

    `resembles` is the archive whose conflict copy, stub or stray it is, where one can be told, and
    `record` what the ledger knows of that.
    """

    entry: FolderEntry
    kind: OtherKind
    reason: str
    resembles: str = ""
    record: ArchiveRecord | None = None


@dataclass(frozen=True)
class Inventory:
    """A folder at one moment: archives newest first, the rest, and records without a file.

    An archive from the future is in `others` alone, an evicted one too: its name is taken, its
    content is out of reach. `missing` are published, undeleted records of this destination whose
    file is neither there nor evicted.
    """

    destination: str
    taken: datetime
    archives: tuple[Held, ...] = ()
    others: tuple[Other, ...] = ()
    missing: tuple[ArchiveRecord, ...] = ()

    def of(self, app: str) -> tuple[Held, ...]:
        """Return the archives of `app`, newest first."""
        return tuple(held for held in self.archives if held.name.app == app)

    @property
    def nameable(self) -> tuple[Held, ...]:
        """The archives, and besides those from the future and the evicted ones.

        A person who names one of them means it; nothing else ever picks it.
        """
        aside = (_nameable(other) for other in self.others)
        return (*self.archives, *(held for held in aside if held is not None))


def _nameable(other: Other) -> Held | None:
    name = ArchiveName.parse(other.resembles) if other.kind in ("future", "evicted") else None
    return Held(name, other.entry, other.record) if name else None


def record_of(held: Held, destination: str) -> ArchiveRecord:
    """Return what the ledger knows of `held`, or what it may be told of one it does not know.

    Such a one counts as another machine's: no rule may ever remove it.
    """
    if held.record is not None:
        return held.record
    unknown = ArchiveRecord.of(held.name, destination)
    return replace(unknown, size=None if held.is_stub else held.entry.size, foreign=True)


class Recorded(Protocol):
    """A file, and what the ledger knows of it."""

    @property
    def record(self) -> ArchiveRecord | None:
        """The ledger's row, None where it knows nothing."""


def leaving(held: Recorded) -> bool:
    """Return whether it was decided that `held` goes, and that has not happened yet."""
    return held.record is not None and held.record.pending == "delete"


def returned(held: Recorded) -> bool:
    """Return whether `held` was deleted, and somebody brought it back: no rule counts on it."""
    record = held.record
    return record is not None and record.deleted is not None and not record.pending


def reliable(held: Held) -> bool:
    """Return whether another archive may go because this one is there."""
    foreign = held.record is not None and held.record.foreign
    return grade(held) == "good" and not (foreign or leaving(held) or returned(held))


def is_future(time: datetime, now: datetime) -> bool:
    """Return whether an archive of `time` claims to be from the future."""
    return time > now + FUTURE


def grade(held: Held) -> Grade:
    """Return how far the archive can be relied upon, by what is known without opening it."""
    record, size = held.record, held.entry.size
    if size == 0 or (record is not None and (record.bad or record.size not in (None, size))):
        return "bad"
    if record is None or not record.complete:
        return "unproved"
    return "good" if record.proved or record.check in ("verify", "restore") else "unproved"


def candidate(held: Held) -> Candidate:
    """Return the archive as a policy sees it."""
    record = held.record
    tag, kept = (record.tag, record.kept) if record else ("", False)
    return Candidate(held.name, grade(held), tag, kept)
