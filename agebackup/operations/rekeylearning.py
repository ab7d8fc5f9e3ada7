"""Let the ledger learn of a rekey on another machine, where the private keys are."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from agebackup.errors import FailedError, NotFoundError, VerificationError
from agebackup.ledger import Ledger
from agebackup.model.records import ArchiveRecord
from agebackup.model.rekeyreport import RekeyedFile
from agebackup.operations.reading import sha256_of
from agebackup.operations.rekeyed import NewFile, announce, confirm
from agebackup.system.progress import Progress


@dataclass(frozen=True)
class Learned:
    """What became of one line of the report, for the archive at `path`.

    `learned`: the ledger knows the new file now. `known`: it knew. `not-yet`: the folder still has
    the old file. `differs`: neither lies there, or it cannot be read, as `why` says.
    """

    path: Path
    outcome: Literal["learned", "known", "not-yet", "differs"]
    why: str = ""


def rows_of(report: Iterable[RekeyedFile], ledger: Ledger) -> dict[RekeyedFile, ArchiveRecord]:
    """Return for each line of the report the row that it is about, by name and hash.

    A row is meant where it knows the old hash, now or from before. What the ledger does not know is
    left out.
    """
    rows = ledger.archives(pending=True)
    found = {}
    for line in report:
        for row in rows:
            if row.file_name == line.archive and line.former_sha256 in (row.sha256, *row.former):
                found[line] = row
    return found


def learn(
    known: Iterable[tuple[RekeyedFile, ArchiveRecord]],
    ledger: Ledger,
    now: datetime,
    progress: Progress,
) -> Iterator[Learned]:
    """Let each row know its new file, once that lies in the folder; yield what became of each.

    The caller holds the locks of the apps. Nothing is believed but what the report says and the
    file is, by its hash. Raises `LedgerError` and `StoppedError`.
    """
    for line, row in known:
        path = Path(row.destination, row.file_name)
        if row.sha256 == line.sha256 and not row.pending:
            yield Learned(path, "known")
            continue
        progress.phase(f"hashing {row.file_name}", line.size)
        try:
            found = sha256_of(path, progress)
        except (NotFoundError, FailedError, VerificationError) as error:
            yield Learned(path, "differs", error.message)
            continue
        except OSError as error:
            yield Learned(path, "differs", f"It cannot be read: {error.strerror}.")
            continue
        if found == line.sha256:
            new = NewFile(line.size, line.sha256, tuple(sorted(line.stanzas)), line.recipients)
            with ledger.together():
                confirm(ledger, announce(ledger, row, line.former_sha256, new), new, now)
            yield Learned(path, "learned")
        elif found in (row.sha256, *row.former):
            yield Learned(path, "not-yet", "The folder still has the old file.")
        else:
            yield Learned(path, "differs", "It is neither the old file nor the new one.")
