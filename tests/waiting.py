"""Waiting for a run to have come to a certain point, without sleeping."""

import fcntl
import subprocess

from conftest import World


def until_locked(world: World, process: "subprocess.Popen[str]") -> None:
    """Wait until the run has taken its app's lock."""
    lock = world.state / "locks" / "ledger.lock"
    while process.poll() is None:
        if lock.exists():
            with lock.open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return
    raise AssertionError(process.communicate())
