"""The journals of swaps: one durable file each, in a directory of the app's own."""

from dataclasses import dataclass
from pathlib import Path

from agebackup.model.swap import SwapRecord
from agebackup.system.claims import Claims


@dataclass(frozen=True)
class SwapRecords:
    """The swaps of one app, as `directory`/ID.json (0600). No path there is made by reading."""

    app: str
    directory: Path
    claims: Claims

    def all(self) -> tuple[SwapRecord, ...]:
        """Return every record, oldest first; raise `RefusedError` for one that is damaged."""
        raise NotImplementedError
