"""The text of SSH signatures: taken apart as the stock program writes it, and no other way."""

import base64
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signing import keygen, public, signature, ssh_key

from agebackup.model.sshsig import parse_signature

BEGIN, END = b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n"


def text(*parts: bytes) -> bytes:
    """Return `parts` as RFC 4251 has strings."""
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


KEY = text(b"ssh-ed25519", bytes(32))
BLOB = (
    b"SSHSIG" + struct.pack(">I", 1) + text(KEY, b"agebackup@v1", b"", b"sha512", text(b"x", b"y"))
)


def armored(blob: bytes, width: int = 70) -> bytes:
    """Return `blob` in an armor of lines of `width`."""
    lines = base64.b64encode(blob)
    pieces = [lines[at : at + width] for at in range(0, len(lines), width)]
    return BEGIN + b"".join(piece + b"\n" for piece in pieces) + END


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_what_the_stock_program_writes_is_read(tmp_path: Path, kind: str) -> None:
    """Key and purpose of a real signature are read as they are, of each kind of key."""
    key = ssh_key(tmp_path / "key", "-t", kind)
    read = parse_signature(signature(key, b"content", "file"))
    assert (f"{read.kind} {read.key_text}", read.namespace) == (public(key), "file")
    assert read.fingerprint == keygen("-l", "-f", key).decode().split()[1]
    assert not read.certified


def test_line_ends_of_windows_are_read() -> None:
    """A signature that went through a text mode still is one."""
    assert parse_signature(armored(BLOB).replace(b"\n", b"\r\n")).key == KEY
    assert parse_signature(armored(BLOB).rstrip(b"\n")).key == KEY


ODD = {
    "nothing": b"",
    "no armor": BLOB,
    "text before": b"x\n" + armored(BLOB),
    "text after": armored(BLOB) + b"x",
    "a line after": armored(BLOB) + b"\n",
    "two signatures": armored(BLOB) * 2,
    "no end": armored(BLOB)[: -len(END)],
    "an empty armor": BEGIN + END,
    "an empty line": armored(BLOB).replace(b"\n", b"\n\n", 1),
    "no base64": BEGIN + b"====\n" + END,
    "bad base64": BEGIN + b"AAAAA\n" + END,
    "another letter": BEGIN + b"U1NI*\n" + END,
    "long lines": armored(BLOB, 100),
    "another magic": armored(b"SSHSIH" + BLOB[6:]),
    "version 2": armored(BLOB[:6] + struct.pack(">I", 2) + BLOB[10:]),
    "trailing bytes": armored(BLOB + b"\0"),
    "a size lie": armored(BLOB[:10] + struct.pack(">I", 0xFFFFFFFF) + BLOB[14:]),
    "an empty key": armored(b"SSHSIG" + struct.pack(">I", 1) + text(b"", b"n", b"", b"h", b"s")),
    "a kind that is no text": armored(
        b"SSHSIG" + struct.pack(">I", 1) + text(text(b"\xff"), b"n", b"", b"h", b"s")
    ),
    "a purpose that is no text": armored(
        b"SSHSIG" + struct.pack(">I", 1) + text(KEY, b"\xff", b"", b"h", b"s")
    ),
}


@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
def test_anything_else_is_none(content: bytes) -> None:
    """What a signature cannot be is refused with the end of a sentence."""
    with pytest.raises(ValueError, match=r"^(not|of|cut|followed)"):
        parse_signature(content)


@given(st.integers(0, len(BLOB) - 1))
def test_every_cut_is_none(size: int) -> None:
    """However many bytes are missing, it is seen."""
    with pytest.raises(ValueError, match=r"^(not|of|cut|followed)"):
        parse_signature(armored(BLOB[:size]))


@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_break_the_reader(noise: bytes, wrapped: bool) -> None:
    """Whatever comes, there is a signature or a sentence."""
    try:
        parse_signature(armored(b"SSHSIG" + noise) if wrapped else noise)
    except ValueError as error:
        assert str(error)


@given(st.binary(max_size=80), st.text(max_size=30), st.binary(max_size=90))
def test_what_is_written_is_read(key: bytes, purpose: str, made: bytes) -> None:
    """Every key and purpose comes out as it went in."""
    blob = b"SSHSIG" + struct.pack(">I", 1)
    blob += text(text(b"kind", key), purpose.encode(), b"", b"sha512", made)
    read = parse_signature(armored(blob))
    assert (read.kind, read.key, read.namespace) == ("kind", text(b"kind", key), purpose)
