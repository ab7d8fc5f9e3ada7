"""Confined workers: what takes hostile input apart can reach one file and take only so much."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from agebackup.errors import FailedError
from agebackup.model.limits import MIB
from agebackup.system.confinement import confined
from agebackup.system.process import Worker
from agebackup.system.progress import Progress

pytestmark = pytest.mark.linux

TRIED = "it was allowed"


def told(deed: Callable[[Path], object], here: Path, *, memory: int = 64 * MIB) -> object:
    """Return what became of `deed` in a confined worker that may read the file `here`/own."""
    own = here / "own"
    own.write_bytes(b"its own")

    def attempt() -> dict[str, object]:
        try:
            found = deed(here)
        except OSError as error:
            return {"told": type(error).__name__}
        return {"told": found if isinstance(found, int | str) else TRIED}

    with own.open("r+b") as file:
        work: Callable[[], dict[str, object]] = lambda: confined(  # noqa: E731
            attempt, memory=memory, readable=file.fileno()
        )
        with Worker.start(work, keep=[file.fileno()]) as worker:
            return worker.result(Progress())["told"]


def descriptor_of(here: Path) -> int:
    """Return the worker's descriptor of its file: the only one that is a regular file."""
    return next(fd for fd in range(3, 200) if is_own(fd, here))


def is_own(descriptor: int, here: Path) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), os.stat(here / "own"))
    return False


def grown(here: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    os.pwrite(descriptor_of(here), b"more", 100)


DENIED: dict[str, Callable[[Path], object]] = {
    "reading another file": lambda here: (here / "other").read_bytes(),
    "listing a directory": lambda here: os.listdir(here),
    "writing another file": lambda here: (here / "other").write_bytes(b""),
    "writing its own file": lambda here: os.open(here / "own", os.O_WRONLY),
    "making a file": lambda here: (here / "new").touch(),
    "making a directory": lambda here: (here / "new").mkdir(),
    "making a symbolic link": lambda here: (here / "new").symlink_to("other"),
    "making a hard link": lambda here: os.link(here / "other", here / "new"),
    "renaming": lambda here: (here / "other").rename(here / "new"),
    "removing": lambda here: (here / "other").unlink(),
    "removing a directory": lambda here: (here / "directory").rmdir(),
    "cutting a file": lambda here: os.truncate(here / "other", 0),
    "starting a program": lambda here: os.execv("/bin/true", ["true"]),
    "ending its parent": lambda here: os.kill(os.getppid(), signal.SIGTERM),
    "connecting": lambda here: socket.create_connection(("127.0.0.1", 9), 1),
    "making its own file longer": grown,
    "very many descriptors": lambda here: [os.dup(descriptor_of(here)) for _ in range(64)],
}


@pytest.mark.parametrize("deed", DENIED.values(), ids=DENIED.keys())
def test_a_confined_worker_cannot(deed: Callable[[Path], object], tmp_path: Path) -> None:
    """Whatever a hostile archive makes of the process that takes it apart: it harms nothing."""
    (tmp_path / "other").write_bytes(b"the person's")
    (tmp_path / "directory").mkdir()
    assert told(deed, tmp_path) in ("PermissionError", "OSError")
    assert {path.name for path in tmp_path.iterdir()} == {"other", "own", "directory"}
    assert (tmp_path / "other").read_bytes() == b"the person's"
    assert (tmp_path / "own").read_bytes() == b"its own"


def test_a_confined_worker_reads_its_file(tmp_path: Path) -> None:
    """The one file can be read and opened again, by its name and through /proc."""

    def read(here: Path) -> str:
        again = os.open(f"/proc/self/fd/{descriptor_of(here)}", os.O_RDONLY)
        return (here / "own").read_text() + os.read(again, 100).decode()

    assert told(read, tmp_path) == "its ownits own"


def test_a_confined_worker_has_bounded_memory(tmp_path: Path) -> None:
    """What would fill the machine fails in words; what fits is not hindered."""
    assert told(lambda here: len(bytearray(32 * MIB)), tmp_path) == 32 * MIB
    with pytest.raises(FailedError, match="too little memory"):
        told(lambda here: len(bytearray(128 * MIB)), tmp_path)


def test_a_confined_worker_can_say_what_is_wrong(tmp_path: Path) -> None:
    """What it quotes of a hostile file is escaped, although Python's files are out of its reach."""
    script = """
import os, sys
from agebackup.errors import printable
from agebackup.system.confinement import confined
from agebackup.system.process import Worker
from agebackup.system.progress import Progress
assert "encodings.unicode_escape" not in sys.modules
work = lambda: {"text": printable(chr(27) + "[2J" + chr(0xdcff))}
with open(os.devnull) as file:
    confining = lambda: confined(work, memory=1 << 26, readable=file.fileno())
    with Worker.start(confining, keep=[file.fileno()]) as worker:
        print(worker.result(Progress())["text"])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "\\x1b[2J\\udcff\n", done.stderr


HOLDER = """
import ctypes, os, resource, sys
from agebackup.system.secrecy import forbid_core_dumps
prctl = ctypes.CDLL(None).prctl
if os.geteuid() == 0:
    os.setuid(65534)
    prctl(4, 1, 0, 0, 0)  # as any program of that user begins
print("open", flush=True)
sys.stdin.readline()
forbid_core_dumps()
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
print("closed", flush=True)
sys.stdin.readline()
"""


def test_a_process_that_holds_a_key_is_closed_to_others() -> None:
    """It writes no core, and nobody but root can look into its memory or environment."""
    user = (lambda: os.setuid(65534)) if os.geteuid() == 0 else None

    def look(name: str) -> bytes:
        path = f"/proc/{process.pid}/{name}"
        return subprocess.run(["cat", path], preexec_fn=user, capture_output=True).stdout

    command, pipe = [sys.executable, "-c", HOLDER], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin and process.stdout
        assert process.stdout.readline() == "open\n"
        assert look("environ") and look("maps")
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "closed\n"
        assert not look("environ") and not look("maps")
        process.communicate("\n")
    assert process.returncode == 0
