"""Workers and commands: every end is seen, and nothing outlives its purpose."""

import errno
import gc
import os
import resource
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from system_faults import fault, run, start

from agebackup.errors import (
    AgebackupError,
    FailedError,
    NoIdentityError,
    StoppedError,
    VerificationError,
)
from agebackup.system.clock import Stopwatch
from agebackup.system.outcome import Result
from agebackup.system.process import CommandError, Worker, run_command
from agebackup.system.progress import Progress, Stop
from agebackup.system.streams import open_pipe, write_all

pytestmark = pytest.mark.linux


def outcome(function: Callable[[], Result]) -> Result:
    """Run `function` in a worker and return its result."""
    with Worker.start(function) as worker:
        return worker.result(Progress())


def stopped() -> Progress:
    """A progress whose run was asked to stop by SIGTERM."""
    stop = Stop()
    stop.request(signal.SIGTERM)
    return Progress(stop)


def test_a_result_comes_back_whole() -> None:
    """What a worker returns arrives unchanged, although it is larger than a pipe."""
    expected: Result = {"text": "\udcff\n" * 300_000, "numbers": [1, 2.5, None, True]}
    assert outcome(lambda: expected) == expected


@pytest.mark.parametrize("kind", [FailedError, VerificationError, NoIdentityError])
def test_a_foreseeable_error_keeps_its_family(kind: type[AgebackupError]) -> None:
    """An error of a worker reaches the person with its own words, hint and exit code."""

    def fail() -> Result:
        raise kind("It failed.", hint="Try again.", details=("a", "b"))

    with pytest.raises(AgebackupError) as caught:
        outcome(fail)
    error = caught.value
    assert type(error) is kind
    assert (str(error), error.message, error.hint) == ("It failed.", "It failed.", "Try again.")
    assert error.details == ("a", "b")


def test_an_error_class_of_the_workers_own_becomes_its_family() -> None:
    """A class that only the worker had imported comes out as the nearest known one."""

    def fail() -> Result:
        kind = type("UnheardOfError", (VerificationError,), {})
        raise kind("Unheard of.", hint="")

    # A class made in the child is no subclass of anything in the parent.
    with pytest.raises(VerificationError, match="Unheard of"):
        outcome(fail)


def test_a_stop_in_the_worker_keeps_its_signal() -> None:
    """A worker that was stopped by a signal number gives the exit code of that signal."""

    def fail() -> Result:
        raise StoppedError(signal.SIGHUP)

    with pytest.raises(StoppedError) as caught:
        outcome(fail)
    assert caught.value.code == 129


def test_an_oserror_keeps_its_number() -> None:
    """What the disk said in a worker is known in the parent by its errno, with the file's name."""

    def fail() -> Result:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space") as caught:
        outcome(fail)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, None)
    with pytest.raises(FileNotFoundError) as missing:
        outcome(lambda: {"": os.stat(b"/no\xff")})
    assert missing.value.filename == "/no\udcff"
    with pytest.raises(OSError, match="decryption error") as unnumbered:
        outcome(_raise_unnumbered)
    assert unnumbered.value.errno is None


def _raise_unnumbered() -> Result:
    raise OSError("decryption error")


class PanicError(BaseException):
    """What pyrage's panics derive from is BaseException, not Exception."""


def _panic() -> Result:
    raise PanicError("a bad point\x1b[31m")


def _interrupted() -> Result:
    raise KeyboardInterrupt


def _unsayable() -> Result:
    return {"set": {1}}


