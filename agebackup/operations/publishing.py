"""One attempt at an archive: written, proved, announced to the ledger, and given its name."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from agebackup.errors import AgebackupError, FailedError
from agebackup.model.figures import figures_of
from agebackup.model.layout import TAG_MANIFEST
from agebackup.model.limits import Limits
from agebackup.model.manifest import Manifest
from agebackup.model.records import ArchiveRecord, Figures
from agebackup.operations.order import Attempt
from agebackup.operations.receivers import HashOnly
from agebackup.operations.writing import write_snapshot
from agebackup.snapshot.bag import BagContents, read_bag
from agebackup.snapshot.keys import Identities
from agebackup.snapshot.sealed import Opened, Seal, opening, quick_check, sealing
from agebackup.snapshot.signatures import Bench, require_well_made
from agebackup.system.durable import Draft
from agebackup.system.progress import Progress

UNLIMITED = Limits(
    members=1 << 62,
    total_bytes=1 << 62,
    depth=1 << 30,
    tag_file_bytes=1 << 40,
    manifest_bytes=1 << 40,
    expansion=1 << 40,
)
"""For reading what this very run has written, whatever its size."""


class Finishing(Protocol):
    """What is to be ended as soon as everything was read."""

    def end(self) -> None: ...


@dataclass(frozen=True)
class Published:
    """An archive that has its name. `record` is what the ledger was told of it."""

    manifest: Manifest
    size: int
    figures: Figures
    record: ArchiveRecord


def publish(attempt: Attempt, pause: Finishing) -> Published:
    """Make one attempt; its archive has its name, and the ledger knows, when this returns.

    Raises what writing, proving and publishing raise; then nothing was published, and the ledger
    knows that too.
    """
    order, site = attempt.order, attempt.site
    announced: ArchiveRecord | None = None
    try:
        with site.destination.publication(str(order.name), site.claims) as draft:
            manifest, sha256 = _written(attempt, draft, pause)
            size, figures = os.fstat(draft.descriptor).st_size, figures_of(manifest)
            record = record_of(attempt, manifest, draft, sha256)
            announced = replace(record, size=size, figures=figures)
            site.books.announce(announced)
    except BaseException:
        if announced is not None:
            site.books.withdrawn(announced, order.name.time)
        raise
    return Published(manifest, size, figures, site.books.published(announced))


def _written(attempt: Attempt, draft: Draft, pause: Finishing) -> tuple[Manifest, str]:
    """Write the archive into `draft`, prove it if asked to, and return the hash of the file too.

    The hash is that of what the proof read back; without a proof, of what was written.
    """
    order, progress = attempt.order, attempt.progress
    recipients, throwaway = order.recipients, None
    if order.proof:
        recipients, throwaway = recipients.with_throwaway()
    with sealing(
        draft.descriptor,
        recipients,
        level=order.level,
        progress=progress,
        hashing=throwaway is None,
    ) as seal:
        manifest = write_snapshot(attempt, seal.plaintext)
    pause.end()
    if throwaway is not None:
        return manifest, prove(draft, throwaway, manifest, progress, partial(_signed, attempt))
    return manifest, _sha256(seal, draft)


def prove(
    draft: Draft,
    throwaway: Identities,
    manifest: Manifest,
    progress: Progress,
    more: Callable[[BagContents], None] = lambda contents: None,
) -> str:
    """Decrypt the finished draft and check it as `verify` would; return the file's SHA-256.

    Raises `FailedError` if it differs, and what `more`, asked last, raises. The databases' own
    checks were made on the very bytes whose hashes are compared here.
    """
    progress.phase("proving", os.fstat(draft.descriptor).st_size)
    try:
        with opening(
            draft.descriptor, throwaway, limits=UNLIMITED, progress=progress, hashing=True
        ) as opened:
            contents = read_bag(opened.plaintext, HashOnly(), limits=UNLIMITED, progress=progress)
    except FailedError:
        raise
    except AgebackupError as error:
        if error.code not in (4, 12, 13):
            raise
        raise _unproved(error.message, error.details) from error
    if contents.differences:
        raise _unproved("It does not keep its own promises.", contents.differences)
    if contents.manifest != manifest:
        raise _unproved("Its manifest is not the one that was written.", ())
    more(contents)
    return _sha256(opened, draft)


def _signed(attempt: Attempt, contents: BagContents) -> None:
    """Raise `FailedError` unless the archive is signed as it was asked to be."""
    if (contents.signature is not None) != (attempt.order.signing is not None):
        raise _unproved("It is signed, or not, against what was asked for.", ())
    if contents.signature is not None:
        bench = Bench(attempt.site.workspace, attempt.site.claims, attempt.progress)
        tags = bytes(contents.tag_files[TAG_MANIFEST])
        require_well_made(bytes(contents.signature), tags, bench)


def _sha256(passed: Seal | Opened, draft: Draft) -> str:
    """Return the hash that was taken in passing; raise `FailedError` if not of the whole file."""
    done = passed.encrypted if isinstance(passed, Seal) else passed.decrypted
    if done is None or done.sealed_bytes != os.fstat(draft.descriptor).st_size:
        raise _unproved("Its size changed.", ())
    return done.sha256


def _unproved(why: str, details: tuple[str, ...]) -> FailedError:
    return FailedError(
        f"The finished archive failed its proof and was not published: {why}",
        hint="Memory or the destination's disk may be damaged: test both, then run again.",
        details=details,
    )


def record_of(attempt: Attempt, manifest: Manifest, draft: Draft, sha256: str) -> ArchiveRecord:
    """Return what the ledger is to know of the finished `draft`, its size and figures excepted.

    `stanzas` are the types as they stand in the header, the noise left out: with a proof one of
    X25519 more than the person named.
    """
    order, folder, now = attempt.order, attempt.site.destination, attempt.order.name.time
    header = quick_check(draft.descriptor)
    proved = manifest.proof != "none"
    return replace(
        ArchiveRecord.of(order.name, folder.key, folder.published_name(str(order.name))),
        tag=manifest.tag,
        note=manifest.note,
        sha256=sha256,
        series=manifest.series or "",
        sequence=manifest.sequence,
        previous=order.sequel.previous_name if order.sequel else "",
        proved=proved,
        complete=manifest.complete,
        check="proof" if proved else "",
        checked=now if proved else None,
        hashed=now if proved else None,
        stanzas=tuple(sorted(header.recipients)),
        recipients=order.recipients.texts,
    )
