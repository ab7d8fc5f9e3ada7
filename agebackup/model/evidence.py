"""What an audit goes by: the folder before and after, the ledger's rows, what was read of files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Literal

from agebackup.model.ageheader import HEADER_LIMIT
from agebackup.model.expected import expected, without_file
from agebackup.model.inventory import FolderEntry, Inventory
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord, DestinationRecord

Trouble = Literal["", "damaged", "unreadable", "changed"]
"""damaged: no whole age file; unreadable: the file or its drive refused; changed: while read."""


@dataclass(frozen=True)
class Look:
    """What was read of one file, without a key.

    `stanzas` are the recipients' types in its header, sorted, the noise left out. `fingerprint`
    stands for the beginning of the file, which no two archives share; `sha256` for all of it, ""
    where it was not read. `why` says what the trouble was.
    """

    stanzas: tuple[str, ...] = ()
    fingerprint: str = ""
    sha256: str = ""
    trouble: Trouble = ""
    why: str = ""


@dataclass(frozen=True)
class Subject:
    """A file that is, or is taken for, an archive, and the ledger's row for it (None: no row)."""

    entry: FolderEntry
    name: ArchiveName | None = None
    record: ArchiveRecord | None = None

    @property
    def app(self) -> str | None:
        """Whose archive it is, as far as the name or the row tell."""
        if self.record is not None:
            return self.record.app
        return self.name.app if self.name else None

    @property
    def named_freely(self) -> bool:
        """Whether each archive replaces the one before under this name."""
        return self.record is not None and self.record.file_name != self.record.name

    @property
    def odd_size(self) -> bool:
        """Whether the file's size is not the row's."""
        known = self.record.size if self.record else None
        return known is not None and known != self.entry.size

    @property
    def former_size(self) -> bool:
        """Whether the size, an odd one, may be the archive's before a rekey.

        Only the header can have had another length: the content is the same.
        """
        record = self.record
        if record is None or record.size is None or not record.former:
            return False
        return self.odd_size and abs(record.size - self.entry.size) < HEADER_LIMIT


@dataclass(frozen=True)
class Snapshot:
    """A folder and all rows of the ledger, of every destination, at about the same moment.

    Rows include those deleted and those not yet published.
    """

    inventory: Inventory
    records: tuple[ArchiveRecord, ...] = ()

    @cached_property
    def here(self) -> tuple[ArchiveRecord, ...]:
        """The rows of this folder."""
        key = self.inventory.destination
        return tuple(one for one in self.records if one.destination == key)


@dataclass(frozen=True)
class Ground:
    """What the judgement needs besides files and rows.

    `apps` are those asked for, None all. `series` is the ledger's own, None where there is no
    ledger. `shared` are the apps whose policy says that other machines use the folder too. `device`
    is where the folder is now, `known` how the ledger knew it. `full`: all was read whole whose
    content could say anything.
    """

    apps: frozenset[str] | None = None
    series: str | None = None
    shared: frozenset[str] = frozenset()
    device: str = ""
    known: DestinationRecord | None = None
    full: bool = False

    def means(self, app: str | None) -> bool:
        """Return whether `app` is asked for; what is nobody's always is."""
        return self.apps is None or app is None or app in self.apps


@dataclass(frozen=True)
class Evidence:
    """All that an audit saw: the state before the reading and after it, and `looks` by file name.

    Only what was the same before and after is judged: what a run publishes or deletes meanwhile is
    the next audit's business.
    """

    before: Snapshot
    after: Snapshot
    looks: Mapping[str, Look] = field(default_factory=dict)
    ground: Ground = field(default_factory=Ground)

    @cached_property
    def subjects(self) -> tuple[Subject, ...]:
        """The files that lay there unchanged before and after, and stood for the same archive.

        What the ledger says of that archive may have changed meanwhile; it is as it was after.
        """
        earlier = {one.entry.name: one for one in subjects(self.before)}
        return tuple(
            one
            for one in subjects(self.after)
            if self.ground.means(one.app)
            and one.entry.name in earlier
            and _same(one, earlier[one.entry.name])
        )

    @cached_property
    def restless(self) -> tuple[Subject, ...]:
        """The files of the same archive before and after that changed, or were exchanged.

        Not by a rekey meanwhile, which the ledger knows of: that is the next audit's business.
        """
        earlier = {one.entry.name: one for one in subjects(self.before)}
        steady = {one.entry.name for one in self.subjects}
        return tuple(
            one
            for one in subjects(self.after)
            if self.ground.means(one.app)
            and one.entry.name in earlier.keys() - steady
            and _same_row(one, earlier[one.entry.name])
            and not _rekeyed(one, earlier[one.entry.name])
        )

    @cached_property
    def missing(self) -> tuple[ArchiveRecord, ...]:
        """The rows without a file, before and after."""
        earlier = {one.name for one in missing(self.before)}
        return tuple(
            one for one in missing(self.after) if one.name in earlier and self.ground.means(one.app)
        )

    @cached_property
    def newest(self) -> Mapping[str, datetime]:
        """When the newest archive of each app was made that the ledger knows in this folder."""
        times: dict[str, datetime] = {}
        for one in self.after.here:
            times[one.app] = max(one.time, times.get(one.app, one.time))
        return times

    def look(self, subject: Subject) -> Look:
        """Return what was read of `subject`; an empty look where nothing was."""
        return self.looks.get(subject.entry.name, _NOTHING)


_NOTHING = Look()


def subjects(snapshot: Snapshot) -> tuple[Subject, ...]:
    """Return the files of `snapshot` to be looked at: archives, future ones, freely named ones."""
    rows = expected(snapshot.here)
    found = [
        Subject(held.entry, held.name, rows.get(held.entry.name))
        for held in snapshot.inventory.archives
    ]
    for other in snapshot.inventory.others:
        name = other.entry.name
        readable = other.entry.regular and not other.entry.evicted
        if readable and (name in rows or other.kind == "future"):
            found.append(Subject(other.entry, ArchiveName.parse(name), rows.get(name)))
    return tuple(found)


def missing(snapshot: Snapshot) -> tuple[ArchiveRecord, ...]:
    """Return the rows that should have a file and have none, not even an evicted one."""
    inventory = snapshot.inventory
    return without_file(snapshot.here, inventory.archives, inventory.others)


def _rekeyed(one: Subject, other: Subject) -> bool:
    rows = [s.record for s in (one, other) if s.record]
    return len({(row.former, row.pending) for row in rows}) > 1


def _same(one: Subject, other: Subject) -> bool:
    states = [(s.entry.inode, s.entry.size, s.entry.mtime) for s in (one, other)]
    return _same_row(one, other) and states[0] == states[1]


def _same_row(one: Subject, other: Subject) -> bool:
    rows = [subject.record.name if subject.record else None for subject in (one, other)]
    return rows[0] == rows[1]
