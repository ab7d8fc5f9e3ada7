"""stage: build, privately, what a restore will put into place, all of it verified."""

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from agebackup.errors import NotFoundError, RefusedError, UsageError, counted
from agebackup.model.layout import DATA
from agebackup.model.manifest import Manifest
from agebackup.model.names import printable
from agebackup.model.origin import Origin
from agebackup.operations.examining import Examiner, judge
from agebackup.operations.finishing import (
    leave_out,
    make_empty_directories,
    set_journal_modes,
    write_tag_files,
)
from agebackup.operations.reading import Reading, read_archive
from agebackup.operations.receivers import EVERYTHING, Selection
from agebackup.operations.staging import Staging
from agebackup.system.claims import Claims
from agebackup.system.syncing import explained
from agebackup.system.workspace import private_directory


@dataclass(frozen=True)
class Wanted:
    """Which archive is to be staged, and what of it.

    `max_user_versions` maps a database's name, or its path in the app, to the newest
    `user_version` that the app understands; `declared` gives what the configuration says of that
    for the app of the archive.
    """

    archive: Path
    selection: Selection = EVERYTHING
    keep_bag: bool = False
    config: bool = True
    tokens: bool = True
    max_user_versions: Mapping[str, int] = field(default_factory=dict)
    declared: Callable[[str], Mapping[str, int]] = lambda app: {}

    @property
    def unwanted(self) -> frozenset[str]:
        """The roles of the trees that are not to be restored."""
        wanted = {"config": self.config, "tokens": self.tokens}
        return frozenset(role for role, asked in wanted.items() if not asked)


def require_whole_bag(wanted: Wanted) -> None:
    """Raise `UsageError` where a bag is to be kept of which a part is to be left out."""
    if wanted.keep_bag and (wanted.selection != EVERYTHING or wanted.unwanted):
        raise UsageError(
            "A bag is kept whole or not at all: a part of one would not verify.",
            hint="Leave out --keep-bag, or --only, --no-config and --no-tokens.",
        )


@dataclass(frozen=True)
class Staged:
    """What was staged; `files` and `size` (bytes) without what was left out."""

    manifest: Manifest
    databases: tuple[str, ...]
    files: int
    size: int
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]
    origin: Origin


def stage(wanted: Wanted, root: Path, claims: Claims, reading: Reading) -> Staged:
    """Build in the private directory `root` what a target shall be, all of it verified.

    Raises an `AgebackupError`; `root` is then worthless. Nothing is synced.
    """
    top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    prefix = DATA if wanted.keep_bag else ""
    try:
        with (
            private_directory(root.parent, claims, prefix="databases") as private,
            Examiner(reading) as examiner,
            closing(Staging(top, private, wanted.selection, examiner.arrived, prefix)) as staging,
        ):
            contents = read_archive(wanted.archive, staging, reading)
            judge(wanted.archive, contents, examiner, wanted.selection)
            manifest, stop = contents.manifest, reading.progress.stop
            guard_versions(wanted, manifest)
            databases = _require_something(wanted, staging, manifest)
            with explained(root.parent):
                left_out = leave_out(staging, contents, wanted.unwanted, stop)
                make_empty_directories(staging, manifest, wanted.unwanted, stop)
                if wanted.keep_bag:
                    write_tag_files(staging, contents)
                else:
                    set_journal_modes(staging, manifest)
    finally:
        os.close(top)
    return Staged(
        manifest,
        databases,
        staging.files - left_out.files,
        staging.size - left_out.size,
        left_out.names,
        _time_warnings(staging),
        contents.origin,
    )


def _time_warnings(staging: Staging) -> tuple[str, ...]:
    if not staging.untimed:
        return ()
    return (f"What this system cannot set: the times of {counted(staging.untimed, 'file')}.",)


def guard_versions(wanted: Wanted, manifest: Manifest) -> None:
    """Raise `RefusedError` where a database is newer than its limit, or has none to be limited."""
    limits, declared = dict(wanted.max_user_versions), wanted.declared(manifest.app)
    for record in manifest.databases:
        path = PurePosixPath(record.path.removeprefix(DATA))
        names = (record.name, str(path), path.name, path.stem)
        asked = next((limits.pop(name) for name in names if name in limits), None)
        limit = declared.get(record.name) if asked is None else asked
        if limit is not None and record.user_version > limit:
            raise RefusedError(
                f"The database {printable(record.name)} has user_version {record.user_version}, "
                f"newer than the {limit} that the application understands.",
                hint="Upgrade the application first, or restore an older archive.",
            )
    if limits:
        raise RefusedError(
            f"The archive holds no database {printable(sorted(limits)[0])}, "
            "for which a newest user_version was given.",
            hint="agebackup inspect shows the databases' names.",
        )


def _require_something(wanted: Wanted, staging: Staging, manifest: Manifest) -> tuple[str, ...]:
    """Return the names of the databases that are restored; refuse globs that match nothing."""
    wants = wanted.selection.wants
    places = [place.removeprefix(DATA) for place in manifest.empty_directories]
    if not staging.files and manifest.payload_files and not any(map(wants, places)):
        raise NotFoundError(
            f"{printable(str(wanted.archive))} holds nothing that --only matches.",
            hint="agebackup ls lists what it holds.",
        )
    return tuple(
        record.name for record in manifest.databases if wants(record.path.removeprefix(DATA))
    )
