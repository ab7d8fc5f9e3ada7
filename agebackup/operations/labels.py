"""tag and keep: what a person marks archives with, in the ledger alone; the file stays as it is."""

from pathlib import Path
from typing import Any

from agebackup.errors import RefusedError, UsageError, printable
from agebackup.ledger import Ledger
from agebackup.model.inventory import Held
from agebackup.model.records import ArchiveRecord


def label(path: Path, held: Held | None, ledger: Ledger, **changes: Any) -> ArchiveRecord:
    """Write `changes` (`tag`, `kept`) into the record of the archive at `path`; return it.

    One that the ledger does not know gets a record as another machine's. Raises `RefusedError`
    where the file is not named as an archive, and `LedgerError`.
    """
    if held is None:
        raise RefusedError(
            f"{printable(str(path))} is not named as an archive, so no rule would ever look at it.",
            hint="Only archives under their own names are tagged or kept.",
        )
    record = held.record
    if record is None:
        destination = str(path.parent.resolve())
        known = ArchiveRecord.of(held.name, destination)
        record = ledger.amend(known, size=held.entry.size, foreign=True)
    return ledger.amend(record, **changes)


def require_word(text: str) -> str:
    """Return `text` if it can be a tag; raise `UsageError` otherwise."""
    if not text.isprintable() or len(text.split()) != 1 or text != text.strip():
        raise UsageError(f"{printable(text)!r} is not one word.", hint="A tag is one word.")
    return text
