"""Run agebackup under strace: without a fault, or with one at a chosen call of one process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from faultsweep.points import CALLS, FORKING, MAIN, Point, Role

_LAUNCH = Path(__file__).with_name("launch.py")
_POLL = 0.002


@dataclass(frozen=True)
class Run:
    """What is started: agebackup's arguments, its environment, and where it may write logs."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    seconds: float

    def log(self, name: str) -> Path:
        """Return the path of a log beside the trial's directory."""
        return self.directory.with_name(f"{self.directory.name}.{name}")


@dataclass(frozen=True)
class Ended:
    """How it ended: the exit code as a shell gives it, its words, and whether it hung."""

    code: int
    out: str
    err: str
    hung: bool
    seconds: float


def plain(run: Run) -> Ended:
    """Run agebackup without strace."""
    return _start(run, ())


def recorded(run: Run) -> Ended:
    """Run agebackup, writing every call of it and its children to the log "strace"."""
    names = ",".join(sorted(CALLS | FORKING))
    return _start(run, (*_strace(run, names), "-f", "-e", "signal=none"))


def injected(run: Run, point: Point) -> Ended:
    """Run agebackup with one fault, which strikes no other process or thread than the point's."""
    is_signal = point.fault.startswith("SIG")
    what = f"signal={point.fault}" if is_signal else f"error={point.fault}"
    strace = (
        *_strace(run, point.call),
        *("-e", f"inject={point.call}:{what}:when={point.number}"),
        *("-e", f"signal={point.fault}" if is_signal else "signal=none"),
    )
    if point.role.kind == "main":
        return _start(run, strace)
    return _start(run, (), attached=strace, role=point.role)


def _strace(run: Run, names: str) -> tuple[str, ...]:
    # never --seccomp-bpf: with it strace 6.1 drops injected signals without a word
    return ("strace", "-qq", "-y", "-s", "32", "-o", str(run.log("strace")), "-e", f"trace={names}")


def _start(
    run: Run, prefix: Sequence[str], *, attached: Sequence[str] = (), role: Role = MAIN
) -> Ended:
    begun, tracer, hung = time.monotonic(), None, False
    stopped = run.log("stopped")
    launch = (sys.executable, str(_LAUNCH), role.kind, str(role.number), str(stopped))
    with run.log("out").open("wb") as out, run.log("err").open("wb") as err:
        process = subprocess.Popen(
            [*prefix, *launch, *run.arguments],
            cwd=run.directory,
            env=dict(run.environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        if attached:
            tracer = _attach(attached, process, stopped)
        try:
            code = process.wait(run.seconds)
        except subprocess.TimeoutExpired:
            hung = True
            _end_session(process.pid)
            code = process.wait()
    if tracer:
        tracer.wait(run.seconds)
    out_text, err_text = (run.log(name).read_text(errors="replace") for name in ("out", "err"))
    seconds = time.monotonic() - begun
    return Ended(128 - code if code < 0 else code, out_text, err_text, hung, seconds)


def _attach(
    strace: Sequence[str], process: "subprocess.Popen[bytes]", stopped: Path
) -> "subprocess.Popen[bytes] | None":
    """Trace the one that says in the file `stopped` that it has stopped, then let it go on."""
    while not stopped.exists():
        if process.poll() is not None:
            return None
        time.sleep(_POLL)
    one = int(stopped.read_text())
    stopped.unlink()
    while _status(one, "State")[:1] not in ("T", ""):
        time.sleep(_POLL)
    tracer = subprocess.Popen([*strace, "-p", str(one)])
    while tracer.poll() is None and _status(one, "TracerPid") in ("0", ""):
        time.sleep(_POLL)
    os.kill(int(_status(one, "Tgid") or one), signal.SIGCONT)
    return tracer


def _status(process: int, field: str) -> str:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def _end_session(leader: int) -> None:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                session = int(entry.joinpath("stat").read_text().rpartition(")")[2].split()[3])
            except OSError:
                continue
            if session == leader:
                os.kill(int(entry.name), signal.SIGKILL)
