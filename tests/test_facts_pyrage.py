"""The behaviour of pyrage that agebackup is built around.

A test that fails here after an upgrade of pyrage is no defect by itself: it says which guard (in
snapshot/encryption.py, snapshot/keys.py, model/ageheader.py) is to be thought over again.
"""

import errno
import io
import os
import signal
import subprocess
import sys
from time import process_time

import pyrage
import pytest
from pyrage import passphrase, ssh, x25519

OWNER = x25519.Identity.generate()
TO_OWNER = [OWNER.to_public()]
FULL = OSError(errno.ENOSPC, "No space left on device")


class Sink:
    """Takes what it is given; the write number `fails_at`, counted from 1, raises `error`."""

    def __init__(self, fails_at: int = 0, error: BaseException = FULL) -> None:
        self.data = bytearray()
        self.writes = 0
        self.flushes = 0
        self._fails_at, self._error = fails_at, error

    def write(self, data: bytes) -> int:
        self.writes += 1
        if self.writes == self._fails_at:
            raise self._error
        self.data += data
        return len(data)

    def flush(self) -> None:
        self.flushes += 1


class Source:
    """Gives `data`; the read number `fails_at`, counted from 1, raises `error`."""

    def __init__(self, data: bytes, fails_at: int = 0, error: BaseException = FULL) -> None:
        self._stream = io.BytesIO(data)
        self._reads = 0
        self._fails_at, self._error = fails_at, error

    def read(self, size: int) -> bytes:
        self._reads += 1
        if self._reads == self._fails_at:
            raise self._error
        return self._stream.read(size)


def writes_of(size: int, **options: bool) -> int:
    sink = Sink()
    pyrage.encrypt_io(Source(bytes(size)), sink, TO_OWNER, **options)
    return sink.writes


@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt()])
def test_an_error_of_the_last_write_is_swallowed(error: BaseException) -> None:
    """Why sinks keep their own error: a small file on a full disk is a success to pyrage."""
    sink = Sink(1, error)
    pyrage.encrypt_io(Source(bytes(100)), sink, TO_OWNER)
    assert not sink.data


def test_only_the_last_chunk_below_8_kib_is_lost_silently() -> None:
    """Why no size is safe: whether pyrage tells of a full disk depends on the last bytes."""
    silent, told = 65536 + 100, 65536 + 20_000
    pyrage.encrypt_io(Source(bytes(silent)), Sink(writes_of(silent)), TO_OWNER)
    with pytest.raises(pyrage.EncryptError):
        pyrage.encrypt_io(Source(bytes(told)), Sink(writes_of(told)), TO_OWNER)


def test_armored_output_always_loses_the_last_error() -> None:
    """Why streams are never armored."""
    size = 65536 + 20_000
    sink = Sink(writes_of(size, armored=True))
    pyrage.encrypt_io(Source(bytes(size)), sink, TO_OWNER, armored=True)


def test_errors_while_encrypting_lose_their_kind() -> None:
    """Why the errors of both ends are kept apart from what pyrage raises."""
    with pytest.raises(pyrage.EncryptError) as raised:
        pyrage.encrypt_io(Source(bytes(300_000)), Sink(1), TO_OWNER)
    assert not hasattr(raised.value, "errno") and raised.value.__cause__ is None
    with pytest.raises(pyrage.EncryptError):
        pyrage.encrypt_io(Source(bytes(300_000), 2, KeyboardInterrupt()), Sink(), TO_OWNER)


def test_flush_is_never_called() -> None:
    """Why `finish` is called by us, and nothing hangs on `flush`."""
    sink = Sink()
    pyrage.encrypt_io(Source(bytes(300_000)), sink, TO_OWNER)
    assert sink.flushes == 0


def test_a_source_that_ends_early_makes_a_valid_file() -> None:
    """Why the publication encloses the producer: age cannot know that more was to come."""
    sink = Sink()
    pyrage.encrypt_io(Source(b"half of"), sink, TO_OWNER)
    assert pyrage.decrypt(bytes(sink.data), [OWNER]) == b"half of"


def test_errors_while_decrypting_keep_their_kind_but_in_the_header() -> None:
    """Why decryption too raises what its ends kept, and not what pyrage made of it."""
    sealed = pyrage.encrypt(os.urandom(300_000), TO_OWNER)
    with pytest.raises(KeyboardInterrupt):
        pyrage.decrypt_io(Source(sealed, 2, KeyboardInterrupt()), Sink(), [OWNER])
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt_io(Source(sealed, 1, KeyboardInterrupt()), Sink(), [OWNER])
    whole = Sink()
    pyrage.decrypt_io(Source(sealed), whole, [OWNER])
    with pytest.raises(OSError) as raised:
        pyrage.decrypt_io(Source(sealed), Sink(whole.writes), [OWNER])
    assert raised.value.errno == errno.ENOSPC


