"""A source made of flags alone, for a run without a configuration."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from agebackup.cli.flags import CreateFlags
from agebackup.errors import FailedError, UsageError, printable
from agebackup.model.names import app_slug, require_app, uncarriable
from agebackup.model.source import (
    Consistency,
    DatabaseSource,
    Role,
    Source,
    TreeSource,
    require_distinct_places,
)

HASHES = ("sha256", "md5", "sha1")


@dataclass(frozen=True)
class Named:
    """`[NAME=]PATH`, taken apart. `name` is "" where none was given."""

    name: str
    path: Path

    @classmethod
    def of(cls, text: str) -> "Named":
        """Take `text` apart at its first `=`, unless a file of that whole name exists."""
        name, equals, rest = text.partition("=")
        if not equals or os.path.lexists(text):
            return cls("", _absolute(text))
        if not name or "/" in name or name in (".", "..") or uncarriable(name):
            raise UsageError(
                f"{printable(text)!r}: {printable(name)!r} cannot be a name inside the archive.",
                hint="Write NAME=PATH with a NAME without '/', or PATH alone.",
            )
        return cls(name, _absolute(rest))


def _absolute(text: str) -> Path:
    if not text:
        raise UsageError("A path is empty.", hint="Check the variables in your command line.")
    return Path(os.path.abspath(os.path.expanduser(text)))


def adhoc_source(flags: CreateFlags) -> Source:
    """Return the source that `flags` describe; raise `UsageError` where they contradict."""
    databases = [_database(Named.of(text)) for text in flags.databases]
    for text in flags.references:
        databases = _with_reference(databases, text)
    trees = [_tree("attachments", Named.of(text), flags.named_by) for text in flags.attachments]
    trees += [_tree("config", Named.of(text), None) for text in flags.config_paths]
    trees += [_tree("tokens", Named.of(text), None) for text in flags.token_paths]
    return require_distinct_places(
        Source(
            app=adhoc_app(flags),
            databases=tuple(databases),
            trees=tuple(trees),
            consistency=consistency_of(len(databases), flags.consistency),
            derived=flags.excluded,
            follow_symlinks=flags.follow_symlinks,
            raw_sqlite=flags.raw_sqlite,
            allow_missing=flags.allow_missing,
        )
    )


def consistency_of(databases: int, asked: str | None) -> Consistency:
    """Return how so many databases are copied: at one instant, unless `asked` says otherwise."""
    if databases < 2:
        return "single"
    return "per-database" if asked == "per-database" else "atomic"


def adhoc_app(flags: CreateFlags) -> str:
    """Return the app's name of an ad hoc run: as given, or of the first source's stem."""
    if not flags.any_source:
        raise UsageError(
            "There is nothing to back up.",
            hint="Name a database with --db, or an app of the configuration.",
        )
    if flags.app is not None:
        return require_app(flags.app)
    first = (flags.databases or flags.attachments or ("",))[0]
    slug = app_slug(Named.of(first).path.stem) if first else ""
    if not slug:
        raise UsageError(
            "No app name can be made of what is to be backed up.",
            hint="Give one with --app, for example --app notes.",
        )
    return slug


def _database(named: Named) -> DatabaseSource:
    name = named.name or named.path.name
    return DatabaseSource(name=name, path=named.path, place=f"data/{name}")


def _tree(role: Role, named: Named, named_by: str | None) -> TreeSource:
    name = named.name
    if role == "attachments":
        place = f"data/attachments/{name}" if name else "data/attachments"
    else:
        name = name or named.path.name
        place = f"data/{role}/{name}"
    _require_there(named.path)
    return TreeSource(name=name, path=named.path, place=place, role=role, named_by=named_by)


def _require_there(path: Path) -> None:
    try:
        os.stat(path)
    except OSError as error:
        raise FailedError(
            f"{printable(str(path))} cannot be backed up: {error.strerror}.",
            hint="Check the path, and that its disk is mounted.",
        ) from None


def _with_reference(databases: list[DatabaseSource], text: str) -> list[DatabaseSource]:
    name, colon, sql = text.partition(":")
    wanted = name.strip()
    matching = [d for d in databases if wanted in (d.name, Path(d.name).stem)]
    if not colon or not sql.strip() or len(matching) != 1:
        names = ", ".join(printable(database.name) for database in databases) or "none"
        raise UsageError(
            f"--referenced-by {printable(text)!r} does not name one of the databases ({names}).",
            hint="Write 'DB: SELECT path, sha256 FROM ...'.",
        )
    (database,) = matching
    changed = replace(database, references=(*database.references, sql.strip()))
    return [changed if one is database else one for one in databases]
