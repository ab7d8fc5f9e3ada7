"""Archives as streams through a worker: when one side fails, the other ends and says the truth."""

import errno
import hashlib
import os
import random
import re
import resource
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from time import monotonic

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nothing_left import nothing_left

from agebackup.errors import FailedError, NoIdentityError, StoppedError, VerificationError
from agebackup.model.ageheader import HEADER_LIMIT, parse, sealed_size
from agebackup.model.limits import MIB, Limits
from agebackup.snapshot import sealed as snapshot_sealed
from agebackup.snapshot.keys import Identities, Recipients, read_identities, read_recipients
from agebackup.snapshot.sealed import Seal, opening, quick_check, sealing
from agebackup.system.progress import Progress
from agebackup.system.streams import write_all

LIMITS = Limits()
CHUNK = 65536
MUCH = random.Random(0).randbytes(1 << 20) * 4
"""More than pipe and buffers hold, so that the two sides must wait for each other."""


@pytest.fixture(scope="module")
def recipients(keys) -> Recipients:
    return read_recipients([keys.recipient], [])


@pytest.fixture(scope="module")
def identities(keys) -> Identities:
    return read_identities([keys.identity], passphrase=None, warn=print)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """After every test: no descriptor more than before, and no child, living or dead."""
    with nothing_left():
        yield


@contextmanager
def file(content: bytes = b"") -> Iterator[int]:
    """Yield a descriptor, at its beginning, of a real file without a name that holds `content`."""
    with tempfile.TemporaryFile(buffering=0) as stream:
        write_all(stream.fileno(), content)
        stream.seek(0)
        yield stream.fileno()


