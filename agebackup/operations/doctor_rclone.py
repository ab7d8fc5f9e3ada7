"""doctor: try what a push with rclone depends on, at the place itself."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace

from agebackup.destinations.interface import Parcel
from agebackup.destinations.rclone import Rclone
from agebackup.errors import AgebackupError, NotFoundError, RefusedError, StoppedError
from agebackup.model.findings import Finding
from agebackup.model.inventory import FolderEntry
from agebackup.system.durable import temporary_name
from agebackup.system.workspace import private_directory

OLDEST = (1, 60)
"""The oldest rclone that this was tried with (Debian 12 has it)."""
_VERSION = re.compile(r"^rclone v(\d+)\.(\d+)", re.MULTILINE)
_CONTENT = b"agebackup doctor wrote this file and removes it.\n"


def of_rclone(remote: Rclone) -> Iterator[Finding]:
    """Yield what keeps the next archive from `remote`, and how copies are compared there.

    A small file is really carried there and removed, under a temporary name; nothing is tried
    twice. Raises `StoppedError`.
    """
    remote = replace(remote, pace=replace(remote.pace, pauses=()))
    try:
        yield from _of_version(remote)
        there = _is_there(remote)
        yield from _of_trial(remote)
        if not there:
            yield Finding("note", "remote-made", remote.key, "The place was absent, and was made.")
        yield _of_traits(remote)
    except StoppedError:
        raise
    except AgebackupError as error:
        yield Finding("error", "remote-refuses", remote.key, error.message, error.hint)


def _of_version(remote: Rclone) -> Iterator[Finding]:
    match = _VERSION.search(remote.program.ask("version"))
    if match and (int(match[1]), int(match[2])) < OLDEST:
        yield Finding(
            "warning",
            "rclone-too-old",
            remote.key,
            f"It is reached by rclone {match[1]}.{match[2]}, older than what was tried.",
            "Install rclone 1.60 or later.",
        )


def _is_there(remote: Rclone) -> bool:
    remote.traits  # noqa: B018  a remote that is not defined is no place that is absent
    try:
        remote.entries()
    except NotFoundError:
        return False
    return True


def _of_trial(remote: Rclone) -> Iterator[Finding]:
    means, name = remote.means, temporary_name("doctor")
    with private_directory(means.workspace, means.claims, prefix="doctor") as room:
        file = room / "trial"
        file.write_bytes(_CONTENT)
        digest = hashlib.sha256(_CONTENT).hexdigest()
        remote.put(Parcel(file, name, len(_CONTENT), digest))
    try:
        remote.remove(FolderEntry(name, len(_CONTENT), 0.0))
    except RefusedError as error:
        yield Finding("note", "remote-keeps", remote.key, error.message, error.hint)


def _of_traits(remote: Rclone) -> Finding:
    traits = remote.traits
    compared = f"its {traits.hash}" if traits.hash else "its size alone, for it tells no hash"
    placed = (
        "carried under a temporary name and renamed by the server"
        if traits.moves
        else "carried to its name directly"
    )
    return Finding(
        "note",
        "remote-traits",
        remote.key,
        f"Each archive is {placed}; what arrived is compared by {compared}.",
    )
