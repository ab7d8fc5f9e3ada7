"""The lock of an app: one run at a time, and never a stale lock."""

import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from system_faults import fault, run, start

from agebackup.errors import BusyError, FailedError, StoppedError
from agebackup.system.clock import Stopwatch
from agebackup.system.lock import exclusive
from agebackup.system.process import Worker, run_command
from agebackup.system.progress import Progress, Stop

pytestmark = pytest.mark.linux

HOLD = """
with exclusive(here / "app.lock", wait_seconds=0, what="another run", progress=Progress()):
    print("held", flush=True)
    sys.stdin.read()
"""
WHAT = "another run of ledger"


@contextmanager
def held(here: Path) -> Iterator["subprocess.Popen[str]"]:
    """Let another process hold the lock."""
    with start(HOLD, here, stdin=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def take(here: Path, wait_seconds: float = 0, stop: Stop | None = None) -> None:
    """Take the lock and give it back."""
    path = here / "app.lock"
    with exclusive(path, wait_seconds=wait_seconds, what=WHAT, progress=Progress(stop)):
        pass


def test_the_second_run_is_told_at_once(tmp_path: Path) -> None:
    """Two runs on one app: the second ends at once and says what is at work."""
    with held(tmp_path), pytest.raises(BusyError, match=WHAT) as caught:
        take(tmp_path)
    assert caught.value.code == 11
    assert caught.value.hint and "--wait" not in caught.value.hint  # not everybody has that


def test_waiting_has_an_end(tmp_path: Path) -> None:
    """A run that was told to wait waits so long, and no longer."""
    watch = Stopwatch()
    with held(tmp_path), pytest.raises(BusyError):
        take(tmp_path, 0.1)
    assert watch.seconds >= 0.1


def test_a_waiting_run_gets_its_turn(tmp_path: Path) -> None:
    """A run that waits goes on as soon as the one before it is done."""
    waiting = HOLD.replace("wait_seconds=0", "wait_seconds=30")
    with held(tmp_path) as first, start(waiting, tmp_path, stdin=subprocess.PIPE) as second:
        first.communicate("")
        assert second.stdout and second.stdout.readline() == "held\n"
        second.communicate("")


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    """After SIGKILL of a run the next one works at once."""
    with held(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        take(tmp_path)


def test_the_lock_is_given_back_after_a_failure(tmp_path: Path) -> None:
    """A run that failed does not keep the next one out."""
    path = tmp_path / "app.lock"
    with (
        pytest.raises(ZeroDivisionError),
        exclusive(path, wait_seconds=0, what=WHAT, progress=Progress()),
    ):
        raise ZeroDivisionError
    take(tmp_path)


def test_what_a_run_started_does_not_hold_its_lock(tmp_path: Path) -> None:
    """A service that a hook starts, or a worker, never keeps the lock of a run that is over."""
    reading, writing = os.pipe()
    path = tmp_path / "app.lock"
    with exclusive(path, wait_seconds=0, what=WHAT, progress=Progress()):
        run_command(["sh", "-c", "sleep 1 &"], seconds=5, progress=Progress())
        worker = Worker.start(lambda: {"": len(os.read(reading, 1))}, keep=[reading, writing])
    with worker:
        take(tmp_path)
    os.close(reading)
    os.close(writing)


def test_a_stop_ends_the_waiting(tmp_path: Path) -> None:
    """A person can stop a run that waits for another."""
    stop = Stop()
    stop.request(signal.SIGINT)
    with held(tmp_path), pytest.raises(StoppedError):
        take(tmp_path, 60, stop)


def test_the_lock_file_is_private(tmp_path: Path) -> None:
    """The lock file and its directory are the user's alone, and the file stays."""
    umask = os.umask(0)
    try:
        take(tmp_path / "state")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / "app.lock").stat().st_mode) == 0o600


def test_a_lock_file_that_is_a_link(tmp_path: Path) -> None:
    """A symbolic link in the lock's place is not followed."""
    (tmp_path / "app.lock").symlink_to("elsewhere")
    with pytest.raises(FailedError, match=str(tmp_path)):
        take(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_system_without_locks(tmp_path: Path) -> None:
    """Where the state directory's file system knows no locks, the run says so and fails."""
    done = run(HOLD, tmp_path, under=fault("flock:error=ENOLCK"))
    assert done.stdout.startswith("FailedError Writing in"), done
    assert "No locks available" in done.stdout