@contextmanager
def limited(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes: a disk that is full at that byte."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def soon() -> Iterator[None]:
    """The block, which ends by some fault, does so without a wait.

    An idle machine takes a tenth of a second; the rest is room for one that is loaded.
    """
    begin = monotonic()
    yield
    assert monotonic() - begin < 5


def content_of(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def to_seal(
    descriptor: int, recipients: Recipients, progress: Progress | None = None
) -> AbstractContextManager[Seal]:
    return sealing(descriptor, recipients, level=None, progress=progress or Progress())


@contextmanager
def to_open(
    descriptor: int, identities: Identities, progress: Progress | None = None
) -> Iterator[int]:
    progress = progress or Progress()
    with opening(descriptor, identities, limits=LIMITS, progress=progress) as opened:
        yield opened.plaintext


def seal(descriptor: int, content: bytes, recipients: Recipients, level: int | None = None) -> None:
    with sealing(descriptor, recipients, level=level, progress=Progress()) as to:
        write_all(to.plaintext, content)


def sealed(content: bytes, recipients: Recipients, level: int | None = None) -> bytes:
    with file() as descriptor:
        seal(descriptor, content, recipients, level)
        return content_of(descriptor)


def read_to_end(pipe: int) -> bytes:
    pieces = bytearray()
    while piece := os.read(pipe, 1 << 16):
        pieces += piece
    return bytes(pieces)


def opened(data: bytes, identities: Identities) -> bytes:
    """Read `data` as a reader of archives does: what ends too early is a complaint of its own."""
    with file(data) as descriptor, to_open(descriptor, identities) as pipe:
        content = read_to_end(pipe)
        if not content:
            raise VerificationError("The stream ended early.")
    return content


def worker() -> int:
    """Return the process id of this process's one child."""
    found = subprocess.Popen(["pgrep", "-P", str(os.getpid())], stdout=subprocess.PIPE)
    assert found.stdout is not None
    with found:
        children = {int(line) for line in found.stdout} - {found.pid}
    return children.pop()


# Sealing


@given(st.integers(0, 200_000), st.sampled_from([None, 3]))
@settings(max_examples=15, deadline=None)
def test_what_was_sealed_is_opened(
    keys, recipients: Recipients, identities: Identities, size: int, level: int | None
) -> None:
    """Whatever is written comes back, through us and through stock `age`."""
    content = random.Random(size).randbytes(size)
    with file() as descriptor:
        seal(descriptor, content, recipients, level)
        with to_open(descriptor, identities) as pipe:
            assert read_to_end(pipe) == content
        by_hand = subprocess.run(
            ["age", "-d", "-i", keys.identity], input=content_of(descriptor), capture_output=True
        ).stdout
    assert level is not None or by_hand == content


EDGES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1]


@pytest.mark.parametrize("level", [None, 3], ids=["plain", "compressed"])
@pytest.mark.parametrize("size", [*EDGES, *range((1 << 21) - 1600, (1 << 21) + 1, 320)])
def test_the_hash_is_that_of_the_whole_file(
    recipients: Recipients, identities: Identities, size: int, level: int | None
) -> None:
    """The hash that is taken while sealing, and while opening, is the finished file's.

    Whole chunks, whole blocks and what is a little less or more make no difference.
    """
    content, progress = random.Random(size).randbytes(size), Progress()
    with file() as descriptor:
        with sealing(descriptor, recipients, level=level, progress=progress, hashing=True) as seal:
            write_all(seal.plaintext, content)
        with opening(
            descriptor, identities, limits=LIMITS, progress=progress, hashing=True
        ) as opened:
            assert read_to_end(opened.plaintext) == content
        expected = hashlib.sha256(content_of(descriptor)).hexdigest()
    assert seal.encrypted is not None and seal.encrypted.sha256 == expected
    assert opened.decrypted is not None and opened.decrypted.sha256 == expected


def test_no_hash_is_taken_unless_asked_for(recipients: Recipients, identities: Identities) -> None:
    """What nobody needs is not paid for."""
    with file() as descriptor:
        with to_seal(descriptor, recipients) as seal:
            write_all(seal.plaintext, b"content")
        with opening(descriptor, identities, limits=LIMITS, progress=Progress()) as opened:
            read_to_end(opened.plaintext)
    assert seal.encrypted is not None and seal.encrypted.sha256 == ""
    assert opened.decrypted is not None and opened.decrypted.sha256 == ""


def test_more_than_the_buffers_hold_passes(recipients: Recipients, identities: Identities) -> None:
    """Streams larger than pipe and buffers pass in both directions without standing still."""
    assert opened(sealed(MUCH, recipients), identities) == MUCH


@pytest.mark.parametrize("level", [None, 3])
def test_a_seal_says_what_became_of_it(recipients: Recipients, level: int | None) -> None:
    """After a clean end the seal's counts are those of the file, which has exactly its size."""
    with file() as descriptor:
        with sealing(descriptor, recipients, level=level, progress=Progress()) as to:
            assert to.encrypted is None
            write_all(to.plaintext, MUCH)
        size = os.fstat(descriptor).st_size
        header = quick_check(descriptor)
    assert to.encrypted is not None and to.encrypted.stream_bytes == len(MUCH)
    assert to.encrypted.sealed_bytes == size
    assert sealed_size(header.length, to.encrypted.plaintext_bytes) == size


@pytest.mark.parametrize("size", [0, 100, CHUNK, CHUNK + 8191, 300_000])
def test_a_disk_full_at_the_end_is_never_success(
    recipients: Recipients, identities: Identities, size: int
) -> None:
    """Where the file can grow no more, sealing fails with the system's error, or it is whole."""
    content = random.Random(size).randbytes(size)
    whole = sealed_size(200, size)
    for limit in (0, max(0, whole - 8192), whole - 50, *range(whole, whole + 60, 5), whole + 400):
        with file() as descriptor:
            try:
                with limited(limit):
                    seal(descriptor, content, recipients)
            except OSError as error:
                assert error.errno == errno.EFBIG and error.filename is None
                continue
            assert pyrage.decrypt(content_of(descriptor), list(identities.keys)) == content
    assert limit == whole + 400


def test_a_full_disk_reaches_the_producer_soon(recipients: Recipients) -> None:
    """When the disk is full, the one who writes the content is told so, not of a broken pipe."""
    with file() as descriptor, soon(), limited(100_000):
        with pytest.raises(OSError) as raised, to_seal(descriptor, recipients) as to:
            while True:
                write_all(to.plaintext, MUCH)
        assert raised.value.errno == errno.EFBIG


@pytest.mark.parametrize("written", [0, 1, CHUNK, len(MUCH)])
@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, OSError, FailedError])
def test_a_failed_producer_is_never_a_clean_end(
    recipients: Recipients, written: int, kind: type[BaseException]
) -> None:
    """An exception of the producer comes out as it is, soon, whatever was written before."""
    failure = kind("the producer failed")
    with (
        file() as descriptor,
        soon(),
        pytest.raises(kind) as raised,
        to_seal(descriptor, recipients) as to,
    ):
        write_all(to.plaintext, MUCH[:written])
        raise failure
    assert raised.value is failure


