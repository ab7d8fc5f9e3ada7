"""Carry one tree into the bag, accounting for every file that was or was not carried."""

from dataclasses import dataclass, field
from pathlib import Path

from agebackup.model.manifest import MAX_RECORDED_SKIPS, TreeRecord
from agebackup.model.names import named_digest, printable
from agebackup.model.source import Skipped, TreeSource
from agebackup.operations.order import Attempt
from agebackup.operations.references import References, recorded_source
from agebackup.snapshot.attachments import (
    EmptyDirectory,
    FoundFile,
    ScanRules,
    scan,
    stable_copy,
    undeclared,
)
from agebackup.snapshot.bag import SMALL, BagWriter, FileChangedError, FileRecord


@dataclass
class Account:
    """What happened to the files of one tree; grows while the tree is carried."""

    files: int = 0
    bytes: int = 0
    orphans: int = 0
    referenced: int = 0
    skipped_count: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    empty_directories: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    misnamed: list[str] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)
    undeclared: list[str] = field(default_factory=list)

    def skip(self, skipped: Skipped) -> None:
        """Count a file that is left out; a lost one is also a problem."""
        self.skipped_count += 1
        if len(self.skipped) < MAX_RECORDED_SKIPS:
            self.skipped.append(skipped)
        if skipped.lost:
            self.lost.append(f"{printable(skipped.path)}: {skipped.reason}")

    def record(self, tree: TreeSource, references: References) -> TreeRecord:
        """Return the manifest's record of `tree`."""
        counted = references.active and tree.role == "attachments"
        return TreeRecord(
            name=tree.name,
            path=tree.place,
            role=tree.role,
            files=self.files,
            bytes=self.bytes,
            source=recorded_source(tree),
            named_by=tree.named_by,
            referenced=self.referenced if counted else None,
            orphans=self.orphans if counted else None,
        )


@dataclass(frozen=True)
class Carrier:
    """Carries trees into `bag`; `private` is where files that keep changing are copied to."""

    bag: BagWriter
    rules: ScanRules
    references: References
    attempt: Attempt
    private: Path

    def carry(self, tree: TreeSource) -> Account:
        """Write the files of `tree` into the bag and return the account of them.

        A file that changed while it was read is in `changed`; the attempt is then worthless.
        """
        account = Account()
        for found in scan(tree, self.rules, self.attempt.progress):
            if isinstance(found, FoundFile):
                self._carry_file(tree, found, account)
            elif isinstance(found, EmptyDirectory):
                account.empty_directories.append(found.place)
            else:
                account.skip(found)
        if account.undeclared and not self.attempt.order.source.raw_sqlite:
            raise undeclared(tree, account.undeclared)
        return account

    def _carry_file(self, tree: TreeSource, found: FoundFile, account: Account) -> None:
        try:
            if self._is_volatile(found):
                written = self._carry_copy(found, account)
            else:
                written = self.bag.add_file(found.place, found.descriptor, found.status)
        except FileChangedError:
            account.changed.add(found.place)
            return
        if written is None:
            return
        account.files += 1
        account.bytes += written.size
        if written.sqlite:
            account.undeclared.append(found.place)
        if tree.role == "attachments":
            self._compare(tree, found.place, written.digest, account)

    def _compare(self, tree: TreeSource, place: str, digest: bytes, account: Account) -> None:
        """Compare a file with what references, and its own name, say of it."""
        if self.references.active:
            if self.references.settle(place, digest):
                account.referenced += 1
            else:
                account.orphans += 1
        if tree.named_by == "sha256":
            named = named_digest(place.removeprefix(tree.place + "/"), 64)
            if named is not None and named != digest.hex():
                shown = printable(place.removeprefix("data/"))
                account.misnamed.append(f"content differs from the hash in its name: {shown}")

    def _is_volatile(self, found: FoundFile) -> bool:
        large = found.status.st_size > SMALL
        return found.place in self.attempt.volatile or (self.attempt.careful and large)

    def _carry_copy(self, found: FoundFile, account: Account) -> FileRecord | None:
        copy = stable_copy(found, self.private, self.attempt.progress)
        if isinstance(copy, Skipped):
            account.skip(copy)
            return None
        with copy as held:
            return self.bag.add_file(found.place, held.descriptor, held.status)
