"""get: copy an archive out of a destination, and know that the copy is right."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agebackup.errors import FailedError, RefusedError, VerificationError, printable
from agebackup.model.records import ArchiveRecord
from agebackup.operations.reading import BEFORE_REKEY, check_from_outside, open_archive
from agebackup.system.claims import Claims
from agebackup.system.durable import publication
from agebackup.system.progress import Progress
from agebackup.system.streams import pieces


@dataclass(frozen=True)
class Got:
    """A copy at `path`. `compared`: its hash is the one that the ledger has of the archive."""

    path: Path
    size: int
    sha256: str
    compared: bool


def get(
    archive: Path, record: ArchiveRecord | None, output: Path, claims: Claims, progress: Progress
) -> Got:
    """Copy the file `archive` to the new file `output`, durably and 0600.

    What the copy is compared with: the hash in `record` where there is one, else the form and exact
    size that an age file must have. Raises `VerificationError` where that differs, `NotFoundError`,
    `RefusedError` where `output` is taken, and `FailedError`; then there is no `output`.
    """
    require_free(output)
    digest, size = hashlib.sha256(), 0
    with (
        open_archive(archive) as source,
        publication(output.parent, output.name, claims, replace=False) as draft,
    ):
        whole = os.fstat(source).st_size
        if record is None or not record.sha256:
            check_from_outside(archive, source)
        elif record.size not in (None, whole) and not record.former:
            raise _other(archive, f"it has {whole:,} bytes, not {record.size:,}")
        progress.phase("copying", whole)
        for piece in _content(source, whole, archive, progress):
            digest.update(piece)
            draft.write(piece)
            size += len(piece)
        if record is None or not record.sha256:
            check_from_outside(archive, draft.descriptor)
        elif digest.hexdigest() in record.former:
            progress.warn(f"{printable(str(archive))}: {BEFORE_REKEY}")
        elif digest.hexdigest() != record.sha256:
            raise _other(archive, "its hash differs")
    return Got(output, size, digest.hexdigest(), compared=bool(record and record.sha256))


def require_free(output: Path) -> None:
    """Raise `RefusedError` where something is called `output` already."""
    if os.path.lexists(output):
        raise RefusedError(f"{printable(str(output))} exists.", hint="Choose another name.")


def _other(archive: Path, why: str) -> VerificationError:
    return VerificationError(
        f"{printable(str(archive))} is not what the ledger says: {why}.",
        hint="It was damaged or replaced. See agebackup audit, and take another archive.",
    )


def _content(source: int, size: int, archive: Path, progress: Progress) -> Iterator[bytes]:
    try:
        yield from pieces(source, size, progress)
    except OSError as error:
        raise FailedError(
            f"{printable(str(archive))} cannot be read to its end: {error.strerror}.",
            hint="Check the drive it lies on.",
        ) from None
