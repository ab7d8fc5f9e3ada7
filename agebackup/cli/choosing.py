"""From the person's words to one archive: a path, or what `model.addressing` understands."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agebackup.cli.console import Console
from agebackup.cli.scope import Place, known_config, known_ledger, now, places
from agebackup.errors import AgebackupError, NotFoundError, VerificationError, printable

if TYPE_CHECKING:
    from agebackup.cli.wiring import Folder
    from agebackup.ledger import Ledger
    from agebackup.model.inventory import Held, Inventory
    from agebackup.model.records import Check

to_option = click.option(
    "--to", metavar="DIR", help="Look for the archive here, not where the configuration says."
)


@dataclass(frozen=True)
class Chosen:
    """The archive that was meant: its path, and what is known of it where it has its own name."""

    path: Path
    held: "Held | None" = None


def chosen(text: str, to: str | None, console: Console) -> Chosen:
    """Return the archive that `text` means, in `to` or in every known destination.

    What contains a slash, is the name of something here, or is no form of `model.addressing`, is a
    path. Says on stderr what was picked where the words left that open. Raises `UsageError` where
    they are ambiguous, and `NotFoundError`.
    """
    from agebackup.model.addressing import choose, parse_wanted

    wanted = None if "/" in text or os.path.lexists(text) else parse_wanted(text)
    if wanted is None:
        return Chosen(Path(text))
    try:
        looked = inventories(wanted.app, to, console)
    except NotFoundError:
        if wanted.name and to is None:
            return Chosen(Path(text))  # no destination is known: then it is a path, and absent
        raise
    pick = choose(wanted, [one for _, one in looked], _zones(console))
    for remark in pick.remarks:
        console.output.warn(remark)
    path = Path(pick.inventory.destination, pick.held.entry.name)
    if not wanted.name:
        console.output.say(f"{printable(text)} is {printable(str(path))}")
    return Chosen(path, pick.held)


@contextmanager
def looked_at(path: Path, check: "Check", console: Console) -> Iterator[None]:
    """Let the ledger, where it knows the archive at `path`, learn how the body's check ended.

    An archive that breaks its promises is bad from then on. Trouble with the ledger changes nothing
    else.
    """
    try:
        yield
    except VerificationError:
        _note(path, console, bad=True, check=check)
        raise
    _note(path, console, bad=False, check=check)


def _note(path: Path, console: Console, *, bad: bool, check: "Check") -> None:
    from agebackup.ledger import LedgerError

    ledger = known_ledger(console)
    if ledger is None:
        return
    try:
        with ledger:
            for record in ledger.archives(destination=os.path.realpath(path.parent)):
                if record.file_name == path.name:
                    ledger.amend(record, bad=bad, check=check, checked=now())
    except LedgerError as error:
        console.output.warn(f"The ledger does not learn of this: {error.message}")


def inventories(
    app: str | None, to: str | None, console: Console
) -> "list[tuple[Place, Inventory]]":
    """Return what lies in each place of `app` that can be read; what cannot is a warning.

    Raises what the only place raises, where none can be read.
    """
    from agebackup.operations.inventory import take_inventory

    found: list[tuple[Place, Inventory]] = []
    seen: set[str] = set()
    failure: AgebackupError | None = None
    for place, folder, ledger in opened(app, to, console):
        if folder.key in seen:
            continue
        seen.add(folder.key)
        try:
            found.append((place, take_inventory(folder, ledger, now())))
        except AgebackupError as error:
            failure = error
            if to is None:
                console.output.warn(error.message)
    if failure is not None and not found:
        raise failure
    return found


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
