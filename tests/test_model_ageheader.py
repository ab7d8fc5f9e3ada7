"""What an age file shows without a key, held against real `age` and pyrage."""

import subprocess
from pathlib import Path

import pyrage
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyrage import x25519

from agebackup.errors import VerificationError
from agebackup.model.ageheader import (
    HEADER_LIMIT,
    dearmored,
    is_armored,
    parse,
    possible_plaintext,
    sealed_size,
)

CHUNK = 65536
OWNER = x25519.Identity.generate()
STRANGER = x25519.Identity.generate()
SEALED = pyrage.encrypt(b"hello", [OWNER.to_public(), x25519.Identity.generate().to_public()])
LENGTH = SEALED.index(b"\n", SEALED.index(b"\n--- ") + 1) + 1
VERSION = b"age-encryption.org/v1\n"
MAC = b"--- " + b"A" * 43 + b"\n"
STANZA = b"-> other x\n\n"
SCRYPT = b"-> scrypt " + b"A" * 22 + b" 18\n" + b"A" * 43 + b"\n"


def age(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["age", *map(str, arguments)], input=stdin, capture_output=True)


def well_formed(data: bytes) -> bool:
    try:
        parse(data[:HEADER_LIMIT])
    except VerificationError:
        return False
    return True


def pyrage_says_well_formed(data: bytes) -> bool:
    try:
        pyrage.decrypt(data, [STRANGER])
    except pyrage.DecryptError as error:
        return "No matching keys" in str(error)
    return True


def test_the_header_ends_where_the_payload_begins(keys, tmp_path: Path) -> None:
    """The header of a file from stock `age` is measured to the byte, with its recipients' kinds."""
    ssh_keys = []
    for kind in ("ed25519", "rsa"):
        key = tmp_path / kind
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", key], check=True)
        ssh_keys += ["-R", f"{key}.pub"]
    sealed = age("-r", keys.recipient, *ssh_keys, stdin=bytes(CHUNK)).stdout
    header = parse(sealed[:HEADER_LIMIT])
    assert header.stanzas == ("X25519", "ssh-ed25519", "ssh-rsa")
    assert header.length == sealed.index(b"\n", sealed.index(b"\n--- ") + 1) + 1
    assert possible_plaintext(header.length, len(sealed)) == CHUNK


def test_the_header_of_pyrage_is_measured_with_its_noise() -> None:
    """The random extra stanzas that pyrage adds are part of the header and do no harm."""
    lengths = set()
    for _ in range(50):
        sealed = pyrage.encrypt(b"", [OWNER.to_public()])
        header = parse(sealed)
        lengths.add(header.length)
        assert header.recipients == ("X25519",)
        assert len(sealed) == sealed_size(header.length, 0)
    assert len(lengths) > 1


@given(
    st.integers(0, LENGTH - 1),
    st.sampled_from(["flip", "put", "insert", "delete", "cut"]),
    st.sampled_from([*b"\n\r -=Ay/+\x00\x7f\xc3>x"]),
    st.integers(0, 7),
)
@settings(max_examples=300, deadline=None)
def test_damage_is_seen_exactly_where_age_sees_it(
    other_keys, position: int, how: str, byte: int, bit: int
) -> None:
    """A header changed anywhere is well formed for us exactly when it is for stock `age`.

    pyrage is the more tolerant one: it takes a recipient without a body, as old betas wrote it.
    """
    before, at, after = SEALED[:position], SEALED[position], SEALED[position + 1 :]
    data = {
        "flip": before + bytes([at ^ 1 << bit]) + after,
        "put": before + bytes([byte]) + after,
        "insert": before + bytes([byte, at]) + after,
        "delete": before + after,
        "cut": before,
    }[how]
    said = age("-d", "-i", other_keys.identity, stdin=data).stderr
    assert well_formed(data) == (b"no identity matched" in said), said
    assert pyrage_says_well_formed(data) or not well_formed(data)


