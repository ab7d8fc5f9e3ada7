"""A folder that copies are carried to: another drive, a share, a second client's folder."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from agebackup.destinations.folder import Folder
from agebackup.destinations.interface import Capabilities, Means, Parcel
from agebackup.errors import FailedError, NotFoundError, VerificationError, printable
from agebackup.model.inventory import FolderEntry
from agebackup.system.durable import Draft, publication
from agebackup.system.eviction import is_evicted
from agebackup.system.streams import pieces, write_all
from agebackup.system.syncing import explained

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Mirror:
    """A `Remote` that is a folder: copies appear there whole, synced and compared, or not at all.

    `means.bandwidth` does not limit it. The directory is never made: an unmounted drive looks just
    like one that is absent.
    """

    folder: Folder
    means: Means

    @property
    def key(self) -> str:
        """The folder's real path."""
        return self.folder.key

    @property
    def capabilities(self) -> Capabilities:
        """A rename is atomic, and what was written is read back."""
        return Capabilities(atomic=True, compares="hash")

    def called(self, name: str) -> str:
        """Return the path of `name` there."""
        return self.folder.called(name)

    def entries(self) -> tuple[FolderEntry, ...]:
        """Return what lies there; raises as `Folder.entries`."""
        return self.folder.entries()

    def has(self, name: str) -> bool:
        """Return whether a regular file called `name` lies there."""
        return self.folder.has(name)

    def remove(self, entry: FolderEntry) -> None:
        """Remove the file `entry`; raises as `Folder.remove`."""
        self.folder.remove(entry)

    def put(self, parcel: Parcel) -> None:
        """Copy the file of `parcel` there, durably; raises as `Remote.put`."""
        means = self.means
        means.progress.phase("copying", parcel.size)
        source = os.open(parcel.path, _READ)
        try:
            with publication(self.folder.path, parcel.name, means.claims, replace=True) as draft:
                self._copy(source, parcel, draft)
        finally:
            os.close(source)

    def _copy(self, source: int, parcel: Parcel, draft: Draft) -> None:
        for piece in pieces(source, parcel.size, self.means.progress):
            draft.write(piece)
        os.lseek(draft.descriptor, 0, os.SEEK_SET)
        written = hashlib.sha256()
        while piece := os.read(draft.descriptor, 1 << 20):
            self.means.progress.stop.check()
            written.update(piece)
        if written.hexdigest() != parcel.sha256:
            raise FailedError(
                f"The copy {printable(self.called(parcel.name))} is not what was to be copied.",
                hint="The file changed meanwhile, or memory or a disk is damaged.",
            )

    def get(self, entry: FolderEntry, output: Path) -> None:
        """Copy the file `entry` to the new file `output`; raises as `Remote.get`."""
        shown, progress = printable(self.called(entry.name)), self.means.progress
        progress.phase("fetching", entry.size)
        source = self.folder.open(entry)
        try:
            if is_evicted(source, os.fstat(source)):
                raise NotFoundError(
                    f"{shown} is not on this machine: its content is in the cloud.",
                    hint="Let the cloud client download it, then try again.",
                )
            with explained(self.folder.path):
                target = os.open(output, _NEW, 0o600)
                try:
                    count = 0
                    for piece in pieces(source, entry.size, progress):
                        write_all(target, piece)
                        count += len(piece)
                finally:
                    os.close(target)
        finally:
            os.close(source)
        if count != entry.size:
            raise VerificationError(
                f"{shown} was cut short while it was read.", hint="Look what is at work there."
            )
