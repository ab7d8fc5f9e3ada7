"""Reading files of keys: what each system error means, and never a wait without an end."""

import errno
import os
import select
import stat
from collections.abc import Callable
from pathlib import Path

from agebackup.errors import UsageError
from agebackup.model.keytext import decoded, holds_secret, shown

MAX_KEY_FILE_BYTES = 1 << 20
PATIENCE_SECONDS = 5
EXPOSED = "It may stand in your shell's history now: treat it as known to others. "


def argument_file(argument: str) -> bytes | None:
    """Return the content of the file `argument`, or None where no file has that name.

    Only a name that does not exist, or never could, is no file: any other error is said as itself.
    """
    try:
        return _read(Path(argument)) if argument and "\0" not in argument else None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return None
        if error.errno == errno.ENOENT and not os.path.islink(argument):
            return None
        raise _unreadable(argument, "recipients file", error) from None


def key_file(path: Path, role: str, look: Callable[[os.stat_result], None] | None = None) -> bytes:
    """Return what the file of keys `path` holds, at most `MAX_KEY_FILE_BYTES`.

    `role` is what the person knows the file as. `look` is shown the status of the open file.
    Raises `UsageError` with what the system said.
    """
    try:
        return _read(path, look)
    except OSError as error:
        raise _unreadable(str(path), role, error) from None


def private_key_file(path: Path, warn: Callable[[str], None]) -> bytes:
    """Return what the identity file `path` holds; `warn` is told where others can read it too."""

    def look(status: os.stat_result) -> None:
        if stat.S_ISREG(status.st_mode) and status.st_mode & 0o044:
            warn(
                f"The key file {shown(str(path))} can be read by others "
                f"(mode {status.st_mode & 0o777:o}); chmod 600 makes it private."
            )

    return key_file(path, "identity file", look)


def _read(path: Path, look: Callable[[os.stat_result], None] | None = None) -> bytes:
    """Return what `path` holds; also of a pipe (`<(...)`), but without waiting for ever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        if look is not None:
            look(os.fstat(descriptor))
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        content = bytearray()
        while len(content) <= MAX_KEY_FILE_BYTES:
            if not poll.poll(PATIENCE_SECONDS * 1000):
                raise OSError(errno.ETIMEDOUT, f"nothing came for {PATIENCE_SECONDS} seconds")
            piece = os.read(descriptor, 1 << 16)
            if not piece:
                return bytes(content)
            content += piece
        raise OSError(errno.EFBIG, f"it is larger than {MAX_KEY_FILE_BYTES} bytes")
    finally:
        os.close(descriptor)


def _unreadable(name: str, role: str, error: OSError) -> UsageError:
    if holds_secret(name):
        return UsageError(
            "A secret key was given where the name of a file belongs.",
            hint=f"{EXPOSED}Keep a private key in a file and give the file's name.",
        )
    if error.errno == errno.ENOENT:
        missing = "leads to a file that does not exist" if os.path.islink(name) else "is not there"
        return UsageError(f"The {role} {shown(name)} {missing}.", hint="Check its name.")
    return UsageError(
        f"The {role} {shown(name)} cannot be read: {error.strerror}.",
        hint="Check that it is a file of keys and that you may read it.",
    )


def key_text(label: str, content: bytes) -> str:
    """Return the text in `content`; `UsageError`, naming `label`, where it is none."""
    try:
        return decoded(content)
    except ValueError as error:
        raise UsageError(f"{label} is {error}.", hint="A file of keys is plain text.") from None
