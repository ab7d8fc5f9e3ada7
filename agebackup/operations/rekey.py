"""rekey: encrypt an archive to other keys, under its name, and never write its plaintext down.

The new file is proved before it takes the name: decrypted with a key that is then forgotten, it
must give the old plaintext to the byte, and that must be a whole bag. Until then the old one lies
there untouched; afterwards the new one does. There is no moment at which neither does.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agebackup.errors import (
    FailedError,
    NoIdentityError,
    RefusedError,
    VerificationError,
    printable,
)
from agebackup.ledger import Ledger, LedgerError
from agebackup.model.manifest import Manifest
from agebackup.model.records import ArchiveRecord
from agebackup.operations.reading import (
    BEFORE_REKEY,
    Reading,
    name_warnings,
    naming,
    open_archive,
)
from agebackup.operations.receivers import HashOnly
from agebackup.operations.rekeyable import RekeyOrder, require_rekeyable
from agebackup.operations.rekeyed import NewFile, announce, confirm, settle
from agebackup.snapshot.bag import read_bag
from agebackup.snapshot.encryption import Decrypted
from agebackup.snapshot.keys import Identities
from agebackup.snapshot.resealing import plaintext_of, reseal
from agebackup.snapshot.sealed import opening, quick_check
from agebackup.system.clock import Stopwatch
from agebackup.system.durable import Draft, publication
from agebackup.system.keeping import keep, unkeep
from agebackup.system.progress import Progress

_LEFT = "The archive was left as it is."


@dataclass(frozen=True)
class Rekeyed:
    """An archive that has its new keys; `former_sha256` is the old file's hash.

    `kept` is where the old file is now, None where it is gone.
    """

    path: Path
    size: int
    sha256: str
    former_sha256: str
    stanzas: tuple[str, ...]
    seconds: float
    kept: Path | None = None
    warnings: tuple[str, ...] = ()


def rekey(
    path: Path, record: ArchiveRecord | None, ledger: Ledger | None, order: RekeyOrder
) -> Rekeyed:
    """Encrypt the archive at `path` to the order's recipients; `record` is what `ledger` has of it.

    The caller holds the lock of its app and has settled what a killed run left. Raises
    `VerificationError` where the archive is damaged, breaks its promises or is not the one the
    ledger knows, `NoIdentityError`, `RefusedError`, `FailedError` and `StoppedError`: then it is as
    it was, and so is the ledger. What a kill leaves, the sweep of claims and `settle` mend.
    """
    watch = Stopwatch()
    with open_archive(path) as old, naming(path):
        require_rekeyable(path, old, record, order)
        work = _Work(path, old, record, ledger, order)
        new, manifest = work.done()
        return Rekeyed(
            path,
            new.size,
            new.sha256,
            work.former_sha256,
            new.stanzas,
            watch.seconds,
            kept=work.target,
            warnings=tuple(work.warnings) + name_warnings(path, manifest),
        )


class _Work:
    """One archive being rekeyed."""

    def __init__(
        self,
        path: Path,
        old: int,
        record: ArchiveRecord | None,
        ledger: Ledger | None,
        order: RekeyOrder,
    ) -> None:
        self.path, self.order = path, order
        self.warnings: list[str] = []
        self.former_sha256 = ""
        self.target = order.keep_old / path.name if order.keep_old else None
        self._old, self._before = old, os.fstat(old)
        self._record, self._ledger = record, ledger
        self._announced: ArchiveRecord | None = None
        self._kept = False

    def done(self) -> tuple[NewFile, Manifest]:
        """Put the new file into place and tell the ledger; return it and what it holds."""
        path, claims = self.path, self.order.claims
        try:
            with publication(path.parent, path.name, claims, replace=True) as draft:
                new, manifest = self._written(draft)
                if self.target is not None:
                    self._kept = keep(path, self._old, self.target, claims, self._progress)
                self._require_untouched()
                self._announce(new)
        except BaseException:
            self._take_back()
            raise
        self._confirm(new)
        return new, manifest

    @property
    def _progress(self) -> Progress:
        return self.order.reading.progress

    def _written(self, draft: Draft) -> tuple[NewFile, Manifest]:
        order, progress = self.order, self._progress
        recipients, throwaway = order.recipients.with_throwaway()
        progress.phase(f"rekeying {self.path.name}", self._before.st_size)
        identities = order.reading.identities
        given = reseal(self._old, draft.descriptor, identities, recipients, progress)
        self.former_sha256 = given.sha256
        self._require_known(given.sha256)
        proved, manifest = _proved(draft, throwaway, given, order.reading)
        header = quick_check(draft.descriptor)
        size = os.fstat(draft.descriptor).st_size
        stanzas = tuple(sorted(header.recipients))
        return NewFile(size, proved.sha256, stanzas, order.recipients.texts), manifest

    def _require_known(self, sha256: str) -> None:
        """Raise `VerificationError` where this is not what the ledger knows: it would become so."""
        record = self._record
        if record is None or not record.sha256 or sha256 == record.sha256:
            return
        if sha256 not in record.former:
            raise VerificationError(
                "It can be opened, but is not the archive that was written here: its hash is not "
                f"the ledger's. {_LEFT}",
                hint="Somebody who knows your public key may have made it. Find out who writes to "
                "the folder; see agebackup audit.",
            )
        self.warnings.append(BEFORE_REKEY)

    def _require_untouched(self) -> None:
        """Raise `FailedError` where the archive's name leads to other bytes than were read."""
        with suppress(OSError):
            now, before = os.lstat(self.path), self._before
            times = now.st_mtime_ns == before.st_mtime_ns and now.st_size == before.st_size
            if os.path.samestat(now, before) and times:
                return
        raise FailedError(
            f"{printable(str(self.path))} was replaced or changed while it was read.",
            hint="Look what writes to the folder, perhaps a cloud client, then run again.",
        )

    def _announce(self, new: NewFile) -> None:
        if self._ledger is not None and self._record is not None:
            self._announced = announce(self._ledger, self._record, self.former_sha256, new)

    def _confirm(self, new: NewFile) -> None:
        if self._ledger is None or self._announced is None:
            return
        try:
            confirm(self._ledger, self._announced, new, self.order.now)
        except LedgerError as error:
            self.warnings.append(
                f"{error.message} So the ledger takes the rekey for unfinished until the next run."
            )

    def _take_back(self) -> None:
        if self._kept and self.target is not None:
            unkeep(self.path, self._old, self.target)
        if self._ledger is not None and self._announced is not None:
            with suppress(LedgerError):
                settle(self._ledger, self._announced, self.order.now, Progress())


