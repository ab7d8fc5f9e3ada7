"""The options of `create`, as they were given."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self, get_args


@dataclass(frozen=True)
class CreateFlags:
    """One value for each option of `create`, before anything was looked up."""

    apps: tuple[str, ...]
    every: bool
    databases: tuple[str, ...]
    attachments: tuple[str, ...]
    config_paths: tuple[str, ...]
    token_paths: tuple[str, ...]
    include_config: bool
    include_tokens: bool
    to: str | None
    mkdir: bool
    overwrite: bool
    recipients: tuple[str, ...]
    recipients_files: tuple[Path, ...]
    signing_key: Path | None
    app: str | None
    app_version: str | None
    manual: bool
    tag: str | None
    note: str | None
    excluded: tuple[str, ...]
    named_by: str | None
    references: tuple[str, ...]
    allow_missing: bool
    follow_symlinks: bool
    raw_sqlite: bool
    consistency: str | None
    lock_timeout: float | None
    wait: float | None
    compress: str | None
    no_proof: bool
    no_push: bool
    dry_run: bool
    workspace: Path | None

    @classmethod
    def of(cls, **given: Any) -> Self:
        """Return the flags `given`, all others being absent."""
        return cls(**{**{one.name: _not_given(one.type) for one in fields(cls)}, **given})

    @property
    def any_source(self) -> bool:
        """Whether something to back up was named."""
        return bool(self.databases or self.attachments or self.config_paths or self.token_paths)


def _not_given(kind: Any) -> Any:
    if kind is bool:
        return False
    return None if type(None) in get_args(kind) else ()
