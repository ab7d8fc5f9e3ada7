"""What is to be carried to another place: from names, rows and hashes alone, nothing is read.

Copies follow the folder of this machine. What the place's own retention would prune at once is not
carried in vain, what somebody deleted there does not come back, and what this machine did not make
stays where it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from agebackup.model.inventory import (
    FolderEntry,
    Held,
    Inventory,
    Other,
    candidate,
    grade,
    leaving,
    returned,
)
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord
from agebackup.model.retaining import plan
from agebackup.model.retention import Policy

NEW = "it is not there yet"
VANISHED = "it vanished there"
CUT_SHORT = "it was not carried there whole"
REKEYED = "it was encrypted to other keys since"
DAMAGED = "it was found damaged there"
OTHER_SIZE = "it has another size there"
OTHER_CONTENT = "it has another content there"
DAMAGED_HERE = "it is damaged"
UNPROVED = "another content lies there, and nobody has verified the archive here"


@dataclass(frozen=True)
class Stock:
    """What a plan goes by, of one app: its archives here, and one other place.

    `local` come newest first. `rows` are the ledger's of that place, deleted and pending ones
    too; `there` is what lies in it. None: it was not looked into, and the rows are believed.
    """

    local: tuple[Held, ...]
    rows: tuple[ArchiveRecord, ...]
    there: Inventory | None = None


@dataclass(frozen=True)
class Load:
    """An archive that is to be carried, and why, as the rest of a sentence about it."""

    held: Held
    record: ArchiveRecord
    why: str = NEW


@dataclass(frozen=True)
class Left:
    """An archive that stays here alone, and why, as the rest of a sentence about it.

    `owed`: it belongs there all the same, and a person has to see to it.
    """

    name: str
    why: str
    owed: bool = False


@dataclass(frozen=True)
class PushPlan:
    """What is to be done with one place.

    `loads` are carried in this order, the newest first: it matters most. `confirmed` are rows as
    the ledger is to have them, because what lies there is what they say; `forgotten` are rows of
    what never arrived, and `debris` is half a file of what is not wanted there any more.
    `wanted`, newest first, are the names of all that is or will be there as it is here.
    """

    loads: tuple[Load, ...] = ()
    confirmed: tuple[ArchiveRecord, ...] = ()
    forgotten: tuple[ArchiveRecord, ...] = ()
    debris: tuple[FolderEntry, ...] = ()
    left: tuple[Left, ...] = ()
    wanted: tuple[str, ...] = ()


def push_plan(stock: Stock, key: str, policy: Policy | None, now: datetime) -> PushPlan:
    """Return what is to be carried to the place `key`, whose retention is `policy`, and the rest.

    The same values give the same plan. Carried out as a whole it leaves nothing to carry.
    """
    look = _Look(stock, key)
    stays = [(held, why) for held in stock.local if (why := _stays(held))]
    left = [Left(str(held.name), why, owed=look.misses(held, why)) for held, why in stays]
    wanted, records = [], dict[str, ArchiveRecord]()
    away = {one.name for one in left}
    for held in stock.local:
        if str(held.name) not in away and held.record is not None:
            if barred := look.barred(held.record):
                left.append(barred)
            else:
                wanted.append(held)
                records[str(held.name)] = held.record
    vain = _vain(wanted, look.covered(), policy, now)
    left += [Left(name, "no rule of its retention keeps it there") for name in vain]
    wanted = [held for held in wanted if str(held.name) not in vain]
    loads, confirmed = list[Load](), list[ArchiveRecord]()
    for held in wanted:
        record = records[str(held.name)]
        if why := look.lacks(record):
            loads.append(Load(held, record, why))
        elif look.is_news(held, record):
            confirmed.append(copied(record, key))
    settled = {*(one.record.name for one in loads), *(one.name for one in confirmed)}
    rest = _Rest(look, settled)
    return PushPlan(
        tuple(loads),
        (*confirmed, *rest.arrived),
        rest.forgotten,
        rest.debris,
        tuple(left),
        tuple(str(held.name) for held in wanted),
    )


def copied(record: ArchiveRecord, key: str) -> ArchiveRecord:
    """Return the row of a copy of the archive `record` in the place `key`."""
    return replace(record, destination=key, file_name=record.name, pending="", hashed=None)


def held_of(rows: Sequence[ArchiveRecord]) -> tuple[Held, ...]:
    """Return the archives that `rows` of one folder stand for, as if they lay there, in order."""
    found = []
    for row in rows:
        name = ArchiveName.parse(row.name)
        if name is not None and row.file_name == row.name and row.deleted is None:
            size = 1 if row.size is None else row.size
            found.append(Held(name, FolderEntry(row.name, size, 0.0), row))
    return tuple(found)


def _stays(held: Held) -> str:
    """Return why `held` is not carried anywhere, "" where it may be."""
    record = held.record
    if record is None:
        return "the ledger does not know it"
    if record.foreign:
        return (
            "this machine did not make it, as far as the ledger knows (if it did: agebackup ledger "
            "rebuild --mine)"
        )
    if leaving(held):
        return "it is about to be deleted"
    if returned(held):
        return "it was deleted, and somebody brought it back"
    if record.pending:
        return "a run or rekey that was cut short is not settled yet"
    if grade(held) == "bad":
        return DAMAGED_HERE
    unknown = "the ledger does not know its hash (agebackup ledger rebuild --read takes it)"
    return "" if record.sha256 else unknown


def _vain(
    wanted: Sequence[Held], there: Mapping[str, Held], policy: Policy | None, now: datetime
) -> set[str]:
    """Return the names that retention would prune there as soon as they arrived."""
    if policy is None:
        return set()
    together = {**there, **{str(held.name): held for held in wanted}}
    planned = plan(map(candidate, together.values()), policy, now)
    return {str(one.candidate.name) for one in planned.pruned} & {str(held.name) for held in wanted}


class _Look:
    """What is known of the place, by the archives' names."""

    def __init__(self, stock: Stock, key: str) -> None:
        self.rows = {row.name: row for row in stock.rows if row.destination == key}
        self.listed = stock.there is not None
        there = stock.there or Inventory(key, datetime.min)
        self.whole = {str(held.name): held for held in there.archives}
        self.others = {(one.resembles or one.entry.name): one for one in _barring(there)}

    def barred(self, record: ArchiveRecord) -> Left | None:
        """Return why the archive `record` may not be put there, None where it may."""
        name = record.name
        row, other, whole = self.rows.get(name), self.others.get(name), self.whole.get(name)
        if row is not None and row.deleted is not None:
            return Left(name, "it was deleted there")
        if other is not None and not other.entry.partial:
            return Left(name, f"there, {other.reason}", owed=other.kind == "link")
        ours = row is not None and row.pending  # what is half there is ours
        if whole is not None and not (ours or _vouched(record)):
            why = _differs(whole.entry, row, record)
            return Left(name, UNPROVED, owed=True) if why not in ("", REKEYED) else None
        return None

    def covered(self) -> dict[str, Held]:
        """Return what retention looks at there."""
        known = [row for row in self.rows.values() if not (row.foreign or row.pending)]
        if not self.listed:
            return {str(held.name): held for held in held_of(known)}
        names = {row.name for row in known if row.deleted is None}
        return {name: held for name, held in self.whole.items() if name in names}

    def misses(self, held: Held, why: str) -> bool:
        """Return whether `held` is damaged, which is news, and no copy of it lies there."""
        news = why == DAMAGED_HERE and held.record is not None and not held.record.bad
        row = self.rows.get(str(held.name))
        return news and str(held.name) not in self.whole and not (row and row.deleted)

    def lacks(self, record: ArchiveRecord) -> str:
        """Return why the archive `record` must be carried there, "" where it need not."""
        row = self.rows.get(record.name)
        if not self.listed:
            if row is None or row.pending or row.foreign:
                return NEW if row is None else CUT_SHORT
            return _outdated(row, record)
        if record.name in self.others:
            return CUT_SHORT
        whole = self.whole.get(record.name)
        if whole is None:
            return NEW if row is None or row.pending else VANISHED
        return _differs(whole.entry, row, record)

    def is_news(self, held: Held, record: ArchiveRecord) -> bool:
        """Return whether the row of what lies there is to be written anew."""
        row = self.rows.get(record.name)
        if row is None or row.pending or row.foreign or row.sha256 != record.sha256:
            return True
        return grade(held) == "good" and grade(Held(held.name, held.entry, row)) == "unproved"


