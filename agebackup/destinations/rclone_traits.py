"""What one of rclone's remotes can do, and how a local file is hashed the way it hashes."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agebackup.destinations.interface import Parcel
from agebackup.destinations.rclone_program import Program
from agebackup.errors import FailedError, printable
from agebackup.system.progress import Progress

_OWN = ("sha256", "sha1", "md5")
"""Hashes computed here, strongest first; Python and rclone call them alike."""
_THEIRS = ("dropbox", "quickxor", "hidrive", "mailru", "whirlpool")
"""Hashes that only rclone knows; crc32 is left out, for it finds damage but no exchange."""


@dataclass(frozen=True)
class Traits:
    """What a remote can do.

    `moves`: it renames a file by itself. `hash`: the strongest hash it keeps, as rclone calls it,
    "" for none. `lists_sha256`: its listing tells SHA-256 without reading the files.
    """

    moves: bool = False
    hash: str = ""
    lists_sha256: bool = False


def traits_of(said: Any) -> Traits:
    """Return what `rclone backend features`, parsed, says; raises `FailedError` for another form.

    A remote that only copies and removes (S3 and other object stores) does not count as moving:
    there a file appears when it is whole, and a removal might be refused.
    """
    try:
        features, hashes = said["Features"], [str(one).lower() for one in said["Hashes"] or ()]
        moves, slow = features.get("Move") is True, features.get("SlowHash") is True
    except (KeyError, TypeError, AttributeError):
        raise FailedError(
            "rclone does not say what the remote can do.", hint="rclone 1.60 or later is needed."
        ) from None
    return Traits(moves, _strongest(hashes), "sha256" in hashes and not slow)


def _strongest(hashes: Iterable[str]) -> str:
    offered = set(hashes)
    return next((one for one in (*_OWN, *_THEIRS) if one in offered), "")


def digest(parcel: Parcel, kind: str, program: Program) -> str:
    """Return the hash `kind` of the parcel's file, in lower-case hex; "" for no hash.

    Where the file is read for it, it must also have the SHA-256 that the parcel says: raises
    `FailedError`, as where it cannot be read.
    """
    if kind in ("", "sha256"):
        return parcel.sha256 if kind else ""
    own = hashed(parcel.path, ("sha256", *(one for one in _OWN[1:] if one == kind)), program)
    if own["sha256"] != parcel.sha256:
        raise FailedError(
            f"{printable(str(parcel.path))} is not what was to be carried.",
            hint="The file changed meanwhile, or memory or a disk is damaged: agebackup verify.",
        )
    if kind in own:
        return own[kind]
    asked = ("lsjson", "--stat", "--hash", "--hash-type", kind, "--", os.path.abspath(parcel.path))
    return hash_in(program.ask_json(*asked), kind)


def hash_in(row: Any, kind: str) -> str:
    """Return the hash `kind` in a row of `rclone lsjson`, in lower-case hex; "" where none is."""
    found = (row.get("Hashes") or {}).get(kind, "") if isinstance(row, dict) else ""
    return str(found).lower()


def hashed(path: Path, kinds: Iterable[str], program: Program) -> dict[str, str]:
    """Return each of the hashes `kinds` of a file here, read once, in lower-case hex.

    Raises `FailedError` where it cannot be read, and `StoppedError`.
    """
    digests = {kind: hashlib.new(kind, usedforsecurity=False) for kind in kinds}
    progress: Progress = program.means.progress
    try:
        with path.open("rb", buffering=0) as file:
            while piece := file.read(1 << 20):
                progress.stop.check()
                for one in digests.values():
                    one.update(piece)
    except OSError as error:
        raise FailedError(
            f"{printable(str(path))} cannot be read: {error.strerror}.",
            hint="Check its permissions and its drive.",
        ) from None
    return {kind: one.hexdigest() for kind, one in digests.items()}
