"""restore: bring a snapshot back, verified as a whole before any of it appears.

Everything is staged in a private directory beside the target. Only when the archive was read to
its end and every check has passed does the staging directory take the target's name.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agebackup.errors import NotFoundError, RefusedError
from agebackup.model.names import printable
from agebackup.model.reports import RestoreReport
from agebackup.operations.guards import require_space
from agebackup.operations.reading import Reading, incompleteness, name_warnings
from agebackup.operations.stage import Wanted, require_whole_bag, stage
from agebackup.system.claims import Claims
from agebackup.system.clock import Stopwatch
from agebackup.system.durable import place_directory, sync_tree
from agebackup.system.syncing import explained
from agebackup.system.workspace import claimed_directory


@dataclass(frozen=True)
class RestoreOrder:
    """What to restore, and where to. The old state is kept as "TARGET.`kept`"."""

    wanted: Wanted
    target: Path
    kept: str
    overwrite: bool = False


def restore(order: RestoreOrder, claims: Claims, reading: Reading) -> RestoreReport:
    """Restore `order.wanted` into `order.target` and return what was put there.

    Raises an `AgebackupError`; then the target is as it was before, and nothing is left beside it
    but, after SIGKILL, what the next run's sweep removes.
    """
    watch = Stopwatch()
    archive = order.wanted.archive
    require_whole_bag(order.wanted)
    target = Path(os.path.realpath(order.target))
    kept = _guard_target(order, target)
    _guard_space(archive, target.parent)
    with claimed_directory(target.parent, claims, prefix="restore") as claim:
        staged = stage(order.wanted, claim.path, claims, reading)
        sync_tree(claim.path)
        reading.progress.stop.check()
        place_directory(claim, target, kept)
    manifest = staged.manifest
    warnings = name_warnings(archive, manifest) + incompleteness(manifest)
    return RestoreReport(
        archive=str(archive),
        target=str(target),
        files=staged.files,
        bytes=staged.size,
        seconds=watch.seconds,
        databases=staged.databases,
        previous_state=str(kept) if kept else None,
        manifest=manifest,
        left_out=staged.left_out,
        warnings=warnings + staged.warnings,
        origin=staged.origin,
    )


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