class _Rest:
    """What an earlier push announced and nobody carries now."""

    def __init__(self, look: _Look, settled: set[str]) -> None:
        self.arrived: tuple[ArchiveRecord, ...] = ()
        self.forgotten: tuple[ArchiveRecord, ...] = ()
        self.debris: tuple[FolderEntry, ...] = ()
        for row in look.rows.values() if look.listed else ():
            if row.pending == "publish" and row.name not in settled:
                self._settle(row, look)

    def _settle(self, row: ArchiveRecord, look: _Look) -> None:
        whole, other = look.whole.get(row.name), look.others.get(row.name)
        if whole is not None and not _differs(whole.entry, row, row):
            self.arrived += (replace(row, pending=""),)
        elif whole is not None and row.former:
            pass  # it may have the former keys, and be the last one
        elif whole is not None or (other is not None and other.entry.partial):
            self.debris += ((whole or other).entry,)  # type: ignore[union-attr]
            self.forgotten += (row,)
        elif other is None:
            self.forgotten += (row,)


def _barring(there: Inventory) -> Iterator[Other]:
    """Yield what has an archive's name there, and is none that can be relied upon."""
    for other in there.others:
        if other.entry.partial or other.kind in ("link", "evicted", "future"):
            yield other


def _vouched(record: ArchiveRecord) -> bool:
    """Return whether the ledger's hash is of what was made or verified here.

    One that a ledger made anew took from the file itself is that of a damaged file too.
    """
    made = record.proved or record.sequence is not None
    return made or record.check in ("verify", "restore")


def _outdated(row: ArchiveRecord, record: ArchiveRecord) -> str:
    if row.sha256 != record.sha256:
        return REKEYED
    return DAMAGED if row.bad else ""


def _differs(entry: FolderEntry, row: ArchiveRecord | None, record: ArchiveRecord) -> str:
    """Return why `entry` is not the archive `record`, as far as it can be told.

    Where only the size is known, that is enough for a name that never was any other file's; after
    a rekey there were two, and only a push that came to its end tells which one lies there.
    """
    if entry.sha256 and entry.sha256 != record.sha256:
        return REKEYED if entry.sha256 in record.former else OTHER_CONTENT
    if entry.size != record.size:
        followed = row is not None and not row.pending and row.sha256 in record.former
        return REKEYED if followed else OTHER_SIZE
    if row is not None and not row.pending and not row.foreign:
        said = _outdated(row, record)
        return "" if said == REKEYED and entry.sha256 else said
    return REKEYED if record.former and not entry.sha256 else ""
