"""The tables of the config file as types, and what is said where a file does not fit them.

Unknown keys are refused: a misspelt `exclude` would otherwise be a silent leak.
"""

import re
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from agebackup.errors import UsageError, printable
from agebackup.model.profile import allowed


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every table: immutable, and no key but those declared."""


class FileTable(Table, frozen=True):
    """The whole file."""

    apps: dict[str, dict[str, Any]] = {}
    env_file: str | None = None
    trusted_signers: str | None = None
    revoked_signers: str | None = None


class DatabaseTable(Table, frozen=True):
    """One of `databases`, where it is more than a path."""

    path: str | None = None
    glob: str | None = None
    minimum: Annotated[int, msgspec.Meta(ge=0)] | None = None
    counts: dict[str, str] = {}
    max_user_version: Annotated[int, msgspec.Meta(ge=0)] | None = None
    references: str | list[str] = []


class TreeTable(Table, frozen=True):
    """One of `attachments`, where it is more than a path."""

    path: str
    named_by: Literal["sha256", "sha1", "md5"] | None = None


class CommandTable(Table, frozen=True):
    """A command to run, where it is more than its words."""

    argv: Annotated[list[str], msgspec.Meta(min_length=1)]
    seconds: Annotated[float, msgspec.Meta(gt=0, le=86400)] = 300


Tier = Annotated[int, msgspec.Meta(ge=-1, le=1_000_000)]
"""How many a rule keeps; -1: all of them."""


class RetentionTable(Table, frozen=True):
    """`retention`: how many archives of an app stay. `count` is another word for `keep_last`."""

    count: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    keep_last: Tier = 0
    keep_hourly: Tier = 0
    keep_daily: Tier = 0
    keep_weekly: Tier = 0
    keep_monthly: Tier = 0
    keep_yearly: Tier = 0
    keep_within: str | None = None
    keep_tags: list[str] = []
    keep_manual: Tier | None = None
    timezone: str = "UTC"
    shared: bool = False
    max_prune: Annotated[int, msgspec.Meta(ge=0)] | None = None


class GuardTable(Table, frozen=True):
    """`guard`: what a sudden change of an app's data does."""

    shrink: Literal["note", "refuse"] = "note"


class HooksTable(Table, frozen=True):
    """`hooks`: who is told how a run ended."""

    on_success: Any = None
    on_failure: Any = None
    healthcheck_url: str = ""
    desktop: bool = False


class GateTable(Table, frozen=True):
    """One of `restore.gates`."""

    argv: Annotated[list[str], msgspec.Meta(min_length=1)] | None = None
    seconds: Annotated[float, msgspec.Meta(gt=0, le=86400)] = 10
    database: str | None = None
    sql: str | None = None
    compare: Literal["equal", "not-newer"] = "not-newer"


class DatabaseRulesTable(Table, frozen=True):
    """One of `restore.databases`."""

    role: Literal["state", "eventlog", "auxiliary"] | None = None
    heads: str = ""
    schema_sha256: str | list[str] = []
    row_tolerance: dict[str, int | str] = {}


class RestoreTable(Table, frozen=True):
    """`restore`: how an app is restored into its own places."""

    pause: Any = None
    resume: Any = None
    running: Any = None
    min_app_version: str = ""
    max_app_version: str = ""
    gates: dict[str, Any] = {}
    databases: dict[str, Any] = {}
    migrate: Any = None
    rebuild: Any = None
    check: Any = None
    row_tolerance: int | str = 0


class DestinationTable(Table, frozen=True):
    """One of `destination`, where it is more than a text."""

    to: str
    allow_public: bool = False
    bwlimit: str = ""


