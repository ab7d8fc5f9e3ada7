"""Every foreseeable failure: one sentence for the person, a hint, and an exit code.

One family per thing the person must do about it. The exit codes are part of the command line's
contract (README, "Exit codes"); `worst` says which one counts when several apps were handled.
"""

from collections.abc import Iterable, Sequence
from typing import ClassVar


def printable(name: str) -> str:
    """Return `name` so that no control, bidi or undecodable character reaches a terminal."""

    def shown(character: str) -> str:
        if character == "\\" or not character.isprintable():
            return character.encode("unicode_escape", "backslashreplace").decode()
        return character

    return "".join(map(shown, name))


SHOWN = 20
"""How many single findings a person is shown before they are only counted."""


def counted(number: int, noun: str) -> str:
    """Return `number` of what `noun` names, as people write it: `1 archive`, `1,200 archives`."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def shortened(findings: Sequence[str]) -> list[str]:
    """Return the first of `findings`, and how many more there are."""
    more = len(findings) - SHOWN
    return [*findings[:SHOWN], f"and {more:,} more"] if more > 0 else list(findings)


class AgebackupError(Exception):
    """A foreseeable failure. `message` says what happened to which file, `hint` what to do.

    `details` are the single findings where there are several, one line each.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", details: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = tuple(details)

    @property
    def code(self) -> int:
        """The exit code of this very error; a signal's depends on its number."""
        return self.exit_code


class FailedError(AgebackupError):
    """The operation failed; nothing was published or changed, but for what it told before."""

    exit_code = 1


class UsageError(AgebackupError):
    """The command line or the configuration asks for something that cannot be."""

    exit_code = 2


class VerificationError(AgebackupError):
    """The archive, or what came out of it, is not what it promises to be."""

    exit_code = 4


class UnfitError(AgebackupError):
    """What the application's own commands made of a sound archive is not what it should be."""

    exit_code = 4


class NotFoundError(AgebackupError):
    """An archive or a destination is not there."""

    exit_code = 10


class BusyError(AgebackupError):
    """Another run is at work, or the source is locked."""

    exit_code = 11


class NoIdentityError(AgebackupError):
    """The header is well formed, but no given identity opens it."""

    exit_code = 12


class RefusedError(AgebackupError):
    """A guard refused: going on could have destroyed something or run ahead of the app."""

    exit_code = 13


class StoppedError(AgebackupError):
    """A signal asked for the end; nothing was published, and nothing is left half done."""

    def __init__(self, signal_number: int) -> None:
        names = {1: "hung up", 2: "interrupted", 15: "terminated"}
        what = names.get(signal_number, f"stopped by signal {signal_number}")
        super().__init__(
            f"The run was {what}; nothing was published, and nothing is left half done."
        )
        self.signal_number = signal_number

    @property
    def code(self) -> int:
        return 128 + self.signal_number


INCOMPLETE, STALE = 3, 5
"""Exit codes that report a state, not a failure."""
_SEVERITY = (1, 2, 13, 12, 10, 11, 4, 5, 3, 0)


def worst(codes: Iterable[int]) -> int:
    """Return the exit code that counts among `codes`: signals first, then the documented order."""

    def rank(code: int) -> int:
        return -1 if code > 128 else _SEVERITY.index(code)

    return min(codes, key=rank, default=0)
