"""Options and collaborators that the commands which open archives share."""

import getpass
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from agebackup.cli.output import Output
from agebackup.cli.settings import IDENTITY_VARIABLE, Settings
from agebackup.cli.terminal import Reporter, TerminalReporter
from agebackup.errors import FailedError, StoppedError, UsageError

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
        type=click.IntRange(min=0),
        help="Read the passphrase of a protected identity file from this file descriptor.",
    )
    return identity(passphrase(command))


def reading_options(command: F) -> F:
    """Add the options of `key_options`, and those that raise the limits for an archive."""
    for name, what in reversed(LIMITS.items()):
        option = click.option(
            f"--max-{name}", type=click.IntRange(min=1), help=f"Accept at most this many {what}."
        )
        command = option(command)
    return key_options(command)


@dataclass(frozen=True)
class Console:
    """What a command speaks through."""

    settings: Settings
    output: Output
    progress: Reporter


def console(settings: Settings, command: str) -> Console:
    """Return the output and progress of `command`; a progress line only on a terminal."""
    output = Output(settings, command)
    drawn = settings.progress and not settings.quiet and not settings.json
    terminal = sys.stderr is not None and sys.stderr.isatty()
    kind = TerminalReporter if drawn and terminal else Reporter
    return Console(settings, output, kind(settings.stop, output))


def reading(to: Console, options: Mapping[str, Any]) -> "Reading":
    """Return how archives are to be read: with which keys, within which limits."""
    from agebackup.operations.reading import Reading

    return Reading(identities(to, options), limits(options), to.progress)


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
    ask = passphrase_reader(options["passphrase_fd"])
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


def passphrase_reader(descriptor: int | None) -> Callable[[str], str]:
    """Return what asks for a passphrase: the descriptor, else the terminal."""

    def read_line(prompt: str) -> str:
        assert descriptor is not None
        try:
            with open(descriptor, encoding="utf-8", closefd=False) as stream:
                return stream.readline().rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            raise FailedError(
                f"No passphrase can be read from descriptor {descriptor}.",
                hint="Open it for this command, for example with 3<passphrase.txt.",
            ) from None

    return read_line if descriptor is not None else _ask


def _ask(prompt: str) -> str:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        raise UsageError(
            "The identity file is protected by a passphrase, and there is no terminal to ask.",
            hint="Give the passphrase with --passphrase-fd.",
        ) from None
    # A handler that only sets a flag would leave the prompt waiting for ever.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return getpass.getpass(f"{prompt}: ")
    except (KeyboardInterrupt, EOFError):
        raise StoppedError(signal.SIGINT) from None
    finally:
        signal.signal(signal.SIGINT, before)
