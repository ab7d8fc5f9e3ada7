"""Doing once what a run will do in a directory, so that a refusal comes now and not at night."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from agebackup.errors import FailedError, printable
from agebackup.system.durable import temporary_name
from agebackup.system.renaming import exchange
from agebackup.system.streams import write_all
from agebackup.system.syncing import explained, opened, sync_directory, sync_file

if TYPE_CHECKING:
    from agebackup.system.claims import Claim, Claims

_BYTES = 1 << 16


def rehearse(directory: Path, claims: "Claims") -> None:
    """Write, sync, read and remove a small temporary file in `directory`, and sync that too.

    Raises `FailedError` with what was refused. Nothing stays there; what cannot be removed is
    claimed, so that the next run does it.
    """
    with explained(directory), opened(directory) as folder:
        with claims.claim(directory / temporary_name("rehearsal")) as claim:
            same = _written(folder, claim)
        sync_directory(folder)
    if not same:
        raise FailedError(
            f"{printable(str(directory))} does not give back what was written there.",
            hint="Check its disk or share before you trust it with archives.",
        )


def can_exchange(directory: Path, claims: "Claims") -> bool:
    """Return whether two names in `directory` can change places in one step, by doing it once.

    Where they cannot, a restore into an application has a moment in which a place is empty. Raises
    `FailedError` where nothing can be written there.
    """
    first, second = (claims.claim(directory / temporary_name("rehearsal")) for _ in range(2))
    with first as one, second as other, explained(directory):
        for claim in (one, other):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(claim.path, flags, 0o600))
            claim.identify()
        return exchange(one.path, other.path)


def _written(folder: int, claim: "Claim") -> bool:
    """Write the claimed file in `folder`; return whether it holds what was written."""
    content = os.urandom(_BYTES)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(claim.path.name, flags, 0o600, dir_fd=folder)
    try:
        claim.identify(os.fstat(descriptor))
        write_all(descriptor, content)
        sync_file(descriptor)
        sync_directory(folder)
        return os.pread(descriptor, _BYTES + 1, 0) == content
    finally:
        os.close(descriptor)
