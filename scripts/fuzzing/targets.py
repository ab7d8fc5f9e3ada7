"""What is fuzzed: each target takes bytes, and may raise nothing but an `AgebackupError`."""

import os
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from random import Random

import independent_reader
import msgspec
import pyrage  # type: ignore[import-untyped]
from hostile import FILES, Bag, manifest_for
from hostile_lies import LIES
from hostile_streams import STREAMS
from pyrage import x25519

from agebackup.config.example import EXAMPLE
from agebackup.config.reading import parse_config
from agebackup.errors import AgebackupError, printable
from agebackup.model import ageheader
from agebackup.model.addressing import parse_wanted
from agebackup.model.durations import parse_duration
from agebackup.model.globs import compile_globs, covers
from agebackup.model.keytext import holds_secret
from agebackup.model.limits import KIB, MIB, Limits
from agebackup.model.manifest import decode_manifest, encode_manifest
from agebackup.model.names import ArchiveName, app_slug, clash_key, uncarriable
from agebackup.operations.receivers import EVERYTHING
from agebackup.operations.staging import Staging
from agebackup.snapshot.bag import read_bag
from agebackup.snapshot.compression import compressed
from agebackup.snapshot.encryption import decrypt
from agebackup.snapshot.keys import Identities, read_identities, read_recipients
from agebackup.snapshot.places import is_place, misplaced
from agebackup.snapshot.sealed import quick_check
from agebackup.system.descent import folders_below
from agebackup.system.progress import Progress
from fuzzing.mutations import bytes_changed, json_changed, tar_changed

LIMITS = Limits(
    members=2000, total_bytes=8 * MIB, tag_file_bytes=MIB, manifest_bytes=MIB, path_bytes=4 * KIB
)
LONGEST = 1 << 17
"""Bytes of an input at most."""


class BrokenLawError(Exception):
    """A reader did not fail, but what it said cannot be true."""


@dataclass(frozen=True)
class Target:
    """`run(data, private)` reads `data`, and may write below the directory `private` alone.

    `share` is how much of the time it gets, compared with others.
    """

    name: str
    run: Callable[[bytes, Path], None]
    seeds: Callable[[], list[bytes]]
    change: Callable[[bytes, Random], bytes]
    share: int = 1


def _require(true: object, what: str) -> None:
    if not true:
        raise BrokenLawError(what)


# The header of an age file


def _read_header(data: bytes, private: Path) -> None:
    with suppress(AgebackupError):
        ageheader.dearmored(data)
    found = ageheader.parse(data[: ageheader.HEADER_LIMIT])
    _require(0 < found.length <= len(data), "a header longer than its file")
    plain = ageheader.possible_plaintext(found.length, len(data))
    if plain is not None:
        _require(ageheader.sealed_size(found.length, plain) == len(data), "an impossible size")


_AGE_WORDS = (
    *(
        b"-> X25519 ",
        b"-> scrypt ",
        b"-> ssh-ed25519 ",
        b"-> ssh-rsa ",
        b"\n--- ",
        b"-> x-grease\n",
    ),
    *(b"age-encryption.org/v1\n", b"A" * 43, b"A" * 64 + b"\n", b"\n", b" "),
)


@cache
def _owner() -> x25519.Identity:
    return x25519.Identity.from_str(_SECRET)


_GOLDEN = Path(__file__).parents[2] / "tests" / "golden" / "key.txt"
_SECRET = next(line for line in _GOLDEN.read_text().splitlines() if line.startswith("AGE-SECRET"))
"""The key of the tests' golden archives."""


@cache
def _sealed_seeds() -> list[bytes]:
    plain = Bag().stream()
    public = [_owner().to_public()]
    streams = (plain, b"", bytes(70_000), b"".join(compressed([plain], 3)))
    return [b"\0" + pyrage.encrypt(one, public) for one in streams] + [b"\1" + streams[-1]]


