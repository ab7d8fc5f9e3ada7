"""Which processes have files open, as far as this system tells (Linux: proc_pid_fd(5))."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Holder:
    """A process that has `path` open."""

    pid: int
    name: str
    path: Path


@dataclass(frozen=True)
class Holders:
    """What was `found`. `unseen` processes, of other users, could not be looked into.

    `looked` is False where the system has no /proc, and nothing was looked at.
    """

    found: tuple[Holder, ...] = ()
    unseen: int = 0
    looked: bool = True


def holders(paths: Iterable[Path]) -> Holders:
    """Return every process but this one that has a file of `paths` open.

    A file is known by its inode, so that another name of it, or none at all, makes no difference.
    """
    wanted: dict[tuple[int, int], Path] = {}
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            continue
        wanted[status.st_dev, status.st_ino] = path
    if not (_PROC / "self" / "fd").is_dir():
        return Holders(looked=False)
    found: list[Holder] = []
    unseen = 0
    for pid in _processes():
        try:
            held = _held(pid, wanted)
        except PermissionError:
            unseen += bool(_command(pid))  # a thread of the kernel has none
            continue
        found += [Holder(pid, _command(pid), path) for path in held]
    return Holders(tuple(found), unseen)


def _processes() -> Iterator[int]:
    own = os.getpid()
    for name in sorted(os.listdir(_PROC)):
        if name.isdigit() and int(name) != own:
            yield int(name)


def _held(pid: int, wanted: dict[tuple[int, int], Path]) -> list[Path]:
    directory = _PROC / str(pid) / "fd"
    held: dict[Path, None] = {}
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, ProcessLookupError):
        return []
    for name in names:
        try:
            status = os.stat(directory / name)
        except OSError:
            continue  # closed meanwhile, or on a mount that does not answer
        path = wanted.get((status.st_dev, status.st_ino))
        if path is not None:
            held[path] = None
    return list(held)


def _command(pid: int) -> str:
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return os.path.basename(words[0].decode(errors="replace"))
