"""age through pyrage, guarded: no error of either end is lost, whatever pyrage makes of it.

pyrage drops an error of its last write, rewords all the others, and takes a source that fails for
one that ends (tests/test_facts_pyrage.py). Hence both ends keep their first error and fail for
ever after; it is raised once pyrage has returned, however it returned.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

import pyrage  # type: ignore[import-untyped]

from agebackup.errors import AgebackupError, FailedError, NoIdentityError, VerificationError
from agebackup.model.limits import Limits
from agebackup.snapshot.compression import MAGIC, Expander, compressed
from agebackup.snapshot.keys import Identities, Recipients
from agebackup.system.background import sink_for, source_for
from agebackup.system.streams import DescriptorSink, DescriptorSource, Digest

_ANOTHER = "Take another copy of the file, or an older archive."

Hashing = bool | Literal["plaintext"]
"""Whether the age file's hash is taken in passing; "plaintext": that of what age gives as well."""


@dataclass(frozen=True)
class Encrypted:
    """What was encrypted: bytes of the stream, bytes that age was given, bytes of the age file.

    The first two differ only where the stream was compressed. `sha256` is the age file's.
    """

    stream_bytes: int
    plaintext_bytes: int
    sealed_bytes: int
    sha256: str = ""


@dataclass(frozen=True)
class Decrypted:
    """What was decrypted: bytes of the age file, bytes that age gave, bytes of the stream.

    `sha256` is the age file's, `plaintext_sha256` that of what age gave, compressed or not.
    """

    sealed_bytes: int
    plaintext_bytes: int
    stream_bytes: int
    sha256: str = ""
    plaintext_sha256: str = ""


def encrypt(
    source: int,
    sink: int,
    recipients: Recipients,
    *,
    level: int | None = None,
    hashing: bool = False,
) -> Encrypted:
    """Encrypt what comes from the descriptor `source`, to its end, into the descriptor `sink`.

    With a `level` it is compressed first; if `hashing` the file's hash is taken. Raises the OSError
    of `sink` as it is, `FailedError` where `source` fails; the file is then worthless. The end of
    `source` looks the same whether its producer was done or died: who started the producer must
    know.
    """
    digest = hashlib.sha256() if hashing else None
    given, taken = source_for(source), sink_for(sink, digest)
    reader = given if level is None else _Compressing(given, level)
    failure: BaseException | None = None
    try:
        pyrage.encrypt_io(reader, taken, list(recipients.keys))
    except BaseException as error:  # a panic of pyrage derives from BaseException
        failure = error
    if taken.error is not None:
        raise taken.error
    if reader.error is not None:
        raise _unread(reader.error, "What was to be encrypted")
    if isinstance(failure, pyrage.EncryptError):
        raise FailedError(f"Encrypting failed: {failure}.", hint="Check the recipients.")
    if failure is not None:
        raise failure
    taken.finish()
    sha256 = digest.hexdigest() if digest else ""
    return Encrypted(given.count, reader.count, taken.count, sha256)


def decrypt(
    source: int,
    sink: int,
    identities: Identities,
    *,
    limits: Limits | None,
    hashing: Hashing = False,
) -> Decrypted:
    """Decrypt the age file at the descriptor `source` into the descriptor `sink`.

    A compressed stream is recognised and expanded within `limits`, and left as it is where these
    are None; `hashing` says which hashes are taken of all that was read. What comes out may be
    acted on only once this has returned: age finds damage further on after it gave what lies
    before. Raises `NoIdentityError` where no identity opens the header, `VerificationError` for
    damage, `FailedError` where `source` cannot be read, the OSError of `sink` as it is. The
    header's length must have been bounded before (model/ageheader.py).
    """
    digest = hashlib.sha256() if hashing else None
    inner = hashlib.sha256() if hashing == "plaintext" else None
    given, taken = source_for(source, digest=digest), sink_for(sink)
    writer = _Expanding(taken, limits, inner)
    failure: BaseException | None = None
    try:
        pyrage.decrypt_io(given, writer, list(identities.keys))
    except BaseException as error:  # a panic of pyrage derives from BaseException
        failure = error
    if writer.error is not None:
        raise writer.error
    if given.error is not None:
        raise _unread(given.error, "The archive")
    if failure is not None:
        raise undecrypted(failure)
    writer.finish()
    if digest is None:
        return Decrypted(given.count, writer.count, taken.count)
    _read_to_end(given)
    plaintext_sha256 = inner.hexdigest() if inner else ""
    counts = given.count, writer.count, taken.count
    return Decrypted(*counts, digest.hexdigest(), plaintext_sha256)