class AppTable(Table, frozen=True):
    """One app. Entries of `databases` and `attachments` are converted one by one, by their name."""

    root: str | None = None
    databases: dict[str, Any] = {}
    attachments: list[Any] | dict[str, Any] = []
    config: list[str] = []
    tokens: list[str] = []
    derived: list[str] = []
    exclude: list[str] = []
    follow_symlinks: bool = False
    raw_sqlite: bool = False
    version: Any = ""
    provenance: Any = None
    pointers: dict[str, Any] = {}
    pointer_check: Any = None
    prepare: Any = None
    finish: Any = None
    recipients: list[str] = []
    recipients_files: list[str] = []
    signing_key: str | None = None
    destination: str | list[Any] | None = None
    consistency: Literal["atomic", "per-database"] = "atomic"
    compress: str = "none"
    proof: bool = True
    include_config: bool = False
    include_tokens: bool = False
    enabled: bool | None = None
    interval: str = "24h"
    jitter: str = ""
    retries: Annotated[int, msgspec.Meta(ge=0, le=100)] = 3
    retry_after: str = "1m"
    max_age: str | None = None
    keycheck_every: str = "90d"
    keep_pre_restore: str | None = None
    retention: Any = None
    guard: Any = None
    hooks: Any = None
    assertions: dict[str, Any] = {}
    restore: Any = None


@dataclass(frozen=True)
class Where:
    """A key of a config file: every error about it begins with both."""

    file: Path
    keys: tuple[str, ...] = ()

    def __truediv__(self, key: str) -> "Where":
        return Where(self.file, (*self.keys, key))

    def error(self, problem: str, hint: str = "") -> UsageError:
        """Return the error that says `problem`, a clause without its full stop, of this key."""
        key = re.sub(r"\.(?=\[)", "", ".".join(map(_shown_key, self.keys)))
        where = f"{printable(str(self.file))}: {key}: " if key else f"{printable(str(self.file))}: "
        return UsageError(f"{where}{problem}.", hint=hint)

    def again(self, error: UsageError) -> UsageError:
        """Return `error`, which knew nothing of the file, as one about this key."""
        return self.error(error.message.rstrip("."), error.hint)


def convert(raw: object, kind: Any, where: Where) -> Any:
    """Return `raw` as a `kind`; raise `UsageError` naming the very key that does not fit."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
    inner = [key.removeprefix(".") for key in re.findall(r"\.\w+|\[[^]]*\]", path.rstrip("`"))]
    for index, key in enumerate(inner):
        if key == "[...]":  # msgspec names the table, but not which of its keys
            inner[index] = _misfit(raw, inner[:index])
    here = Where(where.file, (*where.keys, *inner))
    raise _explained(problem, kind, inner, here) from None


def _misfit(raw: object, path: list[str]) -> str:
    for key in path:
        raw = raw[key] if isinstance(raw, dict) else raw
    values = raw.items() if isinstance(raw, dict) else ()
    return next((key for key, value in values if not isinstance(value, str)), "?")


def _explained(problem: str, kind: object, inner: list[str], where: Where) -> UsageError:
    table = next((t for t in (kind, *typing.get_args(kind)) if _is_table(t)), None)
    fields = {f.encode_name: f.type for f in msgspec.structs.fields(table)} if table else {}
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", problem, re.DOTALL)
    if unknown:
        hint = allowed(unknown[1], fields)
        if table is FileTable and unknown[1] in AppTable.__struct_fields__:
            hint = "It belongs to an app: write it below [apps.NAME]."
        return (where / unknown[1]).error("there is no such key", hint)
    missing = re.fullmatch(r"Object missing required field `(.*)`", problem)
    if missing:
        return where.error(f"the key {missing[1]!r} is missing")
    if problem.startswith("Invalid enum value") and inner:
        value = problem.removeprefix("Invalid enum value").strip().strip("'")
        return where.error(
            f"{printable(value)!r} is not allowed", _choices(value, fields[inner[0]])
        )
    return where.error(_in_words(problem))


def _is_table(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Table)


def _choices(value: str, kind: object) -> str:
    literals = [kind, *typing.get_args(kind)]
    words = [w for one in literals for w in typing.get_args(one) if isinstance(w, str)]
    words += [w for w in literals if isinstance(w, str)]
    return allowed(value, dict.fromkeys(words))


_WORDS = {
    "array": "a list",
    "object": "a table",
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
}


def _in_words(problem: str) -> str:
    def said(match: re.Match[str]) -> str:
        kinds = [_WORDS.get(kind, kind) for kind in match[1].split(" | ") if kind != "null"]
        return " or ".join(kinds)

    text = re.sub(r"`([^`]*)`", said, problem)
    return text[:1].lower() + text[1:]


def _shown_key(key: str) -> str:
    if re.fullmatch(r"[\w-]+|\[\d+\]", key, re.ASCII):
        return key
    return f'"{printable(key)}"'
