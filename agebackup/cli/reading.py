"""Options and collaborators that the commands which open archives share."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from agebackup.cli.console import Console
from agebackup.cli.origin import origin_options, signers
from agebackup.cli.passphrase import passphrase_reader
from agebackup.cli.settings import IDENTITY_VARIABLE
from agebackup.errors import UsageError

if TYPE_CHECKING:
    from agebackup.model.limits import Limits
    from agebackup.operations.reading import Reading
    from agebackup.snapshot.keys import Identities

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(path_type=Path)

LIMITS = {
    "members": "files in the archive",
    "total-bytes": "bytes in the archive",
    "path-bytes": "bytes in a path",
    "depth": "directories in a path",
    "tag-file-bytes": "bytes in a small tag file",
    "manifest-bytes": "bytes in a manifest",
    "expansion": "bytes that a compressed byte may become",
    "seconds": "seconds for one check of a restored database",
}
"""What the flags --max-... bound, as `model.limits.Limits` has it."""

workspace_option = click.option(
    "--workspace",
    type=FILE,
    help="Directory for private copies; by default in the user's cache directory.",
)


def _descriptor(
    context: click.Context, parameter: click.Parameter, given: str | None
) -> int | None:
    """Return the number of a descriptor; what is none may be a passphrase and is not echoed."""
    if given is None or (given.isascii() and given.isdigit()):
        return None if given is None else int(given)
    raise UsageError(
        "--passphrase-fd takes the number of a file descriptor, not the passphrase itself.",
        hint="For example --passphrase-fd 3, with 3<passphrase.txt at the end of the command.",
    )


def key_options(command: F) -> F:
    """Add the options that say with which private keys archives are opened."""
    identity = click.option(
        "-i",
        "--identity",
        "identities",
        multiple=True,
        type=FILE,
        help="Identity file (age private key, perhaps passphrase-protected) or SSH private key; "
        f"may be repeated. Without it: the environment's {IDENTITY_VARIABLE}.",
    )
    passphrase = click.option(
        "--passphrase-fd",
        callback=_descriptor,
        help="Read the passphrase of a protected identity file from this file descriptor.",
    )
    return identity(passphrase(command))


def reading_options(command: F) -> F:
    """Add the options of `key_options` and `origin_options`, and those that raise the limits."""
    for name, what in reversed(LIMITS.items()):
        option = click.option(
            f"--max-{name}", type=click.IntRange(min=1), help=f"Accept at most this many {what}."
        )
        command = option(command)
    return key_options(origin_options(command))


def reading(to: Console, options: Mapping[str, Any]) -> "Reading":
    """Return how archives are to be read: with which keys, within which limits, by whom signed."""
    return reading_with(identities(to, options), to, options)


def reading_with(identities: "Identities", to: Console, options: Mapping[str, Any]) -> "Reading":
    """Return the same with `identities` that were looked up, or are not needed."""
    from agebackup.operations.reading import Reading

    return Reading(
        identities,
        limits(options),
        to.progress,
        signers=signers(to, options),
        any_name=options["any_name"],
    )


def identities(to: Console, options: Mapping[str, Any]) -> "Identities":
    """Return the private keys that `key_options` or the environment name."""
    from agebackup.snapshot.keys import read_identities
    from agebackup.system.secrecy import forbid_core_dumps

    forbid_core_dumps()
    variable = to.settings.variable(IDENTITY_VARIABLE)
    paths = options["identities"] or ((Path(variable),) if variable else ())
    if not paths:
        raise UsageError(
            "No identity was given.",
            hint=f"Name the private key's file with -i, or set {IDENTITY_VARIABLE}.",
        )
    ask = passphrase_reader(options["passphrase_fd"], to.settings.stop)
    return read_identities(paths, passphrase=ask, warn=to.output.warn)


def limits(options: Mapping[str, Any]) -> "Limits":
    """Return the limits, raised or lowered by the --max- flags."""
    from agebackup.model.limits import Limits

    given = {
        name.removeprefix("max_"): value
        for name, value in options.items()
        if name.startswith("max_") and value
    }
    return replace(Limits(), **given)
