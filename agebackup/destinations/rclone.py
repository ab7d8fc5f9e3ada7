"""Whatever rclone reaches: the program is run, with the person's own configuration of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agebackup.destinations.interface import Capabilities, Means, OutOfReachError, Parcel
from agebackup.errors import FailedError, NotFoundError, VerificationError, printable
from agebackup.model.inventory import FolderEntry
from agebackup.model.whereabouts import Whereabouts
from agebackup.system.durable import temporary_name
from agebackup.system.process import CommandError, run_command

LISTING_SECONDS = 300.0
ABSENT = 3
"""rclone's exit code for a directory that does not exist (rclone.org/docs, "Exit code")."""


@dataclass(frozen=True)
class Rclone:
    """A `Remote` that is a directory of one of rclone's remotes."""

    place: Whereabouts
    means: Means

    @property
    def key(self) -> str:
        """The place as a person writes it."""
        return self.place.text

    @property
    def capabilities(self) -> Capabilities:
        """A file is moved to its name where the remote can do that."""
        return Capabilities(atomic=False, compares="size", limits=True)

    def called(self, name: str) -> str:
        """Return the place with `name`."""
        return f"rclone:{self._at(name)}"

    def entries(self) -> tuple[FolderEntry, ...]:
        """Return what lies there; raises as `Destination.entries`."""
        try:
            said = self._run("lsjson", "--files-only", self.place.place, seconds=LISTING_SECONDS)
        except CommandError as error:
            if error.result.code == ABSENT:
                raise NotFoundError(
                    f"The destination {printable(self.key)} does not exist.",
                    hint="The first push makes it.",
                ) from None
            raise
        rows = sorted(json.loads(said), key=lambda row: str(row["Name"]))
        return tuple(FolderEntry(row["Name"], row["Size"], 0.0) for row in rows)

    def has(self, name: str) -> bool:
        """Return whether a file called `name` lies there."""
        try:
            return any(entry.name == name for entry in self.entries())
        except FailedError:
            return False

    def remove(self, entry: FolderEntry) -> None:
        """Remove the file `entry`; raises as `Destination.remove`."""
        self._run("deletefile", self._at(entry.name), seconds=LISTING_SECONDS)

    def put(self, parcel: Parcel) -> None:
        """Copy the file of `parcel` there under a temporary name, then move it."""
        temporary = temporary_name()
        self._carry(str(parcel.path), self._at(temporary), parcel.size)
        self._run("moveto", self._at(temporary), self._at(parcel.name), seconds=LISTING_SECONDS)
        sizes = {entry.name: entry.size for entry in self.entries()}
        if sizes.get(parcel.name) != parcel.size:
            raise OutOfReachError(
                f"{printable(self.called(parcel.name))} is not as large as what was put there.",
                hint="Push again.",
            )

    def get(self, entry: FolderEntry, output: Path) -> None:
        """Copy the file `entry` to `output`; raises as `Remote.get`."""
        self._carry(self._at(entry.name), str(output), entry.size)
        if output.stat().st_size != entry.size:
            raise VerificationError(
                f"{printable(self.called(entry.name))} came with another size.", hint="Try again."
            )

    def _at(self, name: str) -> str:
        place = self.place.place
        return f"{place}{name}" if place.endswith((":", "/")) else f"{place}/{name}"

    def _carry(self, source: str, target: str, size: int) -> None:
        limit = ["--bwlimit", self.means.bandwidth] if self.means.bandwidth else []
        self.means.progress.phase("copying", size)
        self._run("copyto", *limit, source, target, seconds=600 + size / 10_000)

    def _run(self, *words: str, seconds: float) -> str:
        argv: Sequence[str] = ("rclone", *words)
        means = self.means
        return run_command(
            argv, seconds=seconds, progress=means.progress, environment=means.environment
        ).stdout
