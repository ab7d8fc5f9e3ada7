"""Archives as streams: what is written goes encrypted into a file, what is read comes out of one.

The encryption runs in a child process, so that it works beside the hashing and the disk. Whatever
happens to either side, the other ends, and the error that came first is the one that is raised.
"""

import os
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial

from agebackup.errors import FailedError, VerificationError
from agebackup.model.ageheader import (
    HEADER_LIMIT,
    Header,
    parse,
    possible_plaintext,
    sealed_size,
)
from agebackup.model.limits import MIB, Limits
from agebackup.snapshot.encryption import Decrypted, Encrypted, Hashing, decrypt, encrypt
from agebackup.snapshot.keys import Identities, Recipients
from agebackup.system.confinement import confined
from agebackup.system.process import TICK, Worker
from agebackup.system.progress import Progress
from agebackup.system.streams import open_pipe
from agebackup.system.syncing import DraftWriteError

DECRYPTION_MEMORY = 256 * MIB
"""Address space, in bytes, that decryption may take beyond what its process was forked with.

Measured for files of any size: 7 MiB, with Zstandard's level 19 and a header of the largest size
16 MiB; the C library may reserve 64 MiB more for the thread that reads ahead.
"""


class Seal:
    """An archive in the making. `plaintext` is the descriptor to write its content to.

    `encrypted` says what became of it, once the `with` block of `sealing` was left cleanly.
    """

    def __init__(self, plaintext: int) -> None:
        self.plaintext = plaintext
        self.encrypted: Encrypted | None = None


class Opened:
    """An archive that is being read. `plaintext` is the descriptor to read its content from.

    `decrypted` says what was read, once the `with` block of `opening` was left cleanly.
    """

    def __init__(self, plaintext: int) -> None:
        self.plaintext = plaintext
        self.decrypted: Decrypted | None = None


@contextmanager
def sealing(
    descriptor: int,
    recipients: Recipients,
    *,
    level: int | None,
    progress: Progress,
    hashing: bool = False,
) -> Iterator[Seal]:
    """Encrypt what the body writes to `Seal.plaintext` into the empty file `descriptor`.

    The file's hash is taken in passing if `hashing`. On a clean exit the file holds all of it and
    has exactly the size it must have. On an exception of the body the encryption is ended and the
    file is worthless; where the body failed because the encryption had (BrokenPipeError), the
    reason is raised instead. Raises `DraftWriteError` where the file cannot be written. Must be
    entered in the main thread, before SQLite is opened (the ledger excepted, which no child uses).
    """
    reading, writing = open_pipe()
    with open(writing, "wb", buffering=0) as pipe:
        worker = start(
            lambda: asdict(encrypt(reading, descriptor, recipients, level=level, hashing=hashing)),
            reading,
            descriptor,
        )
        with worker:
            seal = Seal(pipe.fileno())
            try:
                yield seal
            except BrokenPipeError:
                pipe.close()
                encryption_of(worker, progress)
                raise
            pipe.close()
            seal.encrypted = encryption_of(worker, progress)
    require_exact_size(descriptor, seal.encrypted)


@contextmanager
def opening(
    descriptor: int,
    identities: Identities,
    *,
    limits: Limits,
    progress: Progress,
    hashing: Hashing = False,
) -> Iterator[Opened]:
    """Yield where the decrypted content of the file `descriptor` is read from.

    `hashing` says what is hashed in passing: all of the file's bytes as the disk gave them, and
    with "plaintext" what age made of them as well.
    Nothing read may be acted on before this has ended without an exception: then the whole file
    was decrypted, every byte of it authentic, and the body had read all of it. Raises as
    `quick_check` and `decrypt` do; damage outranks the body's complaint that the stream ended
    early. The body's own exception ends the decryption. To be entered like `sealing`.
    """
    quick_check(descriptor)
    os.lseek(descriptor, 0, os.SEEK_SET)
    reading, writing = open_pipe()
    with open(reading, "rb", buffering=0) as pipe:
        worker = start(
            decrypting(descriptor, writing, identities, limits=limits, hashing=hashing),
            writing,
            descriptor,
        )
        with worker:
            opened = Opened(pipe.fileno())
            try:
                yield opened
            except VerificationError:
                if _at_end(pipe.fileno()):
                    worker.result(progress)
                raise
            _require_end(pipe.fileno(), progress)
            opened.decrypted = Decrypted(**worker.result(progress))  # type: ignore[arg-type]


