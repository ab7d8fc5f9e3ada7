"""What a timer of drills is to start, and with which private key."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agebackup.cli.carriers import carriers_own_places
from agebackup.cli.console import Console
from agebackup.cli.settings import IDENTITY_VARIABLE
from agebackup.cli.timing import command_line, declared, own_places, passed_on
from agebackup.errors import RefusedError, UsageError, printable
from agebackup.model.names import folder_of
from agebackup.system.mounts import contains

if TYPE_CHECKING:
    from agebackup.scheduling import Installed
    from agebackup.scheduling.job import Job


def drill_job(one: "Installed", out: Console) -> "Job":
    """Return the job of the drills that `one` is the timer of, as it is to be installed.

    Raises `UsageError` where the configuration does not declare the app, or cannot be understood
    with the few variables that a timer has, and `RefusedError` for an app without a destination.
    """
    from agebackup.scheduling.job import Job

    profiles = declared(one.app or None, out)
    for profile in profiles:
        if one.app and profile.destination is None:
            raise RefusedError(
                f"{profile.name} declares no destination, and a timer gives no --to.",
                hint="Declare destination in the configuration.",
            )
    keys = [word for path in one.identities for word in ("-i", path)]
    words = ("drill", one.app or "--all", *keys)
    places = (*own_places(), *carriers_own_places(profiles, out.settings.environment))
    command, variables = command_line(words, out), passed_on(profiles, out)
    return Job(one.app, one.every, command, variables, places, "drill")


def require_identities(given: Sequence[Path], out: Console) -> tuple[str, ...]:
    """Return the paths of the private keys, absolute; the environment's where none is `given`.

    They are read once, to see that they can be used with nobody there. Raises `UsageError` for what
    is no key, and `RefusedError` for one that a passphrase protects, that is not there at night, or
    that lies in a destination.
    """
    from agebackup.snapshot.keys import read_identities
    from agebackup.system.secrecy import forbid_core_dumps

    variable = out.settings.variable(IDENTITY_VARIABLE)
    paths = tuple(given) or ((Path(variable),) if variable else ())
    if not paths:
        raise UsageError(
            "A timer of drills needs a private key.",
            hint="Name its file with -i: agebackup schedule install APP --drill monthly -i KEY",
        )
    forbid_core_dumps()
    for path in paths:
        _require_there(path)
        read_identities((path,), passphrase=_nobody, warn=out.output.warn)
        _require_apart(path, out)
    return tuple(map(os.path.abspath, paths))


def _nobody(prompt: str) -> str:
    raise RefusedError(
        "The identity is protected by a passphrase, and at night nobody is there to type it.",
        hint="Drill by hand: agebackup drill APP -i KEY. Or give this machine an identity of its "
        "own without a passphrase, and add its recipient.",
    )


def _require_there(path: Path) -> None:
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return  # whoever reads it says what is wrong
    if not regular:
        raise RefusedError(
            f"{printable(str(path))} is no file, so at night it is not there.",
            hint="Name the file that holds the private key.",
        )


def _require_apart(path: Path, out: Console) -> None:
    for profile in declared(None, out):
        if any(contains(folder_of(folder), path) for folder in profile.folders):
            raise RefusedError(
                f"The private key {printable(str(path))} lies in the destination of "
                f"{profile.name}: whoever gets hold of the folder opens every archive.",
                hint="Move it out of the destination, and out of the cloud's history.",
            )
