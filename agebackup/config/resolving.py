"""From what is declared to what is backed up: files found, places given, contradictions refused."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from agebackup.config.matching import matches
from agebackup.errors import FailedError, UsageError, printable
from agebackup.model.names import uncarriable
from agebackup.model.profile import DatabaseEntry, Profile, TreeEntry
from agebackup.model.rules import DatabaseRules
from agebackup.model.source import (
    Count,
    DatabaseSource,
    Role,
    Source,
    TreeSource,
    require_distinct_places,
)

Part = DatabaseSource | TreeSource


def resolve(profile: Profile, *, include_config: bool, include_tokens: bool) -> Source:
    """Return what a snapshot of `profile` consists of now; config and tokens only if asked for.

    With a root everything lies in the bag as it does below the root; without one under its name.
    Looks at directories for the sake of globs, but opens no file. Raises `UsageError` where the
    declarations contradict each other, `FailedError` where a glob matches too little.
    """
    databases = tuple(_databases(profile))
    trees = [_tree(profile, "attachments", entry) for entry in profile.attachments]
    withheld: list[Path] = []
    extras: tuple[tuple[Role, tuple[Path, ...], bool], ...] = (
        ("config", profile.config, include_config),
        ("tokens", profile.tokens, include_tokens),
    )
    for role, paths, included in extras:
        if included:
            trees += _asked(profile, role, paths)
        else:
            withheld += paths
    source = Source(
        app=profile.name,
        databases=databases,
        trees=tuple(trees),
        consistency="single" if len(databases) < 2 else profile.consistency,
        derived=profile.derived,
        excluded=profile.exclude,
        withheld=tuple(withheld),
        follow_symlinks=profile.follow_symlinks,
        raw_sqlite=profile.raw_sqlite,
        pointers=tuple(one for one in profile.pointers if one.path is not None),
    )
    _check(profile, source)
    return source


def _databases(profile: Profile) -> Iterator[DatabaseSource]:
    for entry in profile.databases:
        if not entry.pattern:
            yield _database(profile, entry, entry.name, entry.path)
            continue
        found = matches(entry.path, entry.pattern)
        if len(found) < entry.minimum:
            pattern = printable(os.path.join(entry.path, entry.pattern))
            raise FailedError(
                f"Databases {printable(entry.name)} of {profile.name}: {pattern} matches "
                f"{len(found)}, and at least {entry.minimum} must be there.",
                hint="Check that its disk is mounted, or lower 'minimum' in the configuration.",
            )
        for name, path in found:
            yield _database(profile, entry, f"{entry.name}-{name}", path)


def _database(profile: Profile, entry: DatabaseEntry, name: str, path: Path) -> DatabaseSource:
    rules = profile.restore.databases.get(entry.name, DatabaseRules())
    gates = (gate for gate in profile.restore.gates if gate.database == entry.name)
    return DatabaseSource(
        name=name,
        path=path,
        place=_place(profile, path, f"data/{name}"),
        counts=entry.counts,
        references=entry.references,
        max_user_version=entry.max_user_version,
        gates=tuple(Count(gate.name, gate.sql) for gate in gates),
        heads=rules.heads,
        pointers=tuple(one for one in profile.pointers if one.database == entry.name),
    )


def _tree(profile: Profile, role: Role, entry: TreeEntry) -> TreeSource:
    unrooted = f"data/{role}/{entry.name}" if entry.name else f"data/{role}"
    place = _place(profile, entry.path, unrooted)
    below_root = place.removeprefix("data").removeprefix("/") if profile.root else ""
    return TreeSource(
        name=entry.name,
        path=entry.path,
        place=place,
        role=role,
        named_by=entry.named_by,
        below_root=below_root and below_root + "/",
    )


def _asked(profile: Profile, role: Role, paths: Sequence[Path]) -> Iterator[TreeSource]:
    if not paths:
        raise UsageError(
            f"{profile.name} declares no {role}, so there is none to include.",
            hint=f"Declare it in the configuration, as {role} = [PATH], or leave the flag out.",
        )
    for path in paths:
        if path == profile.root:
            raise UsageError(
                f"The root of {profile.name} cannot be its {role} as a whole.",
                hint=f"Name the very files or directories that are {role}.",
            )
        yield _tree(profile, role, TreeEntry(path.name, path))


def _place(profile: Profile, path: Path, unrooted: str) -> str:
    if profile.root is None:
        place = unrooted
    elif path == profile.root:
        return "data"
    elif path.is_relative_to(profile.root):
        place = f"data/{path.relative_to(profile.root)}"
    else:
        raise UsageError(
            f"{printable(str(path))} lies outside the root of {profile.name}, "
            f"{printable(str(profile.root))}.",
            hint="Set root to a directory that holds everything, or leave root out: "
            "the archive then has everything under its name.",
        )
    reason = uncarriable(place)
    if reason:
        raise UsageError(f"{printable(str(path))} cannot be archived: {reason}.", hint="Rename it.")
    return place


def _check(profile: Profile, source: Source) -> None:
    if not source.databases and not source.trees:
        raise UsageError(
            f"{profile.name} declares nothing to back up.",
            hint="Declare databases or attachments.",
        )
    _refuse_twice(source)
    require_distinct_places(source)
    parts: tuple[Part, ...] = (*source.databases, *source.trees)
    by_place = {part.place: part for part in parts}
    for inner in parts:
        for above in PurePosixPath(inner.place).parents:
            outer = by_place.get(str(above))
            if outer is not None and not _is_within(outer, inner):
                raise UsageError(
                    f"{printable(str(inner.path))} would lie inside {printable(str(outer.path))} "
                    f"in the archive, at {printable(inner.place.removeprefix('data/'))}.",
                    hint="Give one of them another name.",
                )
    for part in parts:
        for path in source.withheld:
            if _real(part.path).is_relative_to(_real(path)):
                raise UsageError(
                    f"{printable(str(part.path))} is to be backed up, but lies in "
                    f"{printable(str(path))}, which is declared as config or tokens.",
                    hint="Declare it as one or the other.",
                )


def _is_within(outer: Part, inner: Part) -> bool:
    """Say whether `inner` lies in the tree `outer` as it would lie there in the archive."""
    inside = outer.path / inner.place[len(outer.place) + 1 :]
    return isinstance(outer, TreeSource) and _real(inside) == _real(inner.path)


def _refuse_twice(source: Source) -> None:
    """Raise `UsageError` for one database under two names: it would be locked against itself."""
    seen: dict[object, DatabaseSource] = {}
    for database in source.databases:
        try:
            status = os.stat(database.path)
        except OSError:
            continue  # whoever copies it says what is wrong
        first = seen.setdefault((status.st_dev, status.st_ino), database)
        if first is not database:
            raise UsageError(
                f"The databases {printable(first.name)} and {printable(database.name)} are the "
                f"same file, {printable(str(database.path))}.",
                hint="Declare it once.",
            )


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
