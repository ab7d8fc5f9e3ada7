"""Bring an archive from a remote to this machine for as long as it is looked at."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agebackup.destinations.interface import Remote
from agebackup.errors import VerificationError, printable
from agebackup.model.inventory import FolderEntry
from agebackup.model.records import ArchiveRecord
from agebackup.operations.guards import require_space
from agebackup.operations.reading import sha256_of
from agebackup.system.claims import Claims
from agebackup.system.progress import Progress
from agebackup.system.workspace import private_directory


@dataclass(frozen=True)
class Room:
    """Where fetched archives lie meanwhile: privately in `workspace`."""

    workspace: Path
    claims: Claims
    progress: Progress


def require_fetchable(
    entry: FolderEntry, remote: Remote, record: ArchiveRecord | None, room: Room
) -> None:
    """Raise `VerificationError` where size or hash, as listed, are not the ledger's, and
    `FailedError` with both figures where there is too little room for it."""
    shown = printable(remote.called(entry.name))
    accepted = _accepted(record)
    if entry.sha256 and accepted and entry.sha256 not in accepted:
        raise _other(shown, "its hash there differs")
    if record is not None and record.size not in (None, entry.size) and not record.former:
        raise _other(shown, f"it has {entry.size:,} bytes there, not {record.size:,}")
    require_space(f"the copy of {shown}", room.workspace, entry.size)


@contextmanager
def fetched(
    entry: FolderEntry, remote: Remote, record: ArchiveRecord | None, room: Room
) -> Iterator[Path]:
    """Yield a private copy of the file `entry` of `remote`, under its name; remove it at the end.

    The caller has asked `require_fetchable`. The copy goes whatever happens in the body; after
    SIGKILL the next run's sweep removes it. It has the listed size, and the hash that `record`, the
    ledger's, or else the server tells. Raises `VerificationError` where it has not, and as
    `Remote.get`, which has compared size and the server's hash already.
    """
    with private_directory(room.workspace, room.claims, prefix="fetch") as private:
        path = private / entry.name
        remote.get(entry, path)
        if (accepted := _accepted(record)) and not entry.sha256:
            room.progress.phase("hashing", entry.size)
            if sha256_of(path, room.progress) not in accepted:
                raise _other(printable(remote.called(entry.name)), "its hash differs")
        yield path


def _accepted(record: ArchiveRecord | None) -> tuple[str, ...]:
    """Return the hashes that the archive may have; () where the ledger knows none."""
    return (record.sha256, *record.former) if record is not None and record.sha256 else ()


def _other(shown: str, why: str) -> VerificationError:
    return VerificationError(
        f"{shown} is not what was published: {why}.",
        hint="It was damaged or replaced there, or comes from somebody else. See agebackup audit, "
        "and take another archive.",
    )
