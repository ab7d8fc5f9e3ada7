"""Which private key belongs to which recipient, and which of them opens an archive.

Of an archive only the header and the first chunk are read, at most 320 KiB of however much there
is. That is as much as can be known cheaply: the key opened the header, the header's MAC is right,
and what was opened decrypts the content, whose first chunk is authentic.
"""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
from pyrage import ssh, x25519

from agebackup.errors import FailedError, NoIdentityError, UsageError
from agebackup.model.ageheader import (
    CHUNK_BYTES,
    NONCE_BYTES,
    TAG_BYTES,
    armored,
    dearmored,
    is_armored,
)
from agebackup.model.keytext import shown
from agebackup.model.sheet import PrintedKey
from agebackup.snapshot.encryption import undecrypted
from agebackup.snapshot.keyfiles import key_text, private_key_file
from agebackup.snapshot.keys import Ask, Identities, Recipients, identities_in


def openers(descriptor: int, header_length: int, identities: Identities) -> tuple[int, ...]:
    """Return the places in `identities` of the keys that open the age file `descriptor`.

    The header must have been looked at before (`sealed.quick_check`, which also tells its length);
    the descriptor's position stays. Raises `VerificationError` where a key opens the header, but
    its MAC or the first chunk is damaged, and `FailedError` where the file cannot be read.
    """
    try:
        length = header_length + NONCE_BYTES + CHUNK_BYTES + TAG_BYTES
        beginning = os.pread(descriptor, length, 0)
    except OSError as error:
        raise FailedError(
            f"The archive cannot be read: {error.strerror}.",
            hint="Check the drive or share that it lies on.",
        ) from None
    return tuple(
        place for place, identity in enumerate(identities.keys) if _opens(beginning, identity)
    )


def belonging(identities: Identities, recipients: Recipients) -> tuple[str | None, ...]:
    """Return for each of `identities` the recipient that belongs to it, None where that is unknown.

    A file that does not tell (an SSH key in PEM form) is tried against `recipients`: the one to
    which something can be encrypted that it opens is its own.
    """
    return tuple(
        public or next(_fitting(key, recipients), None)
        for key, public in zip(identities.keys, identities.publics, strict=True)
    )


def recipient_of(secret: str) -> str:
    """Return the recipient of `secret`, an age identity (AGE-SECRET-KEY-1...).

    Raises `UsageError` where it is none, without repeating any of it.
    """
    try:
        return str(x25519.Identity.from_str(secret).to_public())
    except pyrage.IdentityError:
        raise UsageError(
            "This is no age identity: a character is wrong or missing.",
            hint="Compare it with another copy of it.",
        ) from None


def printed_key(path: Path, ask: Ask, warn: Callable[[str], None]) -> PrintedKey:
    """Return the only key in the identity file `path`, as it is to be printed.

    A protected file is opened, with the passphrase that `ask` gets, to see that it can be; printed
    is what protects it. Raises as `read_identities` does, and `UsageError` for several keys.
    """
    content, label = private_key_file(path, warn), shown(str(path))
    found = list(identities_in(label, content, ask))
    if len(found) > 1:
        raise UsageError(
            f"{label} holds {len(found)} keys, and a sheet has room for one.",
            hint="Put each into a file of its own, and print each on its own sheet.",
        )
    ((key, public),) = found
    if is_armored(content):
        return PrintedKey("protected", armored(dearmored(content)), public or "")
    if content.startswith(b"age-encryption.org/"):
        return PrintedKey("protected", armored(content), public or "")
    if isinstance(key, x25519.Identity):
        return PrintedKey("age", str(key), public or "")
    lines = [line.strip() for line in key_text(label, content).strip().splitlines()]
    return PrintedKey("ssh", "\n".join(lines) + "\n", public or "")


def _opens(beginning: bytes, identity: object) -> bool:
    sink = _Counting()
    try:
        pyrage.decrypt_io(io.BytesIO(beginning), sink, [identity])
    except BaseException as error:  # a panic of pyrage derives from BaseException
        if isinstance(error, (KeyboardInterrupt, MemoryError)):
            raise
        said = undecrypted(error)
        if isinstance(said, NoIdentityError):
            return False
        if not sink.count:
            raise said from None  # else it is only that the rest of the file was not given
    return True


class _Counting:
    """Takes what pyrage decrypted and keeps none of it."""

    def __init__(self) -> None:
        self.count = 0

    def write(self, data: bytes) -> int:
        self.count += len(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: pyrage never calls it."""


def _fitting(identity: object, recipients: Recipients) -> Iterator[str]:
    for text, key in zip(recipients.texts, recipients.keys, strict=True):
        if isinstance(key, ssh.Recipient):
            try:
                pyrage.decrypt(pyrage.encrypt(b"", [key]), [identity])
            except pyrage.DecryptError:
                continue
            yield text
