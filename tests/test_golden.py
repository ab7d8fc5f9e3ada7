"""Archives of every published format, kept with their key: they must stay readable for ever."""

import json
import subprocess
from hashlib import sha256
from pathlib import Path

import independent_reader
import pytest
from conftest import World

GOLDEN = Path(__file__).parent / "golden"
ARCHIVES = sorted(GOLDEN.glob("*.age"))


@pytest.fixture
def key(world: World) -> Path:
    """The golden archives' key, with the mode that a checkout does not keep."""
    path = world.directory / "key.txt"
    path.write_bytes((GOLDEN / "key.txt").read_bytes())
    path.chmod(0o600)
    return path


def content(directory: Path) -> dict[str, str]:
    """Return the hash of each file below `directory`, databases as they are in the archive."""
    return {
        str(path.relative_to(directory)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def expected() -> dict[str, str]:
    lines = (GOLDEN / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def test_there_are_golden_archives() -> None:
    """A plain and a compressed archive of format 1 are kept."""
    assert [path.name.endswith(".tar.zst.age") for path in ARCHIVES] == [False, True]


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.suffixes[-2])
def test_a_golden_archive_is_read(world: World, key: Path, archive: Path) -> None:
    """What was archived by an earlier version verifies and comes back byte for byte."""
    outcome = world.run("verify", archive, "-i", key)
    assert outcome.code == 0, outcome.err
    target = world.directory / "bag"
    outcome = world.run("restore", archive, "-i", key, "--target", target, "--keep-bag")
    assert outcome.code == 0, outcome.err
    assert content(target / "data") == expected()
    assert (target / "data" / "attachments" / "deep" / "empty").is_dir()
    assert (target / "data" / "attachments" / "tool").stat().st_mode & 0o777 == 0o700
    assert world.run("verify", target).code == 0


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.suffixes[-2])
def test_a_golden_archive_is_read_by_hand(world: World, key: Path, archive: Path) -> None:
    """Stock age, zstd, tar and sha256sum get the same out of it."""
    unpack = "zstd -d |" if ".zst" in archive.suffixes else ""
    recipe = f"""set -eo pipefail; umask 077
age -d -i key.txt '{archive}' | {unpack} tar xf -
cd notes; sha256sum -c --quiet manifest-sha256.txt tagmanifest-sha256.txt"""
    subprocess.run(["bash", "-c", recipe], cwd=world.directory, check=True)
    assert content(world.directory / "notes" / "data") == expected()


def test_the_second_reader_agrees(key: Path) -> None:
    """A reader made from FORMAT.md alone finds the same manifest as ours."""
    archive = ARCHIVES[0]
    found = independent_reader.read(str(archive), str(key))
    assert archive.name in json.dumps(found, default=str)
