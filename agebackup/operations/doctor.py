"""doctor: try and look at what a nightly run depends on, before the night does."""

import os
from collections.abc import Container, Iterable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

from agebackup.destinations.folder import Folder
from agebackup.errors import FailedError, printable
from agebackup.ledger import Ledger, LedgerError
from agebackup.model.checkup import of_clock, of_size, of_space
from agebackup.model.findings import Finding
from agebackup.model.records import ArchiveRecord
from agebackup.model.source import Source
from agebackup.operations.reachable import asked
from agebackup.snapshot.keys import Recipients
from agebackup.snapshot.signatures import Bench, SigningKey
from agebackup.system.claims import Claims
from agebackup.system.mounts import kind_of
from agebackup.system.probing import within
from agebackup.system.progress import Progress
from agebackup.system.rehearsal import rehearse
from agebackup.system.workspace import free_bytes

PATIENCE = 10
"""Seconds that a place has for its first answer."""
NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "ceph", "glusterfs", "fuse.sshfs"}
    | {"fuse.rclone", "fuse.glusterfs", "davfs", "fuse.davfs2", "ncpfs", "vboxsf", "virtiofs"}
)
"""Types of file systems that other machines may have open too, as /proc/self/mountinfo has them."""
_JOURNAL_VERSIONS = 18
"""Offset of two header bytes, both 2 in WAL mode (sqlite.org/fileformat2.html)."""


def answering(
    paths: Iterable[Path],
    progress: Progress,
    *,
    what: str = "destination",
    seconds: float = PATIENCE,
) -> tuple[frozenset[Path], tuple[Finding, ...]]:
    """Return those of `paths` that answer at all, and a finding for each that does not.

    A dead network mount hangs whoever looks at it, so children look, for `seconds` at most. `what`
    the paths are for is the beginning of the findings' code. To be called from the main thread.
    """
    listed = tuple(dict.fromkeys(paths))
    answers = within(seconds, [partial(asked, path) for path in listed], progress)
    answered = dict(zip(listed, answers, strict=True))
    stuck = tuple(
        Finding(
            "error",
            f"{what}-stuck",
            str(path),
            f"It did not answer within {seconds:g} seconds.",
            "See to the drive or the network share; umount -l takes a dead mount away.",
        )
        for path, answer in answered.items()
        if answer is None
    )
    return frozenset(path for path, answer in answered.items() if answer is not None), stuck


def of_destination(
    folder: Folder, claims: Claims, records: Iterable[ArchiveRecord]
) -> Iterator[Finding]:
    """Yield what keeps the next archive from being written to `folder`.

    A small temporary file is really written, synced and removed there. `records` are the ledger's
    of this folder; the newest of each app says how much space is needed.
    """
    try:
        rehearse(folder.path, claims)
    except FailedError as error:
        yield Finding("error", "destination-refuses", folder.key, error.message, error.hint)
        return
    newest: dict[str, ArchiveRecord] = {}
    for record in sorted(records, key=lambda one: one.time):
        if record.size is not None:
            newest[record.app] = record
    sizes = [record.size or 0 for record in newest.values()]
    yield from of_space(folder.key, _free(folder.path), sum(sizes))
    for record in newest.values():
        yield from of_size(record.file_name, record.size or 0)


def _free(path: Path) -> int | None:
    try:
        return free_bytes(path)
    except OSError:
        return None


def of_sources(source: Source, network: Container[str] = NETWORK) -> Iterator[Finding]:
    """Yield what is odd about where the databases of `source` lie; connects to none.

    `network` are the types of file systems that are shared between machines.

    Only while no connection of this process is open: closing a file drops its locks.
    """
    for database in source.databases:
        kind = kind_of(database.path)
        if kind in network and _is_wal(database.path):
            yield Finding(
                "warning",
                "wal-on-network",
                str(database.path),
                f"It is in WAL mode on a network file system ({kind}), where SQLite cannot keep "
                "machines apart: it may be damaged, and its copy old.",
                "Move it to a local disk, or take it out of WAL mode (sqlite.org/wal.html).",
            )


def _is_wal(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, 2, _JOURNAL_VERSIONS) == b"\2\2"
        finally:
            os.close(descriptor)
    except OSError:
        return False


def of_ledger(ledger: Ledger, now: datetime) -> Iterator[Finding]:
    """Yield what is wrong with the ledger's file, and with the clock as its rows show it."""
    try:
        for text in ledger.problems():
            yield Finding(
                "error",
                "ledger-damaged",
                printable(str(ledger.file)),
                f"SQLite finds it damaged: {text}.",
                "Make it again: agebackup ledger rebuild DEST",
            )
        times = [one.time for one in ledger.archives(deleted=True) if not one.foreign]
        times += [run.begun for run in ledger.runs(limit=1)]
    except LedgerError as error:
        yield Finding("error", "ledger-unusable", "", error.message, error.hint)
        return
    yield from of_clock(now, max(times, default=None))


def of_leftovers(claims: Claims, *, fix: bool) -> Iterator[Finding]:
    """Yield what runs that died left behind; with `fix` remove it, as the next run would."""
    if fix:
        for text in claims.sweep():
            yield Finding("note", "leftovers-removed", "", text)
        return
    for path in claims.dead():
        yield Finding(
            "warning",
            "leftovers",
            str(path),
            "A run that died left it behind.",
            "The next run removes it, and so does agebackup doctor --fix",
            fixable=True,
        )


def of_signing(
    app: str, key: SigningKey, recipients: Recipients, bench: Bench
) -> Iterator[Finding]:
    """Yield what keeps `app`'s archives from being signed, or makes its signing key a secret."""
    try:
        made = key.try_out(bench)
    except FailedError as error:
        yield Finding("error", "signing-key-unusable", app, error.message, error.hint)
        return
    if any(made.public in text for text in recipients.texts):
        yield Finding(
            "warning",
            "signing-key-opens",
            app,
            f"The signing key {printable(str(key.file))} is also a recipient: it opens the "
            "archives, on the machine that makes them.",
            "Sign with a key of its own: agebackup keygen --signing -o FILE",
        )
