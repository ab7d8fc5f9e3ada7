"""Waiting for a run to have come to a certain point, without sleeping."""

import fcntl
import subprocess
from pathlib import Path

from conftest import World

_LOCKS = Path("/proc/locks")


def until_locked(world: World, process: "subprocess.Popen[str]") -> None:
    """Wait until the run has taken its app's lock."""
    lock = world.state / "locks" / "ledger.lock"
    while process.poll() is None:
        if lock.exists() and _is_locked(lock):
            return
    raise AssertionError(process.communicate())


def _is_locked(lock: Path) -> bool:
    """Return whether somebody holds `lock`, from Linux's list (proc_locks(5)) where there is one.

    Trying to take it oneself could be just when the run tries to, which then calls it taken.
    """
    if _LOCKS.exists():
        inode = str(lock.stat().st_ino)
        lines = [line.split() for line in _LOCKS.read_text().splitlines()]
        return any(line[1] == "FLOCK" and line[5].endswith(f":{inode}") for line in lines)
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
