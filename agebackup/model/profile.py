"""What the configuration declares about one app, before any file of the app is looked at.

Paths are absolute: variables and `~` are expanded, relative ones stand below the app's `base`.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

from agebackup.errors import UsageError, printable
from agebackup.model.assertions import Assertion
from agebackup.model.command import Command
from agebackup.model.provenance import Checkout, Version
from agebackup.model.retention import Policy
from agebackup.model.rules import RestoreRules
from agebackup.model.source import Count, PointerSource, Source
from agebackup.model.watch import Watch
from agebackup.model.whereabouts import Whereabouts

DEFAULT_LEVEL = 3
"""Zstandard's own default level."""
_COMPRESSION = re.compile(r"zstd(?::(?P<level>[1-9]|1[0-9]))?")


@dataclass(frozen=True)
class DatabaseEntry:
    """A declared database; with a `pattern`, every file below `path` that matches it.

    The pattern holds `{name}` once, in one component: each match is a database of its own. Fewer
    matches than `minimum` are a failure.
    """

    name: str
    path: Path
    pattern: str = ""
    minimum: int = 1
    counts: tuple[Count, ...] = ()
    references: tuple[str, ...] = ()
    max_user_version: int | None = None


@dataclass(frozen=True)
class TreeEntry:
    """A declared tree of attachments; `name` is "" where it is the only one and has none."""

    name: str
    path: Path
    named_by: str | None = None


@dataclass(frozen=True)
class Profile:
    """One app. `base` is the root, else the config file's directory: there commands run.

    `derived` and `exclude` are globs (`model.globs`). `provenance` is the checkout that the app
    runs from, `pointers` say what lies outside, and `pointer_check` gets them after a restore.
    `recipients` are public keys, never files; `signing_key` is a file. `level` is
    Zstandard's, None for no compression. `include_config` and `include_tokens` take these without
    the flag: a timer gives none. `keep_pre_restore` is how long what a restore in place put aside
    is kept, None: as long as usual. Without `retention` nothing of the app is ever pruned.
    `assertions` are what a drill asks of a restored copy. Archives are published in `destination`,
    a folder or FILE.age there; copies of them are carried to the `remotes`.
    """

    name: str
    base: Path
    root: Path | None = None
    databases: tuple[DatabaseEntry, ...] = ()
    attachments: tuple[TreeEntry, ...] = ()
    config: tuple[Path, ...] = ()
    tokens: tuple[Path, ...] = ()
    derived: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    follow_symlinks: bool = False
    raw_sqlite: bool = False
    version: Version = ""
    provenance: Checkout | None = None
    pointers: tuple[PointerSource, ...] = ()
    pointer_check: Command | None = None
    prepare: Command | None = None
    finish: Command | None = None
    recipients: tuple[str, ...] = ()
    recipients_files: tuple[Path, ...] = ()
    signing_key: Path | None = None
    destination: Path | None = None
    remotes: tuple[Whereabouts, ...] = ()
    consistency: Literal["atomic", "per-database"] = "atomic"
    level: int | None = None
    proof: bool = True
    include_config: bool = False
    include_tokens: bool = False
    keep_pre_restore: timedelta | None = None
    retention: Policy | None = None
    watch: Watch = field(default_factory=Watch)
    assertions: tuple[Assertion, ...] = ()
    restore: RestoreRules = field(default_factory=RestoreRules)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Every folder that archives or copies of it are kept in, as it is declared, the first
        perhaps as FILE.age there."""
        further = tuple(Path(place.place) for place in self.remotes if place.is_folder)
        return further if self.destination is None else (self.destination, *further)

    @property
    def max_user_versions(self) -> dict[str, int]:
        """The newest `user_version` that the app understands, by database, where it is declared."""
        return {
            one.name: one.max_user_version
            for one in self.databases
            if one.max_user_version is not None
        }

    def entry(self, database: str) -> DatabaseEntry | None:
        """Return the entry that the database of this name comes from; None where none is."""
        named = {entry.name: entry for entry in self.databases if not entry.pattern}
        globs = [e for e in self.databases if e.pattern and database.startswith(f"{e.name}-")]
        found = max(globs, key=lambda entry: len(entry.name), default=None)
        return named.get(database, found)


@dataclass(frozen=True)
class Config:
    """A config file that was understood as a whole.

    Archives of any app must be signed by one of `trusted_signers`, less `revoked_signers`.
    """

    file: Path
    apps: tuple[Profile, ...] = ()
    trusted_signers: Path | None = None
    revoked_signers: Path | None = None

    def app(self, name: str) -> Profile:
        """Return the profile of the app `name`; raise `UsageError` where there is none."""
        for profile in self.apps:
            if profile.name == name:
                return profile
        names = [profile.name for profile in self.apps]
        raise UsageError(
            f"{printable(str(self.file))} declares no app {printable(name)!r}.",
            hint=allowed(name, names) if names else f"Declare it under [apps.{printable(name)}].",
        )


@dataclass(frozen=True)
class Finding:
    """Something about a profile that will fail, or, not `fatal`, that a flag has to supply."""

    key: str
    text: str
    hint: str = ""
    fatal: bool = True


@dataclass(frozen=True)
class Resolution:
    """What a profile comes to now; `source` is None where it comes to nothing."""

    profile: Profile
    source: Source | None
    findings: tuple[Finding, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether `create` could run with no more than flags."""
        return not any(finding.fatal for finding in self.findings)


def allowed(given: str, names: Iterable[str]) -> str:
    """Return the hint for a word that is none of `names`: the likeliest, and all of them."""
    names = list(names)
    near = difflib.get_close_matches(given, names, n=1)
    guess = f"Did you mean {near[0]!r}? " if near else ""
    return f"{guess}Allowed here: {', '.join(names)}."


def compression_level(text: str) -> int | None:
    """Return the Zstandard level that `text` asks for: "none", "zstd", "zstd:1" to "zstd:19".

    None stands for no compression. Raises `UsageError` for anything else.
    """
    match = _COMPRESSION.fullmatch(text)
    if match:
        return int(match["level"] or DEFAULT_LEVEL)
    if text == "none":
        return None
    raise UsageError(
        f"{printable(text)!r} is no compression.",
        hint="Allowed here: none, zstd, zstd:LEVEL with a level from 1 to 19.",
    )
