"""Private keys and passphrases stay where they were put, through the whole life of a backup."""

import os
import shutil
import sqlite3
import subprocess
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from conftest import Keys, Outcome, World
from pseudo_terminal import protected
from sample_app import SampleApp

pytestmark = pytest.mark.linux

PASSPHRASE, WRONG = "correct-horse-battery-staple", "wrong-donkey-battery-staple"
_PIECE = 8
"""So many characters of a secret, at the least, are looked for; any 15 in a row hold a piece."""
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def traces_of(name: str, text: str) -> dict[bytes, str]:
    """Return the pieces by which the secret `text` is known wherever it lies, in either case."""
    plain = text.removeprefix("AGE-SECRET-KEY-1")
    pieces = {plain[at : at + _PIECE] for at in range(0, len(plain) - _PIECE + 1, _PIECE)}
    return {one.encode(): name for piece in pieces for one in (piece, piece.lower())}


def bytes_of(secret: str) -> bytes:
    """Return the 32 bytes that an age private key stands for (BIP 173)."""
    bits = 0
    for character in secret.lower().removeprefix("age-secret-key-1")[:-6]:
        bits = bits << 5 | _BECH32.index(character)
    return (bits >> 4).to_bytes(32)


@dataclass
class Guarded:
    """A machine on which everything that is said or written is searched for secrets."""

    world: World
    traces: dict[bytes, str] = field(default_factory=dict)
    spared: set[Path] = field(default_factory=set)
    hits: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    _known: dict[object, object] = field(default_factory=dict)

    def keep(self, path: Path, secret: str) -> Path:
        """Guard the key `secret`, which lies in the file `path` and may lie there alone."""
        path.chmod(0o600)
        self.spared.add(path)
        self.traces |= traces_of(path.name, secret)
        if secret.startswith("AGE-"):
            raw = bytes_of(secret)
            self.traces |= {raw: path.name, raw.hex().encode(): path.name}
        return path

    def look(self, where: str, content: bytes) -> None:
        """Take note of every secret in `content`."""
        self.seen.add(where.split(" ")[0])
        names = {name for piece, name in self.traces.items() if piece in content}
        self.hits += [f"{name} in {where}" for name in names]

    def run(self, *words: object, typed: str = "", code: int = 0) -> Outcome:
        """Run a command, its processes being watched, and search what it said and left."""
        number, writing = os.pipe()
        os.write(writing, f"{typed}\n".encode())
        os.close(writing)
        options = ("--passphrase-fd", number) if typed else ()
        with self.world.start(*words, *options, pass_fds=(number,)) as process:
            while True:
                for pid in (process.pid, *descendants(process.pid)):
                    self._look_at(pid)
                try:
                    out, err = process.communicate(timeout=0.01)
                    break
                except subprocess.TimeoutExpired:
                    continue
        os.close(number)
        self.look(f"output of {words}", (out + err).encode("utf-8", "surrogateescape"))
        self.search()
        assert process.returncode == code, (words, err)
        return Outcome(process.returncode, out, err)

    def search(self) -> None:
        """Search every file of this machine but those of the keys, names included."""
        for path in (self.world.directory.parent).rglob("*"):
            if path in self.spared or path.is_symlink() or not path.is_file():
                continue
            status = path.stat()
            if self._news(path, (status.st_mtime_ns, status.st_size, len(self.traces))):
                self.look(f"file {path}", os.fsencode(path) + path.read_bytes())

    def _look_at(self, pid: int) -> None:
        for name in ("cmdline", "environ"):
            try:
                content = Path(f"/proc/{pid}/{name}").read_bytes()
            except OSError:
                continue
            if self._news((pid, name), content):
                self.look(f"{name} of {pid}", content)

    def _news(self, what: object, state: object) -> bool:
        """Return whether `what` is not as it was when it was last asked for."""
        before, self._known[what] = self._known.get(what), state
        return before != state


