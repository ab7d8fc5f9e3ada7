"""A log that rotates: no line is lost or torn, whoever writes at the same time."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.system.rotation import Tail, append, generations


def lines(file: Path, old: int = 5) -> list[bytes]:
    """Return every line there is, the oldest first."""
    there = [one for one in generations(file, old=old) if one.exists()]
    return [line for one in there for line in one.read_bytes().splitlines()]


def test_it_stays_within_its_share(tmp_path: Path) -> None:
    """However much is written, the files together are bounded, and hold the newest lines."""
    file = tmp_path / "log"
    for number in range(400):
        append(file, b"line %05d\n" % number, limit=100, old=3)
    assert {one.name for one in tmp_path.iterdir()} == {"log", "log.1", "log.2", "log.3"}
    assert all(one.stat().st_size <= 100 for one in tmp_path.iterdir())
    kept = lines(file, 3)
    assert kept == [b"line %05d" % number for number in range(400 - len(kept), 400)]
    assert len(kept) >= 30


@given(st.lists(st.integers(0, 300), max_size=40))
def test_lines_stay_whole(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]) -> None:
    """Lines of any length, longer than the limit even, come back whole and in order."""
    file = tmp_path_factory.mktemp("log") / "log"
    written = [b"%d:" % number + b"x" * size for number, size in enumerate(sizes)]
    for line in written:
        append(file, line + b"\n", limit=120, old=50)
    assert lines(file, 50) == written


def test_many_processes(tmp_path: Path) -> None:
    """Processes that write and rotate at once lose nothing and tear nothing."""
    file = tmp_path / "log"
    program = (
        "import sys; from pathlib import Path; from agebackup.system.rotation import append\n"
        "file, name = Path(sys.argv[1]), sys.argv[2].encode()\n"
        "for n in range(150): append(file, b'%s %d end\\n' % (name, n), limit=500, old=40)"
    )
    root = Path(__file__).resolve().parent.parent
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(file), name],
            cwd=root,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in "abcd"
    ]
    for process in started:
        assert process.communicate()[1] == "" and process.returncode == 0
    seen = lines(file, 40)
    for name in "abcd":
        mine = [line for line in seen if line.startswith(name.encode())]
        assert mine == [b"%s %d end" % (name.encode(), number) for number in range(150)]
    assert len(seen) == 600


def test_it_is_private(tmp_path: Path) -> None:
    """The files are 0600, also one that somebody left open to others."""
    file = tmp_path / "log"
    file.touch(0o644)
    for _ in range(10):
        append(file, b"line\n", limit=20)
    assert {one.stat().st_mode & 0o777 for one in tmp_path.iterdir()} == {0o600}


def test_a_torn_line_stays_alone(tmp_path: Path) -> None:
    """After a line that a crash cut off, the next one begins on its own."""
    file = tmp_path / "log"
    file.write_bytes(b"whole\ntor")
    append(file, b"next\n")
    assert lines(file) == [b"whole", b"tor", b"next"]


@contextmanager
def file_size_limit(count: int) -> Iterator[None]:
    """Let no file grow beyond `count` bytes, as a full disk would not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk(tmp_path: Path) -> None:
    """A line that fits only in part is taken back and refused."""
    file = tmp_path / "log"
    append(file, b"first\n")
    with file_size_limit(10), pytest.raises(OSError):
        append(file, b"second line\n")
    assert lines(file) == [b"first"]


@pytest.mark.parametrize("kind", ["directory", "link", "pipe"])
def test_what_is_no_file(tmp_path: Path, kind: str) -> None:
    """A directory, a link or a pipe of that name is refused, at once, and left as it is."""
    file, other = tmp_path / "log", tmp_path / "other"
    other.write_text("mine")
    makers = {"directory": file.mkdir, "link": lambda: file.symlink_to(other)}
    makers.get(kind, lambda: os.mkfifo(file))()
    with pytest.raises(OSError):
        append(file, b"line\n")
    assert other.read_text() == "mine"


def test_a_reader_misses_nothing(tmp_path: Path) -> None:
    """Who follows the file sees each line once, across rotations, and none before it is whole."""
    file = tmp_path / "log"
    seen: list[bytes] = []
    with Tail(file) as tail:
        assert list(tail.lines()) == []
        for number in range(100):
            append(file, b"line %d\n" % number, limit=60)
            seen += tail.lines()
        with file.open("ab") as half:
            half.write(b"half a ")
        assert list(tail.lines()) == []
        with file.open("ab") as half:
            half.write(b"line\n")
        assert list(tail.lines()) == [b"half a line"]
        file.unlink()
        append(file, b"anew\n")
        assert list(tail.lines()) == [b"anew"]
    assert seen == [b"line %d" % number for number in range(100)]
