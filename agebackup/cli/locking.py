"""The locks of apps, for commands that change what lies in their folders."""

from collections.abc import Iterable
from contextlib import ExitStack

from agebackup.cli.console import Console


def lock_apps(apps: Iterable[str], locks: ExitStack, out: Console) -> None:
    """Let no run of `apps` be at work until `locks` are left; raises `BusyError` at once."""
    from agebackup.cli import directories
    from agebackup.system.lock import exclusive

    for app in sorted(set(apps)):
        file, what = directories.lock_file(app), f"another run of {app}"
        locks.enter_context(exclusive(file, wait_seconds=0, what=what, progress=out.progress))
