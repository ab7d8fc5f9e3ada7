"""Made-up input: a sample of what scripts/fuzz does, and that it would notice a fault."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import sample_app
from fuzzing.databases import Mutant
from fuzzing.hostile_databases import Proving

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.linux


def fuzz(tmp_path: Path, *arguments: object) -> dict[str, object]:
    """Run scripts/fuzz as a person would, but without making .venv; return its counts."""
    report = tmp_path / "report.json"
    words = [sys.executable, "-m", "fuzzing", *map(str, arguments), "--json", str(report)]
    done = python(tmp_path, words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list((tmp_path / "tmp").iterdir())
    found: dict[str, object] = json.loads(report.read_text())
    return found


def python(tmp_path: Path, words: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run Python where the scripts and tests can be imported."""
    (tmp_path / "tmp").mkdir()
    paths = {"PYTHONPATH": f"{ROOT}/scripts:{ROOT}/tests:{ROOT}", "TMPDIR": str(tmp_path / "tmp")}
    return subprocess.run(
        words, env=sample_app.environment(tmp_path) | paths, capture_output=True, text=True
    )


def test_every_reader_withstands_made_up_input(tmp_path: Path) -> None:
    """Of thousands of inputs none raises, hangs, grows, strays, or is taken by one reader alone."""
    counts = fuzz(tmp_path, 60, "--inputs", 400, "--seed", 1)
    readers = counts["readers"]
    assert isinstance(readers, dict) and counts["findings"] == 0
    assert set(readers) >= {"bag", "manifest", "sealed", "header", "names", "keys", "config"}
    assert all(0 < one["inputs"] <= 400 for one in readers.values())
    assert readers["bag"]["refused"] < readers["bag"]["inputs"], "some come past the first check"


def test_hostile_databases_are_judged_by_their_manifest(tmp_path: Path) -> None:
    """A sample of mutants: none is called good that differs, none hangs or crashes a command."""
    counts = fuzz(tmp_path, "--databases", 20, "--seed", 1)
    assert counts["mutants"] == 20 and counts["broken laws"] == 0
    assert counts["refused with 4"] and counts["good"], "sound ones are"


MISDEEDS = """
import os, signal, socket, subprocess, sys, time
from pathlib import Path
from fuzzing import watch
from fuzzing.targets import Target
from agebackup.errors import UsageError

watch.SECONDS, watch.WARM, watch.GROWTH = 1.0, 2, 50 << 20
held = []

def busy():
    end = time.process_time() + 1.1
    while time.process_time() < end: pass

def told(): raise UsageError("It is refused.")

DEEDS = {
    "nothing": lambda private: None,
    "told": lambda private: told(),
    "inside": lambda private: ((private / "x").write_text("x"), (private / "x").unlink()),
    "raises": lambda private: 1 / 0,
    "outside": lambda private: (private.parent / "x").write_text("x"),
    "above": lambda private: os.mkdir("a/../../x"),
    "links": lambda private: os.symlink("/etc", private / "x"),
    "renames": lambda private: os.rename(private / "x", "/tmp/x"),
    "starts": lambda private: subprocess.run(["true"]),
    "connects": lambda private: socket.create_connection(("127.0.0.1", 9)),
    "hungry": lambda private: bytearray(4 << 30),
    "busy": lambda private: busy(),
    "hangs": lambda private: signal.pause(),
    "leaves": lambda private: (private / "left").touch(),
    "grows": lambda private: ((private / "left").unlink(), held.append(b"x" * (100 << 20))),
}
private = Path(sys.argv[1]) / "private"
private.mkdir()
target = Target("deeds", lambda data, private: DEEDS[data.decode()](private), list, None)
watching = watch.Watch(target, private)
for name in DEEDS:
    watch.HUNG = 0.3 if name == "hangs" else 60
    try:
        watching.run(name.encode())
        print(name, "-")
    except watch.FindingError as error:
        print(name, error)
"""


def test_the_watch_notices_every_misdeed(tmp_path: Path) -> None:
    """What no reader may do is a finding, whether it was prevented or is seen afterwards."""
    done = python(tmp_path, [sys.executable, "-c", MISDEEDS, str(tmp_path)])
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert not done.returncode and len(said) == 15, done.stderr
    assert [name for name, text in said.items() if text == "-"] == ["nothing", "told", "inside"]
    assert "ZeroDivisionError" in said["raises"] and "MemoryError" in said["hungry"]
    for name in ("outside", "above", "links", "renames", "starts", "connects"):
        assert "FindingError" in said[name], said[name]
    assert "took" in said["busy"] and "hung" in said["hangs"]
    assert "left" in said["leaves"] and "grew" in said["grows"]


def test_a_wrong_verdict_would_be_noticed(tmp_path: Path) -> None:
    """A bad one called good, a sound one refused, something left behind: each would be said."""
    proving = Proving(tmp_path, ["plain"])
    sound = proving.sound["plain"]
    unchanged = Mutant("plain", (), sound.content)
    proving.judge(sound, unchanged)
    assert not proving.verdicts.broken
    proving.judge(replace(sound, opinion=sound.opinion | {"rows": {}}), unchanged)
    proving.judge(replace(sound, record=sound.record | {"user_version": 9}), unchanged)
    (tmp_path / "stray").touch()
    proving.judge(sound, unchanged)
    laws = [law for law, _ in proving.verdicts.broken]
    expected = ("called good, but is not", "sound database was refused", "was left behind")
    assert len(laws) == 3
    assert all(said in law for said, law in zip(expected, laws, strict=True))
