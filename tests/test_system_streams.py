"""Pipes, sources and sinks: every byte arrives, or the error that prevented it does."""

import errno
import hashlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from system_faults import OWN_MOUNTS, fault, run

from agebackup.errors import StoppedError
from agebackup.system.background import FileSink, FileSource, sink_for, source_for
from agebackup.system.progress import Progress, Stop
from agebackup.system.streams import (
    DescriptorSink,
    DescriptorSource,
    open_pipe,
    pieces,
    write_all,
)

pytestmark = pytest.mark.linux

EDGES = [0, 1, 4095, 4096, 4097, (1 << 18) - 1, 1 << 18, (1 << 21) - 1, 1 << 21, 6 * (1 << 21) + 7]


def _read_all(source: DescriptorSource, size: int) -> bytes:
    return b"".join(iter(lambda: source.read(size), b""))


def _made(path: Path, content: bytes = b"") -> int:
    path.write_bytes(content)
    return os.open(path, os.O_RDWR)


def test_a_pipe_is_large_and_private() -> None:
    """The pipe between two processes holds a megabyte, so that neither waits for each block."""
    reading, writing = open_pipe()
    assert not os.get_inheritable(reading) and not os.get_inheritable(writing)
    os.set_blocking(writing, False)
    assert os.write(writing, bytes(1 << 20)) == 1 << 20
    os.close(writing)
    with open(reading, "rb") as stream:
        assert stream.read() == bytes(1 << 20)


@pytest.mark.parametrize("asked", [0, 1, 1 << 20, (1 << 20) + 1, 1 << 22])
def test_a_file_is_read_in_order_and_no_further(tmp_path: Path, asked: int) -> None:
    """So many bytes come as were asked for, or as many as there are; a stop is heard in between."""
    content = os.urandom(3 << 20)
    descriptor = _made(tmp_path / "file", content)
    assert b"".join(pieces(descriptor, asked, Progress())) == content[:asked]
    os.lseek(descriptor, 0, os.SEEK_SET)
    stop = Stop()
    stop.request(15)
    with pytest.raises(StoppedError):
        list(pieces(descriptor, 1 << 22, Progress(stop)))
    os.close(descriptor)


@pytest.mark.parametrize("make", [DescriptorSink, FileSink])
@pytest.mark.parametrize("size", EDGES)
def test_what_a_sink_took_is_in_the_file(
    tmp_path: Path, make: type[DescriptorSink], size: int
) -> None:
    """After `finish` the file holds exactly what was given, around every edge of its blocks.

    The digest has seen it all.
    """
    content, digest = os.urandom(size), hashlib.sha256()
    descriptor = _made(tmp_path / "file")
    sink = make(descriptor, digest)
    rest = memoryview(content)
    while rest:
        assert sink.write(bytes(rest[:65552])) == len(rest[:65552])
        rest = rest[65552:]
    sink.finish()
    assert (tmp_path / "file").read_bytes() == content
    assert sink.count == size == os.lseek(descriptor, 0, os.SEEK_CUR)
    assert digest.digest() == hashlib.sha256(content).digest()
    os.close(descriptor)


@pytest.mark.parametrize("make", [DescriptorSource, FileSource])
@pytest.mark.parametrize("size", EDGES)
def test_what_is_in_the_file_a_source_gives(
    tmp_path: Path, make: type[DescriptorSource], size: int
) -> None:
    """A source gives exactly what the file holds, and then its end, again and again.

    At the end the digest has seen it all.
    """
    content, digest = os.urandom(size), hashlib.sha256()
    descriptor = _made(tmp_path / "file", content)
    source = make(descriptor, None, digest)
    assert _read_all(source, 8192) == content
    assert digest.digest() == hashlib.sha256(content).digest()
    assert source.read(8192) == source.read() == b""
    assert source.count == size
    os.close(descriptor)


