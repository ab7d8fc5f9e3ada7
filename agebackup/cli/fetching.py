"""An archive at hand: a file as it lies there, a remote's in a private copy."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agebackup.cli import directories
from agebackup.cli.choosing import Chosen, recorded
from agebackup.cli.console import Console
from agebackup.errors import AgebackupError, printable

if TYPE_CHECKING:
    from agebackup.model.records import ArchiveRecord


@contextmanager
def at_hand(
    chosen: Chosen,
    console: Console,
    *,
    record: "ArchiveRecord | None" = None,
    workspace: Path | None = None,
) -> Iterator[Path]:
    """Yield where `chosen` can be read during the body: its file, or what was fetched of it.

    `record` is what the ledger knows of it, where the caller asked already. What goes wrong in the
    body names the archive as the person knows it, never the private copy. Raises as
    `operations.fetching.fetched`.
    """
    if chosen.remote is None or chosen.entry is None:
        yield chosen.file
        return
    from agebackup.operations.fetching import Room, fetched, require_fetchable

    known = record or recorded(chosen, console)
    room = Room(directories.workspace(workspace), directories.claims(), console.progress)
    require_fetchable(chosen.entry, chosen.remote, known, room)
    console.output.say(f"Fetching {printable(chosen.called)} ({chosen.entry.size:,} bytes)")
    with (
        fetched(chosen.entry, chosen.remote, known, room) as path,
        _calling(path, chosen.called, console),
    ):
        yield path


@contextmanager
def _calling(path: Path, called: str, console: Console) -> Iterator[None]:
    """Let failures and warnings in the body call `path` what it is to the person: `called`."""
    new = printable(called)

    def reworded(text: str) -> str:
        return text.replace(printable(str(path)), new).replace(str(path), new)

    try:
        with console.output.wording(reworded):
            yield
    except AgebackupError as error:
        error.message, error.hint = reworded(error.message), reworded(error.hint)
        error.details = tuple(map(reworded, error.details))
        error.args = (error.message,)
        raise
