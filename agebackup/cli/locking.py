"""The locks of apps, for commands that change what lies in their destinations."""

from collections.abc import Iterable
from contextlib import ExitStack

from agebackup.cli.console import Console


def lock_apps(apps: Iterable[str], locks: ExitStack, out: Console) -> None:
    """Let no run and no push of `apps` be at work until `locks` are left.

    A run that ended still carries copies under the lock of pushes alone. Raises `BusyError` at
    once.
    """
    from agebackup.cli.directories import lock_file, push_lock_file
    from agebackup.system.lock import exclusive

    for app in sorted(set(apps)):
        for file, what in (
            (lock_file(app), f"another run of {app}"),
            (push_lock_file(app), f"a push of {app}"),
        ):
            locks.enter_context(exclusive(file, wait_seconds=0, what=what, progress=out.progress))
