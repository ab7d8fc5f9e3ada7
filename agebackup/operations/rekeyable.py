"""Which archives are to get new keys: not those that have them, nor what is no file of its own."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from agebackup.errors import NoIdentityError, RefusedError, printable
from agebackup.model.records import ArchiveRecord
from agebackup.operations.reading import Reading, check_from_outside, naming, open_archive
from agebackup.snapshot.keys import Identities, Recipients
from agebackup.snapshot.resealing import is_for
from agebackup.snapshot.sealed import quick_check
from agebackup.system.claims import Claims


@dataclass(frozen=True)
class RekeyOrder:
    """How archives are rekeyed: opened as `reading` says, encrypted to `recipients`.

    The identities of `reading` may hold new keys besides the old ones. With `keep_old` the old
    files go into that directory.
    """

    reading: Reading
    recipients: Recipients
    claims: Claims
    now: datetime
    keep_old: Path | None = None

    @cached_property
    def leaving(self) -> Identities:
        """The identities that are to open nothing any more."""
        return _those(self.reading.identities, lambda key: key not in self.recipients.texts)

    @cached_property
    def staying(self) -> Identities:
        """The identities that belong to one of the recipients."""
        return _those(self.reading.identities, lambda key: key in self.recipients.texts)


def _those(given: Identities, are_wanted: Callable[[str | None], object]) -> Identities:
    """Return those of the identities `given` whose public keys are wanted."""
    pairs = [(k, p) for k, p in zip(given.keys, given.publics, strict=True) if are_wanted(p)]
    return Identities(tuple(k for k, _ in pairs), tuple(p for _, p in pairs))


def is_done(path: Path, record: ArchiveRecord | None, order: RekeyOrder) -> bool:
    """Return whether the archive has the keys it is to have; looks at its header alone.

    It has them where no key that is to leave opens it and, besides, the ledger says that it was
    encrypted to these recipients, or a key that stays opens it and it has as many recipients.
    Raises `NoIdentityError` where no key opens it and nothing says that it is done,
    `RefusedError` for what must not be rekeyed, and as `open_archive` and `quick_check`.
    """
    with open_archive(path) as descriptor, naming(path):
        require_rekeyable(path, descriptor, record, order)
        check_from_outside(path, descriptor)
        if is_for(descriptor, order.leaving):
            return False
        if _told_by_ledger(descriptor, record, order) or _told_by_keys(descriptor, order):
            return True
        if is_for(descriptor, order.staying):
            return False
        raise NoIdentityError(
            "No given identity opens the archive; a damaged header can look the same.",
            hint="Try the other keys you have. If it has its new keys already, give the new key "
            "with -i as well, so that this can be seen.",
        )


def require_rekeyable(
    path: Path, descriptor: int, record: ArchiveRecord | None, order: RekeyOrder
) -> None:
    """Raise `RefusedError` for a link, and for an archive whose deletion was decided.

    And where the old file is to be kept in the archive's own folder, whose name is taken.
    """
    with suppress(OSError):
        if order.keep_old is not None and os.path.samefile(order.keep_old, path.parent):
            raise RefusedError(
                f"{printable(str(path))} cannot be kept in its own folder.",
                hint="Name another directory with --keep-old.",
            )
    with suppress(OSError):
        if not os.path.samestat(os.lstat(path), os.fstat(descriptor)):
            raise RefusedError(
                f"{printable(str(path))} is a link: only itself would be replaced.",
                hint="Name the file that it leads to.",
            )
    if record is not None and record.pending == "delete":
        raise RefusedError(
            f"{printable(str(path))} is about to be deleted: that was decided, but cut short.",
            hint="agebackup prune ends it.",
        )


def _told_by_ledger(descriptor: int, record: ArchiveRecord | None, order: RekeyOrder) -> bool:
    return (
        record is not None
        and not record.pending
        and set(record.recipients) == set(order.recipients.texts)
        and record.size == os.fstat(descriptor).st_size
    )


def _told_by_keys(descriptor: int, order: RekeyOrder) -> bool:
    """Return whether the keys given prove it: the old ones do not open it, a new one does."""
    if not order.leaving.keys or not is_for(descriptor, order.staying):
        return False
    wanted, found = order.recipients.kinds, quick_check(descriptor).recipients
    return sorted(found) in (sorted(wanted), sorted((*wanted, "X25519")))  # the proof's
