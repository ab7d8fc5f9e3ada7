"""What an application points to outside its archive: recorded by `create`, checked by a restore."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agebackup.errors import FailedError, counted, printable
from agebackup.model.command import Command
from agebackup.model.manifest import Manifest, PointerRecord, PointersRecord
from agebackup.model.pointers import MAX_FILE, Room, from_json, from_rows, from_text
from agebackup.model.source import PointerSource
from agebackup.operations.references import recorded_path
from agebackup.operations.standstill import last_lines
from agebackup.snapshot.database import DatabaseCopy
from agebackup.snapshot.inspection import answer
from agebackup.system.process import CommandError, tell_command
from agebackup.system.progress import Progress
from agebackup.system.regular import content

SCHEMA = "agebackup/pointers/v1"


def recorded_pointers(
    copies: Sequence[DatabaseCopy], files: Sequence[PointerSource], progress: Progress
) -> tuple[PointersRecord, ...]:
    """Return what the queries of `copies` and the `files` point to, the first ones of them all.

    What there is no room for is counted, and told. Raises `FailedError` where a query or a file
    cannot be read or gives what is no pointer: an archive that says nothing of what it lacks would
    look whole.
    """
    room, records = Room(), []
    for copy in copies:
        name = copy.source.name
        for one in copy.source.pointers:
            found = room.fitted(_asked(copy, one, progress))
            records.append(_record(one, *found, database=name))
    for one in files:
        if one.path is not None:
            found = room.fitted(_read(one, one.path))
            records.append(_record(one, *found, file=recorded_path(one.path)))
    left = sum(one.count - len(one.entries) for one in records)
    if left:
        progress.warn(
            f"There are more pointers than an archive records: {counted(left, 'pointer')} of them "
            "are only counted."
        )
    return tuple(records)


def _record(
    source: PointerSource,
    entries: list[PointerRecord],
    count: int,
    *,
    database: str = "",
    file: str = "",
) -> PointersRecord:
    return PointersRecord(
        name=source.name,
        database=database,
        sql=source.sql,
        file=file,
        hint=source.hint,
        count=count,
        entries=entries,
    )


def _asked(
    copy: DatabaseCopy, source: PointerSource, progress: Progress
) -> Iterator[PointerRecord]:
    origin = f"the query {printable(source.name)} of {printable(copy.source.name)}"
    rows = answer(copy.connection, source.sql, stop=progress.stop)
    return from_rows(rows.names, rows, origin)


def _read(source: PointerSource, file: Path) -> Iterator[PointerRecord]:
    shown = printable(str(file))
    try:
        said = content(file, MAX_FILE + 1)
    except OSError as error:
        why = error.strerror or str(error)
        raise FailedError(
            f"The file of pointers {shown} cannot be read: {why}.",
            hint="Mend it, or take it out of `pointers` in the configuration.",
        ) from None
    if len(said) > MAX_FILE:
        raise FailedError(
            f"The file of pointers {shown} has more than {MAX_FILE:,} bytes.",
            hint="Let it say how many there are (count) instead of naming each.",
        )
    parse = from_json if file.suffix == ".json" else from_text
    return parse(said, f"the file {shown}")


@dataclass(frozen=True)
class Restored:
    """A restored archive: its manifest, and its path; `target` is None for a restore in place."""

    manifest: Manifest
    archive: str
    target: str | None = None


def pointer_problems(
    command: Command, directory: Path, restored: Restored, progress: Progress
) -> tuple[str, ...]:
    """Let the app's own `command` look at the pointers of an archive that was restored.

    It gets them as JSON on its stdin and runs in `directory`. Returns what was wrong, nothing
    where it ended with 0; raises `StoppedError` at a stop.
    """
    manifest = restored.manifest
    said = {
        "schema": SCHEMA,
        "app": manifest.app,
        "archive": restored.archive,
        "target": restored.target,
        "pointers": msgspec.to_builtins(manifest.pointers),
    }
    try:
        tell_command(
            command.argv,
            json.dumps(said).encode(),
            seconds=command.seconds,
            progress=progress,
            cwd=directory,
        )
    except CommandError as error:
        return (f"pointer_check failed: {error.message}", *last_lines(error))
    except FailedError as error:
        return (f"pointer_check failed: {error.message}",)
    return ()
