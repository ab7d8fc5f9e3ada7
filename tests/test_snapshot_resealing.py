"""Resealing: the same plaintext for other keys, or an error that says whose fault it was."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nothing_left import nothing_left
from pyrage import x25519

from agebackup.errors import NoIdentityError, StoppedError, VerificationError
from agebackup.snapshot.compression import MAGIC
from agebackup.snapshot.keys import Identities, Recipients
from agebackup.snapshot.resealing import is_for, plaintext_of, reseal
from agebackup.system.progress import Progress, Stop
from agebackup.system.syncing import DraftWriteError

OLD, NEW = x25519.Identity.generate(), x25519.Identity.generate()


def identities(*keys: x25519.Identity) -> Identities:
    return Identities(keys, tuple(str(key.to_public()) for key in keys))


def recipients(key: x25519.Identity) -> Recipients:
    return Recipients((str(key.to_public()),), (key.to_public(),))


def sealed(content: bytes) -> bytes:
    return bytes(pyrage.encrypt(content, [OLD.to_public()]))


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """After every test: no descriptor more than before, and no child, living or dead."""
    with nothing_left():
        yield


@contextmanager
def files(directory: Path, content: bytes) -> Iterator[tuple[int, int]]:
    """Yield a file that holds `content`, and an empty draft."""
    (directory / "old").write_bytes(content)
    old = os.open(directory / "old", os.O_RDONLY)
    draft = os.open(directory / "draft", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        yield old, draft
    finally:
        os.close(old)
        os.close(draft)


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"y" * 65536, os.urandom(3_000_000), MAGIC + b"no stream of Zstandard"],
    ids=["empty", "a byte", "a chunk", "many", "like a compressed one"],
)
def test_the_plaintext_is_the_same(tmp_path: Path, content: bytes) -> None:
    """The new key gives what the old one gave; both hashes of the old are those of its bytes."""
    ciphertext = sealed(content)
    with files(tmp_path, ciphertext) as (old, draft):
        given_ = reseal(old, draft, identities(OLD), recipients(NEW), Progress())
        again = plaintext_of(draft, identities(NEW), Progress())
    assert given_.sha256 == hashlib.sha256(ciphertext).hexdigest()
    assert given_.plaintext_sha256 == again.plaintext_sha256 == hashlib.sha256(content).hexdigest()
    assert pyrage.decrypt((tmp_path / "draft").read_bytes(), [NEW]) == content


def test_whom_it_is_for_shows_in_the_header(tmp_path: Path) -> None:
    """The content is not looked at, so that a damaged one changes nothing."""
    content = bytearray(sealed(b"z" * 200_000))
    content[-1] ^= 1
    with files(tmp_path, bytes(content)) as (old, _):
        assert is_for(old, identities(OLD)) and is_for(old, identities(NEW, OLD))
        assert not is_for(old, identities(NEW)) and not is_for(old, identities())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 200_400), st.integers(1, 255))
def test_no_damage_is_carried_over(
    tmp_path_factory: pytest.TempPathFactory, place: int, change: int
) -> None:
    """Whatever byte of the old file changed, resealing says so."""
    content = bytearray(sealed(b"w" * 200_000))
    content[place % len(content)] ^= change
    with (
        files(tmp_path_factory.mktemp("damage"), bytes(content)) as (old, draft),
        pytest.raises((VerificationError, NoIdentityError)),
    ):
        reseal(old, draft, identities(OLD), recipients(NEW), Progress())


def test_a_wrong_key_is_told(tmp_path: Path) -> None:
    """Nobody waits for a process that has nothing to say."""
    with files(tmp_path, sealed(b"content")) as (old, draft), pytest.raises(NoIdentityError):
        reseal(old, draft, identities(NEW), recipients(NEW), Progress())


@pytest.mark.linux
def test_a_full_disk_is_the_disks_fault(tmp_path: Path) -> None:
    """The encryption's error counts, not the decryption's, which only lost its reader."""
    (tmp_path / "old").write_bytes(sealed(os.urandom(5_000_000)))
    old = os.open(tmp_path / "old", os.O_RDONLY)
    full = os.open("/dev/full", os.O_RDWR)
    with pytest.raises(DraftWriteError) as raised:
        reseal(old, full, identities(OLD), recipients(NEW), Progress())
    assert raised.value.errno == errno.ENOSPC
    os.close(old)
    os.close(full)


def test_a_stop_ends_both_processes(tmp_path: Path) -> None:
    """A wish to stop is heard while both are at work."""

    class Stopping(Progress):
        def advance(self, count: int) -> None:
            if count:
                self.stop.request(15)
            super().advance(count)

    with (
        files(tmp_path, sealed(os.urandom(60_000_000))) as (old, draft),
        pytest.raises(StoppedError),
    ):
        reseal(old, draft, identities(OLD), recipients(NEW), Stopping(Stop()))
