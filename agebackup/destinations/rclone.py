"""Whatever rclone reaches: the program is run, with the person's own configuration of it."""

import hashlib
import platform
import re
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from agebackup.destinations.attempts import persistently
from agebackup.destinations.interface import Capabilities, Means, OutOfReachError, Parcel
from agebackup.destinations.rclone_program import PATIENT, NotAllowedError, Pace, Program
from agebackup.destinations.rclone_traits import Traits, digest, hash_in, hashed, traits_of
from agebackup.errors import (
    FailedError,
    NotFoundError,
    RefusedError,
    VerificationError,
    printable,
)
from agebackup.model.inventory import FolderEntry
from agebackup.model.whereabouts import Whereabouts
from agebackup.system.durable import TEMPORARY_NAME
from agebackup.system.workspace import private_directory

_Result = TypeVar("_Result")
_ABSENT = "See that the path is written right (rclone lsf); the first push makes it."


@dataclass(frozen=True)
class Rclone:
    """A `Remote` that is a directory of one of rclone's remotes."""

    place: Whereabouts
    means: Means
    pace: Pace = PATIENT

    @property
    def key(self) -> str:
        """The place as a person writes it."""
        return self.place.text

    @property
    def capabilities(self) -> Capabilities:
        """What the remote is able to; it is asked once, and raises as `entries` does."""
        traits = self.traits
        return Capabilities(atomic=traits.moves, compares="hash" if traits.hash else "size")

    @cached_property
    def traits(self) -> Traits:
        """What rclone says that the remote can do; raises as `entries`."""
        return self._persistently(
            lambda: traits_of(self.program.ask_json("backend", "features", "--", self._at("")))
        )

    @property
    def program(self) -> Program:
        """The rclone that reaches this place."""
        return Program(self.means, printable(self.key), self.pace)

    def called(self, name: str) -> str:
        """Return the place with `name`."""
        return f"rclone:{self._at(name)}"

    def entries(self) -> tuple[FolderEntry, ...]:
        """Return what lies there; raises as `Destination.entries`.

        Of two files that have one name, as Google Drive allows, nobody knows which would be read:
        they are one entry, partial.
        """
        kind = "sha256" if self.traits.lists_sha256 else ""
        found = self._persistently(lambda: self._listed(kind))
        counts = Counter(row["Name"] for row in found)
        rows = {row["Name"]: row for row in found}
        return tuple(
            FolderEntry(
                name,
                max(0, int(row["Size"])),
                0.0,
                partial=counts[name] > 1,
                sha256=hash_in(row, "sha256"),
            )
            for name, row in sorted(rows.items())
        )

    def has(self, name: str) -> bool:
        """Return whether a file called `name` lies there."""
        try:
            return self._status(name) is not None
        except (FailedError, NotFoundError):
            return False

    def remove(self, entry: FolderEntry) -> None:
        """Remove the file `entry`; raises as `Destination.remove`."""
        try:
            self._persistently(lambda: self._delete(entry.name))
        except NotAllowedError as error:
            raise RefusedError(
                f"{printable(self.called(entry.name))} may not be removed: {error.message}",
                hint="Object lock and append-only keep it until their time; it is tried again.",
            ) from None

    def put(self, parcel: Parcel) -> None:
        """Carry the file of `parcel` there; raises as `Remote.put`.

        Under a temporary name, compared, then moved, where the remote moves files by itself;
        elsewhere directly, and compared then.
        """
        expected = digest(parcel, self.traits.hash, self.program)
        try:
            self._persistently(lambda: self._bring(parcel, expected))
        except NotFoundError as error:
            raise FailedError(error.message, hint=error.hint) from None

    def get(self, entry: FolderEntry, output: Path) -> None:
        """Copy the file `entry` to `output`; raises as `Remote.get`."""
        program, source = self.program, self._at(entry.name)
        self._persistently(lambda: program.fetch(source, output.absolute(), entry.size))
        shown = printable(self.called(entry.name))
        if not output.is_file():
            raise NotFoundError(f"{shown} is no file.", hint="Look again: agebackup list.")
        output.chmod(0o600)
        if output.stat().st_size != entry.size:
            raise VerificationError(
                f"{shown} came with {output.stat().st_size:,} bytes instead of {entry.size:,}.",
                hint="Another program replaced or cut it; look again: agebackup list.",
            )
        if entry.sha256 and hashed(output, ("sha256",), program)["sha256"] != entry.sha256:
            raise VerificationError(
                f"{shown} came with another content than the server says.", hint="Try again."
            )

    def _bring(self, parcel: Parcel, expected: str) -> None:
        try:
            there = {row["Name"]: row for row in self._listed()}
        except NotFoundError:
            there = {}
        self._sweep(there)
        before = there.get(parcel.name)
        if before and expected and before["Size"] == parcel.size:
            row = self._status(parcel.name, self.traits.hash)
            if hash_in(row, self.traits.hash) == expected:
                return
        if self.traits.moves:
            self._bring_and_move(parcel, expected)
        else:
            self._bring_as(parcel.name, parcel, expected)

    def _bring_and_move(self, parcel: Parcel, expected: str) -> None:
        """Carry it under a temporary name; a claim of the same name says that we are at it."""
        means = self.means
        with private_directory(means.workspace, means.claims, prefix=self._label) as claimed:
            temporary = claimed.name
            try:
                self._bring_as(temporary, parcel, expected)
                self.program.ask(
                    *("moveto", "--ignore-times", "--"),
                    *(self._at(temporary), self._at(parcel.name)),
                )
            except OutOfReachError:
                raise  # what is left is swept by a later put
            except (FailedError, NotFoundError):
                self._discard(temporary)
                raise
        self._compare(parcel.name, parcel, "")

    def _bring_as(self, name: str, parcel: Parcel, expected: str) -> None:
        source = str(parcel.path.absolute())
        self.program.carry(source, self._at(name), parcel.size, compare=not expected)
        try:
            self._compare(name, parcel, expected)
        except OutOfReachError:
            raise
        except FailedError:
            self._discard(name)  # it may have the right size
            raise

    def _compare(self, name: str, parcel: Parcel, expected: str) -> None:
        """Raise `FailedError` unless the file `name` has the parcel's size and hash there."""
        row = self._status(name, self.traits.hash if expected else "")
        shown = printable(self.called(parcel.name))
        if row is None or row["Size"] != parcel.size:
            size = "is not there" if row is None else f"has {row['Size']:,} bytes there"
            raise FailedError(
                f"{shown} {size} after {parcel.size:,} were carried to it.",
                hint="See that nothing else works there, then push again.",
            )
        if expected and hash_in(row, self.traits.hash) not in ("", expected):
            raise FailedError(
                f"{shown} did not arrive as it is here: its {self.traits.hash} differs.",
                hint="Push again; if that repeats, memory, a disk or the server is damaged.",
            )

    def _sweep(self, there: Iterable[str]) -> None:
        """Remove temporary files that earlier runs of this machine left; those alive are claimed.

        What another machine left is not ours to judge. What the place keeps stays.
        """
        ours = re.compile(rf"({TEMPORARY_NAME.pattern})(?:\.[0-9A-Za-z]{{1,16}}\.partial)?")
        living = {path.name for path in self.means.claims.named()}
        for name in there:
            match = ours.fullmatch(name)
            if match and f"-{self._label}-" in name and match[1] not in living:
                self._discard(name)

    @property
    def _label(self) -> str:
        """Letters that only runs of this machine with this workspace give temporary names."""
        origin = f"{platform.node()}\n{self.means.workspace}\n{self.key}"
        hexadecimal = hashlib.sha256(origin.encode(errors="surrogateescape")).hexdigest()[:16]
        return "rc" + "".join(chr(ord("a") + int(digit, 16)) for digit in hexadecimal)

    def _listed(self, kind: str = "") -> list[dict[str, Any]]:
        hashes = ("--hash", "--hash-type", kind) if kind else ()
        plain = ("--files-only", "--no-modtime", "--no-mimetype", *hashes)
        try:
            found = self.program.ask_json("lsjson", *plain, "--", self._at(""))
        except NotFoundError as error:
            said = error.message.removeprefix(f"{printable(self.key)}: ")
            raise NotFoundError(
                f"The destination {printable(self.key)} does not exist: {said}",
                hint=error.hint if "remote" in error.hint else _ABSENT,
            ) from None
        return [row for row in found if isinstance(row.get("Name"), str)]

    def _status(self, name: str, kind: str = "") -> dict[str, Any] | None:
        hashes = ("--hash", "--hash-type", kind) if kind else ()
        with suppress(NotFoundError):
            row = self.program.ask_json("lsjson", "--stat", *hashes, "--", self._at(name))
            if isinstance(row, dict) and not row.get("IsDir"):
                return row
        return None

    def _delete(self, name: str) -> None:
        try:
            self.program.ask("deletefile", "--", self._at(name))
        except (FailedError, NotFoundError):
            if self._status(name) is not None:
                raise

    def _discard(self, name: str) -> None:
        """Remove the file `name` where that can be; a place that keeps it keeps it."""
        with suppress(FailedError, NotFoundError):
            self._delete(name)

    def _persistently(self, attempt: Callable[[], _Result]) -> _Result:
        return persistently(attempt, self.means.progress, self.pace.pauses)

    def _at(self, name: str) -> str:
        place = self.place.place
        return f"{place}{name}" if place.endswith((":", "/")) or not name else f"{place}/{name}"
