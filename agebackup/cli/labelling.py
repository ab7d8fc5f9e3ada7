"""What `tag`, `untag`, `keep` and `unkeep` share."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from agebackup.cli.choosing import chosen
from agebackup.cli.console import console
from agebackup.cli.scope import now, required_ledger
from agebackup.cli.settings import current
from agebackup.errors import printable
from agebackup.operations.labels import label, require_word

if TYPE_CHECKING:
    from agebackup.ledger import Ledger
    from agebackup.model.inventory import Held

__all__ = ["labelled", "require_word"]


def labelled(command: str, archive: str, to: str | None, **changes: Any) -> int:
    """Write `changes` into the record of the archive that was named, and say so."""
    out = console(current(), command)
    path = chosen(archive, to, out).path
    with required_ledger() as ledger:
        record = label(path, _held(path, ledger), ledger, **changes)
    out.output.result_of_work(
        printable(record.name),
        archive=record.name,
        destination=record.destination,
        tag=record.tag,
        kept=record.kept,
    )
    return 0


def _held(path: Path, ledger: "Ledger") -> "Held | None":
    from agebackup.cli.wiring import folder_at
    from agebackup.operations.inventory import take_inventory

    archives = take_inventory(folder_at(str(path.parent)), ledger, now()).archives
    return next((held for held in archives if held.entry.name == path.name), None)
