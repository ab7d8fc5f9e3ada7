"""Small files that belong to a service manager: written whole, and removed."""

from pathlib import Path

from agebackup.errors import FailedError, printable
from agebackup.system.claims import Claims
from agebackup.system.durable import write_durably


def put(file: Path, text: str, claims: Claims) -> None:
    """Write `text` to `file`, readable for all, in place of what is there; raises `FailedError`."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FailedError(
            f"{printable(str(file.parent))} cannot be made: {error.strerror}.",
            hint="Check its permissions; for the machine's own timers run it as root.",
        ) from None
    write_durably(file, text.encode(), claims, mode=0o644, replace=True)


def take_away(file: Path) -> None:
    """Remove `file`, if it is there; raises `FailedError`."""
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise FailedError(
            f"{printable(str(file))} cannot be removed: {error.strerror}.",
            hint="Check the permissions of its directory.",
        ) from None
