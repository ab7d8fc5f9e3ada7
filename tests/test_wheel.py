"""The wheel: what people install holds everything that the program reads at run time."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import World
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "agebackup"
FROM_WHEEL = """\
import sys, agebackup
assert agebackup.__file__.startswith(sys.path[1]), agebackup.__file__
from agebackup.__main__ import main
sys.exit(main())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built by the backend that pyproject.toml names; no network."""
    (built,) = WheelBuilder(str(ROOT)).build(
        directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"]
    )
    return Path(built)


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    """Profiles, documents and the mark of typed packages are in it, and nothing else."""
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
    packaged = {name for name in names if not name.partition("/")[0].endswith(".dist-info")}
    there = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packaged == there
    data = {name for name in packaged if name.endswith((".toml", ".md"))}
    assert "agebackup/profiles/msgvault.toml" in data and "agebackup/FORMAT.md" in data
    metadata = {name.partition("/")[2] for name in names - packaged}
    assert {"METADATA", "entry_points.txt", "licenses/LICENSE"} <= metadata


def test_the_unpacked_wheel_knows_its_profiles(wheel: Path, world: World, tmp_path: Path) -> None:
    """`agebackup profiles` works from the wheel alone, outside of any checkout."""
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as content:
        content.extractall(unpacked)
    done = subprocess.run(
        [sys.executable, "-c", FROM_WHEEL, "profiles"],
        env={**world.env, "PYTHONPATH": str(unpacked)},
        cwd=world.directory,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    listed = {line.split()[0] for line in done.stdout.splitlines() if line[:1].strip()}
    assert listed == {file.stem for file in (PACKAGE / "profiles").glob("*.toml")}