@settings(max_examples=30, deadline=None)
@given(
    start=st.integers(0, 10_000),
    pieces=st.lists(st.binary(max_size=5000), max_size=20),
    sizes=st.lists(st.integers(1, 300_000), min_size=1, max_size=4),
)
def test_streams_of_any_pieces(
    start: int, pieces: list[bytes], sizes: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In whatever pieces and from whatever offset, what was written is what is read."""
    path = tmp_path_factory.mktemp("streams") / "file"
    descriptor = _made(path, bytes(start))
    os.lseek(descriptor, start, os.SEEK_SET)
    sink = sink_for(descriptor)
    for piece in pieces * 30:
        sink.write(piece)
    sink.finish()
    os.lseek(descriptor, start, os.SEEK_SET)
    source = source_for(descriptor)
    got = b""
    while piece := source.read(sizes[len(got) % len(sizes)]):
        got += piece
    assert got == b"".join(pieces * 30)
    assert path.stat().st_size == start + len(got)
    os.close(descriptor)


def test_files_get_a_thread_and_pipes_do_not(tmp_path: Path) -> None:
    """What is no file is read and written in place: a pipe has no disk to wait for."""
    descriptor = _made(tmp_path / "file")
    reading, writing = open_pipe()
    assert type(source_for(descriptor)) is FileSource
    assert type(source_for(reading)) is DescriptorSource
    assert type(sink_for(writing)) is DescriptorSink
    sink = sink_for(descriptor)
    assert type(sink) is FileSink
    sink.finish()
    for opened in (descriptor, reading, writing):
        os.close(opened)


def test_a_sink_keeps_its_first_error() -> None:
    """A full disk is reported at every later call, whatever swallowed the first report."""
    full = os.open("/dev/full", os.O_WRONLY)
    sink = DescriptorSink(full)
    with pytest.raises(OSError, match="No space") as first:
        for _ in range(9):
            sink.write(bytes(1 << 16))
    for call in (lambda: sink.write(b"x"), sink.finish):
        with pytest.raises(OSError, match="No space") as again:
            call()
        assert again.value is first.value is sink.error
    os.close(full)


def test_the_last_bytes_are_not_lost() -> None:
    """An error of the very last write comes out of `finish`."""
    full = os.open("/dev/full", os.O_WRONLY)
    sink = DescriptorSink(full)
    assert sink.write(b"last") == 4
    with pytest.raises(OSError, match="No space"):
        sink.finish()
    os.close(full)


def test_a_source_keeps_its_first_error(tmp_path: Path) -> None:
    """A source that failed never looks like one that ended."""
    directory = os.open(tmp_path, os.O_RDONLY)
    source = DescriptorSource(directory)
    for _ in range(3):
        with pytest.raises(IsADirectoryError):
            source.read(10)
    assert isinstance(source.error, IsADirectoryError)
    os.close(directory)


@pytest.mark.parametrize("make", [DescriptorSource, FileSource])
def test_a_stop_reaches_a_source(
    tmp_path: Path, make: Callable[[int, Progress], DescriptorSource]
) -> None:
    """A person who stops a run stops what it reads, for good."""
    descriptor = _made(tmp_path / "file", b"content")
    stop = Stop()
    source = make(descriptor, Progress(stop))
    stop.request(signal.SIGINT)
    for _ in range(2):
        with pytest.raises(StoppedError):
            source.read(1)
    os.close(descriptor)


def test_a_reader_that_is_gone_is_an_error() -> None:
    """Writing into a pipe without a reader fails at once, and does not kill the run."""
    reading, writing = open_pipe()
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        write_all(writing, b"x")
    os.close(writing)


WRITE = """
descriptor = os.open(here / "file", os.O_RDWR | os.O_CREAT, 0o600)
content = os.urandom(1 << 16) * 200 + b"tail"
sink = sink_for(descriptor)
try:
    for start in range(0, len(content), 50_000):
        sink.write(content[start:start + 50_000])
    sink.finish()
except OSError as error:
    print(error.errno, end=" ")
else:
    assert (here / "file").read_bytes() == content
    os.lseek(descriptor, 0, os.SEEK_SET)
    source = source_for(descriptor)
    assert b"".join(iter(source.read, b"")) == content
"""


@pytest.mark.parametrize("number", [1, 2, 6])
@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EDQUOT"])
def test_an_error_of_any_block_comes_out(tmp_path: Path, number: int, error: str) -> None:
    """Whichever block the disk refuses, the writer is told."""
    done = run(WRITE, tmp_path, under=fault(f"pwrite64:error={error}:when={number}"))
    assert done.stdout == f"{getattr(errno, error)} done\n", done


def test_an_error_of_the_last_bytes_comes_out(tmp_path: Path) -> None:
    """An archive smaller than a block is not lost either when the disk refuses it."""
    short = WRITE.replace(" * 200", "")
    done = run(short, tmp_path, under=fault("pwrite64:error=ENOSPC:when=1"))
    assert done.stdout == f"{errno.ENOSPC} done\n", done


@pytest.mark.parametrize(
    "injections",
    [
        ("pwrite64:error=EINVAL:when=2",),
        ("pwrite64:error=EINVAL:when=6", "sync_file_range:error=ESPIPE"),
        ("preadv:error=EINVAL:when=1",),
        ("preadv:error=EINVAL:when=3",),
    ],
)
def test_direct_access_is_given_up_silently(tmp_path: Path, injections: tuple[str, ...]) -> None:
    """Where O_DIRECT is refused at any write or read, everything is written and read without."""
    done = run(WRITE, tmp_path, under=fault(*injections))
    assert done.stdout == "done\n", done


def test_a_file_system_without_direct_writing(tmp_path: Path) -> None:
    """On a file system that knows no O_DIRECT everything works, only slower."""
    done = run(
        'import subprocess\nsubprocess.run(["mount", "-t", "ramfs", "none", here], check=True)'
        + WRITE,
        tmp_path,
        under=OWN_MOUNTS,
    )
    assert done.stdout == "done\n", done


def test_a_full_disk_comes_out(tmp_path: Path) -> None:
    """A disk that fills up in the middle of an archive is an error, wherever that is."""
    for size in (4096, 2 << 20, (4 << 20) + 4096, 13_107_200):
        done = run(
            "import subprocess\nsubprocess.run("
            f'["mount", "-t", "tmpfs", "-osize={size}", "none", here], check=True)' + WRITE,
            tmp_path,
            under=OWN_MOUNTS,
        )
        assert done.stdout == f"{errno.ENOSPC} done\n", (size, done)


def test_a_file_size_limit_comes_out(tmp_path: Path) -> None:
    """A limit on file sizes is an error like any other, not the run's death."""
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))"
    done = run(limit + WRITE, tmp_path)
    assert done.stdout == f"{errno.EFBIG} done\n", done


def test_the_given_descriptor_stays_ordinary(tmp_path: Path) -> None:
    """After a writing worker was killed, its parent reads and writes the file as ever."""
    done = run(
        """
        descriptor = os.open(here / "file", os.O_RDWR | os.O_CREAT, 0o600)
        def work():
            sink = sink_for(descriptor)
            for _ in range(50):
                sink.write(bytes(1 << 20))
            os.kill(os.getpid(), signal.SIGKILL)
        with Worker.start(work, keep=[descriptor]) as worker:
            try:
                worker.result(Progress())
            except AgebackupError as error:
                print(error.message)
        assert os.pread(descriptor, 3, 1) == bytes(3)
        assert os.pwrite(descriptor, b"odd", 1) == 3
        """,
        tmp_path,
    )
    assert done.stdout.splitlines() == [
        "A worker process was killed by SIGKILL before it was done.",
        "done",
    ], done
