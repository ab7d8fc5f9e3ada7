"""tag and keep: what a person marks archives with, in the ledger alone; the file stays as it is."""

from typing import Any

from agebackup.destinations.interface import Destination
from agebackup.errors import UsageError, printable
from agebackup.ledger import Ledger
from agebackup.model.inventory import Held, record_of
from agebackup.model.records import ArchiveRecord


def label(held: Held, folder: Destination, ledger: Ledger, **changes: Any) -> ArchiveRecord:
    """Write `changes` (`tag`, `kept`) into the record of `held`, which lies in `folder`; return it.

    They belong to the archive: its copies in other places have them too, so that the same rules
    keep it there. One that the ledger does not know gets a record as another machine's. Raises
    `LedgerError`.
    """
    with ledger.together():
        for row in ledger.archives(held.name.app, deleted=True, pending=True):
            if row.name == str(held.name):
                ledger.amend(row, **changes)
        return ledger.amend(record_of(held, folder.key), **changes)


def require_word(text: str) -> str:
    """Return `text` if it can be a tag; raise `UsageError` otherwise."""
    if not text.isprintable() or len(text.split()) != 1 or text != text.strip():
        raise UsageError(f"{printable(text)!r} is not one word.", hint="A tag is one word.")
    return text
