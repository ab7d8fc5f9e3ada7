"""Zstandard: what comes out is what went in, and nothing hostile gets far."""

import random
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agebackup.errors import VerificationError
from agebackup.model.limits import Limits
from agebackup.snapshot.compression import LEVELS, MAGIC, Expander, compressed

LIMITS = Limits()


def pack(content: bytes, level: int = 3, piece: int = 1 << 16) -> bytes:
    pieces = (content[i : i + piece] for i in range(0, len(content), piece))
    return b"".join(compressed(pieces, level))


def unpack(packed: bytes, limits: Limits = LIMITS, piece: int = 8192) -> bytes:
    out = bytearray()
    expander = Expander(out.extend, limits)
    for i in range(0, len(packed), piece):
        expander.write(packed[i : i + piece])
    expander.finish()
    return bytes(out)


def zstd(*options: str, stdin: bytes) -> bytes:
    done = subprocess.run(["zstd", "-q", *options], input=stdin, capture_output=True, check=True)
    return done.stdout


@given(
    st.binary(max_size=500),
    st.integers(0, 2000),
    st.sampled_from([1, 3, 19]),
    st.integers(1, 5000),
    st.integers(1, 5000),
)
@settings(max_examples=60, deadline=None)
def test_everything_comes_back(
    content: bytes, times: int, level: int, piece: int, other: int
) -> None:
    """Any content, at any level and in pieces of any size, comes back as it was."""
    content = content * (times % 50) + bytes(times)
    assert unpack(pack(content, level, piece), piece=other) == content


@pytest.mark.parametrize("level", [min(LEVELS), max(LEVELS)])
def test_the_zstd_program_reads_and_writes_the_same(level: int) -> None:
    """`zstd -d` opens what we wrote, with its checksum, and we open what `zstd` wrote."""
    content = random.Random(1).randbytes(200_000) * 3
    packed = pack(content, level)
    assert packed.startswith(MAGIC)
    assert zstd("-d", stdin=packed) == content
    assert unpack(zstd(f"-{level}", stdin=content)) == content


def test_damage_is_always_found() -> None:
    """A compressed stream that is cut, changed or longer is refused, at whatever byte."""
    content = random.Random(2).randbytes(3000) + bytes(3000)
    packed = pack(content)
    for cut in range(len(packed)):
        with pytest.raises(VerificationError):
            unpack(packed[:cut])
    for position in range(4, len(packed), 7):
        for bit in (1, 128):
            changed = bytearray(packed)
            changed[position] ^= bit
            with pytest.raises(VerificationError):
                unpack(bytes(changed))
    for more in (b"\0", b"x" * 9000, packed):
        with pytest.raises(VerificationError, match="follows"):
            unpack(packed + more)
        with pytest.raises(VerificationError, match="follows"):
            unpack(packed + more, piece=len(packed))


def test_a_bomb_is_stopped_early() -> None:
    """A small stream that would become gigabytes is stopped at its limits, with what it became."""
    bomb = pack(bytes(64 << 20), level=19)
    assert len(bomb) < 10_000
    for limits, at_most in (
        (Limits(expansion=100, expansion_floor=1 << 20), 2 << 20),
        (Limits(total_bytes=3 << 20), 4 << 20),
    ):
        made = 0

        def take(data: bytes) -> None:
            nonlocal made
            made += len(data)

        expander = Expander(take, limits)
        with pytest.raises(VerificationError, match="without measure") as raised:
            expander.write(bomb)
        assert made <= at_most
        assert "--max-" in raised.value.hint
    assert len(unpack(bomb, Limits(expansion=10_000_000))) == 64 << 20


def test_a_window_beyond_what_we_write_is_refused() -> None:
    """A stream that asks for much memory to be opened is refused instead of given it."""
    hungry = zstd("--ultra", "-22", "--long=27", "--no-content-size", stdin=bytes(1000))
    with pytest.raises(VerificationError):
        unpack(hungry)
    with pytest.raises(VerificationError):
        unpack(zstd("--long=27", stdin=random.Random(3).randbytes(40 << 20)))