def test_a_failed_producer_leaves_no_finished_file(recipients: Recipients) -> None:
    """When the producer fails, the file behind is not finished as if all was there."""
    for _ in range(10):
        with file() as descriptor:
            with pytest.raises(ValueError), to_seal(descriptor, recipients) as to:
                write_all(to.plaintext, bytes(100))
                raise ValueError
            assert os.fstat(descriptor).st_size == 0


def test_a_pipe_of_the_producers_own_is_not_mistaken(recipients: Recipients) -> None:
    """A broken pipe elsewhere, such as a closed standard output, stays what it is."""
    failure = BrokenPipeError(errno.EPIPE, "another pipe")
    with (
        file() as descriptor,
        soon(),
        pytest.raises(BrokenPipeError) as raised,
        to_seal(descriptor, recipients) as to,
    ):
        write_all(to.plaintext, bytes(100))
        raise failure
    assert raised.value is failure


@pytest.mark.parametrize("finished", [False, True])
def test_a_killed_worker_is_a_failure(recipients: Recipients, finished: bool) -> None:
    """When the encrypting process is killed, sealing fails soon and names the signal."""
    with (
        file() as descriptor,
        soon(),
        pytest.raises(FailedError, match="SIGKILL"),
        to_seal(descriptor, recipients) as to,
    ):
        write_all(to.plaintext, bytes(100))
        os.kill(worker(), signal.SIGKILL)
        while not finished:
            write_all(to.plaintext, MUCH)


def test_a_stop_ends_the_waiting(recipients: Recipients) -> None:
    """A stop asked for while the worker is still busy, or hangs, ends the wait at once."""
    progress = Progress()
    with (
        file() as descriptor,
        soon(),
        pytest.raises(StoppedError) as raised,
        to_seal(descriptor, recipients, progress) as to,
    ):
        write_all(to.plaintext, bytes(100))
        os.kill(worker(), signal.SIGSTOP)
        progress.stop.request(signal.SIGTERM)
    assert raised.value.code == 143


def test_a_stop_by_a_real_signal_ends_the_waiting(recipients: Recipients) -> None:
    """A signal that comes while we wait for a worker that hangs is noticed while we wait."""
    progress = Progress()
    before = signal.signal(signal.SIGALRM, lambda number, frame: progress.stop.request(number))
    try:
        with (
            file() as descriptor,
            soon(),
            pytest.raises(StoppedError),
            to_seal(descriptor, recipients, progress) as to,
        ):
            write_all(to.plaintext, bytes(100))
            os.kill(worker(), signal.SIGSTOP)
            signal.setitimer(signal.ITIMER_REAL, 0.1)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_the_signals_of_a_terminal_leave_the_worker_alone(
    recipients: Recipients, identities: Identities
) -> None:
    """Ctrl-C reaches the whole group of processes; the worker's end is the parent's to decide."""
    with file() as descriptor:
        with to_seal(descriptor, recipients) as to:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(worker(), number)
            write_all(to.plaintext, b"content")
        assert opened(content_of(descriptor), identities) == b"content"


def test_a_file_that_is_not_what_was_written_is_noticed(recipients: Recipients) -> None:
    """A destination that swallows, shifts or adds bytes fails the exact check of the size."""
    with open("/dev/null", "r+b", buffering=0) as nothing, file(bytes(9000)) as longer:
        for descriptor, position in ((nothing.fileno(), 0), (longer, 0), (longer, 4096)):
            if position:
                os.ftruncate(descriptor, 0)
                os.lseek(descriptor, position, os.SEEK_SET)
            with pytest.raises(FailedError, match="does not hold what was written") as raised:
                seal(descriptor, bytes(100), recipients)
            assert raised.value.code == 1


