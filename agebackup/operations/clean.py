"""clean: what dead runs left, what restores put aside, what ledger and folder do not agree about.

Removed is only what this machine's own claims say is dead, private copies that nobody claims, and
states that a restore put aside, by its own record, longer ago than they are to be kept.
Everything else is listed with what can be done about it.
"""

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agebackup.destinations.folder import Folder
from agebackup.errors import FailedError, NotFoundError, RefusedError, printable
from agebackup.ledger import Ledger
from agebackup.model.findings import Finding
from agebackup.model.inventory import Inventory
from agebackup.model.records import ArchiveRecord
from agebackup.operations.astray import astray
from agebackup.operations.inventory import take_inventory
from agebackup.operations.kept import Keeping, remove_expired
from agebackup.system.claims import Claims
from agebackup.system.durable import TEMPORARY_NAME

GONE = "gone from the folder; taken note of by clean"


@dataclass(frozen=True)
class CleanOrder:
    """What to clean. `workspaces` hold private copies, `kept` says what restores put aside.

    `forget`: rows without a file are marked as deleted, so that audit no longer misses them; with
    `astray_too` even in a folder that looks like an unmounted drive's.
    """

    folders: tuple[Folder, ...]
    workspaces: tuple[Path, ...]
    now: datetime
    forget: bool = False
    astray_too: bool = False
    dry_run: bool = False
    kept: tuple[Keeping, ...] = ()


@dataclass(frozen=True)
class CleanReport:
    """What was removed or finished (with `dry_run`: would be), in sentences, and what is left."""

    done: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def clean(
    order: CleanOrder,
    ledger: Ledger | None,
    claims: Claims,
    told: Callable[[ArchiveRecord], object] = lambda record: None,
) -> CleanReport:
    """Clean up as `order` says; raises what the claims' directory and the ledger raise.

    `told` is called with the row of each archive that was just forgotten.

    A private copy is a dead run's where no claim names it, for claims are made first. Temporaries
    in a destination that no claim of this machine names may be another machine's, at work right
    now, and stay; what a living run of this machine claims is not even listed. Raises
    `RefusedError` where `forget` meets a folder that may be another one.
    """
    done = [f"{printable(str(path))} was left by a dead run." for path in claims.dead()]
    if not order.dry_run:
        done = list(claims.sweep())
    done += _orphans(order, claims)
    findings: list[Finding] = []
    for keeping in order.kept:
        expired = remove_expired(keeping, order.now, dry_run=order.dry_run)
        done += expired.done
        findings += expired.findings
    for folder in order.folders:
        try:
            inventory = take_inventory(folder, ledger, order.now)
        except (FailedError, NotFoundError) as error:
            findings.append(Finding("warning", "unread", folder.key, error.message, error.hint))
            continue
        findings += _strays(inventory, folder, claims)
        if order.forget and ledger is not None:
            _require_known(inventory, ledger, order)
            done += _forgotten(inventory, ledger, order, told)
        else:
            findings += _rows_without_file(inventory)
    return CleanReport(tuple(done), tuple(findings))


def _orphans(order: CleanOrder, claims: Claims) -> Iterator[str]:
    """Remove private copies that no claim names; yield a sentence for each.

    The claims are read after the names, for a run that begins in between has written its claim
    before its copy. A workspace may be reached by several paths, so names alone are compared: they
    are random. What is another user's may be at work, and claimed where nobody sees it.
    """
    found = [path for workspace in order.workspaces for path in _own_copies(workspace)]
    named = {path.name for path in claims.named()}
    for path in found:
        if path.name not in named:
            if not order.dry_run:
                _remove(path)
            yield f"{printable(str(path))} was a private copy that no run knows of."


def _own_copies(workspace: Path) -> Sequence[Path]:
    """Return what is called like a private copy and is this user's own, by name."""
    with suppress(OSError), os.scandir(workspace) as entries:
        return sorted(
            Path(entry.path)
            for entry in entries
            if TEMPORARY_NAME.fullmatch(entry.name)
            and entry.stat(follow_symlinks=False).st_uid == os.geteuid()
        )
    return ()


def _remove(path: Path) -> None:
    try:
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise FailedError(
            f"{printable(str(path))} cannot be removed: {error.strerror}.",
            hint="It may hold data in plaintext: check its permissions and remove it.",
        ) from None


def _strays(inventory: Inventory, folder: Folder, claims: Claims) -> Iterator[Finding]:
    """Yield what lies there besides: temporaries of other machines, archives without a row.

    The claims are read after the names, and what is gone by then was a run's that has ended.
    """
    named = {path.name for path in claims.named()}
    for other in inventory.others:
        name = other.entry.name
        if other.kind == "temporary" and name not in named and os.path.lexists(folder.path / name):
            yield Finding(
                "note",
                "temporary",
                name,
                "It is half written: by a run on another machine, or left by one that died there.",
                "If no backup of any machine is running, remove it.",
            )
    for held in inventory.archives:
        if held.record is None:
            yield Finding(
                "note",
                "without-row",
                held.entry.name,
                "The ledger does not know this archive.",
                "To make it known: agebackup ledger rebuild DEST, with --mine if it is yours.",
            )


def _rows_without_file(inventory: Inventory) -> Iterator[Finding]:
    for record in inventory.missing:
        yield Finding(
            "warning",
            "without-file",
            record.file_name,
            "The ledger knows this archive, and the folder has it not.",
            "See agebackup audit. If that is as it should be: agebackup clean --forget.",
        )


def _require_known(inventory: Inventory, ledger: Ledger, order: CleanOrder) -> None:
    """Raise `RefusedError` where what is missing may only be out of sight."""
    why = astray(inventory, ledger) if inventory.missing else ""
    if why and not order.astray_too:
        raise RefusedError(
            f"{printable(inventory.destination)} may not be the folder that the ledger knows, so "
            f"nothing in it is taken for gone. {why}",
            hint="Mount the right drive. If the archives are gone for good, say --yes.",
        )


def _forgotten(
    inventory: Inventory,
    ledger: Ledger,
    order: CleanOrder,
    told: Callable[[ArchiveRecord], object],
) -> Iterator[str]:
    for record in inventory.missing:
        if not order.dry_run:
            told(ledger.amend(record, deleted=order.now, deleted_why=GONE))
        yield f"{printable(record.file_name)} is gone from its folder, and the ledger knows it now."
