"""drill: restore an archive for the sake of proof, ask the copy what it must answer, remove it.

Nothing is put into any place of the application's, and no lock is taken that a run needs.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from agebackup.errors import (
    AgebackupError,
    NotFoundError,
    RefusedError,
    StoppedError,
    UsageError,
    VerificationError,
    printable,
)
from agebackup.model.assertions import Asserted, Assertion
from agebackup.model.command import Command
from agebackup.model.drills import Receipt, encode_receipt
from agebackup.model.manifest import Manifest
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord, DrillRecord
from agebackup.model.redaction import redacted
from agebackup.model.watch import Hooks
from agebackup.operations.asserting import Copy, tried
from agebackup.operations.guards import require_space
from agebackup.operations.hooks import Patience, call_hook
from agebackup.operations.reading import Reading, incompleteness
from agebackup.operations.stage import Wanted, stage
from agebackup.system.claims import Claims
from agebackup.system.clock import Stopwatch
from agebackup.system.mounts import contains
from agebackup.system.notify import desktop_command
from agebackup.system.progress import Progress
from agebackup.system.workspace import private_directory

CHECKED = ("decrypted to the end", "bag complete", "hashes", "manifest", "databases", "references")
"""What a restore has looked at before it calls a copy good."""


@dataclass(frozen=True)
class DrillOrder:
    """Which archive to restore, where to, and what to ask of the copy.

    `workspace` is where the private copy is made, which must not be in the app's `destination`.
    `assertions` gives those of the app of the archive. `expected` is how many bytes the ledger says
    that the copy takes, 0 where it does not. `environment` is the person's.
    """

    wanted: Wanted
    workspace: Path
    assertions: Callable[[str], Sequence[Assertion]]
    environment: Mapping[str, str]
    expected: int = 0
    destination: Path | None = None


@dataclass(frozen=True)
class Drilled:
    """What came of it. `seconds` is what the restore took with all its checks, assertions aside."""

    manifest: Manifest
    seconds: float
    files: int
    bytes: int
    asserted: tuple[Asserted, ...]
    warnings: tuple[str, ...]


def drill(order: DrillOrder, claims: Claims, reading: Reading) -> Drilled:
    """Restore `order.wanted` into a private directory, try the assertions, and remove the copy.

    An assertion that does not hold is an outcome, not an error. Raises what `restore` raises.
    Whatever happens, nothing of the copy stays but, after SIGKILL, what the next run's sweep
    removes. The copy is not synced: it is not to outlast a power cut.
    """
    workspace = order.workspace
    _guard_place(order)
    _guard_space(order)
    watch = Stopwatch()
    with private_directory(workspace, claims, prefix="drill") as root:
        staged = stage(order.wanted, root, claims, reading)
        seconds = watch.seconds
        with private_directory(workspace, claims, prefix="scratch") as scratch:
            copy = Copy(root, scratch, staged.manifest, order.environment)
            asserted = tried(order.assertions(staged.manifest.app), copy, reading.progress)
    return Drilled(
        staged.manifest,
        seconds,
        staged.files,
        staged.size,
        asserted,
        incompleteness(staged.manifest) + staged.warnings + _left(root, scratch),
    )


def require_itself(archive: Path, drilled: Drilled) -> None:
    """Raise `VerificationError` where the file is called as another archive than it is."""
    name, made_as = archive.name, drilled.manifest.archive
    if ArchiveName.parse(name) and name != made_as:
        raise VerificationError(
            f"The file is called {printable(name)}, but it was made as {printable(made_as)}.",
            hint="Somebody renamed or exchanged it: see agebackup audit.",
        )


def require_held(archive: Path, drilled: Drilled) -> None:
    """Raise `VerificationError` where an assertion does not hold, with each that does not."""
    broken = [one.complaint for one in drilled.asserted if not one.ok]
    if broken:
        raise VerificationError(
            f"{printable(str(archive))} was restored, but {len(broken)} of "
            f"{len(drilled.asserted)} assertions do not hold.",
            hint="Look whether the archive lacks something, or the assertion asks too much of it: "
            "agebackup restore brings it back for a look.",
            details=broken,
        )


def filled(receipt: Receipt, drilled: Drilled) -> Receipt:
    """Return `receipt` with what a drill that came to its end found."""
    return replace(
        receipt,
        seconds=round(drilled.seconds, 3),
        files=drilled.files,
        bytes=drilled.bytes,
        checked=CHECKED,
        assertions=drilled.asserted,
        warnings=drilled.warnings,
    )


def failure(receipt: Receipt, error: AgebackupError) -> Receipt:
    """Return `receipt` of a drill that failed for `error`."""
    return replace(
        receipt,
        outcome="failed",
        exit_code=error.code,
        message=redacted(error.message),
        details=tuple(map(redacted, error.details)),
    )


def record_of(receipt: Receipt, begun: datetime) -> DrillRecord:
    """Return what the ledger is to keep."""
    return DrillRecord(
        receipt.id,
        receipt.app,
        receipt.archive,
        begun,
        receipt.seconds,
        receipt.outcome,
        receipt.message,
        encode_receipt(receipt),
    )


def tell_failure(hooks: Hooks, directory: Path, receipt: Receipt, progress: Progress) -> list[str]:
    """Tell `on_failure`, with the receipt on its stdin, and the desktop that a drill failed.

    No ping is sent: it would say of the backups what is true of a drill. Returns a sentence for
    each who could not be told.
    """
    problems = []
    if hooks.on_failure:
        said = encode_receipt(receipt).encode()
        problems.append(call_hook("on_failure", hooks.on_failure, said, progress, directory))
    if hooks.desktop:
        argv = desktop_command(f"agebackup: drill of {receipt.app} failed", receipt.message)
        shown = Command(argv, Patience().desktop)
        problems.append(call_hook("desktop", shown, b"", Progress(), None))
    return [problem for problem in problems if problem]


def expected_bytes(record: ArchiveRecord | None) -> int:
    """Return how many bytes the content of the archive of `record` takes, 0 where unknown."""
    if record is None or record.figures is None:
        return 0
    databases, trees = record.figures.databases.values(), record.figures.trees.values()
    return sum(one.bytes for one in databases) + sum(one.bytes for one in trees)


def says_nothing(error: AgebackupError, *, there: bool) -> bool:
    """Return whether a drill that ended with `error` says nothing about its archive.

    Such a one leaves no receipt: it was stopped by a signal, asked for something impossible, or the
    archive is not `there` (any more), because a prune removed it meanwhile, say.
    """
    known = isinstance(error, NotFoundError | StoppedError | UsageError)
    return known or not there


def _left(*places: Path) -> tuple[str, ...]:
    return tuple(
        f"{printable(str(place))} could not be removed wholly; the next run tries again."
        for place in places
        if os.path.lexists(place)
    )


def _guard_place(order: DrillOrder) -> None:
    if order.destination is not None and contains(order.destination, order.workspace):
        raise RefusedError(
            f"The workspace {printable(str(order.workspace))} lies inside the destination.",
            hint="The copy is not encrypted: choose a --workspace that is not synced.",
        )


def _guard_space(order: DrillOrder) -> None:
    with suppress(OSError):  # whoever opens the archive says what is wrong with it
        size = os.stat(order.wanted.archive).st_size
        require_space("the restored copy", order.workspace, max(size, order.expected))
