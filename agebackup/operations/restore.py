"""restore: bring a snapshot back, verified as a whole before any of it appears.

Everything is staged in a private directory beside the target. Only when the archive was read to
its end and every check has passed does the staging directory take the target's name.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from agebackup.errors import NotFoundError, RefusedError, UsageError, counted
from agebackup.model.layout import DATA
from agebackup.model.manifest import Manifest
from agebackup.model.names import printable
from agebackup.model.reports import RestoreReport
from agebackup.operations.examining import Examiner, judge
from agebackup.operations.finishing import (
    leave_out,
    make_empty_directories,
    set_journal_modes,
    write_tag_files,
)
from agebackup.operations.guards import require_space
from agebackup.operations.reading import (
    Reading,
    incompleteness,
    name_warnings,
    read_archive,
)
from agebackup.operations.receivers import EVERYTHING, Selection
from agebackup.operations.staging import Staging
from agebackup.system.claims import Claims
from agebackup.system.clock import Stopwatch
from agebackup.system.durable import place_directory, sync_tree
from agebackup.system.syncing import explained
from agebackup.system.workspace import claimed_directory, private_directory


@dataclass(frozen=True)
class RestoreOrder:
    """What to restore, where to, and what of it. The old state is kept as "TARGET.`kept`".

    `max_user_versions` maps a database's name, or its path in the app, to the newest
    `user_version` that the app understands; `declared` gives what the configuration says of that
    for the app of the archive.
    """

    archive: Path
    target: Path
    kept: str
    overwrite: bool = False
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


def restore(order: RestoreOrder, claims: Claims, reading: Reading) -> RestoreReport:
    """Restore `order.archive` into `order.target` and return what was put there.

    Raises an `AgebackupError`; then the target is as it was before, and nothing is left beside it
    but, after SIGKILL, what the next run's sweep removes.
    """
    watch = Stopwatch()
    if order.keep_bag and (order.selection != EVERYTHING or order.unwanted):
        raise UsageError(
            "A bag is kept whole or not at all: a part of one would not verify.",
            hint="Leave out --keep-bag, or --only, --no-config and --no-tokens.",
        )
    target = Path(os.path.realpath(order.target))
    kept = _guard_target(order, target)
    _guard_space(order.archive, target.parent)
    with claimed_directory(target.parent, claims, prefix="restore") as claim:
        staged = _stage(order, claim.path, claims, reading)
        sync_tree(claim.path)
        reading.progress.stop.check()
        place_directory(claim, target, kept)
    manifest = staged.manifest
    warnings = name_warnings(order.archive, manifest) + incompleteness(manifest)
    return RestoreReport(
        archive=str(order.archive),
        target=str(target),
        files=staged.files,
        bytes=staged.size,
        seconds=watch.seconds,
        databases=staged.databases,
        previous_state=str(kept) if kept else None,
        manifest=manifest,
        left_out=staged.left_out,
        warnings=warnings + staged.warnings,
    )


@dataclass(frozen=True)
class _Staged:
    manifest: Manifest
    databases: tuple[str, ...]
    files: int
    size: int
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]


def _stage(order: RestoreOrder, root: Path, claims: Claims, reading: Reading) -> _Staged:
    """Build in the private directory `root` what the target shall be, all of it verified."""
    top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    prefix = DATA if order.keep_bag else ""
    try:
        with (
            private_directory(root.parent, claims, prefix="databases") as private,
            Examiner(reading) as examiner,
            closing(Staging(top, private, order.selection, examiner.arrived, prefix)) as staging,
        ):
            contents = read_archive(order.archive, staging, reading)
            judge(order.archive, contents, examiner, order.selection)
            manifest, stop = contents.manifest, reading.progress.stop
            _guard_versions(order, manifest)
            databases = _require_something(order, staging, manifest)
            with explained(root.parent):
                left_out = leave_out(staging, contents, order.unwanted, stop)
                make_empty_directories(staging, manifest, order.unwanted, stop)
                if order.keep_bag:
                    write_tag_files(staging, contents)
                else:
                    set_journal_modes(staging, manifest)
    finally:
        os.close(top)
    return _Staged(
        manifest,
        databases,
        staging.files - left_out.files,
        staging.size - left_out.size,
        left_out.names,
        _time_warnings(staging),
    )


def _time_warnings(staging: Staging) -> tuple[str, ...]:
    if not staging.untimed:
        return ()
    return (f"What this system cannot set: the times of {counted(staging.untimed, 'file')}.",)


def _guard_target(order: RestoreOrder, target: Path) -> Path | None:
    """Return the name that the old state will get, None where there is none to keep."""
    shown = printable(str(target))
    if not target.parent.is_dir():
        raise NotFoundError(
            f"The directory {printable(str(target.parent))} does not exist.",
            hint="Make it first, or restore to another place.",
        )
    if not os.path.lexists(target):
        return None
    if not target.is_dir():
        raise RefusedError(
            f"The target {shown} exists and is not a directory.",
            hint="Name a directory that is absent or empty.",
        )
    if os.path.ismount(target):
        raise RefusedError(
            f"The target {shown} is a mount point and cannot be exchanged.",
            hint="Restore into a directory inside it.",
        )
    with explained(target), os.scandir(target) as entries:
        if not any(entries):
            return None
    if not order.overwrite:
        raise RefusedError(
            f"The target {shown} is not empty.",
            hint="Name another one, or --overwrite to keep this state beside the restored one.",
        )
    kept = target.with_name(f"{target.name}.{order.kept}")
    if os.path.lexists(kept):
        raise RefusedError(
            f"The name for the old state, {printable(str(kept))}, is taken.",
            hint="Move that away, or wait a second.",
        )
    return kept


def _guard_space(archive: Path, parent: Path) -> None:
    with suppress(OSError):  # whoever opens the archive says what is wrong with it
        require_space("the content", parent, os.stat(archive).st_size)


def _guard_versions(order: RestoreOrder, manifest: Manifest) -> None:
    limits, declared = dict(order.max_user_versions), order.declared(manifest.app)
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


def _require_something(
    order: RestoreOrder, staging: Staging, manifest: Manifest
) -> tuple[str, ...]:
    """Return the names of the databases that are restored; refuse globs that match nothing."""
    wants = order.selection.wants
    places = [place.removeprefix(DATA) for place in manifest.empty_directories]
    if not staging.files and manifest.payload_files and not any(map(wants, places)):
        raise NotFoundError(
            f"{printable(str(order.archive))} holds nothing that --only matches.",
            hint="agebackup ls lists what it holds.",
        )
    return tuple(
        record.name for record in manifest.databases if wants(record.path.removeprefix(DATA))
    )