def test_a_file_that_cannot_be_written_is_an_error(recipients: Recipients) -> None:
    """A destination opened for reading only fails with a sentence, not with a traceback."""
    with tempfile.NamedTemporaryFile() as stream, open("/dev/null", "rb") as device:
        reading = os.open(stream.name, os.O_RDONLY)
        for descriptor in (device.fileno(), reading):
            with pytest.raises((FailedError, OSError)):
                seal(descriptor, bytes(100), recipients)
        os.close(reading)


# Opening


def test_the_wrong_key_outranks_the_end_of_the_stream(recipients: Recipients, other_keys) -> None:
    """Who reads an archive with the wrong key is told so, and not that the stream ended early."""
    stranger = read_identities([other_keys.identity], passphrase=None, warn=print)
    with soon(), pytest.raises(NoIdentityError):
        opened(sealed(b"content", recipients), stranger)


@pytest.mark.parametrize("size", [100, CHUNK, CHUNK + 100, len(MUCH)])
def test_damage_outranks_the_end_of_the_stream(
    recipients: Recipients, identities: Identities, size: int
) -> None:
    """Damage found while decrypting is what is said, whatever the body made of the early end."""
    data = bytearray(sealed(MUCH[:size], recipients))
    data[-20] ^= 1
    with soon(), pytest.raises(VerificationError, match="damaged after its header"):
        opened(bytes(data), identities)


def test_damage_is_found_though_the_body_is_content(
    recipients: Recipients, identities: Identities
) -> None:
    """A body that is satisfied with less than the whole does not make damage pass."""
    data = bytearray(sealed(MUCH, recipients))
    data[-20] ^= 1
    with (
        file(bytes(data)) as descriptor,
        pytest.raises(VerificationError, match="damaged after"),
        to_open(descriptor, identities) as pipe,
    ):
        read_to_end(pipe)


def test_what_the_body_did_not_read_is_an_error(
    recipients: Recipients, identities: Identities
) -> None:
    """Content after what the body took for the end is refused."""
    for size in (101, len(MUCH)):
        with (
            file(sealed(MUCH[:size], recipients)) as descriptor,
            soon(),
            pytest.raises(VerificationError, match="follows the end"),
            to_open(descriptor, identities) as pipe,
        ):
            os.read(pipe, 100)


@pytest.mark.parametrize("kind", [ValueError, VerificationError, StoppedError])
@pytest.mark.parametrize("read", [0, 100])
def test_the_bodys_own_error_ends_the_decryption(
    recipients: Recipients, identities: Identities, kind: type[Exception], read: int
) -> None:
    """A body that gives up in the middle ends the worker soon, and its error is the one raised."""
    failure = kind(15) if kind is StoppedError else kind("the body failed")
    with (
        file(sealed(MUCH, recipients)) as descriptor,
        soon(),
        pytest.raises(kind) as raised,
        to_open(descriptor, identities) as pipe,
    ):
        os.read(pipe, read)
        raise failure
    assert raised.value is failure


def test_a_killed_decryption_is_a_failure(recipients: Recipients, identities: Identities) -> None:
    """When the decrypting process is killed, this is said, and not that the archive is damaged."""
    with (
        file(sealed(MUCH, recipients)) as descriptor,
        soon(),
        pytest.raises(FailedError, match="SIGKILL"),
        to_open(descriptor, identities) as pipe,
    ):
        os.read(pipe, 100)
        os.kill(worker(), signal.SIGKILL)
        read_to_end(pipe)
        raise VerificationError("The stream ended early.")


def test_a_stop_ends_the_waiting_for_the_end(
    recipients: Recipients, identities: Identities
) -> None:
    """A stop asked for while the decryption hangs ends the wait at once."""
    progress = Progress()
    with (
        file(sealed(b"content", recipients)) as descriptor,
        soon(),
        pytest.raises(StoppedError),
        to_open(descriptor, identities, progress),
    ):
        os.kill(worker(), signal.SIGSTOP)
        progress.stop.request(signal.SIGINT)


def test_an_archive_is_opened_from_its_beginning(
    recipients: Recipients, identities: Identities
) -> None:
    """The descriptor's position does not matter, and a file can be opened again and again."""
    with file(sealed(b"content", recipients)) as descriptor:
        for position in (0, 7, 10_000):
            os.lseek(descriptor, position, os.SEEK_SET)
            with to_open(descriptor, identities) as pipe:
                assert read_to_end(pipe) == b"content"


