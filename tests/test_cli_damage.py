"""Archives that were damaged, exchanged or never were any: exit code 4, 10 or 12, nothing left."""

import os
import subprocess
from pathlib import Path

import pytest
from conftest import Keys, Outcome, World
from pseudo_terminal import protected
from sample_app import build, environment

CHUNK = 65536 + 16


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Path:
    """One good archive of several age chunks for all tests of this file."""
    directory = tmp_path_factory.mktemp("damage")
    home = directory / "home"
    home.mkdir()
    (directory / "out").mkdir()
    app = build(directory / "app", attachments=4, attachment_bytes=200_000)
    outcome = World(directory, home, environment(home)).run(
        *("create", *app.create_arguments, "--to", "out", "-r", keys.recipient)
    )
    assert outcome.code == 0, outcome.err
    return Path(outcome.out.strip())


@pytest.fixture
def archive(world: World, pristine: Path) -> Path:
    """A copy of the good archive, to be damaged."""
    copy = world.directory / pristine.name
    copy.write_bytes(pristine.read_bytes())
    return copy


def every_reader(world: World, archive: Path, identity: Path) -> list[Outcome]:
    """Run every command that reads archives; check that none leaves anything behind."""
    outcomes = [
        world.run("verify", archive, "-i", identity),
        world.run("restore", archive, "-i", identity, "--target", world.directory / "target"),
        world.run("inspect", archive, "-i", identity),
        world.run("ls", archive, "-i", identity),
        world.run("cat", archive, "tokens/token", "-i", identity),
    ]
    assert not (world.directory / "target").exists()
    assert not world.leftovers()
    for outcome in outcomes:
        assert "Traceback" not in outcome.err
        assert outcome.err.startswith("agebackup: ")
    return outcomes


def header_length(content: bytes) -> int:
    return content.index(b"\n", content.index(b"\n--- ") + 1) + 1


def swapped_chunks(content: bytes) -> bytes:
    start = header_length(content) + 16
    first, second = content[start : start + CHUNK], content[start + CHUNK : start + 2 * CHUNK]
    return content[:start] + second + first + content[start + 2 * CHUNK :]


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


DAMAGES = {
    "empty": lambda c: b"",
    "zeros": lambda c: bytes(len(c)),
    "cut to a byte": lambda c: c[:1],
    "cut in the header": lambda c: c[:100],
    "cut after the header": lambda c: c[: header_length(c)],
    "cut at a chunk": lambda c: c[: header_length(c) + 16 + CHUNK],
    "cut by one byte": lambda c: c[:-1],
    "appended to": lambda c: c + b"x",
    "two in one": lambda c: c + c,
    "chunks exchanged": swapped_chunks,
    "flipped in the nonce": lambda c: flipped(c, header_length(c) + 3),
    "flipped in the payload": lambda c: flipped(c, header_length(c) + 16 + CHUNK + 99),
    "flipped at the end": lambda c: flipped(c, len(c) - 1),
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda name: name.replace(" ", "-"))
def test_damage_is_found(world: World, archive: Path, keys: Keys, damage: str) -> None:
    """Every kind of damage is called damage by every reader, and nothing of it is restored."""
    archive.write_bytes(DAMAGES[damage](archive.read_bytes()))
    for outcome in every_reader(world, archive, keys.identity):
        assert outcome.code == 4, outcome.err


@pytest.mark.parametrize(
    "name", ["empty", "zeros", "cut by one byte", "appended to", "cut at a chunk"]
)
def test_damage_that_needs_no_key(world: World, archive: Path, name: str) -> None:
    """A cut, padded or emptied archive is found without any key."""
    archive.write_bytes(DAMAGES[name](archive.read_bytes()))
    assert world.run("verify", "--quick", archive).code == 4
    assert world.run("inspect", archive).code == 4


def test_wrong_key(world: World, archive: Path, other_keys: Keys) -> None:
    """A key that does not open the archive is told apart from damage: exit code 12."""
    for outcome in every_reader(world, archive, other_keys.identity):
        assert outcome.code == 12, outcome.err


def test_flipped_header(world: World, archive: Path, keys: Keys) -> None:
    """A damaged header can look like a wrong key; the message says so."""
    archive.write_bytes(flipped(archive.read_bytes(), header_length(archive.read_bytes()) - 5))
    outcome = world.run("verify", archive, "-i", keys.identity)
    assert outcome.code in (4, 12)
    assert "damaged" in outcome.err


def test_absent(world: World, archive: Path, keys: Keys) -> None:
    """An archive that is not there: exit code 10."""
    archive.unlink()
    for outcome in every_reader(world, archive, keys.identity):
        assert outcome.code == 10, outcome.err


def test_no_tar_inside(world: World, archive: Path, keys: Keys) -> None:
    """An age file that holds something else is not called an archive."""
    subprocess.run(
        ["age", "-r", keys.recipient, "-o", archive],
        input=b"just a letter to a friend" * 1000,
        check=True,
    )
    for outcome in every_reader(world, archive, keys.identity):
        assert outcome.code == 4, outcome.err


def test_renamed(world: World, archive: Path, keys: Keys) -> None:
    """An archive under another archive's name is verified, with a warning about the name."""
    renamed = archive.with_name("other-20200101T000000Z-00000000.tar.age")
    archive.rename(renamed)
    outcome = world.run("verify", renamed, "-i", keys.identity)
    assert outcome.code == 0
    assert "renamed" in outcome.err and archive.name in outcome.err


def test_monstrous_work_factor(world: World, archive: Path) -> None:
    """A passphrase-protected key file that would take gigabytes and minutes is refused at once."""
    key = world.directory / "key.txt"
    key.write_bytes(
        b"age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 22\n"
        + b"A" * 43
        + b"\n--- "
        + b"A" * 43
        + b"\n"
        + bytes(64)
    )
    key.chmod(0o600)
    with (world.directory / "pass").open("w+") as passphrase:
        passphrase.write("secret\n")
        passphrase.seek(0)
        number = passphrase.fileno()
        outcome = world.run(
            *("verify", archive, "-i", key, "--passphrase-fd", number), pass_fds=(number,)
        )
    assert outcome.code in (2, 13), outcome.err
    assert "work factor" in outcome.err


def test_protected_key(world: World, archive: Path, keys: Keys) -> None:
    """A passphrase-protected key file opens with --passphrase-fd, and not without a terminal."""
    key = protected(keys.identity, "correct horse", world.directory / "protected.txt")
    number, writing = os.pipe()
    os.write(writing, b"correct horse\n")
    os.close(writing)
    outcome = world.run(
        *("verify", archive, "-i", key, "--passphrase-fd", number), pass_fds=(number,)
    )
    os.close(number)
    assert outcome.code == 0, outcome.err
    outcome = world.run("verify", archive, "-i", key, start_new_session=True)
    assert outcome.code == 2 and "--passphrase-fd" in outcome.err


def test_several_archives(world: World, archive: Path, keys: Keys) -> None:
    """Of several archives each is reported, and the exit code is the worst."""
    bad = world.directory / "bad.tar.age"
    bad.write_bytes(archive.read_bytes()[:-1])
    outcome = world.run("verify", bad, archive, "-i", keys.identity)
    assert outcome.code == 4
    assert outcome.out == f"{archive}: sound\n"
    assert "bad.tar.age" in outcome.err
