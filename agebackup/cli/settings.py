"""What the global options and the environment say, for every command alike."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import click

from agebackup.system.progress import Stop

F = TypeVar("F", bound=Callable[..., Any])

CONFIG_VARIABLE = "AGEBACKUP_CONFIG"
RECIPIENTS_VARIABLE = "AGEBACKUP_RECIPIENTS_FILE"
IDENTITY_VARIABLE = "AGEBACKUP_IDENTITY_FILE"


@dataclass
class Settings:
    """The global options; filled while the command line is parsed, only read afterwards.

    `command` is the command as far as it is known, such as "schedule-install", "" before any is.
    `clear_line` removes the progress line before anything else is written to the terminal.
    `settled` is what became of restores that had been cut off, as JSON fields.
    """

    command: str = ""
    stop: Stop = field(default_factory=Stop)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    config: Path | None = None
    env_file: Path | None = None
    json: bool = False
    help: bool = False
    quiet: bool = False
    verbose: bool = False
    progress: bool = True
    yes: bool = False
    clear_line: Callable[[], None] = lambda: None
    settled: list[dict[str, Any]] = field(default_factory=list)

    def variable(self, name: str) -> str | None:
        """Return the environment variable `name`, or None where it is absent or empty."""
        return self.environment.get(name) or None

    @cached_property
    def variables(self) -> Mapping[str, str]:
        """The variables for paths of the configuration: the environment's, and --env-file's above.

        They are for nothing else, and no command of others gets them. Raises `UsageError` for a bad
        file.
        """
        if self.env_file is None:
            return self.environment
        from agebackup.config.envfile import read_env_file

        return {**self.environment, **read_env_file(self.env_file, self.environment)}


def current() -> Settings:
    """Return the settings of the running command."""
    settings = click.get_current_context().find_object(Settings)
    assert settings is not None
    return settings


class Group(click.Group):
    """Commands, of which the one that is found is noted: whatever fails from then on is its own."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return name, command and further words, as click has it."""
        name, command, rest = super().resolve_command(ctx, args)
        if name:
            ctx.ensure_object(Settings).command = "-".join([*ctx.command_path.split()[1:], name])
        return name, command, rest


def _store(name: str, value: Any) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(context: click.Context, parameter: click.Parameter, given: Any) -> None:
        if given:
            setattr(context.ensure_object(Settings), name, given if value is None else value)

    return callback


def global_options(command: F) -> F:
    """Add the options that every command takes, before or after its name."""
    options = [
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            help="The configuration file, instead of the usual one.",
            callback=_store("config", None),
            expose_value=False,
        ),
        click.option(
            "--env-file",
            type=click.Path(path_type=Path, readable=False),
            help="A file of NAME=VALUE for variables in the configuration's paths.",
            callback=_store("env_file", None),
            expose_value=False,
        ),
    ]
    flags = (
        ("--json", "json", True, "Write the result, or the failure, as one JSON object."),
        ("-q,--quiet", "quiet", True, "Say nothing but results, warnings and errors."),
        ("-v,--verbose", "verbose", True, "Show where an unforeseen error arose."),
        ("--no-progress", "progress", False, "Show no progress, not even on a terminal."),
        ("--yes", "yes", True, "Answer yes where a question would be asked."),
    )
    for names, name, value, text in flags:
        options.append(
            click.option(
                *names.split(","),
                is_flag=True,
                help=text,
                callback=_store(name, value),
                expose_value=False,
            )
        )
    for option in reversed(options):
        command = option(command)
    return command
