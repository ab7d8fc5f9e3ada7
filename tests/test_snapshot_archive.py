"""The tar stream: what the writer writes is read back, by us and by every tar in use."""

import hashlib
import io
import os
import shutil
import signal
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import PLACES
from system_faults import fault, run

from agebackup.errors import FailedError, StoppedError
from agebackup.model.limits import Limits
from agebackup.model.ustar import (
    EXECUTABLE,
    PLAIN,
    encode_header,
)
from agebackup.snapshot.archive import TarReader
from agebackup.snapshot.tar_writer import FileChangedError, TarWriter
from agebackup.system.progress import Progress

EDGES = (0, 1, 511, 512, 513, 65535, 65536, 65537, 524288, 524289, 1048575, 1048576, 1048577)
TARS = {"GNU tar": ["tar", "xf"], "bsdtar": ["bsdtar", "xf"], "busybox": ["busybox", "tar", "xf"]}


class Writing:
    """A tar stream in a file, written by our writer."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "stream.tar"
        self._source = directory / "source"
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self.tar = TarWriter(self._descriptor, "app", Progress())

    def add(self, place: str, content: bytes, mtime: int = 0, mode: int = 0o600) -> None:
        """Add a file that lies on the disk."""
        self._source.write_bytes(content)
        self._source.chmod(mode)
        os.utime(self._source, (mtime, mtime))
        with self._source.open("rb") as file:
            written = self.tar.add_file(place, file.fileno(), os.fstat(file.fileno()))
        assert written[:3] == (place, len(content), hashlib.sha256(content).digest())

    def finish(self) -> Path:
        """End the stream and return its path."""
        self.tar.close()
        os.close(self._descriptor)
        return self.path


def read_all(path: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return mtime, mode and content of each member."""
    found = {}
    with path.open("rb") as file:
        tar = TarReader(file.fileno(), Limits(), Progress())
        while (member := tar.next()) is not None:
            found[member.place] = (member.mtime, member.mode, tar.content(1 << 30, "test"))
            assert len(found[member.place][2]) == member.size
    return found


@pytest.mark.parametrize("size", EDGES)
def test_sizes_at_the_edges_come_back(size: int, tmp_path: Path) -> None:
    """Files as long as a block, an age chunk or our buffer, and one byte off, come back whole."""
    content = os.urandom(size)
    writing = Writing(tmp_path)
    for place in ("data/first", "data/second"):
        writing.add(place, content, mtime=1_000_000_007)
    writing.tar.add_bytes("data/third", content, 5)
    found = read_all(writing.finish())
    assert found == {
        "data/first": (1_000_000_007, PLAIN, content),
        "data/second": (1_000_000_007, PLAIN, content),
        "data/third": (5, PLAIN, content),
    }
    assert writing.path.stat().st_size % 10240 == 0


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(files=st.dictionaries(PLACES, st.binary(max_size=1500), max_size=8))
def test_names_and_contents_come_back(files: dict[str, bytes], tmp_path: Path) -> None:
    """Whatever name a bag can carry comes back with its content, in our reader and in Python's."""
    writing = Writing(tmp_path)
    for place, content in files.items():
        writing.add(place, content)
    path = writing.finish()
    assert {place: read for place, (_, _, read) in read_all(path).items()} == files
    with tarfile.open(path, encoding="utf-8") as theirs:
        members = {m.name: theirs.extractfile(m).read() for m in theirs.getmembers()}  # type: ignore[union-attr]
    assert members == {f"app/{place}": content for place, content in files.items()}


