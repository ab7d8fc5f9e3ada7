"""Where an application's state comes from: its version, and the checkout that it runs from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agebackup.model.command import Command, rooted_path

_PASSED_ON = ("HOME", "USER", "LOGNAME", "XDG_CONFIG_HOME")


@dataclass(frozen=True)
class VersionFile:
    """A file whose first line is the application's version."""

    path: Path


Version = str | Command | VersionFile
"""The version itself, the command that prints it, or the file that says it; "" for none."""


@dataclass(frozen=True)
class Checkout:
    """A directory in the working tree of git; asking git of it may take so many `seconds`."""

    path: Path
    seconds: float


def git_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return those of the person's variables that git gets.

    None of git's own is among them: they would lead it to another repository.
    """
    kept = {name: environment[name] for name in _PASSED_ON if name in environment}
    return kept | {"PATH": rooted_path(environment)}