@pytest.mark.parametrize(
    "function, said",
    [
        (_panic, r"PanicError: a bad point\\x1b\[31m"),
        (_interrupted, "KeyboardInterrupt"),
        (_unsayable, "TypeError"),
        (lambda: {"": 1 // 0}, "ZeroDivisionError"),
        (lambda: {"": sys.exit(0)}, "SystemExit"),
        (lambda: {"": os.kill(os.getpid(), signal.SIGSEGV)}, "killed by SIGSEGV"),
        (lambda: {"": os.kill(os.getpid(), signal.SIGKILL)}, "killed by SIGKILL"),
        (lambda: {"": os.abort()}, "killed by SIGABRT"),
        (lambda: {"": os._exit(3)}, "ended with code 3"),
        (lambda: {"": os._exit(0)}, "ended with code 0"),
    ],
)
def test_a_crash_is_a_failure_that_names_it(function: Callable[[], Result], said: str) -> None:
    """However a worker goes down, the run fails with a sentence that says how."""
    with pytest.raises(FailedError, match=said):
        outcome(function)


def test_a_worker_holds_only_what_it_was_given() -> None:
    """No lock, database or archive of the parent's is held by a worker that was not given it."""
    keep, other = os.pipe()

    def look() -> Result:
        paths = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
        links = [os.readlink(path) for path in paths if os.path.lexists(path)]
        return {"links": links, "pipe": os.readlink(f"/proc/self/fd/{keep}")}

    try:
        with Worker.start(look, keep=[keep]) as worker:
            result = worker.result(Progress())
    finally:
        os.close(keep)
        os.close(other)
    links = result["links"]
    assert isinstance(links, list)
    assert links.count("/dev/null") == 3
    assert links.count(result["pipe"]) == 1
    assert len([link for link in links if link != "/dev/null"]) == 2  # that one and its outcome's


def test_what_a_worker_prints_is_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    """A library that prints its panic to stderr does not spoil the output."""
    outcome(lambda: {"": os.write(1, b"noise") + os.write(2, b"panicked at")})
    assert capfd.readouterr() == ("", "")


def test_a_worker_leaves_signals_to_its_parent() -> None:
    """Ctrl-C reaches the whole group; the worker goes on until its parent decides."""

    def survive() -> Result:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            os.kill(os.getpid(), number)
        return {
            "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
            "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
        }

    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert outcome(survive) == {"blocked": 0, "core": 0}
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_a_signal_at_the_fork_strikes_only_the_parent(tmp_path: Path) -> None:
    """A signal that comes while the worker is made is handled once, by the parent."""
    done = run(
        """
        heard = []
        signal.signal(signal.SIGTERM, lambda *_: heard.append(os.getpid()))
        for _ in range(3):
            child = os.fork()
            if child == 0:
                while True:
                    os.kill(os.getppid(), signal.SIGTERM)
            for _ in range(4):
                with Worker.start(lambda: {"heard": sorted(set(heard))}) as worker:
                    assert worker.result(Progress())["heard"] in ([], [os.getpid()])
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        assert heard and set(heard) == {os.getpid()}
        """,
        tmp_path,
    )
    assert done.stdout == "done\n", done


def test_a_worker_dies_with_its_parent(tmp_path: Path) -> None:
    """After SIGKILL of the run no process of it goes on writing."""
    reading, writing = os.pipe()
    scenario = f"""
    os.set_inheritable({writing}, False)
    block, _ = os.pipe()
    worker = Worker.start(lambda: {{"": os.read(block, 1)}}, keep=[block, _, {writing}])
    os.close({writing})
    print("started", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    """
    with start(scenario, tmp_path, pass_fds=[writing]) as process:
        os.close(writing)
        assert process.wait(timeout=30) == -signal.SIGKILL
        assert os.read(reading, 1) == b""  # only the worker held the other end
    os.close(reading)


def test_a_worker_ends_with_its_block() -> None:
    """A worker that is stuck is killed and reaped when its block is left, by whatever way."""
    block, other = os.pipe()
    with (
        pytest.raises(KeyboardInterrupt),
        Worker.start(lambda: {"": os.read(block, 1)}, keep=[block, other]) as worker,
    ):
        raise KeyboardInterrupt
    with pytest.raises(ChildProcessError):
        os.waitpid(worker.pid, 0)
    worker.kill()
    with pytest.raises(FailedError, match="killed by SIGKILL"):
        worker.result(Progress())
    os.close(block)
    os.close(other)


def test_a_stop_ends_the_waiting() -> None:
    """A person who stops a run does not wait for a worker that is stuck."""
    block, other = os.pipe()
    with Worker.start(lambda: {"": len(os.read(block, 1))}, keep=[block]) as worker:
        os.close(block)
        with pytest.raises(StoppedError):
            worker.result(stopped())
        os.close(other)
        assert worker.result(Progress()) == {"": 0}


def test_a_stop_during_the_waiting_is_noticed(tmp_path: Path) -> None:
    """A signal that comes while the parent waits for its worker ends the waiting."""
    done = run(
        """
        progress = Progress()
        signal.signal(signal.SIGALRM, lambda number, _: progress.stop.request(signal.SIGTERM))
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        block, other = os.pipe()
        with Worker.start(lambda: {"": os.read(block, 1)}, keep=[block]) as worker:
            worker.result(progress)
        """,
        tmp_path,
    )
    assert done.returncode == 143, done


def test_the_writer_learns_of_a_dead_worker() -> None:
    """Who feeds a worker that failed gets an error at once, and then the worker's own reason."""
    reading, writing = open_pipe()

    def fail() -> Result:
        os.read(reading, 1)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Worker.start(fail, keep=[reading]) as worker:
        os.close(reading)
        with pytest.raises(BrokenPipeError):
            while True:
                write_all(writing, bytes(1 << 20))
        with pytest.raises(OSError, match="No space"):
            worker.result(Progress())
    os.close(writing)


_SECOND_WRITER = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1], timeout=0) as connection:
    connection.execute("INSERT INTO t VALUES (2)")
