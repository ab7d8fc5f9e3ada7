"""Where each part of an archive goes in the live application, and what does not fit together.

Everything here compares an archive's manifest with what the configuration declares; no file is
looked at. Nothing is matched by guess: what has no place of its own is refused or told.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from agebackup.errors import RefusedError, printable, shortened
from agebackup.model.globs import component
from agebackup.model.layout import DATA
from agebackup.model.manifest import DatabaseRecord, Manifest, TreeRecord
from agebackup.model.profile import DatabaseEntry, Profile
from agebackup.model.source import DatabaseSource, Source, TreeSource

Role = Literal["database", "attachments", "config", "tokens"]


@dataclass(frozen=True)
class Part:
    """Something of an archive that has a place in the application.

    `place` is where it lies below `data/`, "" for all of it; `target` is the application's path.
    `files` and `size` (bytes) are what the manifest says. `outer` is the target of the tree that
    it comes along with, None where it is put into place by itself.
    """

    role: Role
    name: str
    place: str
    target: Path
    files: int
    size: int
    outer: Path | None = None

    @property
    def shown(self) -> str:
        """What it is, in words for the person."""
        if self.role in ("config", "tokens"):
            return f"{self.role} {printable(str(self.target))}"
        kind = "database" if self.role == "database" else "attachments"
        return f"{kind} {printable(self.name)}" if self.name else kind


@dataclass(frozen=True)
class Landing:
    """The `parts` that an archive brings, and the declared ones that it does not: `absent`."""

    parts: tuple[Part, ...]
    absent: tuple[Part, ...]

    @property
    def placed(self) -> tuple[Part, ...]:
        """The parts that are put into place by themselves."""
        return tuple(part for part in self.parts if part.outer is None)

    def only(self, wanted: Iterable[Part]) -> "Landing":
        """Return the landing of `wanted` alone; the other parts are then absent ones."""
        kept = tuple(wanted)
        left = tuple(replace(part, outer=None) for part in self.parts if part not in kept)
        return Landing(_nested([replace(part, outer=None) for part in kept]), self.absent + left)


def landing(manifest: Manifest, source: Source, profile: Profile) -> Landing:
    """Return where the parts of `manifest` go; `source` is all that `profile` declares now.

    A part is the declared one that has its place in the archive and its role; where none has, the
    one of its name. A database that a glob would find if it were there goes where the glob says.
    Raises `RefusedError`, naming each, for parts that nothing declares, and for two parts that
    would go to one place.
    """
    parts: list[Part] = []
    unknown: list[str] = []
    records: tuple[DatabaseRecord | TreeRecord, ...] = (*manifest.databases, *manifest.trees)
    for record in records:
        target = _target(record, records, source, profile)
        if target is None:
            unknown.append(f"{_role(record)}: {printable(record.path.removeprefix(DATA))}")
        else:
            parts.append(_part(record, target))
    if unknown:
        raise RefusedError(
            f"The archive holds what the configuration of {profile.name} does not declare.",
            hint="Declare it, restore the archive to a --target, or name what is wanted: --only.",
            details=shortened(unknown),
        )
    _refuse_twice(parts)
    taken = {part.target for part in parts}
    declared: tuple[DatabaseSource | TreeSource, ...] = (*source.databases, *source.trees)
    absent = tuple(_declared(one) for one in declared if one.path not in taken)
    return Landing(_nested(parts), absent)


def _role(record: DatabaseRecord | TreeRecord) -> Role:
    return "database" if isinstance(record, DatabaseRecord) else record.role


def _part(record: DatabaseRecord | TreeRecord, target: Path) -> Part:
    place = "" if record.path == DATA.rstrip("/") else record.path.removeprefix(DATA)
    files = 1 if isinstance(record, DatabaseRecord) else record.files
    return Part(_role(record), record.name, place, target, files, record.bytes)


def _declared(one: DatabaseSource | TreeSource) -> Part:
    role: Role = "database" if isinstance(one, DatabaseSource) else one.role
    place = one.place.removeprefix("data").removeprefix("/")
    return Part(role, one.name, place, one.path, 0, 0)


def _target(
    record: DatabaseRecord | TreeRecord,
    records: Iterable[DatabaseRecord | TreeRecord],
    source: Source,
    profile: Profile,
) -> Path | None:
    """Return the path of the declared part that `record` is of, None where there is none."""
    declared: tuple[DatabaseSource | TreeSource, ...]
    if isinstance(record, DatabaseRecord):
        declared = source.databases
    else:
        declared = tuple(tree for tree in source.trees if tree.role == record.role)
    here = next((one for one in declared if one.place == record.path), None)
    if here is not None:
        return here.path
    others = {other.path for other in records if _role(other) == _role(record)}
    named = [one for one in declared if one.name == record.name and one.place not in others]
    if len(named) == 1:
        return named[0].path
    return _by_glob(record, profile) if isinstance(record, DatabaseRecord) else None


def _by_glob(record: DatabaseRecord, profile: Profile) -> Path | None:
    """Return the path at which a glob would find `record`; the archive's words are not trusted."""
    entry = profile.entry(record.name)
    if entry is None or not entry.pattern:
        return None
    name = record.name[len(entry.name) + 1 :]
    if not name or "/" in name or name in (".", "..") or not name.isprintable():
        return None
    if profile.root is not None:
        path = profile.root / record.path.removeprefix(DATA)
        return path if _finds(entry, path, name) else None
    inside = entry.pattern.replace("{name}", name)
    path = entry.path / inside
    return path if not re.search(r"[*?\[\\]", entry.pattern) and _finds(entry, path, name) else None