def descendants(pid: int) -> Iterator[int]:
    """Yield the processes that `pid` started, and theirs."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = [int(word) for word in children.read_text().split()]
        except OSError:
            continue
        for child in found:
            yield child
            yield from descendants(child)


@pytest.fixture
def guarded(world: World) -> Guarded:
    """A machine whose temporary files lie on it as well."""
    temporary = world.directory / "tmp"
    temporary.mkdir()
    env: Mapping[str, str] = {**world.env, "TMPDIR": str(temporary)}
    return Guarded(replace(world, env=env))


def secret_in(path: Path) -> str:
    """Return the line of an identity file that is the key."""
    (secret,) = (line for line in path.read_text().splitlines() if line.startswith("AGE-"))
    return secret


def made(guarded: Guarded, app: SampleApp) -> tuple[Path, Path]:
    """Make a key and an archive by a configured app; return their files."""
    home = guarded.world.directory
    key = home / "key.txt"
    guarded.spared.add(key)
    recipient = guarded.run("keygen", "-o", key).out.strip()
    guarded.keep(key, secret_in(key))
    (home / "out").mkdir()
    config = ("config", "init", "notes", "--db", app.ledger, "--attachments", app.blobs)
    guarded.run(*config, "--to", home / "out", "-r", recipient)
    guarded.run("-v", "create", "notes")
    guarded.run("run", "notes", "--now")
    archive = min((home / "out").glob("*.age"))
    guarded.look("archive", plaintext(archive, key))
    return key, archive


def plaintext(archive: Path, key: Path) -> bytes:
    """Return what is encrypted in an archive: the manifest, and all else."""
    return subprocess.run(["age", "-d", "-i", key, archive], check=True, capture_output=True).stdout


def test_a_life_without_a_trace(guarded: Guarded, app: SampleApp) -> None:
    """Making, reading and looking after backups puts no key anywhere: no file, word or process."""
    key, archive = made(guarded, app)
    home = guarded.world.directory
    for words in (
        ("-v", "verify", archive, "-i", key),
        ("--json", "-v", "restore", archive, "-i", key, "--target", home / "back"),
        ("restore", archive, "-i", key, "--target", home / "bag", "--keep-bag"),
        ("inspect", archive, "-i", key),
        ("ls", "--json", archive, "-i", key),
        ("cat", archive, "ledger.db", "-i", key),
        ("recipient", "-i", key),
        ("ledger", "rebuild", home / "out", "-i", key),
        ("status", "notes"),
        ("audit", "notes", "--full"),
        ("log", "notes"),
    ):
        if words[0] == "cat":  # its output is the file itself
            words = (*words[:-1], key)
        guarded.run(*words)
    with closing(sqlite3.connect(guarded.world.state / "ledger.db")) as ledger:
        guarded.look("ledger", "\n".join(ledger.iterdump()).encode())
    assert guarded.seen >= {"cmdline", "environ", "file", "output", "archive", "ledger"}
    assert not guarded.hits


def test_failures_without_a_trace(
    guarded: Guarded, app: SampleApp, other_keys: Keys, tmp_path: Path
) -> None:
    """Wrong, damaged, locked and exposed keys are complained of without a part of them."""
    key, archive = made(guarded, app)
    home, secret = guarded.world.directory, secret_in(key)

    def verify(path: Path) -> tuple[object, ...]:
        return ("-v", "verify", archive, "-i", path)

    other = Path(shutil.copy(other_keys.identity, home))
    guarded.keep(other, secret_in(other))
    guarded.run(*verify(other), code=12)
    for number, text in enumerate(
        (secret[:-1], secret[:40] + "\n" + secret[40:], secret + secret, f"x {secret}", secret[5:])
    ):
        damaged = home / f"damaged-{number}"
        damaged.write_text(text)
        guarded.run(*verify(guarded.keep(damaged, secret)), code=2)
    locked = protected(key, PASSPHRASE, home / "locked.txt")
    for word in (PASSPHRASE, WRONG):
        guarded.traces |= traces_of("the passphrase", word)
    guarded.run(*verify(locked), typed=PASSPHRASE)
    guarded.run(*verify(locked), typed=WRONG, code=12)
    exposed = guarded.keep(Path(shutil.copy(key, home / "exposed.txt")), secret)
    exposed.chmod(0o644)
    assert "can be read by others" in guarded.run(*verify(exposed)).err
    damaged_archive = home / "damaged.age"
    damaged_archive.write_bytes(archive.read_bytes()[:-100])
    guarded.run("restore", damaged_archive, "-i", key, "--target", home / "back", code=4)
    guarded.run("create", "--db", app.ledger, "--to", home / "out", "-R", key, code=2)
    assert not guarded.hits


def test_a_killed_restore_without_a_trace(guarded: Guarded, app: SampleApp) -> None:
    """Not even what SIGKILL leaves behind holds a key."""
    key, archive = made(guarded, app)
    words = ("restore", archive, "-i", key, "--target", guarded.world.directory / "back")
    with guarded.world.start(*words) as process:
        while process.poll() is None and not guarded.world.leftovers():
            guarded.search()
        process.kill()
    guarded.search()
    assert not guarded.hits


def ssh_secret_in(path: Path) -> str:
    """Return the characters of an SSH private key that stand for nothing but what is secret."""
    body = "".join(path.read_text().splitlines()[1:-1])
    public = b64decode(path.with_suffix(".pub").read_text().split()[1])[-32:]
    content = b64decode(body)
    end = content.rindex(public)  # its secret half stands before it (PROTOCOL.key), or all is
    start = end - 32 if content.count(public) > 1 else end + 64
    end = start + 32 if content.count(public) > 1 else len(content)
    return body[start * 4 // 3 + 2 : end * 4 // 3 - 4]


def test_an_ssh_key_without_a_trace(guarded: Guarded, app: SampleApp) -> None:
    """SSH keys are kept to themselves like age's, the protected one that is refused as well."""
    home = guarded.world.directory
    for name, passphrase in (("ssh", ""), ("ssh-locked", PASSPHRASE)):
        made_by = ("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", home / name)
        subprocess.run(made_by, check=True)
        guarded.keep(home / name, ssh_secret_in(home / name))
    create = ("create", "--db", app.ledger, "--to", home / "x.age", "-R", home / "ssh.pub")
    guarded.run(*create)
    guarded.run("-v", "verify", home / "x.age", "-i", home / "ssh")
    guarded.run("-v", "verify", home / "x.age", "-i", home / "ssh-locked", code=2)
    assert not guarded.hits


