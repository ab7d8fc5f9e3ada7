"""Declare one app in the config file: `config init NAME` with its flags, written as TOML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agebackup.config.reading import load_config, parse_config
from agebackup.config.writing import quoted, quoted_path
from agebackup.errors import FailedError, UsageError, printable
from agebackup.model.names import require_app
from agebackup.model.source import DatabaseSource, Source, TreeSource
from agebackup.system.claims import Claims
from agebackup.system.durable import write_durably

_HEADER = """\
# Configuration of agebackup. `agebackup config init` with --config NEWFILE writes every key there
# is, with explanations; `agebackup config check` says what each app resolves to and what is wrong.
"""
_RETENTION = """\
keep_hourly = 24
keep_daily = 7
keep_weekly = 4
keep_monthly = 12
keep_yearly = -1
keep_manual = 20
"""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Where an app's archives go, and who can open them. Paths are absolute."""

    destination: Path | None = None
    recipients: Sequence[str] = ()
    recipients_files: Sequence[Path] = ()
    signing_key: Path | None = None


@dataclass(frozen=True)
class Declaration(Delivery):
    """An app to declare: what a run takes, where it goes, who can open it. Paths are absolute."""

    source: Source


def declare(
    declaration: Declaration, file: Path, environment: Mapping[str, str], claims: Claims
) -> None:
    """Append `declaration` to the config file `file`, made (0600) where it is absent.

    Everything that stands in the file stays as it is. Raises `UsageError` where the app is
    declared already, the file is not understood, or a path cannot be written in TOML; `FailedError`
    where the disk refuses. After any failure the file is as it was.
    """
    append(declaration.source.app, section(declaration), file, environment, claims)


def append(
    app: str, section: str, file: Path, environment: Mapping[str, str], claims: Claims
) -> None:
    """Append `section`, the TOML of the app `app`, to the config file `file`; as `declare`."""
    name = require_app(app)
    before = b""
    if file.exists():
        if any(profile.name == name for profile in load_config(file, environment).apps):
            raise UsageError(
                f"{printable(str(file))} declares {name} already and was not touched.",
                hint="Edit it, or choose another name.",
            )
        before = file.read_bytes()
    text = _HEADER.encode() if not before else before.rstrip(b"\n") + b"\n"
    content = text + b"\n" + section.encode()
    parse_config(content, file, environment)  # or the next run would find it broken
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FailedError(
            f"{printable(str(file.parent))} cannot be made: {error.strerror}.",
            hint="Check the permissions above it, or name another file with --config.",
        ) from None
    write_durably(Path(file.resolve()), content, claims, replace=True)


def section(declaration: Declaration) -> str:
    """Return the TOML of `declaration`, with a retention, and a guard against pruning after a loss.

    Raises `UsageError` for an odd path.
    """
    source, app = declaration.source, declaration.source.app
    lines = [f"[apps.{app}]"]
    trees = [tree for tree in source.trees if tree.role == "attachments"]
    if trees:
        lines.append(f"attachments = {_trees(trees)}")
    for role in ("config", "tokens"):
        paths = [tree.path for tree in source.trees if tree.role == role]
        if paths:
            lines += [f"{role} = {_paths(paths)}", f"include_{role} = true"]
    if source.derived:
        lines.append(f"derived = {_texts(source.derived)}")
    lines += delivered(declaration)
    for flag in ("follow_symlinks", "raw_sqlite"):
        if getattr(source, flag):
            lines.append(f"{flag} = true")
    lines += upkeep(app)
    if source.databases:
        lines.append(f"[apps.{app}.databases]")
        lines += [f"{quoted(one.name)} = {_database(one)}" for one in source.databases]
    return "\n".join(lines).rstrip("\n") + "\n"


def delivered(one: Delivery) -> list[str]:
    """Return the lines that say who can open an app's archives and where they go."""
    lines = []
    if one.recipients:
        lines.append(f"recipients = {_texts(one.recipients)}")
    if one.recipients_files:
        lines.append(f"recipients_files = {_paths(one.recipients_files)}")
    if one.signing_key is not None:
        lines.append(f"signing_key = {quoted_path(one.signing_key)}")
    if one.destination is not None:
        lines.append(f"destination = {quoted_path(one.destination)}")
    return lines


def upkeep(app: str) -> list[str]:
    """Return the lines of the retention and of the guard that a new section has."""
    lines = ["", f"[apps.{app}.retention]", _RETENTION]
    return [*lines, f"[apps.{app}.guard]", 'shrink = "refuse"', ""]


def _database(database: DatabaseSource) -> str:
    if not database.references:
        return quoted_path(database.path)
    return f"{{path = {quoted_path(database.path)}, references = {_texts(database.references)}}}"


def _trees(trees: Sequence[TreeSource]) -> str:
    tables = []
    for tree in trees:
        named = f", named_by = {quoted(tree.named_by)}" if tree.named_by else ""
        tables.append((tree.name, f"{{path = {quoted_path(tree.path)}{named}}}"))
    if all(name for name, _ in tables):
        return "{" + ", ".join(f"{quoted(name)} = {table}" for name, table in tables) + "}"
    return "[" + ", ".join(table for _, table in tables) + "]"


def _paths(paths: Sequence[Path]) -> str:
    return "[" + ", ".join(map(quoted_path, paths)) + "]"


def _texts(texts: Sequence[str]) -> str:
    return "[" + ", ".join(map(quoted, texts)) + "]"
