"""Build, privately and beside its places, the state that a restore will put into an application."""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from agebackup.errors import FailedError, RefusedError, UnfitError, printable, shortened
from agebackup.model.command import Command, rooted_path
from agebackup.model.gates import Present
from agebackup.model.inplace import DatabaseChange
from agebackup.model.landing import Part, old_places
from agebackup.model.layout import DATA, SQLITE_MAGIC
from agebackup.model.manifest import Manifest
from agebackup.operations.inplace_checks import (
    StagedDatabase,
    require_heads,
    require_sound,
    settle_companions,
)
from agebackup.operations.inplace_fitting import Fitted, fitted, require_gates
from agebackup.operations.inplace_order import InPlaceOrder, Means
from agebackup.operations.reading import Reading
from agebackup.operations.stage import Staged, Wanted, stage
from agebackup.operations.standstill import run
from agebackup.system.renaming import rename_new
from agebackup.system.syncing import explained

_LARGEST_CONFIG = 1 << 20

Databases = tuple[StagedDatabase, ...]


@dataclass(frozen=True)
class Built:
    """What is staged in `content`, laid out as the archive is below `data/`, and verified.

    `changes` is what migrations and rebuilds did, `heads` whose heads were compared.
    """

    staged: Staged
    fitted: Fitted
    content: Path
    changes: tuple[DatabaseChange, ...]
    heads: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def manifest(self) -> Manifest:
        """The archive's manifest."""
        return self.staged.manifest

    def path_of(self, part: Part) -> Path:
        """Return where `part` is staged."""
        return staged_at(self.content, self.fitted, part)


def staged_at(content: Path, fit: Fitted, part: Part) -> Path:
    """Return where in `content` a part lies that is put into place, or comes along in a tree."""
    if part.outer is None:
        return content / part.place
    outer = next(one for one in fit.landing.placed if one.target == part.outer)
    return content / outer.place / part.target.relative_to(outer.target)


def build(order: InPlaceOrder, content: Path, present: Present, means: Means) -> Built:
    """Build in the new directory `content` what `order` wants; `present` is what is there now.

    Raises an `AgebackupError`; `content` is then worthless, and nothing else was touched. Nothing
    is synced.
    """
    reading = means.reading
    with explained(content.parent):
        content.mkdir(mode=0o700)
    staged = stage(_wanted(order), content, means.claims, reading)
    manifest = staged.manifest
    fit = fitted(order, manifest)
    ignored = require_gates(order, manifest, present)
    with explained(content):
        _require_covered(content, fit)
        _complete(content, fit)
        _bring_inside(content, fit)
    databases = _databases(content, fit, order, manifest)
    changes = _worked_on(order, content, databases, means)
    heads = require_heads(databases, reading)
    with explained(content):
        strays = _strays(content, fit) if changes else ()
        old = tuple(_names_old_places(content, fit, manifest))
    warnings = (*staged.warnings, *ignored, *fit.remarks, *strays, *old)
    return Built(staged, fit, content, changes, heads, warnings)


def _wanted(order: InPlaceOrder) -> Wanted:
    """Return what to stage: without the databases that will be rebuilt, which are not opened."""
    states = [one.place for one in order.source.databases if order.is_state(one.name)]
    selection = order.wanted.selection.but(place.removeprefix(DATA) for place in states)
    return replace(order.wanted, selection=selection) if states else order.wanted


def _complete(content: Path, fit: Fitted) -> None:
    """Make the trees in which the archive has nothing; raises OSError."""
    for part in fit.landing.placed:
        if part.role != "database" and not os.path.lexists(content / part.place):
            (content / part.place).mkdir(mode=0o700, parents=True)


def _require_covered(content: Path, fit: Fitted) -> None:
    """Raise `RefusedError` where a part of a tree was asked for: it would lose the rest."""
    places = {part.place for part in fit.landing.parts}
    for path in _files(content):
        if "" not in places and not places & {path, *map(str, PurePosixPath(path).parents)}:
            raise RefusedError(
                f"Of the tree that holds {printable(path)} only a part is asked for, and in place "
                "it is exchanged as a whole.",
                hint="Ask for all of it, or restore that part to a --target.",
            )


def _files(content: Path) -> Iterator[str]:
    """Yield the path below `content` of everything in it but directories; raises OSError."""
    for directory, folders, files in os.walk(content, onerror=_failed):
        links = [name for name in folders if Path(directory, name).is_symlink()]
        for name in (*files, *links):
            yield os.path.relpath(os.path.join(directory, name), content)


