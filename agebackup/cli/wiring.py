"""Turn flags and profiles into the ready values and collaborators that `create` takes."""

import platform
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from agebackup import __version__
from agebackup.cli import places
from agebackup.cli.adhoc import SourceFlags, adhoc_source, consistency_of
from agebackup.cli.reading import Console
from agebackup.cli.settings import RECIPIENTS_VARIABLE
from agebackup.destinations.folder import open_folder
from agebackup.errors import UsageError, printable
from agebackup.model.manifest import Versions
from agebackup.model.names import ArchiveName
from agebackup.model.profile import Command, Profile, compression_level
from agebackup.model.source import Labels, Source
from agebackup.operations.order import Hook, Order, Site
from agebackup.snapshot import versions
from agebackup.snapshot.keys import Recipients, read_recipients
from agebackup.system.process import run_command

EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
"""Before this was written no clock that is right can stand."""


@dataclass(frozen=True)
class CreateFlags:
    """The options of `create`, as they were given."""

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
    dry_run: bool
    workspace: Path | None

    @property
    def source(self) -> SourceFlags:
        """The part that describes an ad hoc source."""
        return SourceFlags(
            app=self.app,
            databases=self.databases,
            attachments=self.attachments,
            config=self.config_paths,
            tokens=self.token_paths,
            references=self.references,
            named_by=self.named_by,
            excluded=self.excluded,
            consistency=self.consistency,
            follow_symlinks=self.follow_symlinks,
            raw_sqlite=self.raw_sqlite,
            allow_missing=self.allow_missing,
        )


@dataclass(frozen=True)
class Job:
    """One app's run. `alone` where there is no other: its failure then is the command's."""

    app: str
    flags: CreateFlags
    console: Console
    profile: Profile | None = None
    alone: bool = True

    def prepare(self) -> tuple[Order, Site]:
        """Look everything up that the run needs; raise before anything is written."""
        flags, profile = self.flags, self.profile
        source = adhoc_source(flags.source) if profile is None else _resolved(profile, flags)
        now = _now(self.console)
        level = _level(flags, profile)
        order = Order(
            source=source,
            labels=_labels(flags, profile, self.console),
            name=ArchiveName(
                source.app, now, secrets.token_hex(4), flags.manual, compressed=level is not None
            ),
            recipients=self._recipients(),
            versions=_versions(),
            host=platform.node(),
            level=level,
            proof=not flags.no_proof and (profile is None or profile.proof),
            prepare=_hook(profile, profile.prepare) if profile else None,
            finish=_hook(profile, profile.finish) if profile else None,
        )
        return order, self._site(source.app)

    def _recipients(self) -> Recipients:
        flags, profile = self.flags, self.profile
        if flags.recipients or flags.recipients_files:
            return read_recipients(flags.recipients, flags.recipients_files)
        variable = self.console.settings.variable(RECIPIENTS_VARIABLE)
        if variable:
            return read_recipients((), (Path(variable),))
        if profile is not None:
            return read_recipients(profile.recipients, profile.recipients_files)
        return read_recipients((), ())

    def _site(self, app: str) -> Site:
        flags, profile = self.flags, self.profile
        to = flags.to
        if to is None and profile is not None and profile.destination is not None:
            to = str(profile.destination)
        if not to:
            raise UsageError(
                f"No destination was named for {app}.",
                hint="Name a directory with --to, or destination in the configuration.",
            )
        return Site(
            destination=open_folder(to, make=flags.mkdir, overwrite=flags.overwrite),
            workspace=places.workspace(flags.workspace),
            lock_file=places.lock_file(app),
            memory_file=places.memory_file(app),
            claims=places.claims(),
            lock_seconds=30.0 if flags.lock_timeout is None else flags.lock_timeout,
            wait_seconds=flags.wait or 0.0,
        )


def jobs(flags: CreateFlags, to: Console) -> Iterator[Job]:
    """Yield a job for each app that was named, for every declared one, or for the ad hoc run."""
    if flags.apps or flags.every:
        from agebackup.config import load_config

        if flags.source.any_source:
            raise UsageError(
                "An app of the configuration cannot be mixed with sources named by flags.",
                hint="Name the app, or --db and --attachments, not both.",
            )
        config = load_config(places.config_path(to.settings), to.settings.environment)
        names = [profile.name for profile in config.apps] if flags.every else list(flags.apps)
        profiles = [config.app(name) for name in dict.fromkeys(names)]
        if not profiles:
            raise UsageError(
                f"{printable(str(config.file))} declares no app.", hint="Declare one: [apps.NAME]."
            )
        for profile in profiles:
            yield Job(profile.name, flags, to, profile, alone=len(profiles) == 1)
        return
    yield Job(flags.app or "", flags, to)


def _now(to: Console) -> datetime:
    now = datetime.now(UTC)
    if now < EARLIEST:
        to.output.warn(
            f"The clock says {now:%Y-%m-%d}, so the archive's name will carry a wrong time."
        )
    return now


def _resolved(profile: Profile, flags: CreateFlags) -> Source:
    from agebackup.config import resolve

    source = resolve(
        profile, include_config=flags.include_config, include_tokens=flags.include_tokens
    )
    asked = flags.consistency or source.consistency
    return replace(
        source,
        consistency=consistency_of(len(source.databases), asked),
        excluded=(*source.excluded, *flags.excluded),
        follow_symlinks=source.follow_symlinks or flags.follow_symlinks,
        raw_sqlite=source.raw_sqlite or flags.raw_sqlite,
        allow_missing=flags.allow_missing,
    )


def _level(flags: CreateFlags, profile: Profile | None) -> int | None:
    if flags.compress is not None:
        return compression_level(flags.compress)
    return profile.level if profile is not None else None


def _labels(flags: CreateFlags, profile: Profile | None, to: Console) -> Labels:
    version_text = flags.app_version
    if version_text is None and profile is not None:
        version_text = _app_version(profile, to)
    return Labels(
        manual=flags.manual,
        tag=flags.tag or "",
        note=flags.note or "",
        app_version=version_text or "",
    )


def _app_version(profile: Profile, to: Console) -> str:
    if isinstance(profile.version, str):
        return profile.version
    command = profile.version
    result = run_command(
        command.argv, seconds=command.seconds, cwd=profile.base, progress=to.progress
    )
    return result.stdout.strip().partition("\n")[0][:200]


def _hook(profile: Profile, command: Command | None) -> Hook | None:
    return Hook(command.argv, command.seconds, profile.base) if command else None


def _versions() -> Versions:
    return Versions(
        agebackup=__version__,
        python=platform.python_version(),
        sqlite=versions.SQLITE,
        pyrage=versions.pyrage(),
    )