def _finds(entry: DatabaseEntry, path: Path, name: str) -> bool:
    """Return whether the glob of `entry` finds `path` under `name`."""
    if not path.is_relative_to(entry.path):
        return False
    parts = PurePosixPath(path.relative_to(entry.path)).parts
    patterns = entry.pattern.split("/")
    if len(parts) != len(patterns) or any(part.startswith(".") for part in (*parts, name)):
        return False
    return all(
        re.fullmatch(re.escape(name).join(map(component, pattern.split("{name}"))), part, re.DOTALL)
        for part, pattern in zip(parts, patterns, strict=True)
    )


def _refuse_twice(parts: Iterable[Part]) -> None:
    taken: dict[Path, Part] = {}
    for part in parts:
        first = taken.setdefault(part.target, part)
        if first is not part:
            raise RefusedError(
                f"Two parts of the archive, {first.shown} and {part.shown}, would go to "
                f"{printable(str(part.target))}.",
                hint="Restore it to a --target, or name one of them: --only.",
            )


def _nested(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Return `parts`, each that lies in a tree among them with the outermost such tree."""
    parts = tuple(parts)
    trees = {part.target for part in parts if part.role != "database"}
    return tuple(
        replace(part, outer=next((p for p in reversed(part.target.parents) if p in trees), None))
        for part in parts
    )


def old_places(manifest: Manifest, parts: Iterable[Part]) -> tuple[str, ...]:
    """Return the paths at which the application lay when the archive was made, if not here.

    These are the trees' own, and the directory above them that they have their places in.
    """
    live = {(part.role, part.place): str(part.target) for part in parts}
    found: dict[str, None] = {}
    for tree in manifest.trees:
        place = "" if tree.path == DATA.rstrip("/") else tree.path.removeprefix(DATA)
        now = live.get((tree.role, place))
        if not tree.source.startswith("/") or now is None or now == tree.source:
            continue
        for path in _with_root(tree.source, now, place):
            found[path] = None
    return tuple(path for path in found if len(path) > 1)


def _with_root(then: str, now: str, place: str) -> Iterator[str]:
    if place and then.endswith(f"/{place}") and now.endswith(f"/{place}"):
        yield then[: -len(place) - 1]
    else:
        yield then