def _failed(error: OSError) -> None:
    raise error


def _bring_inside(content: Path, fit: Fitted) -> None:
    """Move what lies elsewhere in the archive into the tree that it now lies in."""
    for part in fit.landing.parts:
        there, here = content / part.place, staged_at(content, fit, part)
        if there == here or not os.path.lexists(there):
            continue
        here.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            rename_new(there, here)
        except FileExistsError:
            raise RefusedError(
                f"The archive has both {part.shown} and another file for "
                f"{printable(str(part.target))}.",
                hint="Restore it to a --target.",
            ) from None


def _databases(content: Path, fit: Fitted, order: InPlaceOrder, manifest: Manifest) -> Databases:
    records = {(one.path.removeprefix(DATA), one.name): one for one in manifest.databases}
    return tuple(
        StagedDatabase(
            records[part.place, part.name],
            staged_at(content, fit, part),
            rebuilt=order.is_state(part.name),
        )
        for part in fit.databases
    )


def _worked_on(
    order: InPlaceOrder, content: Path, databases: Databases, means: Means
) -> tuple[DatabaseChange, ...]:
    """Run the commands that migrate or rebuild, and check what they made."""
    rules, reading = order.profile.restore, means.reading
    commands = rules.rebuild if order.from_log else rules.migrate
    if not commands:
        return ()
    what = "rebuild" if order.from_log else "migrate"
    with explained(content):
        for one in databases:
            if one.rebuilt:
                one.path.unlink(missing_ok=True)
    reading.progress.phase(f"running {what}", None)
    for command in commands:
        _run(what, command, order.environment, content, reading)
    for one in databases:
        _require_file(one, what)
    settle_companions(databases, reading)
    return require_sound(databases, order.profile, reading)


def _run(
    what: str, command: Command, environment: Mapping[str, str], content: Path, reading: Reading
) -> None:
    environment = {**environment, "PATH": rooted_path(environment)}
    try:
        run(command, content, reading.progress, environment)
    except FailedError as error:
        raise FailedError(
            f"{what} failed, so nothing was replaced: {error.message}",
            hint=error.hint,
            details=error.details,
        ) from error


def _require_file(one: StagedDatabase, what: str) -> None:
    if not one.path.is_file() or one.path.is_symlink():
        raise UnfitError(
            f"{what} left no database {one.shown} at its place, so nothing was replaced.",
            hint=f"It runs in a directory laid out as the archive is: {what} must make it there.",
        )


def _strays(content: Path, fit: Fitted) -> tuple[str, ...]:
    """Return a remark on files that belong to no place; raise `UnfitError` for databases."""
    places = {staged_at(content, fit, part) for part in fit.landing.parts}
    strays = [
        path for path in _files(content) if not places & {content / path, *(content / path).parents}
    ]
    for path in strays:
        if _is_database(content / path):
            raise UnfitError(
                f"The commands made a database {printable(path)}, which has no place in the "
                "application, so nothing was replaced.",
                hint="Declare it, so that it is backed up as well.",
            )
    if not strays:
        return ()
    shown = ", ".join(shortened([printable(path) for path in strays]))
    return (f"What the commands left that has no place in the application is dropped: {shown}.",)


def _is_database(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC


def _names_old_places(content: Path, fit: Fitted, manifest: Manifest) -> Iterator[str]:
    """Yield a warning for each config file that names a place where the application no longer is.

    Texts up to 1 MiB are looked at.
    """
    for path in old_places(manifest, fit.landing.parts):
        named = re.compile(re.escape(path.encode("utf-8", "surrogateescape")) + rb"(?![\w.-])")
        for part in fit.landing.parts:
            if part.role != "config":
                continue
            for file in _texts(staged_at(content, fit, part)):
                if named.search(file.read_bytes()):
                    inside = file.relative_to(staged_at(content, fit, part))
                    yield (
                        f"The config {printable(str(part.target / inside))} names "
                        f"{printable(path)}, where the application was on "
                        f"{printable(manifest.host)} when the archive was made."
                    )


def _texts(top: Path) -> Iterator[Path]:
    files = [top] if top.is_file() else [top / path for path in _files(top)]
    for file in files:
        if stat.S_ISREG(file.lstat().st_mode) and file.stat().st_size <= _LARGEST_CONFIG:
            yield file
