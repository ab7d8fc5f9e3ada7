"""What a rekey tells the ledger, so that a run which is killed leaves a row that can be settled.

Before the new file takes the archive's name both hashes are written down, afterwards the new size.
In between the row is "rekey": either file may lie there, and which one it is, its hash says.
"""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agebackup.errors import AgebackupError, NotFoundError, StoppedError
from agebackup.ledger import Ledger
from agebackup.model.records import ArchiveRecord
from agebackup.operations.reading import open_archive, sha256_of
from agebackup.snapshot.sealed import quick_check
from agebackup.system.progress import Progress


@dataclass(frozen=True)
class NewFile:
    """The file that takes the place of an archive, for `recipients`."""

    size: int
    sha256: str
    stanzas: tuple[str, ...]
    recipients: tuple[str, ...]


def announce(
    ledger: Ledger, record: ArchiveRecord, former_sha256: str, new: NewFile
) -> ArchiveRecord:
    """Write down that `new` is about to take the place of the file with `former_sha256`.

    The hash that the ledger knew so far is the last of the former ones. The file may have had an
    earlier one: the copy from before another rekey, which somebody had put back.
    """
    former = dict.fromkeys((*record.former, record.sha256 or former_sha256))
    return ledger.amend(
        record,
        sha256=new.sha256,
        former=tuple(former),
        size=None,
        stanzas=(),
        recipients=new.recipients,
        pending="rekey",
    )


def confirm(ledger: Ledger, record: ArchiveRecord, new: NewFile, now: datetime) -> ArchiveRecord:
    """Write down that `new`, which was proved, has taken the place."""
    return ledger.amend(
        record,
        size=new.size,
        stanzas=new.stanzas,
        pending="",
        proved=True,
        bad=False,
        check="proof",
        checked=now,
        hashed=now,
    )


def settle(ledger: Ledger, row: ArchiveRecord, now: datetime, progress: Progress) -> None:
    """Let `row`, whose rekey was cut short, say which of the two files lies there.

    To be called while no run of its app is at work. What is neither of them, or gone, is left to
    `audit`, which then misses the new one. Where the file cannot be read now, the row stays.
    """
    path = Path(row.destination, row.file_name)
    try:
        sha256 = sha256_of(path, progress)
        known = sha256 in (row.sha256, *row.former)
        size, stanzas = _seen(path) if known else (0, ())
    except NotFoundError:
        if not os.path.lexists(path) and path.parent.is_dir():
            ledger.amend(row, pending="")
        return
    except StoppedError:
        raise
    except (AgebackupError, OSError):
        return
    if not known:
        ledger.amend(row, pending="")
    elif sha256 == row.sha256:
        confirm(ledger, row, NewFile(size, sha256, stanzas, row.recipients), now)
    else:
        *former, last = row.former
        same = sha256 == last
        ledger.amend(
            row,
            sha256=last,
            former=tuple(former),
            size=size if same else None,
            stanzas=stanzas if same else (),
            recipients=(),
            pending="",
        )


def _seen(path: Path) -> tuple[int, tuple[str, ...]]:
    with open_archive(path) as descriptor:
        stanzas = quick_check(descriptor).recipients
        return os.fstat(descriptor).st_size, tuple(sorted(stanzas))
