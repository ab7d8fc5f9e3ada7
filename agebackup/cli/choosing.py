"""From the person's words to one archive: a path, or what `model.addressing` understands."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agebackup.cli.console import Console
from agebackup.cli.remotes import destination_at, is_folder
from agebackup.cli.scope import Place, known_config, known_ledger, now, places, remote_places
from agebackup.errors import (
    AgebackupError,
    FailedError,
    NotFoundError,
    StoppedError,
    UsageError,
    printable,
)

if TYPE_CHECKING:
    from agebackup.cli.remotes import Destination, Remote
    from agebackup.cli.wiring import Folder
    from agebackup.ledger import Ledger
    from agebackup.model.addressing import Pick, Wanted
    from agebackup.model.inventory import FolderEntry, Held, Inventory
    from agebackup.model.records import ArchiveRecord

to_option = click.option(
    "--to",
    "--from",
    "to",
    metavar="DEST",
    help="Look for archives here, not where the configuration says: a directory, "
    "github:OWNER/REPO or rclone:REMOTE:PATH.",
)


@dataclass(frozen=True)
class Chosen:
    """One archive that was meant: the file `name` in the place that the ledger calls `destination`.

    `called` is how messages call it (not yet printable): its path, or where it lies in a remote.
    `remote` has it then, as `entry`; both are None of a file of this machine.
    """

    name: str
    destination: str
    called: str
    remote: "Remote | None" = None
    entry: "FolderEntry | None" = None

    @property
    def file(self) -> Path:
        """Its path; raises `UsageError` for what lies in a remote alone."""
        if self.remote is not None:
            raise UsageError(
                f"{printable(self.called)} is no file of this machine.",
                hint="Fetch it first: agebackup get.",
            )
        return Path(self.called)

    @property
    def place(self) -> "Destination":
        """The folder or remote that has it."""
        from agebackup.cli.wiring import folder_at

        return folder_at(os.path.dirname(self.called)) if self.remote is None else self.remote

    @property
    def is_there(self) -> bool:
        """Whether a file of that name lies there now; false where nobody can tell."""
        return os.path.lexists(self.called) if self.remote is None else self.remote.has(self.name)


def at_path(path: Path) -> Chosen:
    """Return the archive that is the file at `path`."""
    return Chosen(path.name, os.path.realpath(path.parent), str(path))


def chosen(text: str, to: str | None, console: Console, *, tell: bool = True) -> Chosen:
    """Return the archive that `text` means, in `to` or in every known destination.

    What contains a slash or is no form of `model.addressing` is a path, and a whole name is where
    it is one here. `latest` and its like never are: the current directory may be the folder that
    others write to. Folders come first; the remotes that the configuration declares are asked, all
    of them, only where no folder has what is meant. Says on stderr what was picked where the
    words left that open, unless the caller is to `tell` it. Raises `UsageError` where they are
    ambiguous, `NotFoundError`, and `FailedError` where a place that may have it is out of reach.
    """
    from agebackup.model.addressing import parse_wanted, unknown

    wanted = None if "/" in text else parse_wanted(text)
    maybe_here = (wanted is None or wanted.name) and (not to or is_folder(to))
    if "/" in text or (maybe_here and os.path.lexists(text)):
        return at_path(Path(text))
    if wanted is None:
        raise unknown(text)
    looked, pick = _picked(wanted, to, console)
    if pick is None:
        return at_path(Path(text))
    for remark in pick.remarks:
        console.output.warn(remark)
    found = looked.chosen(pick.inventory, pick.held)
    if tell and not wanted.name:
        console.output.say(f"{printable(text)} is {printable(found.called)}")
    return found


def _picked(wanted: "Wanted", to: str | None, console: Console) -> "tuple[Looked, Pick | None]":
    """Return where was looked and what `wanted` is there, None where no place is known at all."""
    from agebackup.model.addressing import choose

    looked = Looked((), ())
    try:
        looked = inventories(wanted.app, to, console)
        return looked, choose(wanted, looked.inventories, _zones(console))
    except (NotFoundError, FailedError) as error:
        further = remote_places(wanted.app, console) if to is None else ()
        if not further:
            nowhere = isinstance(error, NotFoundError) and not looked.inventories
            if wanted.name and to is None and nowhere:
                return looked, None  # then it is a path, and absent
            raise
        return _picked_further(wanted, further, error, console)


def _picked_further(
    wanted: "Wanted", further: tuple[Place, ...], near: AgebackupError, console: Console
) -> "tuple[Looked, Pick]":
    """Return the same of the remotes `further` together: the newest of all, not of the first."""
    from agebackup.model.addressing import choose

    names = ", ".join(printable(place.to) for place in further)
    console.output.say(f"{near.message} Looking in {names}.")
    looked = Looked((), ())
    try:
        looked = looked_into(further, console)
        return looked, choose(wanted, looked.inventories, _zones(console))
    except (NotFoundError, FailedError) as error:
        told = _gravest([error, *looked.failures])  # what is out of reach may have it
        told.details += tuple(one.message for one in (near, *looked.failures) if one is not told)
        raise told from None


def _gravest(errors: Sequence[AgebackupError]) -> AgebackupError:
    """Return the first of `errors` that does not only say that something is absent."""
    return next((one for one in errors if not isinstance(one, NotFoundError)), errors[0])


def recorded(chosen: Chosen, console: Console) -> "ArchiveRecord | None":
    """Return what the ledger knows of the archive; trouble with it is a warning.

    Of a remote's that it does not know there, what it knows of the same archive elsewhere: that
    row has another `destination`.
    """
    from agebackup.ledger import LedgerError

    ledger = known_ledger(console)
    if ledger is None:
        return None
    try:
        with ledger:
            here = _record_in(chosen.destination, chosen.name, ledger)
            if here is None and chosen.remote is not None:
                from agebackup.operations.inventory import known_elsewhere

                return known_elsewhere(ledger).get(chosen.name)
            return here
    except LedgerError as error:
        console.output.warn(f"The ledger cannot be asked: {error.message}")
        return None


def record_at(path: Path, ledger: "Ledger") -> "ArchiveRecord | None":
    """Return the record of the file at `path`, perhaps of one that was deleted and is back."""
    return _record_in(os.path.realpath(path.parent), path.name, ledger)


def _record_in(destination: str, name: str, ledger: "Ledger") -> "ArchiveRecord | None":
    rows = ledger.archives(destination=destination, deleted=True)
    here = [row for row in rows if row.file_name == name]
    fitting = [row for row in here if row.deleted is None or row.name == name]
    return min(fitting, key=lambda row: row.deleted is not None, default=None)


@dataclass(frozen=True)
class Looked:
    """What lies in each place, once each, and why others could not be looked into.

    `places` are those that were, by the ledger's name.
    """

    inventories: "tuple[Inventory, ...]"
    failures: tuple[AgebackupError, ...]
    places: "Mapping[str, Folder | Remote]" = field(default_factory=dict)

    def chosen(self, inventory: "Inventory", held: "Held") -> Chosen:
        """Return the archive `held` of `inventory`, one of these."""
        from agebackup.cli.wiring import Folder

        place = self.places[inventory.destination]
        if isinstance(place, Folder):
            return at_path(Path(inventory.destination, str(held.name)))
        called = place.called(held.entry.name)
        return Chosen(str(held.name), place.key, called, place, held.entry)


def inventories(app: str | None, to: str | None, console: Console) -> Looked:
    """Return what lies in the places of `app`; one that cannot be read is a warning.

    Raises what one of the places raises, where none can be read.
    """
    return looked_into(places(app, to, console), console)


def looked_into(among: tuple[Place, ...], console: Console) -> Looked:
    """Return what lies in these places; as `inventories` does."""
    from agebackup.operations.inventory import take_inventory, with_copies

    ledger = _opened_ledger(console)
    found: list[Inventory] = []
    failures: list[AgebackupError] = []
    folders = {one.key: one for one in (destination_at(place.to, console) for place in among)}
    for folder in folders.values():
        try:
            found.append(with_copies(take_inventory(folder, ledger, now()), ledger))
        except StoppedError:
            raise
        except AgebackupError as error:
            failures.append(error)
    if failures and not found:
        raise _gravest(failures[::-1])
    for failure in failures:
        console.output.warn(failure.message)
    return Looked(tuple(found), tuple(failures), folders)


def opened(
    app: str | None, to: str | None, console: Console
) -> "list[tuple[Place, Folder, Ledger | None]]":
    """Return each folder of `app` with the ledger, None where there is none.

    Raises `UsageError` where `to` is a remote: what asks for folders works on their files.
    """
    from agebackup.cli.wiring import folder_at

    if to and not is_folder(to):
        raise UsageError(
            f"{printable(to)} is no folder, and this command works on files.",
            hint="Name a directory.",
        )
    ledger = _opened_ledger(console)
    return [(place, folder_at(place.to), ledger) for place in places(app, to, console)]


def _opened_ledger(console: Console) -> "Ledger | None":
    ledger = known_ledger(console)
    if ledger is not None:
        click.get_current_context().call_on_close(ledger.close)
    return ledger


def _zones(console: Console) -> dict[str, tzinfo]:
    config = known_config(console)
    profiles = config.apps if config else ()
    return {one.name: one.retention.timezone for one in profiles if one.retention}