class _Compressing:
    """Gives pyrage the compressed form of what `given` gives."""

    def __init__(self, given: DescriptorSource, level: int) -> None:
        self._pieces = compressed(iter(lambda: given.read(), b""), level)
        self._rest = memoryview(b"")
        self.count = 0
        self.error: BaseException | None = None

    def read(self, size: int) -> bytes:
        if self.error is not None:
            raise self.error
        if not self._rest:
            try:
                self._rest = memoryview(next(self._pieces, b""))
            except BaseException as error:
                self.error = error
                raise
        data = bytes(self._rest[:size])
        self._rest = self._rest[size:]
        self.count += len(data)
        return data


class _Expanding:
    """Takes what pyrage decrypted and gives it to `taken`, expanded where it is compressed.

    Without `limits` nothing is expanded. `digest` sees what pyrage gave.
    """

    def __init__(
        self, taken: DescriptorSink, limits: Limits | None, digest: Digest | None = None
    ) -> None:
        self._taken = taken
        self._limits = limits
        self._digest = digest
        self._head: bytearray | None = None if limits is None else bytearray()
        self._expander: Expander | None = None
        self.count = 0
        self.error: BaseException | None = None

    def write(self, data: bytes) -> int:
        if self.error is not None:
            raise self.error
        try:
            self._put(data)
        except BaseException as error:
            self.error = error
            raise
        if self._digest is not None:
            self._digest.update(memoryview(data))
        self.count += len(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: pyrage never calls it."""

    def finish(self) -> None:
        if self._head:
            self._taken.write(bytes(self._head))
        if self._expander is not None:
            self._expander.finish()
        self._taken.finish()

    def _put(self, data: bytes) -> None:
        if self._head is not None:
            self._head += data
            if len(self._head) < len(MAGIC):
                return
            data, self._head = bytes(self._head), None
            if self._limits is not None and data.startswith(MAGIC):
                self._expander = Expander(self._taken.write, self._limits)
        (self._expander or self._taken).write(data)


def _read_to_end(given: DescriptorSource) -> None:
    """Read what pyrage left: the end too, before which the digest has not seen everything."""
    try:
        while given.read():
            pass
    except OSError as error:
        raise _unread(error, "The archive") from None


def _unread(error: BaseException, what: str) -> BaseException:
    if isinstance(error, OSError):
        return FailedError(
            f"{what} cannot be read: {error.strerror or error}.",
            hint="Check the drive or share that it lies on.",
        )
    return error


def undecrypted(error: BaseException) -> AgebackupError:
    """Return what an error of pyrage's, neither end having failed, means.

    Its words are not a promise: tests/test_facts_pyrage.py holds them.
    """
    said = str(error)
    if isinstance(error, pyrage.DecryptError) and "No matching keys" in said:
        return NoIdentityError(
            "No given identity opens the archive; a damaged header can look the same.",
            hint="Try the other keys you have, and another copy of the archive.",
        )
    if isinstance(error, OSError):
        return VerificationError(
            "The archive is damaged after its header, or cut short.", hint=_ANOTHER
        )
    return VerificationError(
        "The header of the archive is damaged, or its content is missing.", hint=_ANOTHER
    )
