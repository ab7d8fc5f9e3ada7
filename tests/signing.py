"""SSH keys by the stock program, files of signers, and archives whose signature was exchanged."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from conftest import Keys, Outcome, World
from hostile import filled, member
from sample_app import SampleApp

SIGNATURE = "tagmanifest-sha256.txt.sig"


def keygen(*words: object, said: bytes = b"", **options: object) -> bytes:
    """Run the stock `ssh-keygen` with `words` and return what it prints."""
    settings: dict[str, object] = {"input": said, "capture_output": True, "check": True}
    done = subprocess.run(["ssh-keygen", *map(str, words)], **(settings | options))
    return bytes(done.stdout)


def ssh_key(path: Path, *options: str, word: str = "") -> Path:
    """Make the key pair `path` and `path`.pub; Ed25519 unless `options` say otherwise."""
    kind = () if "-t" in options else ("-t", "ed25519")
    keygen("-q", *kind, *options, "-N", word, "-C", "a person", "-f", path)
    return path


def public(key: Path) -> str:
    """Return kind and public half of `key`, as in files of keys."""
    return " ".join(key.with_name(f"{key.name}.pub").read_text().split()[:2])


def allowed(key: Path, who: str = "me", options: str = "") -> str:
    """Return the line of a file of signers for `key`."""
    return f"{who} {options} {public(key)}\n"


def signature(key: Path, content: bytes, namespace: str = "agebackup@v1") -> bytes:
    """Return what the stock program signs `content` with."""
    return keygen("-Y", "sign", "-n", namespace, "-f", key, said=content)


def signed_archive(
    world: World, app: SampleApp, keys: Keys, key: Path | None, *more: object
) -> Path:
    """Let `create` make an archive of `app` in `out`, signed with `key` unless that is None."""
    with_key = () if key is None else ("--signing-key", key)
    made = world.run(
        *("create", "--db", app.ledger, "--attachments", app.blobs, "--app", "notes"),
        *("--to", world.directory / "out", "--mkdir", "-r", keys.recipient),
        *(*with_key, *more),
    )
    return published(made)


def published(outcome: Outcome) -> Path:
    """Return the path that a good `create` printed."""
    assert outcome.code == 0, outcome.err
    return Path(outcome.out.strip())


def opened(archive: Path, keys: Keys) -> bytes:
    """Return the tar in `archive`, by stock `age`."""
    done = subprocess.run(["age", "-d", "-i", keys.identity, archive], capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def sealed(stream: bytes, keys: Keys, target: Path) -> Path:
    """Encrypt `stream` into `target` by stock `age`, as anybody can who has the public key."""
    target.parent.mkdir(exist_ok=True)
    subprocess.run(["age", "-r", keys.recipient, "-o", target], input=stream, check=True)
    return target


def signed_anew(
    archive: Path, keys: Keys, target: Path, make: Callable[[bytes], bytes | None]
) -> Path:
    """Put a copy of `archive` at `target`, its signature being what `make` makes of the tags.

    Without a signature where that is None.
    """
    stream = opened(archive, keys)
    app = archive.name.split("-")[0]
    at = stream.rindex(f"{app}/tagmanifest-sha256.txt\0".encode())
    size = int(stream[at + 124 : at + 135], 8)
    end = at + 512 + size + -size % 512
    made = make(stream[at + 512 : at + 512 + size])
    more = b"" if made is None else member(f"{app}/{SIGNATURE}", made)
    return sealed(filled(stream[:end] + more), keys, target)
