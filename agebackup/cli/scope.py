"""Which apps and which destinations a command is about: flags first, then config, then ledger."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from agebackup.cli import directories
from agebackup.cli.console import Console
from agebackup.errors import NotFoundError, UsageError, printable
from agebackup.model.names import require_app
from agebackup.model.whereabouts import is_folder_key

if TYPE_CHECKING:
    from agebackup.ledger import Ledger
    from agebackup.model.profile import Config, Profile


@dataclass(frozen=True)
class Place:
    """A destination and the app whose archives are meant there; None: every app's.

    `to` is what `--to` would be. `profile` is what the configuration declares of the app.
    """

    to: str
    app: str | None = None
    profile: "Profile | None" = None


def now() -> datetime:
    """Return the moment, in UTC, which operations are handed as a value."""
    return datetime.now(UTC)


def known_config(to: Console) -> "Config | None":
    """Return the configuration; None where there is none and nobody named one."""
    from agebackup.config import load_config

    file = directories.config_path(to.settings)
    if file == directories.config_file() and not file.exists():
        return None
    return load_config(file, to.settings.variables)


def known_ledger(to: Console, *, make: bool = False) -> "Ledger | None":
    """Return the opened ledger, or None, with a warning where there is one that cannot be used.

    Without `make`, an empty file counts as none.
    """
    from agebackup.ledger import LedgerError, open_ledger

    try:
        return open_ledger(directories.ledger_file(), make=make)
    except LedgerError as error:
        if error.absent:
            return None
        to.output.warn_once(f"{error.message} {error.hint}")
        return None


def required_ledger() -> "Ledger":
    """Return the opened ledger, made where there is none; raise `LedgerError` where it fails."""
    from agebackup.ledger import open_ledger

    return open_ledger(directories.ledger_file())


def places(app: str | None, to: str | None, console: Console) -> tuple[Place, ...]:
    """Return where the archives of `app` (None: of all apps) lie, each place once.

    With `to` only there; else in the folder that the configuration declares, and where it does not
    know the app, in whichever the ledger saw archives of it: remotes are only asked by name. Raises
    `UsageError` for a name that cannot be an app's, and `NotFoundError` where neither knows
    anything.
    """
    if app is not None:
        require_app(app)
    config = known_config(console)
    profiles = {profile.name: profile for profile in config.apps} if config else {}
    if to is not None:
        if not to:
            raise UsageError("--to is empty.", hint="Name the directory that holds the archives.")
        return (Place(to, app, profiles.get(app or "")),)
    found = [
        Place(str(profile.destination), name, profile)
        for name, profile in profiles.items()
        if profile.destination is not None and app in (None, name)
    ]
    if app is None or not found:
        found += _from_ledger(app, {place.app for place in found}, console)
    if not found:
        whose = f"of {printable(app)} " if app else ""
        raise NotFoundError(
            f"No destination {whose}is known on this machine.",
            hint=_otherwise(app, list(profiles), console),
        )
    return tuple(dict.fromkeys(found))


def _otherwise(app: str | None, declared: list[str], console: Console) -> str:
    """Return what the person can do where no destination is known, by the command's own means."""
    from agebackup.model.profile import allowed

    command = click.get_current_context().command
    named = any(option.name == "to" for option in command.params)
    seen = {place.app for place in _from_ledger(None, set(declared), console) if place.app}
    names = [*declared, *sorted(seen)]
    if app is not None and names and app not in names:
        return allowed(app, names) + (" Or name its folder with --to." if named else "")
    what = "its destination" if app in declared else "the app"
    return f"{'Name it with --to, or declare' if named else 'Declare'} {what} in the configuration."


def _from_ledger(app: str | None, declared: set[str | None], console: Console) -> list[Place]:
    ledger = known_ledger(console)
    if ledger is None:
        return []
    from agebackup.ledger import LedgerError

    with ledger:
        try:
            known = ledger.places(app)
        except LedgerError as error:
            console.output.warn_once(f"{error.message} {error.hint}")
            return []
    return [
        Place(folder, name)
        for name, folder in known
        if name not in declared and is_folder_key(folder)
    ]


def remote_places(app: str | None, console: Console) -> tuple[Place, ...]:
    """Return the further places that the configuration declares for `app` (None: for every app).

    In the configuration's order; nothing is reached. Of a place that several apps share, one for
    each.
    """
    config = known_config(console)
    return tuple(
        Place(remote.text, profile.name, profile)
        for profile in (config.apps if config else ())
        for remote in profile.remotes
        if app in (None, profile.name)
    )