MALFORMED = {
    "empty": b"",
    "zeros": bytes(4096),
    "no age file": b"PK\x03\x04" + bytes(100),
    "another version": b"age-encryption.org/v2\n" + STANZA + MAC,
    "carriage returns": (VERSION + STANZA + MAC).replace(b"\n", b"\r\n"),
    "no recipient": VERSION + MAC,
    "no kind": VERSION + b"-> \n\n" + MAC,
    "two blanks": VERSION + b"-> a  b\n\n" + MAC,
    "a blank at the end": VERSION + b"-> a \n\n" + MAC,
    "a control character": VERSION + b"-> a\x07\n\n" + MAC,
    "a letter beyond ASCII": VERSION + b"-> \xc3\xa4\n\n" + MAC,
    "a body without its short line": VERSION + b"-> a\n" + b"A" * 64 + b"\n" + MAC,
    "a line of 65 columns": VERSION + b"-> a\n" + b"A" * 65 + b"\n\n" + MAC,
    "padding": VERSION + b"-> a\nAA==\n" + MAC,
    "an impossible length": VERSION + b"-> a\nA\n" + MAC,
    "unused bits that are set": VERSION + b"-> a\nAB\n" + MAC,
    "a short MAC": VERSION + STANZA + b"--- " + b"A" * 42 + b"\n",
    "a long MAC": VERSION + STANZA + b"--- " + b"A" * 44 + b"\n",
    "a MAC with unused bits set": VERSION + STANZA + b"--- " + b"A" * 42 + b"B\n",
    "no end": VERSION + STANZA,
    "no last line end": VERSION + STANZA + MAC[:-1],
    "an endless line": VERSION + b"-> a " + b"x" * HEADER_LIMIT,
    "endless recipients": VERSION + STANZA * (HEADER_LIMIT // len(STANZA) + 1),
    "a passphrase beside a key": VERSION + SCRYPT + STANZA + MAC,
    "a work factor with a zero in front": VERSION + SCRYPT.replace(b" 18", b" 018") + MAC,
    "a work factor of many digits": VERSION + SCRYPT.replace(b" 18", b" 1800000") + MAC,
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_each_rule_of_the_grammar_holds(data: bytes) -> None:
    """Whatever the age specification rules out is refused, exit 4, with a sentence and a hint."""
    with pytest.raises(VerificationError) as raised:
        parse(data[:HEADER_LIMIT])
    assert raised.value.code == 4
    assert raised.value.message.endswith(".") and raised.value.hint


def test_a_body_of_whole_lines_ends_with_an_empty_one() -> None:
    """A recipient of 48 bytes, whose base64 fills its line, is read as the specification says."""
    data = VERSION + b"-> a b\n" + b"A" * 64 + b"\n\n" + MAC
    assert parse(data + b"payload").length == len(data)


def test_an_armored_file_is_named_as_such(keys) -> None:
    """Who gives the text form of an age file learns that this is the reason."""
    armored = age("-a", "-r", keys.recipient, stdin=b"hello").stdout
    assert is_armored(armored)
    with pytest.raises(VerificationError, match="armored"):
        parse(armored)


def test_the_work_factor_of_a_passphrase_is_known_before_it_is_paid() -> None:
    """What opening a passphrase-protected file costs is read from it without paying."""
    for factor in (1, 18, 20, 63):
        header = parse(VERSION + SCRYPT.replace(b" 18", b" %d" % factor) + MAC)
        assert header.stanzas == ("scrypt",) and header.work_factor == factor
    assert parse(SEALED).work_factor is None


@given(st.binary(max_size=200))
@settings(max_examples=40, deadline=None)
def test_armor_is_taken_off(keys, content: bytes) -> None:
    """What `age -a` wrote becomes the binary file again, with either kind of line ends."""
    armored = age("-a", "-r", keys.recipient, stdin=content).stdout
    binary = dearmored(armored)
    assert dearmored(armored.replace(b"\n", b"\r\n")) == binary
    assert age("-d", "-i", keys.identity, stdin=binary).stdout == content


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-40],
        lambda text: text[10:],
        lambda text: text.replace(b"\n", b"\n!", 3),
        lambda text: text.replace(b"FILE-----\n", b"FILE-----\n\n", 1),
        lambda text: b"\n".join(text.split(b"\n")[:1] + text.split(b"\n")[-2:]),
    ],
)
def test_damaged_armor_is_refused(keys, change) -> None:
    """An armored file that is cut or changed is refused as such."""
    armored = age("-a", "-r", keys.recipient, stdin=bytes(100)).stdout
    with pytest.raises(VerificationError):
        dearmored(change(armored))


@given(st.integers(0, 300_000))
@settings(max_examples=30, deadline=None)
@example(0)
@example(65535)
@example(65536)
@example(65537)
@example(131072)
def test_a_file_has_exactly_the_size_it_must_have(size: int) -> None:
    """From the number of bytes sealed, the size of the file is known to the byte, and back."""
    sealed = pyrage.encrypt(bytes(size), [OWNER.to_public()])
    length = parse(sealed[:HEADER_LIMIT]).length
    assert len(sealed) == sealed_size(length, size)
    assert possible_plaintext(length, len(sealed)) == size


@given(st.integers(0, 1 << 60), st.integers(20, HEADER_LIMIT))
def test_sizes_and_plaintexts_belong_together(size: int, length: int) -> None:
    """Every plaintext has a size of its own, up to the largest file there can be."""
    assert possible_plaintext(length, sealed_size(length, size)) == size


def test_impossible_sizes_are_exactly_those_no_plaintext_has() -> None:
    """A file of a size that no plaintext makes is known to be cut or to have grown."""
    around = [*range(60), *range(CHUNK - 40, CHUNK + 40), *range(2 * CHUNK - 40, 2 * CHUNK + 40)]
    possible = {sealed_size(100, n): n for n in around}
    for size in [*range(120), *range(100 + 16 + CHUNK, 100 + 16 + CHUNK + 40)]:
        assert possible_plaintext(100, size) == possible.get(size)
    end_of_chunk = sealed_size(100, CHUNK)
    assert [possible_plaintext(100, end_of_chunk + n) for n in range(1, 17)] == [None] * 16
