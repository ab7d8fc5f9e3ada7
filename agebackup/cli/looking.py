"""What a look at an archive's content means for the ledger: it learns only what was proved."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from agebackup.cli.choosing import Chosen, recorded
from agebackup.cli.console import Console
from agebackup.cli.scope import known_ledger, now
from agebackup.errors import VerificationError

if TYPE_CHECKING:
    from agebackup.model.records import ArchiveRecord, Check
    from agebackup.operations.reading import Reading

_WEAK = ("", "quick")
"""Checks that a quick look may take the place of: it proves nothing that an older one did not."""


@dataclass
class Looking:
    """A look at one archive. `record` is the ledger's, None where it knows nothing of it.

    `made_as` is the name that the archive itself says, to be set by whoever read it. `learns`: the
    record is of this very copy, so that the ledger may be told.
    """

    record: "ArchiveRecord | None"
    made_as: str = ""
    learns: bool = False

    def told(self, reading: "Reading") -> "Reading":
        """Return `reading`, which then accepts only the content that the ledger knows."""
        if self.record is None:
            return replace(reading, sha256="", former=())
        return replace(reading, sha256=self.record.sha256, former=self.record.former)


@contextmanager
def looked_at(chosen: Chosen, check: "Check", console: Console) -> Iterator[Looking]:
    """Let the ledger, where it knows the archive `chosen`, learn how the body's check ended.

    An archive that breaks its promises is bad from then on. It is good again where its content was
    read, is the recorded one where a hash is known, and says that it is this archive: what an
    attacker put in its place may be a sound archive too. Trouble with the ledger changes nothing
    else. Of a copy in a remote that it does not know there, it learns nothing.
    """
    looking = Looking(recorded(chosen, console))
    looking.learns = looking.record is not None and (
        looking.record.destination == chosen.destination
    )
    try:
        yield looking
    except VerificationError:
        _learn(looking, console, bad=True, check=check, checked=now())
        raise
    record = looking.record
    if record is None:
        return
    if check == "quick":
        if record.check in _WEAK:
            _learn(looking, console, check=check, checked=now())
    elif looking.made_as == record.name:
        _learn(looking, console, bad=False, check=check, checked=now())


def _learn(looking: Looking, console: Console, **changes: Any) -> None:
    from agebackup.ledger import LedgerError

    ledger = known_ledger(console) if looking.learns else None
    if ledger is None or looking.record is None:
        return
    try:
        with ledger:
            ledger.amend(looking.record, **changes)
    except LedgerError as error:
        console.output.warn(f"The ledger does not learn of this: {error.message}")