@pytest.mark.parametrize("part", [slice(20, 36), slice(0, None), slice(45, 61)])
def test_a_trace_would_be_found(guarded: Guarded, other_keys: Keys, part: slice) -> None:
    """The search finds a key, and a part of one, in whichever case and place it lies."""
    home = guarded.world.directory
    secret = secret_in(other_keys.identity)
    key = guarded.keep(Path(shutil.copy(other_keys.identity, home)), secret)
    guarded.search()
    assert not guarded.hits
    (home / "tmp" / "left").write_text(f"note: {secret[part].lower()}.")
    guarded.search()
    assert guarded.hits == [f"{key.name} in file {home / 'tmp' / 'left'}"]
    guarded.hits.clear()
    (home / "tmp" / "left").write_bytes(b"core" + bytes_of(secret))
    guarded.search()
    assert guarded.hits


def test_a_trace_in_a_process_would_be_found(guarded: Guarded) -> None:
    """The watch sees what a command is given as an argument or in its environment."""
    secret = "AGE-SECRET-KEY-1" + "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L" * 2
    guarded.traces |= traces_of("key", secret)
    guarded.world = replace(guarded.world, env={**guarded.world.env, "KEY": secret})
    guarded.run("verify", secret, code=2)
    found = {hit.split(" ")[2] for hit in guarded.hits}
    assert found == {"cmdline", "environ"}, "and it is not repeated in the output"
