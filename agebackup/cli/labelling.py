"""What `tag`, `untag`, `keep` and `unkeep` share."""

from typing import Any

from agebackup.cli.choosing import chosen
from agebackup.cli.console import console
from agebackup.cli.scope import now, required_ledger
from agebackup.cli.settings import current
from agebackup.errors import printable
from agebackup.operations.labels import label, require_word

__all__ = ["labelled", "require_word"]


def labelled(command: str, archive: str, to: str | None, **changes: Any) -> int:
    """Write `changes` into the record of the archive that was named, and say so."""
    from agebackup.cli.wiring import folder_at
    from agebackup.operations.inventory import find_archive

    out = console(current(), command)
    path = chosen(archive, to, out)
    folder = folder_at(str(path.parent))
    with required_ledger() as ledger:
        held = find_archive(path.name, folder, ledger, now())
        record = label(held, folder, ledger, **changes)
    out.output.result_of_work(
        printable(record.name),
        archive=record.name,
        destination=record.destination,
        tag=record.tag,
        kept=record.kept,
    )
    return 0
