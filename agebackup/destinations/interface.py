"""What a place that keeps archives can do, whatever it is made of.

`Destination` is what listing, pruning and deleting need; a folder is one. `Remote` adds what
carries archives to and fro, for the kinds that copies are pushed to. One suite of tests
(`tests/test_destinations.py`) holds every remote to what is promised here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from agebackup.errors import FailedError
from agebackup.model.inventory import FolderEntry
from agebackup.system.claims import Claims
from agebackup.system.progress import Progress


class OutOfReachError(FailedError):
    """The network, a server or a drive failed as it may not the next time."""


class StoodStillError(OutOfReachError):
    """Nothing moved for so long that another attempt right now would only wait as long again."""


@dataclass(frozen=True)
class Parcel:
    """An archive's file on its way: `size` in bytes, `sha256` of all of it in lower-case hex."""

    path: Path
    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Capabilities:
    """What a kind of remote can promise.

    `atomic`: a name never shows half a file, not even after a kill. `compares`: what of an archive
    is compared with what lies there after it was put: its hash, or only its size.
    """

    atomic: bool
    compares: Literal["hash", "size"]


@dataclass(frozen=True)
class Means:
    """What remotes work with: the environment of the programs they run, and private room.

    `bandwidth` limits transfers, as rclone's `--bwlimit` has it; "" does not.
    """

    environment: Mapping[str, str]
    workspace: Path
    claims: Claims
    progress: Progress
    bandwidth: str = ""


class Destination(Protocol):
    """A place that keeps archives under their own names."""

    @property
    def key(self) -> str:
        """What the ledger calls it: the same for every way to write it."""

    def called(self, name: str) -> str:
        """Return how a message calls the file `name` here; not yet printable."""

    def entries(self) -> tuple[FolderEntry, ...]:
        """Return what lies here, sorted by name.

        Raises `NotFoundError` where the place does not exist, `OutOfReachError` where it cannot be
        reached now, and `FailedError`.
        """

    def has(self, name: str) -> bool:
        """Return whether a whole file called `name` lies here now; false where nobody can tell."""

    def remove(self, entry: FolderEntry) -> None:
        """Remove the file `entry`, durably; one that is gone is fine.

        Raises `FailedError`, and `RefusedError` where the place keeps it (object lock, append-only,
        no permission to delete): then it is still there.
        """


class Remote(Destination, Protocol):
    """A destination that copies are carried to, and from."""

    @property
    def capabilities(self) -> Capabilities:
        """What this kind can promise."""

    def put(self, parcel: Parcel) -> None:
        """Bring the file of `parcel` here, so that its name holds it and nothing else.

        Half of one, left by a dead run, or one with another content, is replaced. What lies here
        afterwards was compared as far as `capabilities.compares` says. Raises `FailedError`
        (`OutOfReachError` where another try may do): then its name holds what it held, or what
        `entries` tells as partial or of another size, and another `put` mends that.
        """

    def get(self, entry: FolderEntry, output: Path) -> None:
        """Write the content of the file `entry` to the new file `output`, in a private directory.

        Its size is the entry's when this returns, and its hash where `entry.sha256` tells one.
        Raises `NotFoundError`, `VerificationError` where it is another, and `FailedError`.
        """
