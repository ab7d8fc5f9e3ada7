"""Encryption and decryption: no fault of either end, and no damage, ever looks like success."""

import errno
import os
import random
import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agebackup.errors import AgebackupError, FailedError, NoIdentityError, VerificationError
from agebackup.model.ageheader import HEADER_LIMIT, parse, sealed_size
from agebackup.model.limits import Limits
from agebackup.snapshot.encryption import decrypt, encrypt
from agebackup.snapshot.keys import Identities, Recipients, read_identities, read_recipients
from agebackup.system.process import Worker
from agebackup.system.progress import Progress

LIMITS = Limits()
CHUNK = 65536
SIZES = [0, 1, 8191, 8192, 8193, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK + 8191, 2 * CHUNK + 8192]


@pytest.fixture(scope="module")
def recipients(keys) -> Recipients:
    return read_recipients([keys.recipient], [])


@pytest.fixture(scope="module")
def identities(keys) -> Identities:
    return read_identities([keys.identity], passphrase=None, warn=print)


@contextmanager
def file(content: bytes = b"") -> Iterator[int]:
    """Yield a descriptor, at its beginning, of a real file without a name that holds `content`."""
    with tempfile.TemporaryFile(buffering=0) as stream:
        stream.write(content)
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


def content_of(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def sealed(content: bytes, recipients: Recipients, level: int | None = None) -> bytes:
    with file(content) as source, file() as sink:
        encrypt(source, sink, recipients, level=level)
        return content_of(sink)


def opened(data: bytes, identities: Identities, limits: Limits = LIMITS) -> bytes:
    reading, writing = os.pipe()
    taken = bytearray()
    reader = Thread(target=read_to_end, args=(reading, taken))
    reader.start()
    try:
        with file(data) as source:
            decrypt(source, writing, identities, limits=limits)
    finally:
        os.close(writing)
        reader.join()
        os.close(reading)
    return bytes(taken)


def read_to_end(pipe: int, taken: bytearray) -> None:
    while piece := os.read(pipe, 1 << 16):
        taken += piece


def in_worker(function: Callable[[], None]) -> None:
    """Run `function` as `sealing` runs encryption: what a failed sink leaves behind dies with it.

    An assertion that fails there fails here.
    """

    def run() -> dict[str, object]:
        function()
        return {}

    with Worker.start(run) as worker:
        worker.result(Progress())


@given(st.integers(0, 200_000), st.sampled_from([None, 1, 3]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_what_is_encrypted_is_decrypted_by_stock_age(
    keys, recipients: Recipients, identities: Identities, size: int, level: int | None, even: bool
) -> None:
    """Content of any size comes back through `age -d` (and `zstd -d`), and through us."""
    content = bytes(size) if even else random.Random(size).randbytes(size)
    data = sealed(content, recipients, level)
    assert opened(data, identities) == content
    by_hand = subprocess.run(
        ["age", "-d", "-i", keys.identity], input=data, capture_output=True, check=True
    ).stdout
    if level is not None:
        unpacked = subprocess.run(["zstd", "-dq"], input=by_hand, capture_output=True, check=True)
        by_hand = unpacked.stdout
    assert by_hand == content


@pytest.mark.parametrize("level", [None, 3])
def test_what_was_done_is_counted_exactly(recipients: Recipients, level: int | None) -> None:
    """The counts are those of the bytes that were really read, encrypted and written."""
    for size in SIZES:
        with file(bytes(size)) as source, file() as sink:
            done = encrypt(source, sink, recipients, level=level)
            data = content_of(sink)
        header = parse(data[:HEADER_LIMIT])
        assert done.stream_bytes == size
        assert done.sealed_bytes == len(data) == sealed_size(header.length, done.plaintext_bytes)
        assert level is not None or done.plaintext_bytes == size


@pytest.mark.parametrize("size", SIZES)
def test_a_disk_full_at_any_byte_is_an_error(
    recipients: Recipients, identities: Identities, size: int
) -> None:
    """Wherever the file can grow no more, there is an error, or the whole file was written."""
    content = random.Random(size).randbytes(size)
    whole = sealed_size(200, size)
    edges = {whole - 8192 + n for n in (-1, 0, 1)} | {whole - CHUNK + n for n in (-1, 0, 1)}
    limits = {n for n in {*range(whole - 120, whole + 320, 3), 4096, *edges} if n >= 0}

    def sweep() -> None:
        outcomes = [encrypted_within(n, content, recipients, identities) for n in sorted(limits)]
        assert outcomes[-1] and not outcomes[0]

    in_worker(sweep)


def encrypted_within(
    limit: int, content: bytes, recipients: Recipients, identities: Identities
) -> bool:
    with file(content) as source, file() as sink:
        try:
            with limited(limit):
                encrypt(source, sink, recipients)
        except OSError as error:
            assert error.errno == errno.EFBIG
            return False
        assert pyrage.decrypt(content_of(sink), list(identities.keys)) == content
        return True


@pytest.mark.linux
def test_a_full_device_is_said_to_be_full(recipients: Recipients) -> None:
    """ENOSPC comes out as ENOSPC, at sizes where pyrage alone would call it success."""
    with open("/dev/full", "wb", buffering=0) as full:
        for size in (0, 100, 8000, CHUNK, CHUNK + 100, 300_000):
            with file(bytes(size)) as source, pytest.raises(OSError) as raised:
                encrypt(source, full.fileno(), recipients)
            assert raised.value.errno == errno.ENOSPC


@pytest.mark.parametrize("level", [None, 3])
def test_a_reader_that_goes_away_is_an_error(recipients: Recipients, level: int | None) -> None:
    """Writing into a pipe whose reader is gone, or goes after some bytes, is never success."""
    for size in (0, 100, CHUNK, 300_000):
        reading, writing = os.pipe()
        os.close(reading)
        with file(bytes(size)) as source, pytest.raises(BrokenPipeError):
            encrypt(source, writing, recipients, level=level)
        os.close(writing)
    more_than_a_pipe_holds = random.Random(1).randbytes(400_000)
    for taken in (1, 200, 60_000, 200_000):
        reading, writing = os.pipe()
        leaving = Thread(target=take_and_leave, args=(reading, taken))
        leaving.start()
        with file(more_than_a_pipe_holds) as source, pytest.raises(BrokenPipeError):
            encrypt(source, writing, recipients, level=level)
        os.close(writing)
        leaving.join()


def take_and_leave(pipe: int, count: int) -> None:
    while count:
        count -= len(os.read(pipe, count))
    os.close(pipe)


@pytest.mark.parametrize("level", [None, 3])
def test_a_source_that_fails_is_an_error(recipients: Recipients, level: int | None) -> None:
    """Where the content cannot be read the run fails; age would have taken it for the end."""
    reading, writing = os.pipe()
    directory = os.open("/", os.O_RDONLY)
    for source, reason in ((directory, "Is a directory"), (writing, "Bad file descriptor")):
        with file() as sink, pytest.raises(FailedError, match=f"cannot be read: {reason}"):
            encrypt(source, sink, recipients, level=level)
    for descriptor in (reading, writing, directory):
        os.close(descriptor)


def test_the_wrong_key_is_told_from_damage(
    recipients: Recipients, identities: Identities, other_keys
) -> None:
    """A key that does not fit is exit 12, and the message says what else it could be."""
    stranger = read_identities([other_keys.identity], passphrase=None, warn=print)
    with pytest.raises(NoIdentityError, match="damaged header can look the same") as raised:
        opened(sealed(b"content", recipients), stranger)
    assert raised.value.code == 12
    both = Identities((*stranger.keys, *identities.keys), (None, None))
    assert opened(sealed(b"content", recipients), both) == b"content"


@pytest.fixture(scope="module")
def whole(recipients: Recipients) -> bytes:
    """An archive of two chunks, the second a short one."""
    return sealed(random.Random(1).randbytes(CHUNK + 9000), recipients)


@given(
    st.booleans(),
    st.integers(0, 1 << 20),
    st.sampled_from(["flip", "cut", "insert", "delete", "zero the rest"]),
    st.integers(0, 7),
)
@settings(max_examples=250, deadline=None)
def test_damage_anywhere_is_found(
    whole: bytes, identities: Identities, within_header: bool, place: int, how: str, bit: int
) -> None:
    """A bit flipped, bytes cut, added, left out or overwritten, anywhere: never success."""
    header = parse(whole[:HEADER_LIMIT]).length
    position = place % (header if within_header else len(whole))
    before, at, after = whole[:position], whole[position], whole[position + 1 :]
    damaged = {
        "flip": before + bytes([at ^ 1 << bit]) + after,
        "cut": before,
        "insert": before + bytes([at]) + whole[position:],
        "delete": before + after,
        "zero the rest": before + bytes(len(whole) - position),
    }[how]
    with pytest.raises((VerificationError, NoIdentityError)) as raised:
        opened(damaged, identities)
    if position >= header:
        assert raised.value.code == 4
    assert raised.value.message.endswith(".") and raised.value.hint


def test_chunks_cannot_be_swapped_repeated_or_dropped(
    recipients: Recipients, identities: Identities
) -> None:
    """Whole chunks of the payload in another order, twice, or missing are damage."""
    whole = sealed(bytes(3 * CHUNK), recipients)
    start, step = parse(whole[:HEADER_LIMIT]).length + 16, CHUNK + 16
    head, first, second, third = (
        whole[:start],
        whole[start : start + step],
        whole[start + step : start + 2 * step],
        whole[start + 2 * step :],
    )
    for chunks in (
        (second, first, third),
        (first, first, second, third),
        (first, third),
        (first, second),
        (first, second, third, third),
        (),
    ):
        with pytest.raises(VerificationError):
            opened(head + b"".join(chunks), identities)


def test_the_payload_of_another_archive_does_not_fit(
    recipients: Recipients, identities: Identities
) -> None:
    """The header of one archive before the content of another is damage, with the same key."""
    one, two = (sealed(content, recipients) for content in (b"one", b"two"))
    with pytest.raises(VerificationError):
        opened(one[: parse(one).length] + two[parse(two).length :], identities)


def test_a_disk_full_while_decrypting_is_an_error(
    recipients: Recipients, identities: Identities
) -> None:
    """What was decrypted is complete or there is an error, wherever the disk is full."""

    def sweep() -> None:
        for size in (1, 4096, CHUNK, CHUNK + 100, 300_000):
            for level in (None, 3):
                data = sealed(random.Random(1).randbytes(size), recipients, level)
                for limit in {0, size // 2, size - 1}:
                    with file(data) as source, file() as sink:
                        with pytest.raises(OSError) as raised, limited(limit):
                            decrypt(source, sink, identities, limits=LIMITS)
                        assert raised.value.errno == errno.EFBIG

    in_worker(sweep)


@pytest.mark.linux
def test_a_full_device_while_decrypting_is_said_to_be_full(
    recipients: Recipients, identities: Identities
) -> None:
    """ENOSPC comes out as ENOSPC on the way out of an archive, too."""
    data = sealed(bytes(100), recipients)
    with open("/dev/full", "wb", buffering=0) as full, file(data) as source:
        with pytest.raises(OSError) as raised:
            decrypt(source, full.fileno(), identities, limits=LIMITS)
        assert raised.value.errno == errno.ENOSPC


def test_an_archive_that_cannot_be_read_is_no_damage(identities: Identities) -> None:
    """An error of the disk while reading is exit 1 with the system's word, not "damaged"."""
    directory = os.open("/", os.O_RDONLY)
    try:
        with file() as sink, pytest.raises(FailedError, match="Is a directory") as raised:
            decrypt(directory, sink, identities, limits=LIMITS)
        assert raised.value.code == 1
    finally:
        os.close(directory)


def test_damage_inside_the_compression_is_found(
    recipients: Recipients, identities: Identities, keys
) -> None:
    """An authentic archive whose compressed content is cut, or goes on, is damage too."""
    content = random.Random(1).randbytes(50_000)
    packed = subprocess.run(["zstd", "-q"], input=content, capture_output=True).stdout
    assert opened(pyrage.encrypt(packed, list(recipients.keys)), identities) == content
    for wrong in (packed[:-1], packed + b"\0", packed[:4], packed + packed):
        with pytest.raises(VerificationError, match="compressed"):
            opened(pyrage.encrypt(wrong, list(recipients.keys)), identities)


def test_a_bomb_within_an_archive_is_stopped(
    recipients: Recipients, identities: Identities
) -> None:
    """A small archive that expands without measure is stopped before it fills the disk."""
    bomb = sealed(bytes(20 << 20), recipients, level=19)
    limits = Limits(expansion=100, expansion_floor=1 << 20)
    with file(bomb) as source, file() as sink:
        with pytest.raises(VerificationError, match="without measure"):
            decrypt(source, sink, identities, limits=limits)
        assert os.fstat(sink).st_size < 4 << 20


@pytest.mark.parametrize("content", [b"", b"\x28", b"\x28\xb5\x2f", b"(\xb5/", b"abc"])
def test_content_shorter_than_the_magic_comes_back(
    recipients: Recipients, identities: Identities, content: bytes
) -> None:
    """Recognising compression loses nothing of the shortest contents."""
    assert opened(sealed(content, recipients), identities) == content


def test_encrypting_through_pipes(keys, recipients: Recipients, identities: Identities) -> None:
    """Source and sink may be pipes: `encrypt` and `decrypt` work between other programs."""
    content = random.Random(4).randbytes(200_000)
    first, second = os.pipe(), os.pipe()

    def feed() -> None:
        with open(first[1], "wb") as stream:
            stream.write(content)

    def seal() -> None:
        encrypt(first[0], second[1], recipients)
        os.close(second[1])

    threads = [Thread(target=feed), Thread(target=seal)]
    for thread in threads:
        thread.start()
    with file() as sink:
        done = decrypt(second[0], sink, identities, limits=LIMITS)
        assert content_of(sink) == content and done.stream_bytes == len(content)
    for thread in threads:
        thread.join()
    os.close(first[0])
    os.close(second[0])


def test_no_error_here_is_without_advice(
    recipients: Recipients, identities: Identities, tmp_path: Path
) -> None:
    """Every error of damage is one sentence with a hint."""
    for data in (b"", b"x" * 100, sealed(b"x", recipients)[:-1]):
        with pytest.raises(AgebackupError) as raised:
            opened(data, identities)
        assert raised.value.hint and "\n" not in raised.value.message
