"""What `rekey` looks up beside the archives themselves, and what it says at its end."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agebackup.cli import directories
from agebackup.cli.choosing import opened
from agebackup.cli.console import Console
from agebackup.cli.scope import known_config, now
from agebackup.errors import AgebackupError, NotFoundError, RefusedError, printable

if TYPE_CHECKING:
    from agebackup.ledger import Ledger
    from agebackup.operations.rekeyable import RekeyOrder

ELSEWHERE = (
    "Copies elsewhere stay readable with the old key: in the history and the trash of a cloud "
    "service, in backups of the folder, on other machines. Remove them there. And whoever has a "
    "copy of the old files and the old key can open those for ever."
)


def ledger_or_none() -> "Ledger | None":
    """Return the opened ledger, None where there is none.

    Raises `LedgerError` where one is there that cannot be used: an audit by it would take every
    rekeyed archive for a forgery.
    """
    from agebackup.ledger import LedgerError, open_ledger

    try:
        return open_ledger(directories.ledger_file(), make=False)
    except LedgerError as error:
        if error.absent:
            return None
        raise


def all_archives(app: str | None, to: str | None, console: Console) -> list[Path]:
    """Return the paths of all archives of `app`, of every app where it is None, oldest first.

    Those in the cloud alone too: they cannot be rekeyed, and that must be said of each. Raises
    `NotFoundError` where there is none.
    """
    from agebackup.operations.inventory import take_inventory

    found: dict[Path, None] = {}
    for place, folder, ledger in opened(app, to, console):
        inventory = take_inventory(folder, ledger, now())
        names = [
            str(held.name)
            for held in reversed(inventory.nameable)
            if place.app in (None, held.name.app)
        ]
        rows = ledger.archives(place.app, destination=folder.key) if ledger else ()
        names += [row.file_name for row in rows if row.file_name != row.name]
        found |= {folder.path / name: None for name in names}
        strays = [other.entry.name for other in inventory.others if other.kind == "conflict"]
        if strays:
            console.output.warn_once(
                f"Conflict copies are left alone and keep their old keys: {_listed(strays)}."
            )
    if not found:
        raise NotFoundError(
            f"There is no archive{f' of {printable(app)}' if app else ''}.",
            hint="See agebackup list.",
        )
    return list(found)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return ", ".join(printable(name) for name in names[:3]) + more


def keep_directory(given: str | None, ledger: "Ledger | None", console: Console) -> Path | None:
    """Return the directory of `--keep-old`, which no command may take for a destination.

    Raises `NotFoundError` where it is absent, `RefusedError` where archives are kept there: it
    would then list the old ones among the new.
    """
    from agebackup.cli.wiring import folder_at

    if given is None:
        return None
    shown = printable(given)
    if not given or not os.path.isdir(given):
        raise NotFoundError(f"There is no directory {shown}.", hint="Make it first: mkdir -m 700.")
    config = known_config(console)
    declared = [folder for one in config.apps for folder in one.folders] if config else []
    known = {folder_at(str(one)).key for one in declared}
    known |= {one.path for one in ledger.destinations()} if ledger else set()
    real = os.path.realpath(given)
    for folder in sorted(known):
        if real == folder:
            raise RefusedError(
                f"{shown} is a destination of archives: the old ones would count among them.",
                hint="Keep them elsewhere.",
            )
        if real.startswith(f"{folder}/"):
            console.output.warn(
                f"{shown} lies in the destination {printable(folder)}: what carries that to a "
                "cloud carries the old files too."
            )
    return Path(given)


def warn_of_untried(order: "RekeyOrder", console: Console) -> None:
    """Warn where nothing shows that anybody has a key which opens what is to be made."""
    given = set(filter(None, order.reading.identities.publics))
    if not given & set(order.recipients.texts):
        console.output.warn(
            "None of the private keys that were given opens the new files. See that you have the "
            "one that does (give it with -i too, or keep the old files with --keep-old)."
        )


def tell_at_the_end(
    paths: Iterable[Path], apps: Iterable[str], order: "RekeyOrder", console: Console
) -> None:
    """Say what a rekey does not reach: copies elsewhere, and what the next backups encrypt to."""
    for app in sorted(set(apps) - {""}):
        _tell_of_recipients(app, order, console)
    console.output.warn(ELSEWHERE)


def _tell_of_recipients(app: str, order: "RekeyOrder", console: Console) -> None:
    from agebackup.cli.wiring import declared_recipients

    try:
        config = known_config(console)
        profiles = [one for one in config.apps if one.name == app] if config else []
        declared = [text for one in profiles for text in declared_recipients(one).texts]
    except AgebackupError as error:
        console.output.warn_once(f"The configuration's recipients are not known: {error.message}")
        return
    wanted = set(order.recipients.texts)
    if not profiles or set(declared) == wanted:
        return
    others = [text for text in declared if text not in wanted]
    what = f"still has {_listed(others)}" if others else "lacks one of the new ones"
    console.output.warn(
        f"The configuration of {app} {what}: the next backup is encrypted to its recipients, not "
        "to those of this rekey. Change them there."
    )
