"""Small pieces of agebackup run in a process of their own, where strace makes system calls fail.

A scenario is Python source that begins after `PRELUDE`. It prints "done" at its end; a foreseeable
error is printed as its class and message, and its code is the exit code.
"""

import os
import re
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PRELUDE = """\
import os, signal, sys
from pathlib import Path
from agebackup.errors import AgebackupError
from agebackup.system.background import sink_for, source_for
from agebackup.system.claims import Claims
from agebackup.system.durable import place_directory, publication, temporary_name, write_durably
from agebackup.system.durable import sync_tree
from agebackup.system.lock import exclusive
from agebackup.system.process import Worker, run_command
from agebackup.system.progress import Progress
from agebackup.system.streams import open_pipe, write_all
from agebackup.system.workspace import claimed_directory, private_directory

os.umask(0o022)
here = Path(sys.argv[1])
claims = Claims(here / "state" / "claims")

def told(scenario):
    try:
        scenario()
    except AgebackupError as error:
        print(type(error).__name__, error.message, flush=True)
        os._exit(error.code)
    print("done", flush=True)

"""

CHANGING = (
    *("fsync", "write", "renameat2", "rename", "renameat", "link", "linkat", "unlink", "unlinkat"),
    *("mkdir", "mkdirat", "rmdir", "fchmod", "chmod", "flock", "syncfs"),
)
"""System calls that change what is on the disk, or what a claim means."""

OWN_MOUNTS = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "-U", "-r", "--mount")
"""Begins a command that may mount what it likes, unseen by anybody else."""


def start(
    scenario: str, here: Path, *, under: tuple[str, ...] = (), **options: object
) -> "subprocess.Popen[str]":
    """Start `scenario` in `here`, run by the command that begins with `under`."""
    body = textwrap.indent(textwrap.dedent(scenario), "    ")
    source = f"{PRELUDE}def scenario():\n{body}\ntold(scenario)\n"
    settings: dict[str, object] = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
        "errors": "surrogateescape",
        "env": {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
    }
    command = [*under, sys.executable, "-B", "-c", source, str(here)]
    return subprocess.Popen(command, **(settings | options))  # type: ignore[call-overload, no-any-return]


def run(
    scenario: str, here: Path, *, under: tuple[str, ...] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run `scenario` in `here` to its end."""
    with start(scenario, here, under=under) as process:
        out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def fault(*injections: str, log: Path | None = None) -> tuple[str, ...]:
    """Return the beginning of a command that injects strace's `injections`.

    An injection is what follows `inject=`, like "fsync:error=EIO:when=2". Calls before the
    scenario's own (the start of Python) count as well: see `calls`.
    """
    asked = [argument for what in injections for argument in ("-e", f"inject={what}")]
    traced = ",".join(sorted({what.split(":")[0] for what in injections} or set(CHANGING)))
    names = ("-e", f"trace={traced}", *asked)
    return ("strace", "-f", "-qq", "-y", "-s", "200", "-o", str(log or os.devnull), *names)


def calls(scenario: str, here: Path, *injections: str) -> list[str]:
    """Run `scenario` unharmed in `here` (but for `injections`) and return its changing calls."""
    log = here / "strace.log"
    names = ("-e", f"trace={','.join(CHANGING)}")
    asked = [argument for what in injections for argument in ("-e", f"inject={what}")]
    done = run(scenario, here, under=("strace", "-f", "-qq", "-y", "-o", str(log), *names, *asked))
    assert done.stdout == "done\n", done
    lines = log.read_text().splitlines()
    log.unlink()
    return [line.split(maxsplit=1)[1] for line in lines if "(" in line]


def kill_points(made: list[str]) -> Iterator[str]:
    """Yield an injection for each of the calls `made`: SIGKILL when it is about to be made."""
    counts = Counter(re.match(r"\w+", call)[0] for call in made)  # type: ignore[index]
    for name, count in counts.items():
        for number in range(1, count + 1):
            yield f"{name}:signal=SIGKILL:when={number}"
