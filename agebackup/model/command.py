"""A command that the configuration names."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A command to run without a shell, which may take so many `seconds`."""

    argv: tuple[str, ...]
    seconds: float
