"""A command that the configuration names."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A command to run without a shell, which may take so many `seconds`."""

    argv: tuple[str, ...]
    seconds: float


def rooted_path(environment: Mapping[str, str]) -> str:
    """Return the PATH of `environment` without relative entries.

    These would lead into the directory that a command runs in: whoever made an archive would choose
    the program that works on its restored content.
    """
    places = environment.get("PATH", "/usr/bin:/bin").split(":")
    return ":".join(place for place in places if place.startswith("/"))
