"""Where a fault can strike: the calls of a fault-free run that touch its files or its pipes."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from faultsweep.calls import Call

CREATING = {"openat", "mkdir", "mkdirat", "rename", "renameat", "renameat2", "link", "linkat"}
WRITING = {"write", "writev", "pwrite64", "pwritev", "pwritev2", "copy_file_range", "sendfile"}
WRITING |= {"splice", "ftruncate", "fallocate"}
SYNCING = {"fsync", "fdatasync", "syncfs", "sync_file_range"}
READING = {"read", "readv", "pread64", "preadv", "preadv2"}
OTHER = {"close", "unlink", "unlinkat", "rmdir", "fchmod", "fchmodat", "chmod", "utimensat"}
OTHER |= {"fstat", "newfstatat", "statx", "getdents64", "flock", "fcntl", "lseek"}
FORKING = {"fork", "vfork", "clone", "clone3"}
CALLS = CREATING | WRITING | SYNCING | READING | OTHER

_INTERRUPTIBLE = READING | WRITING | SYNCING | {"openat", "flock"}
FAULTS = {
    "EIO": CALLS,
    "ENOSPC": CREATING | WRITING | SYNCING,
    "EINTR": _INTERRUPTIBLE,
    "SIGKILL": CALLS,
    "SIGTERM": CALLS,
}
"""The calls at which each fault can happen in life; elsewhere it would only prove the unreal."""


@dataclass(frozen=True, slots=True)
class Role:
    """Which process of a run: "main" (0), a forked worker or a thread of main (1, 2, …)."""

    kind: str
    number: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.number}" if self.number else self.kind


MAIN = Role("main")


@dataclass(frozen=True, slots=True)
class Point:
    """One fault at one call of one process."""

    role: Role
    call: str
    number: int
    fault: str
    what: str

    def rank(self, salt: str) -> str:
        """A stable, arbitrary order, so that a sample is the same every time."""
        return hashlib.sha256(f"{salt} {self}".encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.fault} at {self.call} #{self.number} of {self.role}"


def roles(calls: Iterable[Call]) -> dict[int, Role]:
    """Return the role of every process in a log, by the order in which they were started.

    The threads of workers get the role "other": nothing can stop them to strike them alone.
    """
    found: dict[int, Role] = {}
    workers = threads = 0
    for call in calls:
        found.setdefault(call.process, Role("other") if found else MAIN)
        if call.name not in FORKING or call.failed:
            continue
        if "CLONE_THREAD" in call.arguments:
            if found[call.process].kind in ("main", "thread"):
                threads += 1
                found[int(call.result)] = Role("thread", threads)
        else:
            workers += 1
            found[int(call.result)] = Role("worker", workers)
    return found


def choose(calls: Sequence[Call], directory: str, faults: Iterable[str]) -> list[Point]:
    """Return every point of a fault-free run: each call on `directory` or a pipe, each fault."""
    of = roles(calls)
    written = {call.descriptor_path for call in calls if call.name in WRITING}
    return [
        Point(of[call.process], call.name, call.number, fault, _shown(call, directory))
        for call in calls
        if call.number and (_concerns(call, directory) or "<pipe:" in call.arguments)
        for fault in faults
        if call.name in FAULTS[fault] and of[call.process].kind != "other"
        if fault.startswith("SIG") or _can_fail(call, fault, written)
    ]


def _can_fail(call: Call, fault: str, written: Collection[str | None]) -> bool:
    """Whether `fault` can come from this very call: only what was written fails at its close."""
    if call.name == "close":
        return call.descriptor_path in written and "(deleted)" not in call.arguments
    return (call.name, fault) != ("openat", "ENOSPC") or "O_CREAT" in call.arguments


def _concerns(call: Call, directory: str) -> bool:
    # not any mention: strace names the working directory before an absolute path too
    paths = (call.descriptor_path or "", *call.paths)
    return any(f"{path}/".startswith(f"{directory}/") for path in paths)


def _shown(call: Call, directory: str) -> str:
    return f"{call.name}({call.arguments})".replace(directory, "$TRIAL")[:200]


def sample(points: Sequence[Point], count: int, *, salt: str = "") -> list[Point]:
    """Return `count` of `points`, the same ones every time, from every kind of call in turn.

    Another `salt` gives another sample.
    """
    groups: dict[tuple[str, str, str], list[Point]] = defaultdict(list)
    for point in sorted(points, key=lambda point: point.rank(salt)):
        groups[point.role.kind, point.call, point.fault].append(point)
    order = sorted(groups.values(), key=lambda group: group[0].rank(salt))
    chosen: list[Point] = []
    while len(chosen) < min(count, len(points)):
        for group in order:
            if group and len(chosen) < count:
                chosen.append(group.pop())
    return chosen