"""


def test_a_worker_beside_an_open_database(tmp_path: Path) -> None:
    """A connection of the parent keeps its locks and its -wal whatever becomes of the worker."""
    file = tmp_path / "a.db"
    words = [sys.executable, "-c", _SECOND_WRITER, str(file)]
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (x)")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t VALUES (1)")
        with Worker.start(_garbage_of_all_kinds) as worker:
            assert worker.result(Progress()) == {}
        with pytest.raises(CommandError, match="database is locked"):
            run_command(words, seconds=30, progress=Progress())
        connection.execute("COMMIT")
        Worker.start(_asleep).kill()
        run_command(words, seconds=30, progress=Progress())
        assert (tmp_path / "a.db-wal").stat().st_size
        assert connection.execute("SELECT x FROM t").fetchall() == [(1,), (2,)]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def _garbage_of_all_kinds() -> Result:
    gc.collect()
    return {}


def _asleep() -> Result:
    signal.pause()
    return {}


def test_no_further_process(tmp_path: Path) -> None:
    """Where the system allows no further process, the run says so and fails."""
    done = run(
        'Worker.start(lambda: {"": ""}).result(Progress())',
        tmp_path,
        under=fault("clone,clone3,fork,vfork:error=EAGAIN"),
    )
    assert done.stdout.startswith("FailedError No further process can be started"), done


def test_workers_work_although_sigchld_is_ignored(tmp_path: Path) -> None:
    """Started by a program that ignores SIGCHLD, workers and commands give their results."""
    done = run(
        """
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        with Worker.start(lambda: {"a": 1}) as worker:
            assert worker.result(Progress()) == {"a": 1}
        with Worker.start(lambda: {"a": 1}) as worker:
            pass
        """,
        tmp_path,
    )
    assert done.stdout == "done\n", done


def command(*argv: str, seconds: float = 30, **options: object) -> tuple[str, str]:
    """Run a command and return what it said on stdout and stderr."""
    result = run_command(argv, seconds=seconds, progress=Progress(), **options)  # type: ignore[arg-type]
    return result.stdout, result.stderr


def test_a_command_says_what_it_said(tmp_path: Path) -> None:
    """A hook's output is kept apart, it reads nothing, and it runs where it was told to."""
    script = "pwd; cat; echo $WORD >&2"
    out, err = command(
        "/bin/sh", "-c", script, cwd=tmp_path, environment={"WORD": "hello", "PATH": "/bin"}
    )
    assert (out, err) == (f"{tmp_path}\n", "hello\n")


