"""What the page that `report` writes says: values only, gathered once and then drawn.

Times are UTC, sizes bytes. Nothing in it is a secret: names, sizes, times, and sentences.
"""

from dataclasses import dataclass
from datetime import datetime

from agebackup.model.findings import Finding
from agebackup.model.freshness import AppStatus
from agebackup.model.records import ArchiveRecord, DrillRecord, RunRecord


@dataclass(frozen=True)
class Shelved:
    """An archive in one destination, and why it stays there.

    `state` is the word that `list` has, or "gone" where the ledger knows it and its file is not
    there. `stays` is false where the next prune would remove it; `reasons` are the retention's own.
    """

    name: str
    id: str
    time: datetime
    size: int | None
    state: str
    reasons: tuple[str, ...]
    stays: bool = True
    tag: str = ""
    note: str = ""


@dataclass(frozen=True)
class Shelf:
    """One destination of an app, with its archives newest first.

    `seen` says that they were found there just now; otherwise they are what the ledger knows, and
    `remark` says why nobody looked, where that is a fault. `others` is how many names lie there
    that are no archive's. `owed` is how many archives are still to be carried there; None: none
    are carried there.
    """

    destination: str
    archives: tuple[Shelved, ...] = ()
    seen: bool = False
    remark: str = ""
    others: int = 0
    owed: int | None = None

    @property
    def present(self) -> tuple[Shelved, ...]:
        """The archives whose files are there, as far as anybody knows."""
        return tuple(one for one in self.archives if one.state != "gone")

    @property
    def bytes(self) -> int:
        """What those take."""
        return sum(one.size or 0 for one in self.present)


@dataclass(frozen=True)
class Audited:
    """What an audit of one destination found; `problem` is why there was none, "" where there was.

    Of `recorded` files that have a hash in the ledger, `read` were read whole at least once, the
    one not read for longest at `oldest`.
    """

    destination: str
    problem: str = ""
    archives: int = 0
    recorded: int = 0
    read: int = 0
    oldest: datetime | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class AppOverview:
    """One app. `shelves` are its destinations, the one that is judged first.

    `made` are the archives that the ledger ever knew, pruned ones among them, or those that were
    found where there is no ledger: each once, oldest first. `runs` and `drills` come newest first;
    None where no ledger could be asked.
    """

    app: str
    judged: tuple[AppStatus, ...]
    shelves: tuple[Shelf, ...]
    made: tuple[ArchiveRecord, ...] = ()
    runs: tuple[RunRecord, ...] | None = None
    drills: tuple[DrillRecord, ...] | None = None
    audited: tuple[Audited, ...] = ()


@dataclass(frozen=True)
class Overview:
    """All apps at the moment `made`, on the machine `host`, by this `version` of agebackup.

    `audit` says whether destinations were audited; `trouble` is what was wrong with the ledger.
    """

    made: datetime
    host: str
    version: str
    apps: tuple[AppOverview, ...]
    audit: bool = True
    trouble: tuple[str, ...] = ()
