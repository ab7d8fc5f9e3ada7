"""The profiles that an app can be declared from: TOML files of the package, and the person's own.

They are read as strictly as the config file itself: what a profile says of an app must be what a
section may say, and nothing that only the person can know.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from agebackup.config.matching import NAME_MARK, parse_pattern
from agebackup.config.prescribing import rooted, rooted_commands
from agebackup.config.reading import parse_toml, read_app
from agebackup.config.restoring import restore_rules
from agebackup.config.tables import AppTable, Table, Where, convert
from agebackup.errors import UsageError, printable
from agebackup.model.knownapp import LINUX, MACOS, Evidence, KnownApp, named
from agebackup.model.names import require_app
from agebackup.model.profile import Profile, allowed
from agebackup.model.provenance import VersionFile

BUILT_IN = Path(__file__).resolve().parent.parent / "profiles"
_SUFFIX = ".toml"
_ROOT = "/root-of-the-app"
SAID_BY_PROFILES = (
    *("databases", "attachments", "config", "tokens", "derived", "exclude"),
    *("version", "prepare", "finish", "consistency", "follow_symlinks", "raw_sqlite", "restore"),
    *("provenance", "pointers"),
)
"""The keys of an app's table that describe the app; all others are the person's to say."""
Text = Annotated[str, msgspec.Meta(min_length=1)]


class EvidenceTable(Table, frozen=True):
    """One of `sources`."""

    project: Text
    file: Text
    version: Text
    tells: str = ""


class RootsTable(Table, frozen=True):
    """`roots`: where an app's state usually lies, likeliest first."""

    linux: tuple[Text, ...] = ()
    macos: tuple[Text, ...] = ()


class ProfileTable(Table, frozen=True):
    """A profile's file."""

    title: Text
    summary: Text
    sources: tuple[EvidenceTable, ...] = ()
    roots: RootsTable = RootsTable()
    found_by: tuple[Text, ...] = ()
    optional: tuple[Text, ...] = ()
    notes: tuple[Text, ...] = ()
    app: dict[str, Any] = msgspec.field(default_factory=dict)
    suggested: dict[str, Any] = msgspec.field(default_factory=dict)
    refused: str = ""
    instead: str = ""


def known_names(own: Path) -> dict[str, Path]:
    """Return the file of every profile by its name; those in the directory `own` come first.

    Raises `UsageError` where that directory is there and cannot be read.
    """
    files = {**_files(BUILT_IN), **_files(own)}
    return dict(sorted(files.items()))