def test_a_failing_command_is_quoted() -> None:
    """A hook that fails is named with its code and its last words, harmless on a terminal."""
    with pytest.raises(FailedError) as caught:
        command("sh", "-c", "echo first >&2; printf 'no \\033[31mway\\n\\n' >&2; exit 7")
    assert caught.value.message == (
        r"The command sh ended with code 7. It said last: no \x1b[31mway"
    )
    with pytest.raises(FailedError, match="was killed by SIGKILL"):
        command("sh", "-c", "kill -9 $$")


@pytest.mark.parametrize(
    "argv, why",
    [
        (("/no/such/command",), "No such file"),
        (("/etc/passwd",), "Permission denied"),
        (("a\0b",), "null byte"),
    ],
)
def test_a_command_that_cannot_start(argv: tuple[str, ...], why: str) -> None:
    """A hook that is not there or may not run is named with the reason."""
    with pytest.raises(FailedError, match=f"cannot be started: .*{why}"):
        command(*argv)


def test_a_command_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    """A hook over its time is ended, and so is what it started, although it ignores SIGTERM."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reading, True)
    script = f"(trap '' TERM; exec 3>{fifo}; echo up >&3; sleep 60) & sleep 60"
    with pytest.raises(FailedError, match=r"was not done in 0\.3 seconds"):
        command("sh", "-c", script, seconds=0.3)
    while os.read(reading, 16):
        pass
    os.close(reading)


def test_a_command_that_left_its_group_is_ended_too() -> None:
    """Who ignores SIGTERM and joined another group is not waited for beyond its time."""
    body = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "os.setpgid(0, os.getpgid(os.getppid()))\n"
        "time.sleep(60)"
    )
    watch = Stopwatch()
    with pytest.raises(FailedError, match=r"not done in 0\.3 seconds"):
        run_command([sys.executable, "-S", "-c", body], seconds=0.3, progress=Progress())
    assert watch.seconds < 30


def test_a_stop_ends_a_command(tmp_path: Path) -> None:
    """A person who stops a run does not wait for its hook."""
    with pytest.raises(StoppedError):
        run_command(["sleep", "60"], seconds=60, progress=stopped())


def test_endless_output_is_bounded() -> None:
    """A hook that writes without end is ended in time, and only its last words are kept."""
    with pytest.raises(FailedError, match="was not done"):
        command("yes", seconds=0.3)
    out, err = command("sh", "-c", "head -c 3000000 /dev/zero; echo end; echo e >&2")
    assert len(out) == 1 << 20 and out.endswith("end\n") and err == "e\n"


def test_what_a_command_leaves_running_is_not_waited_for() -> None:
    """A hook that starts a service in the background is done when it is done itself."""
    out, _ = command("sh", "-c", "sleep 5 & echo started")
    assert out == "started\n"


def test_a_command_inherits_no_descriptor(tmp_path: Path) -> None:
    """A hook can hold no lock and no archive of the run's."""
    with open(tmp_path / "held", "w") as held:
        out, _ = command("sh", "-c", "ls -l /proc/self/fd")
        assert str(tmp_path) not in out
        assert held.writable()


def test_a_command_is_a_group_of_its_own() -> None:
    """Ctrl-C reaches a hook only through us, so that it is ended in an orderly way."""
    out, _ = command("sh", "-c", "ps -o pgid= -p $$; echo $$")
    group, pid = out.split()
    assert group == pid
