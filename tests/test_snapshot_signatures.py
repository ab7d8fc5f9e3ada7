"""Signing: real keys, a real agent, and every way in which there is no signature."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pseudo_terminal import Terminal
from signing import keygen, public, ssh_key

from agebackup.errors import FailedError
from agebackup.model.sshsig import parse_signature
from agebackup.snapshot import signatures
from agebackup.snapshot.signatures import (
    TRIAL_NAMESPACE,
    Bench,
    SigningKey,
    allowed_line,
    new_key,
    require_well_made,
)
from agebackup.system.claims import Claims
from agebackup.system.progress import Progress

CONTENT = b"0" * 64 + b"  bagit.txt\n"
WORD = "some word"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "private", Claims(tmp_path / "claims"), Progress())


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment in which an empty agent is found."""
    socket = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL) as process:
        try:
            while not socket.exists():
                assert process.poll() is None
            yield {**without_agent(), "SSH_AUTH_SOCK": str(socket)}
        finally:
            process.kill()


def without_agent() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


def unlocked(key: Path, environment: dict[str, str]) -> None:
    """Let the agent hold `key`, whose passphrase is `WORD`."""
    helper = key.with_name("askpass")
    helper.write_text(f"#!/bin/sh\necho '{WORD}'\n")
    helper.chmod(0o700)
    settings = {"SSH_ASKPASS": str(helper), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
    subprocess.run(["ssh-add", key], env=environment | settings, check=True, capture_output=True)


def refused(key: Path, environment: dict[str, str] | None = None) -> FailedError:
    """Return the error of signing with `key`, which must say a sentence and a hint."""
    with pytest.raises(FailedError) as raised:
        SigningKey(key, without_agent() if environment is None else environment).sign(
            CONTENT, Progress()
        )
    error = raised.value
    assert str(key) in error.message and error.message.endswith(".") and error.hint
    assert error.code == 1
    return error


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_the_stock_program_accepts_what_was_signed(tmp_path: Path, kind: str) -> None:
    """Each kind of key signs; `ssh-keygen -Y verify` finds the signature good, for its purpose."""
    key = ssh_key(tmp_path / "key", "-t", kind)
    (tmp_path / "sig").write_bytes(SigningKey(key, without_agent()).sign(CONTENT, Progress()))
    (tmp_path / "signers").write_text(allowed_line("me", public(key)) + "\n")
    words = ("-Y", "verify", "-f", tmp_path / "signers", "-I", "me", "-s", tmp_path / "sig")
    said = keygen(*words, "-n", "agebackup@v1", said=CONTENT)
    assert said.startswith(b'Good "agebackup@v1" signature for me')
    with pytest.raises(subprocess.CalledProcessError):
        keygen(*words, "-n", "git", said=CONTENT)


def test_a_key_without_its_public_file_signs(tmp_path: Path) -> None:
    """The private file alone is enough."""
    key = ssh_key(tmp_path / "key")
    key.with_name("key.pub").unlink()
    assert parse_signature(SigningKey(key, without_agent()).sign(CONTENT, Progress()))


def test_a_trial_says_whose_key_it_is(tmp_path: Path, bench: Bench) -> None:
    """A trial names kind and fingerprint as ssh-keygen -l does, and leaves nothing behind."""
    key = ssh_key(tmp_path / "key")
    made = SigningKey(key, without_agent()).try_out(bench)
    fingerprint = keygen("-l", "-f", key).decode().split()[1]
    assert made.key == f"ED25519 {fingerprint}"
    assert public(key) == f"ssh-ed25519 {made.public}"
    assert list((tmp_path / "private").iterdir()) == list((tmp_path / "claims").iterdir()) == []


def test_a_trial_stands_for_no_archive(tmp_path: Path, bench: Bench) -> None:
    """What a trial signs is for another purpose, so it can never be put into an archive."""
    key = SigningKey(ssh_key(tmp_path / "key"), without_agent())
    made = key.sign(CONTENT, Progress(), namespace=TRIAL_NAMESPACE)
    with pytest.raises(FailedError, match="does not hold"):
        require_well_made(made, CONTENT, bench)


def test_a_signature_over_other_bytes_does_not_hold(tmp_path: Path, bench: Bench) -> None:
    """The proof of a signed archive fires for another content, and for no signature at all."""
    made = SigningKey(ssh_key(tmp_path / "key"), without_agent()).sign(CONTENT, Progress())
    assert require_well_made(made, CONTENT, bench).key
    for content, bad in ((CONTENT + b"x", made), (CONTENT, made + b"x"), (CONTENT, b"")):
        with pytest.raises(FailedError):
            require_well_made(bad, content, bench)


def test_an_agent_signs_for_a_protected_key(tmp_path: Path, agent: dict[str, str]) -> None:
    """A key with a passphrase works where an agent holds it, by its private or public file."""
    key = ssh_key(tmp_path / "key", word=WORD)
    unlocked(key, agent)
    assert parse_signature(SigningKey(key, agent).sign(CONTENT, Progress()))
    key.unlink()
    only_public = key.with_name("key.pub")
    assert parse_signature(SigningKey(only_public, agent).sign(CONTENT, Progress()))


def test_an_agent_without_the_key(tmp_path: Path, agent: dict[str, str]) -> None:
    """An agent that holds other keys is told from none; both are a sentence about ssh-add."""
    unlocked(ssh_key(tmp_path / "other", word=WORD), agent)
    key = ssh_key(tmp_path / "key")
    key.unlink()
    for environment in (agent, without_agent(), {**agent, "SSH_AUTH_SOCK": "/nonexistent"}):
        error = refused(key.with_name("key.pub"), environment)
        assert "public key" in error.message and "ssh-add" in error.hint


def test_a_protected_key_never_waits(tmp_path: Path) -> None:
    """Without an agent nobody is asked for the passphrase, whatever the desktop offers."""
    key = ssh_key(tmp_path / "key", word=WORD)
    asked = tmp_path / "asked"
    helper = tmp_path / "askpass"
    helper.write_text(f"#!/bin/sh\ntouch '{asked}'\necho '{WORD}'\n")
    helper.chmod(0o700)
    error = refused(key, {**without_agent(), "DISPLAY": ":0", "SSH_ASKPASS": str(helper)})
    assert "passphrase" in error.message and "ssh-add" in error.hint
    assert not asked.exists()


def test_a_protected_key_never_waits_at_a_terminal(tmp_path: Path) -> None:
    """On a terminal nobody is asked either: a sentence comes at once."""
    key = ssh_key(tmp_path / "key", word=WORD)
    script = (
        "from pathlib import Path; import sys, os\n"
        "from agebackup.errors import FailedError\n"
        "from agebackup.snapshot.signatures import SigningKey\n"
        "from agebackup.system.progress import Progress\n"
        "try: SigningKey(Path(sys.argv[1]), dict(os.environ)).sign(b'x', Progress())\n"
        "except FailedError as error: print('REFUSED', error.message)\n"
    )
    begun = time.monotonic()
    shown = Terminal("python", "-c", script, key, env=without_agent()).finish()
    assert shown.raw.startswith("REFUSED") and "passphrase" in shown.raw
    assert time.monotonic() - begun < 20


def test_what_is_no_key(tmp_path: Path) -> None:
    """A missing file, a directory, a text, an empty file: each is said as what it is."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "text").write_text("my key\n")
    (tmp_path / "empty").write_text("")
    (tmp_path / "broken").write_text(
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"
    )
    for name in ("text", "empty", "directory", "broken"):
        (tmp_path / name).chmod(0o700)
        assert "it is no SSH key" in refused(tmp_path / name).message
    assert "there is no such file" in refused(tmp_path / "absent").message
    (tmp_path / "-f").write_text("")
    assert refused(tmp_path / "-f")


def test_a_key_that_others_may_read(tmp_path: Path) -> None:
    """What ssh-keygen refuses to use for its permissions is told with the remedy."""
    key = ssh_key(tmp_path / "key")
    key.chmod(0o644)
    assert "chmod 600" in refused(key).hint


def test_no_character_of_a_key_is_said(tmp_path: Path) -> None:
    """A private key given wrongly is not repeated in any message."""
    key = ssh_key(tmp_path / "key")
    text = key.read_text().replace("OPENSSH", "OPENSSL")
    key.write_text(text)
    key.with_name("key.pub").unlink()
    said = refused(key).message
    assert not any(line in said for line in text.splitlines()[1:-1])


def test_without_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ssh-keygen is not installed, that is said, with what to install."""
    key = ssh_key(tmp_path / "key")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FailedError, match="need the program ssh-keygen") as raised:
        SigningKey(key, {"PATH": str(tmp_path)}).sign(CONTENT, Progress())
    assert "openssh" in raised.value.hint


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("echo 'ssh-keygen: unknown option -- Y' >&2; exit 1", "too old"),
        ("echo 'agent refused operation' >&2; exit 255", "the agent refused"),
        ("printf '\\033[2Jodd' >&2; exit 255", r"says: \\x1b\[2Jodd"),
    ],
)
def test_what_a_program_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, cause: str
) -> None:
    """What an old, or another, ssh-keygen says is understood, or repeated safely."""
    key = ssh_key(tmp_path / "key")
    program = tmp_path / "bin" / "ssh-keygen"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    error = refused(key, {"PATH": os.environ["PATH"]})
    assert re.search(cause, error.message)


def test_a_key_that_waits_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A touch that never comes ends with the time limit, not with the night."""
    key = ssh_key(tmp_path / "key")
    program = tmp_path / "bin" / "ssh-keygen"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(signatures, "SECONDS", 0.3)
    error = refused(key, {"PATH": os.environ["PATH"]})
    assert "there was none after 0.3 seconds" in error.message and "touch" in error.hint


def test_a_new_key(tmp_path: Path) -> None:
    """A generated pair is an Ed25519 key without passphrase that signs."""
    secret, line = new_key(tmp_path, "agebackup@host", Progress())
    file = tmp_path / "mine"
    file.write_bytes(secret)
    file.chmod(0o600)
    assert keygen("-y", "-P", "", "-f", file).decode().strip() == line
    assert line.startswith("ssh-ed25519 AAAA") and line.endswith(" agebackup@host")
    assert parse_signature(SigningKey(file, without_agent()).sign(CONTENT, Progress()))
