"""restore: bring a snapshot back, verified as a whole before any of it appears.

Everything is staged in a private directory beside the target. Only when the archive was read to
its end and every check has passed does the staging directory take the target's name.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from agebackup.errors import NotFoundError, RefusedError
from agebackup.model.layout import DATA
from agebackup.model.manifest import Manifest
from agebackup.model.names import printable
from agebackup.model.reports import RestoreReport
from agebackup.operations.examining import Examiner, judge
from agebackup.operations.guards import require_space
from agebackup.operations.reading import (
    Reading,
    incompleteness,
    name_warnings,
    read_archive,
)
from agebackup.operations.receivers import EVERYTHING, Selection, Staging, make_directories
from agebackup.snapshot.bag import BagContents
from agebackup.system.claims import Claims
from agebackup.system.clock import Stopwatch
from agebackup.system.durable import place_directory, sync_tree
from agebackup.system.workspace import claimed_directory

JOURNAL_VERSIONS = 18
"""Offset of the two header bytes that say WAL (2, 2) or rollback journal (1, 1).

Source: https://www.sqlite.org/fileformat2.html#file_format_version_numbers
"""


@dataclass(frozen=True)
class RestoreOrder:
    """What to restore, where to, and what of it. `kept` is the old state's name beside target.

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


def restore(order: RestoreOrder, claims: Claims, reading: Reading) -> RestoreReport:
    """Restore `order.archive` into `order.target` and return what was put there.

    Raises an `AgebackupError`; then the target is as it was before, and nothing is left beside it
    but, after SIGKILL, what the next run's sweep removes.
    """
    watch = Stopwatch()
    target = Path(os.path.realpath(order.target))
    kept = _guard_target(order, target)
    _guard_space(order.archive, target.parent)
    prefix = DATA if order.keep_bag else ""
    with claimed_directory(target.parent, claims, prefix="restore") as staging:
        with Examiner(reading) as examiner:
            receiver = Staging(staging.path, order.selection, examiner.arrived, prefix)
            contents = read_archive(order.archive, receiver, reading)
            judge(order.archive, contents, examiner, order.selection)
        manifest = contents.manifest
        _guard_versions(order, manifest)
        restored = _require_something(order, receiver, manifest)
        left_out = _finish_staging(order, staging.path, contents)
        sync_tree(staging.path)
        reading.progress.stop.check()
        place_directory(staging, target, kept)
    return RestoreReport(
        archive=str(order.archive),
        target=str(target),
        files=receiver.files - left_out.files,
        bytes=receiver.size - left_out.size,
        seconds=watch.seconds,
        databases=restored,
        previous_state=str(kept) if kept else None,
        manifest=manifest,
        left_out=left_out.names,
        warnings=name_warnings(order.archive, manifest) + incompleteness(manifest),
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
    if not any(os.scandir(target)):
        return None
    if not order.overwrite:
        raise RefusedError(
            f"The target {shown} is not empty.",
            hint="Name another one, or --overwrite to keep this state beside the restored one.",
        )
    if os.path.ismount(target):
        raise RefusedError(
            f"The target {shown} is a mount point and cannot be exchanged.",
            hint="Restore into a directory inside it.",
        )
    kept = target.with_name(order.kept)
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
    order: RestoreOrder, receiver: Staging, manifest: Manifest
) -> tuple[str, ...]:
    """Return the names of the databases that are restored; refuse globs that match nothing."""
    wants = order.selection.wants
    places = [place.removeprefix(DATA) for place in manifest.empty_directories]
    if not receiver.files and manifest.payload_files and not any(map(wants, places)):
        raise NotFoundError(
            f"{printable(str(order.archive))} holds nothing that --only matches.",
            hint="agebackup ls lists what it holds.",
        )
    return tuple(
        record.name for record in manifest.databases if wants(record.path.removeprefix(DATA))
    )


@dataclass(frozen=True)
class _LeftOut:
    names: tuple[str, ...] = ()
    files: int = 0
    size: int = 0


def _finish_staging(order: RestoreOrder, staging: Path, contents: BagContents) -> _LeftOut:
    """Make of the verified staging directory exactly what the target shall be."""
    manifest = contents.manifest
    data = staging / DATA if order.keep_bag else staging
    for place in manifest.empty_directories:
        if order.selection.wants(place.removeprefix(DATA)):
            make_directories(data / place.removeprefix(DATA))
    left_out = _leave_out(order, data, manifest)
    if order.keep_bag:
        for name, content in contents.tag_files.items():
            path = staging / name
            path.write_bytes(content)
            path.chmod(0o600)
    else:
        _set_journal_modes(data, manifest)
    return left_out


def _leave_out(order: RestoreOrder, data: Path, manifest: Manifest) -> _LeftOut:
    unwanted = {"config": not order.config, "tokens": not order.tokens}
    names: list[str] = []
    files = size = 0
    for tree in manifest.trees:
        path = data / tree.path.removeprefix(DATA)
        if not unwanted.get(tree.role) or not os.path.lexists(path):
            continue
        for file in _files(path):
            files += 1
            size += file.stat().st_size
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        names.append(f"{tree.role}: {printable(tree.path.removeprefix(DATA))}")
    return _LeftOut(tuple(names), files, size)


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
    for directory, _, files in os.walk(path):
        yield from (Path(directory, name) for name in files)


def _set_journal_modes(data: Path, manifest: Manifest) -> None:
    """Give databases that were in WAL mode their mode back, as the header records it."""
    for record in manifest.databases:
        path = data / record.path.removeprefix(DATA)
        if record.journal_mode == "wal" and path.is_file():
            times = path.stat()
            with path.open("r+b") as file:
                file.seek(JOURNAL_VERSIONS)
                file.write(b"\x02\x02")
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