def _proved(
    draft: Draft, throwaway: Identities, given: Decrypted, reading: Reading
) -> tuple[Decrypted, Manifest]:
    """Decrypt the finished draft; return what that gave, and the manifest of the bag inside.

    Raises `FailedError` where it is not the plaintext that was `given`, and only then, where it
    is, `VerificationError` for what the old archive never kept of its promises.
    """
    limits, progress = reading.limits, reading.progress
    progress.phase("proving", os.fstat(draft.descriptor).st_size)
    try:
        with opening(
            draft.descriptor, throwaway, limits=limits, progress=progress, hashing="plaintext"
        ) as opened:
            contents = read_bag(opened.plaintext, HashOnly(), limits=limits, progress=progress)
    except (VerificationError, NoIdentityError, RefusedError) as error:
        _require_same(_again(draft, throwaway, progress), given, draft)
        error.message = f"{error.message} {_LEFT}"
        raise
    assert opened.decrypted is not None
    _require_same(opened.decrypted, given, draft)
    if contents.differences:
        raise VerificationError(
            f"Its content breaks its own promises. {_LEFT}",
            hint="agebackup verify says more. If no other copy is better, keep this one with its "
            "old key.",
            details=contents.differences,
        )
    return opened.decrypted, contents.manifest


def _again(draft: Draft, throwaway: Identities, progress: Progress) -> Decrypted | None:
    """Return what the draft holds, whatever that means; None where it cannot be decrypted."""
    try:
        return plaintext_of(draft.descriptor, throwaway, progress)
    except (VerificationError, NoIdentityError):
        return None


def _require_same(found: Decrypted | None, given: Decrypted, draft: Draft) -> None:
    whole = os.fstat(draft.descriptor).st_size
    if found is None or (found.plaintext_bytes, found.plaintext_sha256, found.sealed_bytes) != (
        given.plaintext_bytes,
        given.plaintext_sha256,
        whole,
    ):
        raise FailedError(
            f"The new file failed its proof: it does not hold what the old one does. {_LEFT}",
            hint="Memory or the destination's disk may be damaged: test both, then run again.",
        )