def _files(directory: Path) -> dict[str, Path]:
    try:
        found = sorted(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UsageError(
            f"The profiles in {printable(str(directory))} cannot be read: {error.strerror}.",
            hint="Check its permissions.",
        ) from None
    return {
        file.stem: file
        for file in found
        if file.suffix == _SUFFIX and not file.name.startswith(".")
    }


def read_known(name: str, own: Path) -> KnownApp:
    """Return the profile `name`; `own` is the directory of the person's own profiles.

    Raises `UsageError` where there is none of that name, or naming file and key where it is not
    understood.
    """
    files = known_names(own)
    file = files[named(name, list(files))]
    try:
        content = file.read_bytes()
    except OSError as error:
        raise Where(file).error(f"it cannot be read: {error.strerror}") from None
    return parse_known(content, file, origin="" if file.parent == BUILT_IN else str(file))


def parse_known(content: bytes, file: Path, *, origin: str = "") -> KnownApp:
    """Return the profile that `content` is, as the content of `file`, whose stem is its name.

    Raises `UsageError` naming file and key for whatever is not understood.
    """
    top = Where(file)
    try:
        require_app(file.stem)
    except UsageError as error:
        raise top.again(error) from None
    table: ProfileTable = convert(parse_toml(content, top), ProfileTable, top)
    required = _required(file.stem, table, top)
    marks = table.found_by or required
    roots = {LINUX: table.roots.linux, MACOS: table.roots.macos}
    for system, texts in roots.items():
        _check_roots(texts, top / "roots" / system, shown=bool(marks))
    return KnownApp(
        name=file.stem,
        title=printable(table.title),
        summary=printable(table.summary),
        sources=tuple(
            Evidence(*map(printable, (one.project, one.file, one.version, one.tells)))
            for one in table.sources
        ),
        roots=roots,
        marks=marks,
        required=required,
        optional=table.optional,
        notes=tuple(map(printable, table.notes)),
        app=table.app,
        suggested=table.suggested,
        refused=printable(table.refused),
        instead=printable(table.instead),
        origin=origin,
    )


def _check_roots(texts: Sequence[str], where: Where, *, shown: bool) -> None:
    """Raise `UsageError` for a root with a `{name}` that cannot be looked for."""
    for index, text in enumerate(texts):
        above, _, last = text.rpartition("/")
        if NAME_MARK not in text:
            continue
        here = where / f"[{index}]"
        if NAME_MARK in above:
            raise here.error(f"{NAME_MARK} can only stand in its last part")
        if not shown:
            raise here.error(f"{NAME_MARK} needs a database or 'found_by' to tell what fits")
        try:
            parse_pattern(f"{last}/file")
        except UsageError as error:
            raise here.again(error) from None


def _required(name: str, table: ProfileTable, top: Where) -> tuple[str, ...]:
    """Return what must be there below a root, after everything that is said was understood."""
    where = top / "app"
    if table.refused:
        if table.app or table.suggested:
            raise where.error("an app that is refused is not described")
        return ()
    if not table.app:
        raise top.error("the key 'app' is missing")
    for key in table.app:
        if key not in SAID_BY_PROFILES and key in _app_keys():
            raise (where / key).error("this is for the config file to say", _hint(key))
    profile = read_app(name, {**rooted_commands(table.app, _ROOT), "root": _ROOT}, where, {})
    _require_below_root(profile, where)
    _check_suggested(table, profile, top / "suggested")
    said = list(_said(table.app))
    for index, path in enumerate(table.optional):
        if path not in said:
            problem = f"{printable(path)} is no path that 'app' names"
            raise (top / "optional" / f"[{index}]").error(problem)
    return tuple(_needed(table.app.get("databases", {}), table.optional))


def _check_suggested(table: ProfileTable, profile: Profile, where: Where) -> None:
    """Raise `UsageError` for a suggestion that could not be made to count by its '#' alone."""
    for key in table.suggested:
        if key in table.app.get("restore", {}):
            raise (where / key).error("'app.restore' has it already")
        if isinstance(table.suggested[key], dict) and "argv" not in table.suggested[key]:
            raise (where / key).error("a table cannot be suggested")
    restore_rules(rooted(table.suggested, _ROOT), profile, where)


def _said(app: Mapping[str, Any]) -> Iterator[str]:
    """Yield every path that the app table `app` names, as it stands there."""
    for key in ("databases", "attachments", "config", "tokens"):
        parts = app.get(key, [])
        for one in parts.values() if isinstance(parts, dict) else parts:
            yield path_of(one)


def path_of(part: Any) -> str:
    """Return the path of `part`, one of an app table's databases or attachments; "" of a glob."""
    return part if isinstance(part, str) else str(part.get("path") or "")


def _hint(key: str) -> str:
    return allowed(key, SAID_BY_PROFILES)


def _app_keys() -> set[str]:
    return {one.encode_name for one in msgspec.structs.fields(AppTable)}


def _require_below_root(profile: Profile, where: Where) -> None:
    version = profile.version
    places = {
        "databases": [entry.path for entry in profile.databases],
        "attachments": [entry.path for entry in profile.attachments],
        "config": profile.config,
        "tokens": profile.tokens,
        "version": [version.path] if isinstance(version, VersionFile) else [],
        "provenance": [profile.provenance.path] if profile.provenance else [],
        "pointers": [one.path for one in profile.pointers if one.path is not None],
    }
    for key, paths in places.items():
        for path in paths:
            if not path.is_relative_to(_ROOT):
                raise (where / key).error(f"{printable(str(path))} is not below the app's root")


def _needed(databases: Mapping[str, Any], optional: tuple[str, ...]) -> Iterator[str]:
    for one in databases.values():
        if path_of(one):
            if path_of(one) not in optional:
                yield path_of(one)
        elif one.get("minimum") != 0:
            yield one["glob"]
