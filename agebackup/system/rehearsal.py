"""Doing once what a run will do in a directory, so that a refusal comes now and not at night."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from agebackup.errors import FailedError, printable
from agebackup.system.durable import temporary_name
from agebackup.system.streams import write_all
from agebackup.system.syncing import explained, sync_file, sync_path

if TYPE_CHECKING:
    from agebackup.system.claims import Claims

_BYTES = 1 << 16


def rehearse(directory: Path, claims: "Claims") -> None:
    """Write, sync, read and remove a small temporary file in `directory`, and sync that too.

    Raises `FailedError` with what was refused. Nothing stays there; what cannot be removed is
    claimed, so that the next run does it.
    """
    path = directory / temporary_name("rehearsal")
    content = os.urandom(_BYTES)
    with claims.claim(path) as claim, explained(directory):
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            claim.identify(os.fstat(descriptor))
            write_all(descriptor, content)
            sync_file(descriptor)
            same = os.pread(descriptor, _BYTES + 1, 0) == content
        finally:
            os.close(descriptor)
        sync_path(directory)
    if not same:
        raise FailedError(
            f"{printable(str(directory))} does not give back what was written there.",
            hint="Check its disk or share before you trust it with archives.",
        )