# Without a key


def test_a_whole_file_passes_the_quick_check(recipients: Recipients) -> None:
    """Without a key the recipients and the exact size are known; the position stays."""
    for level in (None, 3):
        with file(sealed(MUCH, recipients, level)) as descriptor:
            os.lseek(descriptor, 5, os.SEEK_SET)
            assert "X25519" in quick_check(descriptor).stanzas
            assert os.lseek(descriptor, 0, os.SEEK_CUR) == 5


def test_a_cut_or_longer_file_fails_the_quick_check(
    recipients: Recipients, identities: Identities
) -> None:
    """A size that no archive has is found without a key, and before the key is used."""
    data = sealed(bytes(CHUNK), recipients)
    header = parse(data[:HEADER_LIMIT]).length
    wrong = [data[: header + n] for n in (0, 1, 15, 16, 31)] + [data + b"x" * n for n in (1, 16)]
    for content in wrong:
        with file(content) as descriptor:
            with pytest.raises(VerificationError, match="no whole age file"):
                quick_check(descriptor)
            assert quick_check(descriptor, size_matters=False).length == header
            with (
                pytest.raises(VerificationError, match="no whole age file"),
                to_open(descriptor, identities),
            ):
                raise AssertionError("the body was entered")


@pytest.mark.parametrize("content", [b"", bytes(5000), b"x" * 5000, b"age-encryption.org/v1\n"])
def test_what_is_no_age_file_is_said_to_be_none(identities: Identities, content: bytes) -> None:
    """An empty, zero-filled, foreign or cut file is refused before a key is used."""
    with (
        file(content) as descriptor,
        pytest.raises(VerificationError) as raised,
        to_open(descriptor, identities),
    ):
        raise AssertionError("the body was entered")
    assert raised.value.code == 4 and raised.value.hint


def test_an_endless_header_is_refused_in_no_time(identities: Identities) -> None:
    """A file that is nothing but header, which pyrage would read for minutes, is refused."""
    stanza = b"-> other x\n" + b"A" * 43 + b"\n"
    with (
        file(b"age-encryption.org/v1\n" + stanza * 100_000) as descriptor,
        soon(),
        pytest.raises(VerificationError, match="longer than"),
        to_open(descriptor, identities),
    ):
        raise AssertionError("the body was entered")


def test_a_file_that_cannot_be_read_is_not_called_damaged() -> None:
    """An error of the system while reading is exit 1, with what the system said."""
    directory = os.open("/", os.O_RDONLY)
    with pytest.raises(FailedError, match="Is a directory") as raised:
        quick_check(directory)
    assert raised.value.code == 1
    os.close(directory)


@pytest.mark.linux
def test_decryption_is_confined(recipients: Recipients, identities: Identities) -> None:
    """The process that takes apart what may be hostile is limited as long as it works."""
    with file(sealed(MUCH, recipients)) as descriptor, to_open(descriptor, identities) as pipe:
        assert os.read(pipe, 1)
        about = Path("/proc", str(worker()))
        limits = (about / "limits").read_text()
        for name, value in (("core file", 0), ("file", 0), ("open files", 16)):
            assert re.search(rf"^Max {name}(?: size)? +{value} +{value} ", limits, re.MULTILINE)
        assert not re.search(r"^Max address space +unlimited", limits, re.MULTILINE)
        assert "NoNewPrivs:\t1\n" in (about / "status").read_text()
        read_to_end(pipe)


@pytest.mark.linux
@pytest.mark.parametrize("level", [None, 19])
def test_decryption_has_bounded_memory(
    recipients: Recipients,
    identities: Identities,
    monkeypatch: pytest.MonkeyPatch,
    level: int | None,
) -> None:
    """Where it would take more memory than it may, it ends and says so; it takes little."""
    content = sealed(MUCH, recipients, level)
    monkeypatch.setattr(snapshot_sealed, "DECRYPTION_MEMORY", 96 * MIB)
    assert opened(content, identities) == MUCH
    monkeypatch.setattr(snapshot_sealed, "DECRYPTION_MEMORY", 0)
    with soon(), pytest.raises(FailedError, match="memory"):
        opened(content, identities)