def test_damage_is_found_after_what_lies_before_it_was_given() -> None:
    """Why nothing decrypted is acted on before the end, and how damage is told: no errno."""
    sealed = pyrage.encrypt(bytes(300_000), TO_OWNER)
    for damaged in (sealed[:-1], sealed + b"x", sealed[:-1] + bytes([sealed[-1] ^ 1])):
        sink = Sink()
        with pytest.raises(OSError) as raised:
            pyrage.decrypt_io(Source(damaged), sink, [OWNER])
        assert raised.value.errno is None
        assert len(sink.data) == 4 * 65536


def test_the_words_that_tell_a_wrong_key_from_damage() -> None:
    """The words by which "no identity opens it" is told from damage of the header."""
    sealed = bytearray(pyrage.encrypt(b"", TO_OWNER))
    with pytest.raises(pyrage.DecryptError, match="No matching keys"):
        pyrage.decrypt_io(Source(bytes(sealed)), Sink(), [x25519.Identity.generate()])
    mac = sealed.index(b"--- ") + 4
    sealed[mac] = ord("A") if sealed[mac] != ord("A") else ord("B")
    with pytest.raises(pyrage.DecryptError, match="MAC"):
        pyrage.decrypt_io(Source(bytes(sealed)), Sink(), [OWNER])


def test_a_write_that_returns_too_much_aborts_the_process() -> None:
    """Why sinks return exactly what they were given."""
    code = (
        "import io, pyrage\n"
        "class Wrong:\n"
        "    def write(self, data): return len(data) + 1\n"
        "    def flush(self): pass\n"
        "to = [pyrage.x25519.Identity.generate().to_public()]\n"
        "pyrage.encrypt_io(io.BytesIO(bytes(300000)), Wrong(), to)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == -signal.SIGABRT


def test_a_long_header_costs_quadratic_time() -> None:
    """Why a header's length is bounded before pyrage sees it: four times as long, 16 as slow."""

    def seconds(recipients: int) -> float:
        stanza = b"-> other x\n" + b"A" * 43 + b"\n"
        header = b"age-encryption.org/v1\n" + stanza * recipients + b"--- " + b"A" * 43 + b"\n"
        before = process_time()
        with pytest.raises(pyrage.DecryptError, match="No matching keys"):
            pyrage.decrypt_io(Source(header + bytes(100)), Sink(), [OWNER])
        return process_time() - before

    assert seconds(2000) > 8 * min(seconds(500) for _ in range(3))


def test_sizes_of_headers_vary() -> None:
    """Why the exact size is reckoned from the file's own header: pyrage adds random stanzas."""
    assert len({len(pyrage.encrypt(b"", TO_OWNER)) for _ in range(60)}) > 1


def test_duplicates_are_kept_and_keys_do_not_compare() -> None:
    """Why recipients are told apart by their texts."""
    assert pyrage.encrypt(b"", TO_OWNER * 3).count(b"-> X25519") == 3
    assert OWNER.to_public() != OWNER.to_public()


def test_blanks_around_a_key_are_refused() -> None:
    """Why lines are stripped before pyrage sees them."""
    for text in (f"{OWNER.to_public()}\n", f" {OWNER.to_public()}"):
        with pytest.raises(pyrage.RecipientError):
            x25519.Recipient.from_str(text)


def test_no_recipient_is_refused() -> None:
    """Nothing can be encrypted to nobody, even if our own guard failed."""
    with pytest.raises(pyrage.EncryptError):
        pyrage.encrypt_io(Source(b"x"), Sink(), [])


def test_a_weak_recipient_panics_or_passes() -> None:
    """Why weak keys are refused by us: on one pyrage panics, to the other it encrypts."""
    code = (
        "import pyrage\n"
        "key = 'age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z'\n"
        "try:\n"
        "    pyrage.encrypt(b'', [pyrage.x25519.Recipient.from_str(key)])\n"
        "except Exception:\n"
        "    raise SystemExit(1)\n"
        "except BaseException:\n"
        "    raise SystemExit(2)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 2
    identity = ssh.Recipient.from_str("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAE" + "A" * 41)
    assert pyrage.encrypt(b"", [identity])


def test_post_quantum_recipients_are_unknown() -> None:
    """Why age1pq keys are refused: once pyrage knows them, they can be had."""
    with pytest.raises(pyrage.RecipientError):
        x25519.Recipient.from_str("age1pq1" + "q" * 40)


def test_a_monstrous_work_factor_would_be_paid() -> None:
    """Why the work factor is looked at first: pyrage refuses only what is far beyond ours."""
    stanza = b"age-encryption.org/v1\n-> scrypt " + b"A" * 22 + b" %d\n" + b"A" * 43 + b"\n"
    sealed = stanza + b"--- " + b"A" * 43 + b"\n" + bytes(64)
    with pytest.raises(pyrage.DecryptError, match="Excessive"):
        passphrase.decrypt(sealed % 30, "x")


def test_a_passphrase_has_no_streaming_form() -> None:
    """Why archives are encrypted to keys only."""
    assert not hasattr(passphrase, "encrypt_io")