@pytest.mark.linux
@pytest.mark.parametrize("command", TARS.values(), ids=TARS.keys())
def test_every_tar_extracts_it(command: list[str], tmp_path: Path) -> None:
    """GNU tar, bsdtar and busybox tar bring back every name, however long, and every content."""
    files = {
        "data/short": b"a",
        "data/" + "split" * 15 + "/" + "name" * 20: b"b",
        "data/" + "long" * 60: b"c",
        "data/" + "/".join(["deep" * 10] * 90): b"d",
        "data/" + "ü" * 100: b"e",
        "data/-leading": bytes(100_000),
    }
    writing = Writing(tmp_path)
    for place, content in files.items():
        writing.add(place, content, mtime=1_500_000_000)
    path = writing.finish()
    out = tmp_path / "out"
    out.mkdir()
    assert shutil.which(command[0]), f"{command[0]} is missing: run scripts/test"
    done = subprocess.run([*command, path], cwd=out, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    os.chdir(out / "app")
    try:
        for place, content in files.items():
            assert Path(place).read_bytes() == content
            assert Path(place).stat().st_mtime == 1_500_000_000
            assert Path(place).stat().st_mode & 0o777 == 0o600
    finally:
        os.chdir(tmp_path)


@pytest.mark.linux
@pytest.mark.parametrize("command", TARS.values(), ids=TARS.keys())
def test_every_tar_lists_a_huge_file(command: list[str], tmp_path: Path) -> None:
    """A file over 8 GiB, whose size needs GNU's form, and a time in 1969 hurt no tar."""
    path = tmp_path / "huge.tar"
    with path.open("wb") as file:
        file.write(encode_header(b"app/data/huge", 9 << 30, -5))
        file.seek(9 << 30, io.SEEK_CUR)
        file.write(encode_header(b"app/data/last", 0, 5) + bytes(1024))
        file.truncate(file.tell() + -file.tell() % 10240)
    listing = subprocess.run(
        [*command[:-1], "tvf", path],
        capture_output=True,
        check=True,
        env={**os.environ, "TZ": "UTC"},
    ).stdout.decode()
    assert str(9 << 30) in listing
    assert listing.splitlines()[-1].endswith("app/data/last")


def test_an_executable_stays_one(tmp_path: Path) -> None:
    """Of a file's mode the owner's right to execute it is carried, and nothing else."""
    writing = Writing(tmp_path)
    for number, mode in enumerate((0o777, 0o4755, 0o644, 0o100, 0o077, 0o000)):
        writing.add(f"data/{number}", b"", mode=mode)
    modes = [mode for _, mode, _ in read_all(writing.finish()).values()]
    assert modes == [EXECUTABLE, EXECUTABLE, PLAIN, EXECUTABLE, PLAIN, PLAIN]


def test_a_small_file_that_changed_is_read_again(tmp_path: Path) -> None:
    """A small file that changed since it was found is carried as it is now, consistently."""
    writing, source = Writing(tmp_path), tmp_path / "changing"
    source.write_bytes(b"before")
    status = source.stat()
    source.write_bytes(b"afterwards")
    with source.open("rb") as file:
        written = writing.tar.add_file("data/x", file.fileno(), status)
    assert written.size == len(b"afterwards")
    assert read_all(writing.finish())["data/x"][2] == b"afterwards"


def test_a_small_file_that_keeps_changing_is_reported(tmp_path: Path) -> None:
    """A file that somebody writes to all the time is given up after some tries, and not torn."""
    writing, source = Writing(tmp_path), tmp_path / "changing"
    source.write_bytes(b"x")
    child = os.fork()
    if not child:
        count = 0
        while True:
            count += 1
            os.utime(source, ns=(count, count))
    try:
        with source.open("rb") as file, pytest.raises(FileChangedError, match="changed while"):
            for _ in range(100_000):
                writing.tar.add_file("data/x", file.fileno(), os.fstat(file.fileno()))
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.parametrize("length, what", [(700_000, "changed"), (600_000, "shrank")])
def test_a_large_file_that_changed_is_reported(length: int, what: str, tmp_path: Path) -> None:
    """A large file that changed is reported; its member is complete, so that others can follow."""
    writing, source = Writing(tmp_path), tmp_path / "changing"
    source.write_bytes(b"a" * 700_000)
    status = source.stat()
    source.write_bytes(b"b" * length)
    with source.open("rb") as file, pytest.raises(FileChangedError, match=what) as caught:
        writing.tar.add_file("data/x", file.fileno(), status)
    assert caught.value.place == "data/x"
    writing.add("data/y", b"next")
    found = read_all(writing.finish())
    assert found["data/x"][2] == b"b" * length + bytes(700_000 - length)
    assert found["data/y"][2] == b"next"


@pytest.mark.parametrize("size", [10, 700_000])
def test_an_unreadable_file_is_reported(size: int, tmp_path: Path) -> None:
    """A file that cannot be read any more is reported by its name, not as a broken archive."""
    writing, source = Writing(tmp_path), tmp_path / "unreadable"
    source.write_bytes(bytes(size))
    with source.open("ab") as file, pytest.raises(FileChangedError, match="data/x cannot be read"):
        writing.tar.add_file("data/x", file.fileno(), os.fstat(file.fileno()))
    writing.add("data/y", b"next")
    assert read_all(writing.finish())["data/y"][2] == b"next"


class Impatient(Progress):
    """Asks for the end as soon as somebody waits."""

    def advance(self, count: int) -> None:
        """Request a stop where nothing went on."""
        if not count:
            self.stop.request(signal.SIGTERM)
        super().advance(count)


def test_writing_into_a_full_pipe_can_be_stopped() -> None:
    """Where nobody takes what is written, a stop is noticed all the same."""
    reading, writing = os.pipe()
    tar = TarWriter(writing, "app", Impatient())
    with pytest.raises(StoppedError):
        tar.add_bytes("data/x", bytes(4_000_000), 0)
    os.close(reading)
    os.close(writing)


def test_reading_from_an_idle_pipe_can_be_stopped() -> None:
    """Where nothing comes to be read, a stop is noticed all the same."""
    reading, writing = os.pipe()
    with pytest.raises(StoppedError):
        TarReader(reading, Limits(), Impatient()).next()
    os.close(reading)
    os.close(writing)


def test_a_writer_whose_reader_died_says_so() -> None:
    """A broken pipe comes out as itself, so that the caller can ask the other side why."""
    reading, writing = os.pipe()
    os.close(reading)
    tar = TarWriter(writing, "app", Progress())
    with pytest.raises(BrokenPipeError):
        tar.add_bytes("data/x", bytes(4_000_000), 0)
    os.close(writing)


@pytest.mark.linux
def test_a_payload_that_cannot_be_written_is_a_plain_failure(tmp_path: Path) -> None:
    """A full disk while restoring is said in a sentence."""
    writing = Writing(tmp_path)
    writing.add("data/x", b"content")
    with writing.finish().open("rb") as file, open("/dev/full", "wb", buffering=0) as full:
        tar = TarReader(file.fileno(), Limits(), Progress())
        tar.next()
        with pytest.raises(FailedError, match="No space left"):
            tar.copy(full.fileno())


@pytest.mark.linux
def test_a_source_that_fails_is_named(tmp_path: Path) -> None:
    """An I/O error of a file that is archived is said of that file, whichever call it strikes."""
    scenario = """
    from agebackup.snapshot.tar_writer import TarWriter
    file, sink = os.open(here / "file", os.O_RDONLY), os.open(os.devnull, os.O_WRONLY)
    TarWriter(sink, "app", Progress()).add_file("data/file", file, os.fstat(file))
    """
    path = tmp_path / "file"
    for size in (10, 1 << 20):
        path.write_bytes(bytes(size))
        for injected in (
            "preadv2,preadv:error=EIO",
            "newfstatat:error=EIO:when=2",
        ):  # 1: the test's own
            done = run(scenario, tmp_path, under=(*fault(injected), "-P", str(path)))
            says = "FileChangedError data/file cannot be read: Input/output error.\n"
            assert done.stdout == says, (injected, done)
