"""Where a path really lies: bind mounts show one directory under two names."""

import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_UUIDS = Path("/dev/disk/by-uuid")
_LOGIN = re.compile(r"//[^/@]*@")


@dataclass(frozen=True)
class _Mount:
    """A line of proc_pid_mountinfo(5): `number` is major:minor of the file system."""

    number: str
    root: str
    point: str
    kind: str
    source: str

    @classmethod
    def parse(cls, line: str) -> "_Mount":
        before, _, after = line.partition(" - ")
        fields, (kind, source, *_) = before.split(" "), [*after.split(" "), "", ""]
        return cls(fields[2], *map(_unescaped, (fields[3], fields[4], kind, source)))


def location(path: Path) -> tuple[str, Path]:
    """Return the file system of `path` and the path inside it, whatever it is mounted as.

    Two paths to one place through bind mounts have one location. Source: proc_pid_mountinfo(5),
    fields 3 to 5. Without /proc (macOS knows no bind mounts) it is the real path.
    """
    real = Path(os.path.realpath(path))
    mount = _mount_of(real)
    if mount is None:
        return "", real
    return mount.number, Path(mount.root) / real.relative_to(mount.point)


def device_of(path: str | Path) -> str:
    """Return words for the file system that `path` lies on, the same after the next boot.

    On Linux its type and UUID, or, where it has none, its type and where it comes from (a share,
    a remote); elsewhere the directory it is mounted at. An unmounted drive's empty directory thus
    gets other words than the drive. Only the real path of `path` is looked up, nothing is read.
    """
    real = Path(os.path.realpath(path))
    mount = _mount_of(real)
    if mount is None:
        points = (place for place in (real, *real.parents) if os.path.ismount(place))
        return f"mounted at {next(points, real.anchor)}"
    uuid = _uuid(mount)
    return f"{mount.kind} {uuid or _LOGIN.sub('//', mount.source)}".strip()


def kind_of(path: Path) -> str:
    """Return the type of the file system that `path` lies on, such as "ext4"; "" without /proc."""
    mount = _mount_of(Path(os.path.realpath(path)))
    return mount.kind if mount else ""


def mounts_below(top: Path) -> tuple[Path, ...]:
    """Return where something is mounted below the directory `top`; () without /proc."""
    real = Path(os.path.realpath(top))
    points = (Path(mount.point) for mount in _mounts())
    return tuple(sorted({point for point in points if real in point.parents}))


def _mounts() -> list[_Mount]:
    """Return what is mounted, in the order in which it was; [] without /proc."""
    try:
        lines = _MOUNTS.read_text(errors="surrogateescape").split("\n")
    except OSError:
        return []
    return [_Mount.parse(line) for line in lines if line]


def _mount_of(real: Path) -> _Mount | None:
    """Return the mount that `real` is seen through: the last of the longest; None without /proc."""
    over = [mount for mount in _mounts() if real.is_relative_to(mount.point)]
    return max(reversed(over), key=lambda mount: len(mount.point), default=None)


def _uuid(mount: _Mount) -> str:
    """Return the UUID of the block device below `mount`, "" where udev knows none.

    Btrfs has a device number of its own, so that the source is looked at too.
    """
    major, _, minor = mount.number.partition(":")
    numbers = {os.makedev(int(major), int(minor))}
    with suppress(OSError):
        status = os.stat(mount.source) if mount.source.startswith("/dev/") else None
        if status is not None and stat.S_ISBLK(status.st_mode):
            numbers.add(status.st_rdev)
    with suppress(OSError):
        for link in sorted(_UUIDS.iterdir()):
            with suppress(OSError):
                if link.stat().st_rdev in numbers:
                    return f"UUID {link.name}"
    return ""


def contains(outer: Path, inner: Path) -> bool:
    """Return whether `inner` is `outer` or lies in it: by path, symlink, or bind mount."""
    outer_device, outer_path = location(outer)
    inner_device, inner_path = location(inner)
    return outer_device == inner_device and inner_path.is_relative_to(outer_path)


def _unescaped(field: str) -> str:
    raw = field.encode("utf-8", "surrogateescape").decode("unicode_escape").encode("latin-1")
    return raw.decode("utf-8", "surrogateescape")
