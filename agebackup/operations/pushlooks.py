"""What a push looks at before anything is carried: the folder here, the place there, the rows."""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from agebackup.destinations.folder import Folder
from agebackup.destinations.interface import Remote
from agebackup.errors import (
    FailedError,
    NotFoundError,
    RefusedError,
    VerificationError,
    printable,
)
from agebackup.ledger import Ledger
from agebackup.model.inventory import Held, Inventory
from agebackup.model.pushing import Left, PushPlan, Stock, push_plan
from agebackup.model.records import ArchiveRecord
from agebackup.model.retention import Policy
from agebackup.model.whereabouts import is_folder_key
from agebackup.operations.astray import astray
from agebackup.operations.inventory import take_inventory
from agebackup.operations.reading import sha256_of
from agebackup.system.progress import Progress


@dataclass(frozen=True)
class PushOrder:
    """Whose archives are carried, and by which policy they are pruned there, None: never.

    `shrink`: nothing is pruned while the newest archive holds much less than there was. `sure`:
    the person said yes to a place that looks like another one, and to pruning many at once.
    """

    app: str
    policy: Policy | None
    clock: Callable[[], datetime]
    shrink: bool = False
    sure: bool = False


def planned(
    order: PushOrder, local: Folder, remote: Remote, ledger: Ledger | None
) -> tuple[PushPlan, set[str]]:
    """Return what is to be done in `remote`, and the names of all archives of the app here.

    Raises what looking there and the ledger raise, and `RefusedError` for a folder that looks like
    another one.
    """
    now = order.clock()
    here = take_inventory(local, ledger, now)
    rows = _rows(order.app, remote.key, ledger)
    there = _listed(order, remote, rows, ledger)
    plan = push_plan(Stock(here.of(order.app), rows, there), remote.key, order.policy, now)
    aside = tuple(
        Left(str(held.name), "its content is not on this machine, or its time has not come yet")
        for held in here.nameable
        if held.name.app == order.app and held not in here.archives
    )
    names = {str(held.name) for held in here.nameable if held.name.app == order.app}
    return replace(plan, left=(*plan.left, *aside)), names


def names_here(order: PushOrder, local: Folder, ledger: Ledger) -> set[str]:
    """Return the names of the app's archives here that are published and known."""
    here = take_inventory(local, ledger, order.clock())
    return {str(held.name) for held in here.of(order.app) if _is_ours(held)}


def _is_ours(held: Held) -> bool:
    return held.record is not None and not held.record.pending


def _rows(app: str, key: str, ledger: Ledger | None) -> tuple[ArchiveRecord, ...]:
    if ledger is None:
        return ()
    return ledger.archives(app, destination=key, deleted=True, pending=True)


def _listed(
    order: PushOrder, remote: Remote, rows: Iterable[ArchiveRecord], ledger: Ledger | None
) -> Inventory:
    """Return what lies there. A place that never held anything may be absent, or one that a person
    knows to be gone: the first put makes it, or says why it cannot."""
    known = [row for row in rows if row.deleted is None and not row.pending]
    try:
        there = take_inventory(remote, ledger, order.clock())
    except NotFoundError as error:
        if is_folder_key(remote.key):
            raise
        if known and not order.sure:
            raise NotFoundError(
                error.message,
                hint=f"If it was moved, name it anew in the configuration. If the {len(known):,} "
                f"copies that were there are gone: agebackup push {order.app} --yes carries them "
                "again.",
            ) from None
        return Inventory(remote.key, order.clock())
    doubtful = is_folder_key(remote.key) and ledger is not None and not order.sure
    why = astray(there, ledger) if doubtful and ledger is not None else ""
    if why:
        raise RefusedError(
            f"Nothing is carried to {printable(remote.key)}: {why}",
            hint="If a drive should be mounted there, mount it. If this is the place all the "
            f"same: agebackup push {order.app} --yes",
        )
    return there


def require_own_place(local: Folder, remote: Remote) -> None:
    """Raise `FailedError` where copies would be carried to where they come from."""
    same = local.key == remote.key
    if is_folder_key(remote.key) and not same:
        with suppress(OSError):
            same = os.path.samefile(local.key, remote.key)  # mounted a second time
    if same:
        raise FailedError(
            f"{printable(remote.key)} is the folder that the copies are made of.",
            hint="Name another place in the configuration.",
        )


def require_intact(record: ArchiveRecord, local: Folder, progress: Progress) -> None:
    """Raise `VerificationError` unless the file is what the ledger says: no copy is worth more."""
    path = local.path / record.name
    shown = printable(str(path))
    try:
        found = sha256_of(path, progress)
    except OSError as error:
        raise VerificationError(
            f"{shown} cannot be read: {error.strerror}.", hint="See agebackup audit."
        ) from None
    if found != record.sha256:
        raise VerificationError(
            f"{shown} is not what was written: its hash is not the ledger's. It is not carried "
            "anywhere.",
            hint="A copy elsewhere may be whole: agebackup list shows them. See agebackup audit.",
        )


def still_wanted(record: ArchiveRecord, ledger: Ledger) -> bool:
    """Return whether the ledger still says of the archive what it said."""
    rows = ledger.archives(record.app, destination=record.destination)
    now = next((row for row in rows if row.name == record.name), None)
    return now is not None and not now.pending and now.sha256 == record.sha256
