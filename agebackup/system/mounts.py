"""Where a path really lies: bind mounts show one directory under two names."""

import os
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")


def location(path: Path) -> tuple[str, Path]:
    """Return the file system of `path` and the path inside it, whatever it is mounted as.

    Two paths to one place through bind mounts have one location. Source: proc_pid_mountinfo(5),
    fields 3 to 5. Without /proc (macOS knows no bind mounts) it is the real path.
    """
    real = Path(os.path.realpath(path))
    try:
        lines = _MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return "", real
    best: tuple[int, str, str, str] | None = None
    for order, line in enumerate(lines):
        fields = line.split(" ")
        device, root, point = fields[2], _unescaped(fields[3]), _unescaped(fields[4])
        if real.is_relative_to(point) and (best is None or len(point) >= len(best[3])):
            best = (order, device, root, point)
    if best is None:
        return "", real
    _, device, root, point = best
    return device, Path(root) / real.relative_to(point)


def contains(outer: Path, inner: Path) -> bool:
    """Return whether `inner` is `outer` or lies in it: by path, symlink, or bind mount."""
    outer_device, outer_path = location(outer)
    inner_device, inner_path = location(inner)
    return outer_device == inner_device and inner_path.is_relative_to(outer_path)


def _unescaped(field: str) -> str:
    raw = field.encode("utf-8", "surrogateescape").decode("unicode_escape").encode("latin-1")
    return raw.decode("utf-8", "surrogateescape")