def _read_sealed(data: bytes, private: Path) -> None:
    """Decrypt `data`: an age file behind a zero, behind anything else what is encrypted first."""
    kind, data = data[:1], data[1:]
    if kind != b"\0":
        data = pyrage.encrypt(data, [_owner().to_public()])
    path = private / "sealed"
    path.write_bytes(data)
    identities = Identities((_owner(),), ("",))
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        with path.open("rb") as file:
            quick_check(file.fileno())
            found = decrypt(file.fileno(), sink, identities, limits=LIMITS, hashing=True)
    finally:
        os.close(sink)
        path.unlink()
    _require(found.stream_bytes <= LIMITS.total_bytes, "more than the limit came out")


def _change_sealed(data: bytes, chance: Random) -> bytes:
    end = data.find(b"\n---") if chance.random() < 0.5 else -1
    if end < 0:
        return data[:1] + bytes_changed(data[1:], chance, _AGE_WORDS)
    return data[:1] + bytes_changed(data[1:end], chance, _AGE_WORDS) + data[end:]


# The tar stream with the bag, as a restore reads it


def _read_bag(data: bytes, private: Path) -> None:
    stream = private / "stream"
    stream.write_bytes(data)
    target, databases = private / "target", private / "databases"
    target.mkdir()
    databases.mkdir()
    top = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with (
            stream.open("rb") as file,
            closing(Staging(top, databases, EVERYTHING, lambda place, path: None)) as staging,
        ):
            contents = read_bag(file.fileno(), staging, limits=LIMITS, progress=Progress())
        _require(all(map(str.isprintable, contents.differences)), "an unprintable difference")
        if not contents.differences:
            _second_opinion(stream)
    finally:
        os.close(top)
        _remove(target)
        _remove(databases)
        stream.unlink()


def _remove(directory: Path) -> None:
    """Remove a tree that may be deeper than any path is long."""
    top = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for below in folders_below(top):
            for file in below.files:
                os.unlink(file, dir_fd=below.descriptor)
            for folder in below.directories:
                os.rmdir(folder, dir_fd=below.descriptor)
    finally:
        os.close(top)
    directory.rmdir()


def _second_opinion(stream: Path) -> None:
    """What agebackup finds nothing wrong with, the reader made from FORMAT.md must accept."""
    try:
        with stream.open("rb") as file:
            independent_reader.read_tar(file)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise BrokenLawError(f"only one of two readers accepts it: {error!r}") from error


def _bag_seeds() -> list[bytes]:
    honest = [
        Bag(),
        Bag(signature=b"signed"),
        Bag(files=FILES | {"data/attachments/" + "n" * 200: b"x"}),
    ]
    lying = [bag for bag, _ in LIES.values()]
    streams = [one for one in STREAMS.values() if len(one) < LONGEST]
    return [bag.stream() for bag in honest] + [bag.stream() for bag in lying] + streams


# Manifests, names, words, keys, configurations


def _read_manifest(data: bytes, private: Path) -> None:
    found = decode_manifest(data)
    _require(decode_manifest(encode_manifest(found)) == found, "a manifest that is not kept")


def _manifest_seeds() -> list[bytes]:
    full = msgspec.convert(manifest_for(FILES, ("data/ledger.db",)), dict[str, object])
    skip = {"path": "a", "reason": "b", "lost": True}
    more: dict[str, object] = {
        "previous": {"name": "x", "sha256": "0" * 64},
        "skipped": [skip],
        "missing": ["x"],
    }
    more |= {"series": "s", "sequence": 1, "empty_directories": ["data/e"], "derived": ["x"]}
    return [msgspec.json.encode(full), msgspec.json.encode(full | more), b"{}", b"[" * 3000]


