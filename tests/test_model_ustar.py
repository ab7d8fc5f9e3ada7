"""tar headers: one way to write each, understood by others; everything else is refused."""

import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import PLACES

from agebackup.errors import VerificationError
from agebackup.model.ustar import (
    EXECUTABLE,
    PLAIN,
    Header,
    decode_header,
    encode_header,
    long_name_size,
)


@settings(deadline=None)
@given(
    path=PLACES.map(lambda name: f"app/{name}".encode()),
    size=st.integers(0, (1 << 63) - 1),
    mtime=st.integers(-(1 << 63), (1 << 63) - 1),
    mode=st.sampled_from([PLAIN, EXECUTABLE]),
)
def test_headers_come_back(path: bytes, size: int, mtime: int, mode: int) -> None:
    """Every size and time that a file can have is carried, with a checksum that all tars accept."""
    blocks = encode_header(path, size, mtime, mode)
    long = long_name_size(blocks[:512])
    carried = None if long is None else blocks[512 : 512 + long - 1]
    assert decode_header(blocks[-512:], carried) == Header(path, size, mtime, mode)
    theirs = tarfile.TarInfo.frombuf(blocks[-512:], "utf-8", "strict")
    assert (theirs.size, theirs.mtime, theirs.mode) == (size, mtime, mode)


@settings(deadline=None)
@given(block=st.binary(min_size=512, max_size=512))
def test_bytes_are_no_header(block: bytes) -> None:
    """Any other 512 bytes are refused with a sentence, whatever they are."""
    with pytest.raises(VerificationError):
        decode_header(block)


@settings(deadline=None)
@given(at=st.integers(0, 511), value=st.integers(0, 255))
def test_a_header_has_one_form(at: int, value: int) -> None:
    """A header with any byte changed is either refused or says something else."""
    honest = encode_header(b"app/data/name", 5, 7)
    changed = honest[:at] + bytes([value]) + honest[at + 1 :]
    if changed != honest:
        with pytest.raises(VerificationError):
            decode_header(changed)
