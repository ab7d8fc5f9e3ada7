"""An archive for other keys: the same plaintext, encrypted anew and never written down."""

import os
import select
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict

from agebackup.errors import FailedError
from agebackup.snapshot.encryption import Decrypted, encrypt
from agebackup.snapshot.keyfit import openers
from agebackup.snapshot.keys import Identities, Recipients
from agebackup.snapshot.sealed import (
    decrypting,
    encryption_of,
    quick_check,
    require_exact_size,
    start,
)
from agebackup.system.process import TICK, Worker
from agebackup.system.progress import Progress
from agebackup.system.streams import open_pipe


def reseal(
    old: int, draft: int, identities: Identities, recipients: Recipients, progress: Progress
) -> Decrypted:
    """Decrypt the file `old` and encrypt what comes out, byte for byte, into the empty `draft`.

    Nothing is expanded, and no plaintext is anywhere but in a pipe and two child processes. Returns
    what was read, with both hashes, once all of `old` was found authentic and `draft` has exactly
    the size it must have. Raises as `quick_check` and `decrypt` do, and `DraftWriteError`; `draft`
    is then worthless. To be called like `sealing` is entered.
    """
    quick_check(old)
    os.lseek(old, 0, os.SEEK_SET)
    reading, writing = open_pipe()

    from_old = decrypting(old, writing, identities, limits=None, hashing="plaintext")

    def to_new() -> dict[str, object]:
        return asdict(encrypt(reading, draft, recipients))

    with ExitStack() as workers:
        try:
            opener = workers.enter_context(start(from_old, writing, old))
        except BaseException:
            os.close(reading)
            raise
        sealer = workers.enter_context(start(to_new, reading, draft))
        _follow((opener, sealer), draft, progress)
        # Where the encryption failed, the decryption did for want of a reader; where only the
        # decryption failed, the encryption took its end for that of the archive.
        sealed = encryption_of(sealer, progress)
        given = Decrypted(**opener.result(progress))  # type: ignore[arg-type]
    if given.plaintext_bytes != sealed.plaintext_bytes:
        raise FailedError("What was decrypted did not all arrive.", hint="Run it again.")
    require_exact_size(draft, sealed)
    return given


def plaintext_of(descriptor: int, identities: Identities, progress: Progress) -> Decrypted:
    """Decrypt the whole file `descriptor` into nothing; return both hashes. Raises as `opening`."""
    quick_check(descriptor)
    os.lseek(descriptor, 0, os.SEEK_SET)
    nothing = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    with start(
        decrypting(descriptor, nothing, identities, limits=None, hashing="plaintext"),
        nothing,
        descriptor,
    ) as worker:
        return Decrypted(**worker.result(progress))  # type: ignore[arg-type]


def is_for(descriptor: int, identities: Identities) -> bool:
    """Return whether one of `identities` opens the file `descriptor`, by its beginning alone.

    Raises as `quick_check` and `openers`.
    """
    return bool(openers(descriptor, quick_check(descriptor).length, identities))


def _follow(workers: Sequence[Worker], draft: int, progress: Progress) -> None:
    """Wait until all `workers` have ended; tell `progress` how `draft` grows meanwhile."""
    seen = 0
    while running := [worker for worker in workers if worker.fileno() >= 0]:
        poll = select.poll()
        for worker in running:
            poll.register(worker.fileno(), select.POLLIN)
        ready = {number for number, _ in poll.poll(TICK * 1000)}
        for worker in running:
            if worker.fileno() in ready:
                worker.receive()
        size = os.fstat(draft).st_size
        progress.advance(size - seen)
        seen = size
