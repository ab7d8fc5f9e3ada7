"""Whose signatures count when archives are opened: flags first, then the configuration."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from agebackup.cli.console import Console
from agebackup.errors import AgebackupError, UsageError
from agebackup.model.origin import ANY_NAME, ANY_ORIGIN

if TYPE_CHECKING:
    from agebackup.snapshot.signers import Signers

F = TypeVar("F", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path)
_SIGNERS, _REVOKED = b"trusted_signers", b"revoked_signers"


def origin_options(command: F) -> F:
    """Add the options that say by whom an archive must be signed."""
    options = (
        click.option(
            "--signers",
            type=_FILE,
            help="Only what is signed by one of these: a file as OpenSSH's allowed_signers; "
            "anything else is refused (13). Without it: trusted_signers of the configuration.",
        ),
        click.option(
            "--revoked",
            type=_FILE,
            help="Public keys, or a KRL, of signers that do not count. Without it: "
            "revoked_signers of the configuration.",
        ),
        click.option(
            ANY_NAME,
            is_flag=True,
            help="Accept a signed archive whose file has another name than it was made with.",
        ),
        click.option(
            ANY_ORIGIN, is_flag=True, help="Ask for no signature, whatever the configuration says."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def signers(to: Console, options: Mapping[str, Any]) -> "Signers | None":
    """Return whose signatures count, None where nobody's is asked for.

    Raises `UsageError` for files that name nobody, and where the configuration, or the one that
    was named, cannot be used but may name signers: a slip must not take the guard away.
    """
    from agebackup.cli import directories
    from agebackup.snapshot.signers import read_signers

    if options["any_origin"]:
        _refuse_both(options)
        return None
    file, revoked = options["signers"], options["revoked"]
    if file is None or revoked is None:
        declared = _declared(to, needed=file is None)
        file, revoked = file or declared[0], revoked or declared[1]
    if file is None:
        if revoked is not None and options["revoked"] is not None:
            raise UsageError("--revoked says nothing without signers.", hint="Add --signers FILE.")
        return None
    return read_signers(file, revoked, directories.state_directory(), directories.claims())


def refuse_signers(options: Mapping[str, Any]) -> None:
    """Raise `UsageError` where signers were named for a look that needs no key."""
    if options["signers"] is not None or options["revoked"] is not None:
        raise UsageError(
            "A signature lies inside the encryption: without the private key nobody sees it.",
            hint="Add -i KEY, or leave --signers out.",
        )


def _refuse_both(options: Mapping[str, Any]) -> None:
    if options["signers"] is not None or options["revoked"] is not None:
        raise UsageError(
            f"{ANY_ORIGIN} contradicts --signers and --revoked.", hint="Give one or the other."
        )


def _declared(to: Console, *, needed: bool) -> tuple[Path | None, Path | None]:
    """Return what the configuration names: the file of signers, and that of revoked keys."""
    from agebackup.cli.directories import config_file, config_path
    from agebackup.config import load_config

    path = config_path(to.settings)
    if path == config_file() and not os.path.lexists(path):
        return None, None
    variables = to.settings.variables
    try:
        config = load_config(path, variables)
    except AgebackupError as error:
        if needed and _may_name(_SIGNERS, path):
            raise UsageError(
                f"The configuration may name trusted signers, but cannot be used: {error.message}",
                hint=f"Correct it, or say whom you trust: --signers FILE, or {ANY_ORIGIN}.",
            ) from None
        if not needed and _may_name(_REVOKED, path):
            raise UsageError(
                f"The configuration may name revoked signers, but cannot be used: {error.message}",
                hint="Correct it, or name them: --revoked FILE.",
            ) from None
        return None, None
    return config.trusted_signers, config.revoked_signers


def _may_name(key: bytes, path: Path) -> bool:
    try:
        return key in path.read_bytes()
    except OSError:
        return True
