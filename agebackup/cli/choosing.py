"""From the person's words to one archive: a path, or what `model.addressing` understands."""

import os
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agebackup.cli.console import Console
from agebackup.cli.scope import Place, known_config, known_ledger, now, places
from agebackup.errors import AgebackupError, NotFoundError, printable

if TYPE_CHECKING:
    from agebackup.cli.wiring import Folder
    from agebackup.ledger import Ledger
    from agebackup.model.inventory import Inventory
    from agebackup.model.records import ArchiveRecord

to_option = click.option(
    "--to", metavar="DIR", help="Look for the archive here, not where the configuration says."
)


def chosen(text: str, to: str | None, console: Console, *, tell: bool = True) -> Path:
    """Return the path of the archive that `text` means, in `to` or in every known destination.

    What contains a slash or is no form of `model.addressing` is a path, and a whole name is where
    it is one here. `latest` and its like never are: the current directory may be the folder that
    others write to. Says on stderr what was picked where the words left that open, unless the
    caller is to `tell` it. Raises `UsageError` where they are ambiguous, and `NotFoundError`.
    """
    from agebackup.model.addressing import choose, parse_wanted, unknown

    wanted = None if "/" in text else parse_wanted(text)
    if "/" in text or ((wanted is None or wanted.name) and os.path.lexists(text)):
        return Path(text)
    if wanted is None:
        raise unknown(text)
    try:
        looked = inventories(wanted.app, to, console)
    except NotFoundError:
        if wanted.name and to is None:
            return Path(text)  # no destination is known: then it is a path, and absent
        raise
    pick = choose(wanted, looked.inventories, _zones(console))
    for remark in pick.remarks:
        console.output.warn(remark)
    path = Path(pick.inventory.destination, str(pick.held.name))
    if tell and not wanted.name:
        console.output.say(f"{printable(text)} is {printable(str(path))}")
    return path


def recorded(path: Path, console: Console) -> "ArchiveRecord | None":
    """Return what the ledger knows of the archive at `path`; trouble with it is a warning."""
    from agebackup.ledger import LedgerError

    ledger = known_ledger(console)
    if ledger is None:
        return None
    try:
        with ledger:
            return record_at(path, ledger)
    except LedgerError as error:
        console.output.warn(f"The ledger cannot be asked: {error.message}")
        return None


def record_at(path: Path, ledger: "Ledger") -> "ArchiveRecord | None":
    """Return the record of the file at `path`, perhaps of one that was deleted and is back."""
    rows = ledger.archives(destination=os.path.realpath(path.parent), deleted=True)
    here = [row for row in rows if row.file_name == path.name]
    fitting = [row for row in here if row.deleted is None or row.name == path.name]
    return min(fitting, key=lambda row: row.deleted is not None, default=None)


@dataclass(frozen=True)
class Looked:
    """What lies in each folder, once each, and why others could not be looked into."""

    inventories: "tuple[Inventory, ...]"
    failures: tuple[AgebackupError, ...]


def inventories(app: str | None, to: str | None, console: Console) -> Looked:
    """Return what lies in the places of `app`; one that cannot be read is a warning.

    Raises what the last place raises, where none can be read.
    """
    from agebackup.operations.inventory import take_inventory

    found: list[Inventory] = []
    failures: list[AgebackupError] = []
    folders = {folder.key: (folder, ledger) for _, folder, ledger in opened(app, to, console)}
    for folder, ledger in folders.values():
        try:
            found.append(take_inventory(folder, ledger, now()))
        except AgebackupError as error:
            failures.append(error)
    if failures and not found:
        *_, last = failures
        raise last
    for failure in failures:
        console.output.warn(failure.message)
    return Looked(tuple(found), tuple(failures))


def opened(
    app: str | None, to: str | None, console: Console
) -> "list[tuple[Place, Folder, Ledger | None]]":
    """Return each place of `app` with its folder and the ledger, None where there is none."""
    from agebackup.cli.wiring import folder_at

    ledger = known_ledger(console)
    if ledger is not None:
        click.get_current_context().call_on_close(ledger.close)
    return [(place, folder_at(place.to), ledger) for place in places(app, to, console)]


def _zones(console: Console) -> dict[str, tzinfo]:
    config = known_config(console)
    profiles = config.apps if config else ()
    return {one.name: one.retention.timezone for one in profiles if one.retention}
