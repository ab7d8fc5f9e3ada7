"""The scripts of a checkout: they show what they promise, or say in a sentence what is missing."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import sample_app
from system_faults import OWN_MOUNTS

ROOT = Path(__file__).resolve().parent.parent
NEEDED_BY_BASH = ("bash", "dirname", "basename", "uname", "cat", "cksum", "id", "env")


def _python(
    tmp_path: Path, *arguments: str, within: Sequence[str] = ()
) -> "subprocess.CompletedProcess[str]":
    paths = f"{ROOT}/scripts:{ROOT}/tests:{ROOT}"
    (tmp_path / "tmp").mkdir()
    return subprocess.run(
        [*within, sys.executable, *arguments],
        env=sample_app.environment(tmp_path)
        | {"PYTHONPATH": paths, "TMPDIR": str(tmp_path / "tmp")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_demo_holds_and_leaves_nothing(tmp_path: Path) -> None:
    """The demo goes the whole way, says so, and cleans up behind itself."""
    done = _python(tmp_path, str(ROOT / "scripts/demonstration.py"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything held" in done.stdout
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.linux
def test_the_bench_measures_and_leaves_nothing(tmp_path: Path) -> None:
    """The bench gives ratios, memory and JSON for every contender, and cleans up."""
    report = tmp_path / "report.json"
    arguments = ("--small", "--rounds", "1", "--workload", "database", "--json", str(report))
    done = _python(tmp_path, "-m", "benchmark", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = {line["name"]: line for line in json.loads(report.read_text())["lines"]}
    assert lines["yardstick"]["ratio"] == 1
    for name in ("create", "create --no-proof", "verify", "restore"):
        assert lines[name]["ratio"] > 0
        assert lines[name]["peak_bytes"] > 1_000_000
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.linux
def test_a_month_of_nights_breaks_no_law(tmp_path: Path) -> None:
    """Kills, full disks, wrong clocks and absent drives cost no archive that is to be kept."""
    arguments = ("--nights", "30", "--seed", "3", "--json", str(tmp_path / "report.json"))
    done = _python(tmp_path, "-m", "nights", *arguments, within=OWN_MOUNTS)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["archives made"] > 20 and report["archives pruned"] > 10
    assert {end.split(":")[0] for end in report["ends"]} >= {"killed", "disk full", "quiet"}
    assert not list((tmp_path / "tmp").iterdir())


def _with_only(tmp_path: Path, *programs: str) -> "subprocess.CompletedProcess[str]":
    """Run scripts/demo of a fresh checkout where nothing but `programs` is installed."""
    folder, checkout = tmp_path / "bin", tmp_path / "a checkout"
    folder.mkdir()
    for program in (*NEEDED_BY_BASH, *programs):
        found = shutil.which(program)
        assert found, program
        (folder / program).symlink_to(found)
    shutil.copytree(ROOT / "scripts", checkout / "scripts")
    shutil.copy(ROOT / "pyproject.toml", checkout)
    return subprocess.run(
        [checkout / "scripts/demo"],
        env={"PATH": str(folder), "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "programs, said",
    [
        (("age", "tar"), "Python 3.11 or later is missing"),
        (("tar",), "missing programs: age"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(
    tmp_path: Path, programs: tuple[str, ...], said: str
) -> None:
    """A machine without a program gets one line that names it, and no half-made .venv."""
    done = _with_only(tmp_path, *programs)
    assert done.returncode == 1
    assert said in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "a checkout/.venv").exists()


def test_no_network_is_said_in_a_sentence(tmp_path: Path) -> None:
    """Where pip reaches no index, that is what the person reads, and the next run tries again."""
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT / "scripts", checkout / "scripts")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    unreachable = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "0",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    done = subprocess.run(
        [checkout / "scripts/demo"], env=kept | unreachable, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "no network" in done.stderr.splitlines()[-1]
    assert not (checkout / ".venv/fingerprint").exists()
