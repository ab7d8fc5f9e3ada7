"""Turn flags and profiles into the ready values and collaborators that `create` takes."""

import platform
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from agebackup import __version__
from agebackup.cli import directories
from agebackup.cli.adhoc import adhoc_app, adhoc_source, consistency_of
from agebackup.cli.console import Console
from agebackup.cli.flags import CreateFlags
from agebackup.cli.settings import RECIPIENTS_VARIABLE
from agebackup.destinations.folder import Folder, open_folder
from agebackup.destinations.folder import listed_folder as folder_at
from agebackup.errors import UsageError, printable
from agebackup.model.manifest import Versions
from agebackup.model.names import ArchiveName
from agebackup.model.profile import Profile, compression_level
from agebackup.model.source import Labels, Source
from agebackup.operations.order import Order, Site
from agebackup.snapshot import versions
from agebackup.snapshot.keys import Recipients, read_recipients
from agebackup.snapshot.signatures import SigningKey

__all__ = ["Folder", "Job", "declared_recipients", "folder_at", "jobs", "open_folder"]

EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
"""Before this was written no clock that is right can stand."""


@dataclass(frozen=True)
class Job:
    """One app's run."""

    app: str
    flags: CreateFlags
    console: Console
    profile: Profile | None = None

    @property
    def known_app(self) -> str:
        """The app's name; raises `UsageError` where none can be made of the flags."""
        return self.profile.name if self.profile else adhoc_app(self.flags)

    def order(self) -> Order:
        """Look up what the run takes and for whom; the archive's time is that of this call."""
        flags, profile = self.flags, self.profile
        source = adhoc_source(flags) if profile is None else _resolved(profile, flags)
        now = _now(self.console)
        level = _level(flags, profile)
        name = ArchiveName(
            source.app, now, secrets.token_hex(4), flags.manual, compressed=level is not None
        )
        return Order(
            source=source,
            labels=_labels(flags),
            name=name,
            recipients=self._recipients(),
            versions=_versions(),
            host=platform.node(),
            level=level,
            proof=not flags.no_proof and (profile is None or profile.proof),
            app_version=flags.app_version or (profile.version if profile else ""),
            prepare=profile.prepare if profile else None,
            finish=profile.finish if profile else None,
            directory=profile.base if profile else None,
            signing=self.signing,
            gates=profile.restore.gates if profile else (),
            checkout=profile.provenance if profile else None,
            environment=self.console.settings.environment,
        )

    @property
    def signing(self) -> SigningKey | None:
        """The key that the archive is signed with, None for none."""
        file = self.flags.signing_key or (self.profile.signing_key if self.profile else None)
        return SigningKey(file, self.console.settings.environment) if file else None

    def _recipients(self) -> Recipients:
        flags, profile = self.flags, self.profile
        if flags.recipients or flags.recipients_files:
            return read_recipients(flags.recipients, flags.recipients_files)
        variable = self.console.settings.variable(RECIPIENTS_VARIABLE)
        if variable:
            return read_recipients((), (Path(variable),))
        if profile is not None:
            return declared_recipients(profile)
        return read_recipients((), ())

    def site(self) -> Site:
        """Look up where the run works; makes nothing in the destination or the workspace."""
        flags, profile, app = self.flags, self.profile, self.known_app
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
            workspace=directories.workspace(flags.workspace),
            lock_file=directories.lock_file(app),
            claims=directories.claims(),
            lock_seconds=30.0 if flags.lock_timeout is None else flags.lock_timeout,
            wait_seconds=flags.wait or 0.0,
            swaps=directories.swap_records(app),
        )


def jobs(flags: CreateFlags, to: Console) -> Iterator[Job]:
    """Yield a job for each app that was named, for every declared one, or for the ad hoc run."""
    if not flags.apps and not flags.every:
        _refuse_configured(flags, to)
        yield Job(flags.app or "", flags, to)
        return
    from agebackup.config import load_config

    _refuse_adhoc(flags)
    config = load_config(directories.config_path(to.settings), to.settings.variables)
    names = [profile.name for profile in config.apps] if flags.every else list(flags.apps)
    profiles = [config.app(name) for name in dict.fromkeys(names)]
    if not profiles:
        raise UsageError(
            f"{printable(str(config.file))} declares no app.", hint="Declare one: [apps.NAME]."
        )
    for profile in profiles:
        yield Job(profile.name, flags, to, profile)


def declared_recipients(profile: Profile) -> Recipients:
    """Return the recipients of `profile`: keys are keys there, whatever files lie around."""
    return read_recipients((), profile.recipients_files, literals=profile.recipients)


def _refuse_adhoc(flags: CreateFlags) -> None:
    given = {
        "--db, --attachments, --app-config and --app-tokens": flags.any_source,
        "--app": flags.app is not None,
        "--attachments-named-by": flags.named_by is not None,
        "--referenced-by": bool(flags.references),
    }
    for names, present in given.items():
        if present:
            raise UsageError(
                f"{names} cannot be given for an app of the configuration.",
                hint="Declare it there, or leave the app's name out and name everything by flags.",
            )


def _refuse_configured(flags: CreateFlags, to: Console) -> None:
    if to.settings.env_file is not None:
        raise UsageError(
            "--env-file is for paths of the configuration, and this run is all flags.",
            hint="Name an app of the configuration, or leave the flag out.",
        )
    if flags.include_config or flags.include_tokens:
        raise UsageError(
            "--include-config and --include-tokens need an app that declares such paths.",
            hint="Name the app, or the paths themselves with --app-config and --app-tokens.",
        )


def _resolved(profile: Profile, flags: CreateFlags) -> Source:
    from agebackup.config import resolve

    source = resolve(
        profile,
        include_config=flags.include_config or profile.include_config,
        include_tokens=flags.include_tokens or profile.include_tokens,
    )
    asked = flags.consistency or source.consistency
    return replace(
        source,
        consistency=consistency_of(len(source.databases), asked),
        derived=(*source.derived, *flags.excluded),
        follow_symlinks=source.follow_symlinks or flags.follow_symlinks,
        raw_sqlite=source.raw_sqlite or flags.raw_sqlite,
        allow_missing=flags.allow_missing,
    )


def _labels(flags: CreateFlags) -> Labels:
    texts = {"tag": flags.tag, "note": flags.note, "app-version": flags.app_version}
    for name, text in texts.items():
        if text is not None and not text.isprintable():
            raise UsageError(
                f"--{name} {printable(text)!r} holds what cannot be printed.",
                hint="Give it as plain text, in one line.",
            )
    if flags.tag is not None and len(flags.tag.split()) != 1:
        raise UsageError(f"--tag {flags.tag!r} is not one word.", hint="A --note may be longer.")
    return Labels(flags.manual, flags.tag or "", flags.note or "")


def _level(flags: CreateFlags, profile: Profile | None) -> int | None:
    if flags.compress is not None:
        return compression_level(flags.compress)
    return profile.level if profile is not None else None


def _now(to: Console) -> datetime:
    now = datetime.now(UTC)
    if now < EARLIEST:
        to.output.warn(
            f"The clock says {now:%Y-%m-%d}, so the archive's name will carry a wrong time."
        )
    return now


def _versions() -> Versions:
    return Versions(
        agebackup=__version__,
        python=platform.python_version(),
        sqlite=versions.SQLITE,
        pyrage=versions.pyrage(),
    )