def quick_check(descriptor: int, *, size_matters: bool = True) -> Header:
    """Return the header of the age file `descriptor`; look, without a key, whether it is whole.

    Raises `VerificationError` where the header is not well formed or, if `size_matters`, where no
    age file with it has that size; `FailedError` where it cannot be read. The descriptor's
    position stays.
    """
    try:
        header = _header(descriptor)
        size = os.fstat(descriptor).st_size
    except OSError as error:
        raise FailedError(
            f"The archive cannot be read: {error.strerror}.",
            hint="Check the drive or share that it lies on.",
        ) from None
    if size_matters and possible_plaintext(header.length, size) is None:
        raise VerificationError(
            f"The archive has {size} bytes, which no whole age file with its header has: it was "
            "cut short, or something was appended.",
            hint="Take another copy of the file, or an older archive.",
        )
    return header


def _header(descriptor: int) -> Header:
    prefix = b""
    while len(prefix) < HEADER_LIMIT:
        piece = os.pread(descriptor, HEADER_LIMIT - len(prefix), len(prefix))
        if not piece:
            break
        prefix += piece
    return parse(prefix)


def start(function: Callable[[], dict[str, object]], far_end: int, file: int) -> Worker:
    """Start the worker with its end of the pipe, which from then on is its alone."""
    try:
        return Worker.start(function, keep=(far_end, file))
    finally:
        os.close(far_end)


def decrypting(
    descriptor: int,
    sink: int,
    identities: Identities,
    *,
    limits: Limits | None,
    hashing: Hashing = False,
) -> Callable[[], dict[str, object]]:
    """Return what a worker does to decrypt the file `descriptor` into `sink`, confined."""
    work = partial(decrypt, descriptor, sink, identities, limits=limits, hashing=hashing)
    return lambda: confined(lambda: asdict(work()), memory=DECRYPTION_MEMORY, readable=descriptor)


def encryption_of(worker: Worker, progress: Progress) -> Encrypted:
    """Return what the encrypting `worker` did, at its end; a full disk is a `DraftWriteError`."""
    try:
        result = worker.result(progress)
    except OSError as error:
        raise DraftWriteError(error.errno, error.strerror or str(error)) from error
    return Encrypted(**result)  # type: ignore[arg-type]  # as asdict made it


def require_exact_size(descriptor: int, encrypted: Encrypted) -> None:
    """Raise `FailedError` unless the file has the size that its header and content make."""
    try:
        size = os.fstat(descriptor).st_size
        expected = sealed_size(_header(descriptor).length, encrypted.plaintext_bytes)
    except VerificationError:
        expected = -1
    except OSError as error:
        raise DraftWriteError(error.errno, error.strerror) from error
    if not size == expected == encrypted.sealed_bytes:
        raise FailedError(
            f"The destination does not hold what was written: {size} bytes came back, where "
            f"{encrypted.sealed_bytes} were written.",
            hint="Nothing was published. Check the destination's disk or share.",
        )


def _at_end(pipe: int) -> bool:
    os.set_blocking(pipe, False)
    try:
        return not os.read(pipe, 1)
    except BlockingIOError:
        return False


def _require_end(pipe: int, progress: Progress) -> None:
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    progress.stop.check()
    while not poll.poll(TICK * 1000):
        progress.stop.check()
    if not _at_end(pipe):
        raise VerificationError(
            "Something follows the end of the archive's content.",
            hint="Take another copy of the file, or an older archive.",
        )
