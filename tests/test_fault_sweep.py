"""Faults at the system calls of create and restore: a fixed sample, and the sweep's own eyes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from faultsweep.audit import audit
from faultsweep.calls import Call, read_calls
from faultsweep.points import FAULTS, choose, roles, sample

pytestmark = pytest.mark.linux

TRIALS = 60
SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"


def test_no_fault_breaks_a_promise(tmp_path: Path) -> None:
    """Whatever call fails, an archive is whole or absent and a target restored or as before."""
    report = tmp_path / "report.json"
    paths = f"{SCRIPTS}:{Path(__file__).parent}"
    done = subprocess.run(
        [sys.executable, "-m", "faultsweep", "--sample", str(TRIALS), "--json", str(report)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": paths, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    trials = json.loads(report.read_text())["trials"]
    assert len(trials) == TRIALS
    assert sum(trial["struck"] for trial in trials) >= TRIALS * 0.8


LOG = """\
10 openat(AT_FDCWD</w>, "/t/.tmp", O_RDWR|O_CREAT|O_EXCL, 0600) = 3</t/.tmp>
10 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD <unfinished ...>
11 write(3</t/.tmp>, "a", 1) = 1
10 <... clone resumed>, child_tidptr=0x1) = 11
10 clone3({flags=CLONE_VM|CLONE_THREAD}, 88) = 12
12 pread64(7</t/db>, "SQLite"..., 16, 0) = 16
11 write(3</t/.tmp>, "b", 1 <unfinished ...>
10 write(5<pipe:[7]>, "c", 1) = -1 EPIPE (Broken pipe)
11 <... write resumed>) = 1
11 +++ exited with 0 +++
10 fsync(3</t/.tmp>) = 0
10 renameat2(4</t>, ".tmp", 4</t>, "final", RENAME_NOREPLACE) = 0
10 fsync(4</t>) = 0
10 openat(AT_FDCWD</t>, "/elsewhere", O_RDONLY) = 9</elsewhere>
"""


def _logged(tmp_path: Path, text: str) -> tuple[Call, ...]:
    log = tmp_path / "log"
    log.write_text(text)
    return read_calls(log)


def test_calls_are_counted_per_process_as_strace_counts_them(tmp_path: Path) -> None:
    """A point names the process, the call and its number there, also of interrupted lines."""
    calls = _logged(tmp_path, LOG)
    writes = [(call.process, call.number) for call in calls if call.name == "write"]
    assert writes == [(11, 1), (10, 1), (11, 2)]
    assert {pid: str(role) for pid, role in roles(calls).items()} == {
        10: "main",
        11: "worker 1",
        12: "thread 1",
    }


def test_points_are_the_calls_on_the_trial_and_on_pipes(tmp_path: Path) -> None:
    """What a run does elsewhere (Python's own files) is left alone, the working directory too."""
    points = choose(_logged(tmp_path, LOG), "/t", ["EIO"])
    assert len(points) == 8
    assert not any("elsewhere" in point.what for point in points)


def test_a_sample_is_the_same_every_time(tmp_path: Path) -> None:
    """The sample of a list is fixed, has no point twice and has every kind of call first."""
    points = choose(_logged(tmp_path, LOG), "/t", FAULTS)
    chosen = sample(points, 12)
    assert chosen == sample(list(reversed(points)), 12)
    assert len(set(chosen)) == 12
    assert len({(p.role.kind, p.call, p.fault) for p in chosen}) == 12


def test_the_audit_passes_a_durable_run(tmp_path: Path) -> None:
    """Synced after its last write, renamed, the directory synced: nothing to say."""
    assert audit(_logged(tmp_path, LOG), "/t") == []


@pytest.mark.parametrize(
    "without, said",
    [
        ("fsync(3</t/.tmp>)", "was not synced after its write"),
        ("fsync(4</t>)", "its directory was not synced afterwards"),
    ],
)
def test_the_audit_finds_a_missing_sync(tmp_path: Path, without: str, said: str) -> None:
    """A rename without the file's or the directory's fsync is found in the log."""
    found = audit(_logged(tmp_path, LOG.replace(without, "getpid()")), "/t")
    assert [sentence for sentence in found if said in sentence], found


def test_the_audit_sees_a_whole_tree(tmp_path: Path) -> None:
    """A directory put into place needs every file in it synced; one syncfs does."""
    tree = (
        '1 write(3</t/stage/a>, "x", 1) = 1\n{sync}'
        '1 renameat2(4</t>, "stage", 4</t>, "target", RENAME_EXCHANGE) = 0\n'
        "1 fsync(4</t>) = 0\n"
    )
    assert audit(_logged(tmp_path, tree.format(sync="1 syncfs(4</t>) = 0\n")), "/t") == []
    (found,) = audit(_logged(tmp_path, tree.format(sync="")), "/t")
    assert "$TRIAL/stage/a was not synced" in found