def _read_names(data: bytes, private: Path) -> None:
    text = data.decode("utf-8", "surrogateescape")
    _require(printable(text).isprintable(), "an unprintable name")
    name = ArchiveName.parse(text)
    _require(name is None or str(name) == text, "a name that is another's")
    _require(len(app_slug(text)) <= 40, "a long slug")
    for judge in (clash_key, uncarriable, misplaced, is_place, holds_secret):
        judge(text)
    with suppress(AgebackupError):
        parse_duration(text)
    with suppress(AgebackupError):
        parse_wanted(text)
    pattern, _, path = text.partition("\n")
    covers(compile_globs([pattern]), path)


_NAMES = (
    *(
        b"notes-20261120T021500Z-1f2e3d4c.tar.age",
        b"a-19691231T235959Z-00000000-manual.tar.zst.age",
    ),
    *(b"APP:latest-manual", b"notes@2026-11-20", b"1d12h", b"**/a*[!x]?/\nx/a1/", b"data/a/../b"),
    *(b"*a*a*a*a*a*a*a*a*b\n" + b"a" * 300, b"data/%0A ", b"notes:latest", b"999999w999999d"),
)


def _read_keys(data: bytes, private: Path) -> None:
    path = private / "key.txt"
    path.write_bytes(data)
    path.chmod(0o600)
    said: list[str] = []
    try:
        for read in (
            partial(read_identities, [path], passphrase=None, warn=said.append),
            partial(read_recipients, [], [path]),
            partial(read_recipients, [data.decode("utf-8", "replace")[:5000]], []),
        ):
            try:
                read()
            except AgebackupError as error:
                said += [error.message, error.hint, *error.details]
    finally:
        path.unlink()
    secret = _SECRET.removeprefix("AGE-SECRET-KEY-1")
    pieces = {secret[at : at + 32] for at in range(len(secret) - 31)}
    for line in said:
        _require(not any(piece in line.upper() for piece in pieces), "a secret is told")
        _require(line.replace("\n", "").isprintable(), "an unprintable sentence")


def _key_seeds() -> list[bytes]:
    public = str(_owner().to_public()).encode()
    ssh = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN me\n"
    pem = b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU=\n-----END"
    protected = b"age-encryption.org/v1\n-> scrypt " + b"A" * 22 + b" 18\n" + b"A" * 43 + b"\n--- "
    secret = _SECRET.encode()
    return [
        b"# created: x\n# public key: " + public + b"\n" + secret + b"\n",
        *(secret, public, ssh, pem + b" OPENSSH PRIVATE KEY-----\n", protected + b"A" * 43 + b"\n"),
        *("\ufeff".encode() + secret, secret.decode().encode("utf-16"), secret.lower()),
    ]


def _read_config(data: bytes, private: Path) -> None:
    parse_config(data, Path("/etc/agebackup/config.toml"), {"HOME": "/home/person"})


def _config_seeds() -> list[bytes]:
    rules = b"[apps.notes.retention]\nkeep_daily = 3\nkeep_within = '30d'\ntimezone = 'UTC'\n"
    return [EXAMPLE.encode(), b"[apps.notes]\nroot = '~/x'\ndatabases = {a = 'a.db'}\n" + rules]


def _words(*words: bytes) -> Callable[[bytes, Random], bytes]:
    return lambda data, chance: bytes_changed(data, chance, words)


def _header_seeds() -> list[bytes]:
    return [one[1:] for one in _sealed_seeds()]


_ALL = (
    Target("bag", _read_bag, _bag_seeds, tar_changed, share=5),
    Target("sealed", _read_sealed, _sealed_seeds, _change_sealed, share=3),
    Target("manifest", _read_manifest, _manifest_seeds, json_changed),
    Target("header", _read_header, _header_seeds, _words(*_AGE_WORDS)),
    Target("names", _read_names, lambda: list(_NAMES), _words(b"-manual", b"**/", b"..", *_NAMES)),
    Target("keys", _read_keys, _key_seeds, _words(b"-----BEGIN ", b"age1", b"\n", b"#")),
    Target("config", _read_config, _config_seeds, _words(b"[", b"=", b'"""', b"{", b"count = -1")),
)
TARGETS = {target.name: target for target in _ALL}
