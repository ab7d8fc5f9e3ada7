"""A profile that can be declared by name: what is known of an application's state and its place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agebackup.errors import RefusedError, UsageError, printable
from agebackup.model.profile import allowed

LINUX, MACOS = "linux", "macos"


@dataclass(frozen=True)
class Evidence:
    """What a profile rests on: `file` of `project` as it was in `version`, and what it tells."""

    project: str
    file: str
    version: str
    tells: str = ""


@dataclass(frozen=True)
class KnownApp:
    """One application. `app` has the keys of the config file's app table, its paths below the root.

    `roots` are by system (`LINUX`, `MACOS`), as the config file writes paths; where the last
    component holds `{name}`, each directory that fits is one. `marks` are paths or globs below a
    root of the files whose presence shows the app, `required` of those without which it cannot be
    declared. What is `optional` is left out of the section where it is not there. `suggested` are
    keys of the app's `restore` that only the person can make fit: they are written as comments.
    `{root}` in the words of commands stands for the root. `origin` is where the profile was read:
    "" for those that come with agebackup. With `refused`, a reason, the app is known but cannot be
    backed up, and `instead` says what to do.
    """

    name: str
    title: str
    summary: str
    sources: tuple[Evidence, ...] = ()
    roots: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    marks: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    app: Mapping[str, Any] = field(default_factory=dict)
    suggested: Mapping[str, Any] = field(default_factory=dict)
    refused: str = ""
    instead: str = ""
    origin: str = ""

    def require_possible(self) -> None:
        """Raise `RefusedError` with the reason where this application cannot be backed up."""
        if self.refused:
            raise RefusedError(
                f"{self.title} cannot be backed up: {self.refused}", hint=self.instead
            )


def named(name: str, known: Sequence[str]) -> str:
    """Return `name` where it is one of `known`; else raise `UsageError` with the likeliest."""
    if name in known:
        return name
    raise UsageError(
        f"There is no profile {printable(name)!r}.",
        hint=f"{allowed(printable(name), known)} See: agebackup profiles.",
    )
