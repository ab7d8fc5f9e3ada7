"""Read a config file: TOML, strict, into profiles with absolute paths. No app is looked at."""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agebackup.config.assertions import Declared, assertions
from agebackup.config.elsewhere import remotes, split
from agebackup.config.envfile import read_env_file
from agebackup.config.expansion import expand
from agebackup.config.matching import literal, parse_pattern
from agebackup.config.nights import command, keep_pre_restore, retention, watch
from agebackup.config.provenance import pointers, provenance, version
from agebackup.config.restoring import restore_rules
from agebackup.config.tables import (
    AppTable,
    DatabaseTable,
    FileTable,
    TreeTable,
    Where,
    convert,
)
from agebackup.errors import UsageError, printable
from agebackup.model.globs import compile_globs
from agebackup.model.names import require_app
from agebackup.model.profile import (
    Config,
    DatabaseEntry,
    Profile,
    TreeEntry,
    compression_level,
)
from agebackup.model.source import Count

_NAME = re.compile(r"[^/\0:=\s][^/\0:=]*")
_KEY_BEGINNINGS = ("age1", "ssh-")


def load_config(file: Path, environment: Mapping[str, str]) -> Config:
    """Return what the config file `file` declares; `environment` is used to expand paths.

    So are the variables of its own `env_file`, where `environment` does not have them.
    Raises `UsageError`, naming file and key, for whatever is not understood: nothing of such a
    file is used.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise UsageError(
            f"There is no configuration file {printable(str(file))}.",
            hint="Write one with: agebackup config init.",
        ) from None
    except OSError as error:
        raise Where(file).error(f"it cannot be read: {error.strerror}") from None
    return parse_config(content, file, environment)


def parse_config(content: bytes, file: Path, environment: Mapping[str, str]) -> Config:
    """Return what `content` declares, as the content of `file`; raises as `load_config`."""
    top = Where(file)
    table = convert(parse_toml(content, top), FileTable, top)
    base = _Base(os.path.dirname(os.path.abspath(file)), environment)
    env_file = base.optional(table.env_file, top / "env_file")
    if env_file is not None:
        environment = {**read_env_file(env_file, environment), **environment}
        base = replace(base, environment=environment)
    return Config(
        file,
        tuple(
            _profile(name, app, top / "apps" / name, environment)
            for name, app in table.apps.items()
        ),
        trusted_signers=base.optional(table.trusted_signers, top / "trusted_signers"),
        revoked_signers=base.optional(table.revoked_signers, top / "revoked_signers"),
    )


def parse_toml(content: bytes, top: Where) -> dict[str, Any]:
    """Return the tables of `content`; raise `UsageError` of `top`, its file, if it is not TOML."""
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise top.error("it is not UTF-8 text") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise top.error(f"it is not TOML: {printable(str(error))}") from None


def read_app(
    name: str, raw: dict[str, Any], where: Where, environment: Mapping[str, str]
) -> Profile:
    """Return what the app table `raw` declares, standing at `where`; raises as `load_config`."""
    return _profile(name, raw, where, environment)


@dataclass(frozen=True)
class _Base:
    """The directory that relative paths of one app stand in, and what expands them."""

    directory: str
    environment: Mapping[str, str]

    def path(self, text: str, where: Where) -> Path:
        expanded = expand(text, where, self.environment)
        return Path(os.path.normpath(os.path.join(self.directory, expanded)))

    def optional(self, text: str | None, where: Where) -> Path | None:
        return None if text is None else self.path(text, where)

    def paths(self, texts: Sequence[str], where: Where) -> tuple[Path, ...]:
        return tuple(self.path(text, where / f"[{i}]") for i, text in enumerate(texts))


def _profile(
    name: str, raw: dict[str, Any], where: Where, environment: Mapping[str, str]
) -> Profile:
    try:
        require_app(name)
    except UsageError as error:
        raise where.again(error) from None
    table = convert(raw, AppTable, where)
    base = _Base(os.path.dirname(os.path.abspath(where.file)), environment)
    root = None if table.root is None else base.path(table.root, where / "root")
    base = _Base(str(root or base.directory), environment)
    databases = tuple(
        _database(key, one, where / "databases" / key, base) for key, one in table.databases.items()
    )
    first, others = split(table.destination, where / "destination")
    folder = base.optional(first, where / "destination")
    profile = Profile(
        name=name,
        base=Path(base.directory),
        root=root,
        databases=databases,
        attachments=_attachments(table.attachments, where / "attachments", base),
        config=base.paths(table.config, where / "config"),
        tokens=base.paths(table.tokens, where / "tokens"),
        derived=_globs(table.derived, where / "derived"),
        exclude=_globs(table.exclude, where / "exclude"),
        follow_symlinks=table.follow_symlinks,
        raw_sqlite=table.raw_sqlite,
        version=version(table.version, where / "version", base.path),
        provenance=provenance(table.provenance, where / "provenance", base.path),
        pointers=pointers(table.pointers, databases, where / "pointers", base.path),
        pointer_check=command(table.pointer_check, where / "pointer_check"),
        prepare=command(table.prepare, where / "prepare"),
        finish=command(table.finish, where / "finish"),
        recipients=_recipients(table.recipients, where / "recipients"),
        recipients_files=base.paths(table.recipients_files, where / "recipients_files"),
        signing_key=base.optional(table.signing_key, where / "signing_key"),
        destination=folder,
        remotes=remotes(others, folder, base.path),
        consistency=table.consistency,
        level=_level(table.compress, where / "compress"),
        proof=table.proof,
        include_config=table.include_config,
        include_tokens=table.include_tokens,
        keep_pre_restore=keep_pre_restore(table, where),
        retention=retention(table.retention, where / "retention"),
        watch=watch(table, where),
        assertions=assertions(
            table.assertions, Declared(databases, base.directory), where / "assertions"
        ),
    )
    return replace(profile, restore=restore_rules(table.restore, profile, where / "restore"))


def _database(name: str, raw: object, where: Where, base: _Base) -> DatabaseEntry:
    if not _NAME.fullmatch(name):
        raise where.error("a database's name cannot be empty or hold any of '/', ':', '='")
    given: str | DatabaseTable = convert(raw, str | DatabaseTable, where)
    table = DatabaseTable(path=given) if isinstance(given, str) else given
    if table.path is not None and table.glob is None:
        path, pattern = base.path(table.path, where), ""
        if table.minimum is not None:
            raise (where / "minimum").error("only a 'glob' has a minimum of matches")
    elif table.glob is not None and table.path is None:
        path, pattern = _pattern(table.glob, where / "glob", base)
    else:
        raise where.error("it needs either 'path' or 'glob'")
    references = table.references
    return DatabaseEntry(
        name=name,
        path=path,
        pattern=pattern,
        minimum=1 if table.minimum is None else table.minimum,
        counts=tuple(Count(key, sql) for key, sql in table.counts.items()),
        references=(references,) if isinstance(references, str) else tuple(references),
        max_user_version=table.max_user_version,
    )


def _pattern(text: str, where: Where, base: _Base) -> tuple[Path, str]:
    """Return the directory that the pattern starts in, and the pattern relative to it."""
    expanded = expand(text, where, base.environment, quote=literal)
    pattern = os.path.normpath(expanded)
    path = Path("/" if pattern.startswith("/") else base.directory)
    pattern = pattern.lstrip("/")
    while pattern.startswith("../"):
        path, pattern = path.parent, pattern[3:]
    try:
        parse_pattern(pattern)
    except UsageError as error:
        raise where.again(error) from None
    return path, pattern


def _attachments(
    raw: list[Any] | dict[str, Any], where: Where, base: _Base
) -> tuple[TreeEntry, ...]:
    if isinstance(raw, dict):
        for name in raw:
            if not _NAME.fullmatch(name):
                raise (where / name).error("a name cannot be empty or hold any of '/', ':', '='")
        return tuple(_tree(name, one, where / name, base) for name, one in raw.items())
    trees = [_tree("", one, where / f"[{i}]", base) for i, one in enumerate(raw)]
    if len(trees) < 2:
        return tuple(trees)
    return tuple(TreeEntry(tree.path.name, tree.path, tree.named_by) for tree in trees)


def _tree(name: str, raw: object, where: Where, base: _Base) -> TreeEntry:
    given: str | TreeTable = convert(raw, str | TreeTable, where)
    table = TreeTable(path=given) if isinstance(given, str) else given
    return TreeEntry(name, base.path(table.path, where), table.named_by)


def _globs(patterns: Sequence[str], where: Where) -> tuple[str, ...]:
    for index, pattern in enumerate(patterns):
        try:
            compile_globs([pattern])
        except UsageError as error:
            raise (where / f"[{index}]").again(error) from None
    return tuple(patterns)


def _recipients(texts: Sequence[str], where: Where) -> tuple[str, ...]:
    for index, text in enumerate(texts):
        if not text.strip().startswith(_KEY_BEGINNINGS):
            # The text itself stays unsaid: it may be a private key that was put here by mistake.
            raise (where / f"[{index}]").error(
                "this is not a public key",
                "Public keys begin with age1, ssh-ed25519 or ssh-rsa; "
                "files of them belong in recipients_files.",
            )
    return tuple(texts)


def _level(text: str, where: Where) -> int | None:
    try:
        return compression_level(text)
    except UsageError as error:
        raise where.again(error) from None
