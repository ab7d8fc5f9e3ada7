"""See to it that nobody uses a database that is to be exchanged."""

from collections.abc import Sequence
from pathlib import Path

from agebackup.errors import RefusedError, counted, printable, shortened
from agebackup.model.layout import SQLITE_COMPANIONS
from agebackup.snapshot.holding import is_locked
from agebackup.system.holders import holders

_HINT = "Stop the application, or declare restore.pause and restore.resume for it."


def require_unused(databases: Sequence[Path]) -> str:
    """Raise `RefusedError` where a process has one of `databases`, or a companion, open or locked.

    Returns what could not be looked at, as a sentence, "" where nothing was hidden. A database that
    is not there is unused. No byte of any of them is changed, and no connection to them may be open
    in this process. Raises `FailedError` where this user may not even ask.
    """
    files = [Path(f"{path}{suffix}") for path in databases for suffix in ("", *SQLITE_COMPANIONS)]
    seen = holders(files)
    if seen.found:
        lines = [
            f"process {one.pid} ({printable(one.name) or 'without a name'}) has "
            f"{printable(str(one.path))} open"
            for one in seen.found
        ]
        raise RefusedError(
            f"The application is still at work: {lines[0]}.", hint=_HINT, details=shortened(lines)
        )
    for path in databases:
        if is_locked(path):
            raise RefusedError(
                f"The application is still at work: another program has {printable(str(path))} "
                "locked.",
                hint=_HINT,
            )
    if not seen.looked:
        return "This system does not tell who has files open: only locks were looked at."
    if seen.unseen:
        which = counted(seen.unseen, "process")
        return f"{which} of other users could not be looked into: only locks tell of those."
    return ""
