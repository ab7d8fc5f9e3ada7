"""Passphrases come from a file descriptor or the terminal, never from arguments or environment."""

import getpass
import os
import signal
from collections.abc import Callable

from agebackup.cli.signals import raising
from agebackup.errors import FailedError, StoppedError, UsageError
from agebackup.system.progress import Stop


def passphrase_reader(descriptor: int | None, stop: Stop) -> Callable[[str], str]:
    """Return what asks for a passphrase: the descriptor, else the terminal.

    It waits for no answer once a signal asked `stop`, or one comes: then it raises `StoppedError`.
    """

    def read(prompt: str) -> str:
        with raising():
            stop.check()
            return _ask(prompt) if descriptor is None else read_line(prompt)

    def read_line(prompt: str) -> str:
        assert descriptor is not None
        try:
            with open(descriptor, encoding="utf-8", closefd=False) as stream:
                return stream.readline().rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            raise FailedError(
                f"No passphrase can be read from descriptor {descriptor}.",
                hint="Open it for this command, for example with 3<passphrase.txt.",
            ) from None

    return read


def _ask(prompt: str) -> str:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        raise UsageError(
            "The identity file is protected by a passphrase, and there is no terminal to ask.",
            hint="Give the passphrase with --passphrase-fd.",
        ) from None
    try:
        return getpass.getpass(f"{prompt}: ")
    except EOFError:
        raise StoppedError(signal.SIGINT) from None
