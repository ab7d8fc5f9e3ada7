"""Where a path really lies, under whatever name it is reached."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from system_faults import OWN_MOUNTS, ROOT

from agebackup.system.mounts import contains, device_of, location


def test_a_directory_contains_itself_and_what_is_below(tmp_path: Path) -> None:
    """A destination inside the source is recognised by its path, one beside it is not."""
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "ab").mkdir()
    assert contains(tmp_path / "a", inner)
    assert contains(inner, inner)
    assert not contains(inner, tmp_path / "a")
    assert not contains(tmp_path / "a", tmp_path / "ab")


def test_a_symlink_does_not_hide_a_place(tmp_path: Path) -> None:
    """A destination that is reached through a symlink is recognised all the same."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a" / "b")
    assert contains(tmp_path / "a", tmp_path / "link")


@pytest.mark.linux
def test_a_bind_mount_does_not_hide_a_place(tmp_path: Path) -> None:
    """A destination that is a bind mount of a directory in the source is recognised."""
    inner, mounted = tmp_path / "a" / "b c", tmp_path / "mounted"
    (inner / "deep").mkdir(parents=True)
    mounted.mkdir()
    subprocess.run(["mount", "--bind", inner, mounted], check=True)
    try:
        assert contains(tmp_path / "a", mounted / "deep")
        assert location(mounted) == location(inner)
        assert not contains(inner / "deep", mounted)
    finally:
        subprocess.run(["umount", mounted], check=True)


def test_a_place_has_the_device_of_the_directory_above(tmp_path: Path) -> None:
    """Everything on one file system has one device, links to it and what is absent too."""
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    device = device_of(tmp_path)
    assert device and device.isprintable()
    assert device_of(str(tmp_path / "a")) == device_of(tmp_path / "link") == device
    assert device_of(tmp_path / "absent" / "deeper") == device


@pytest.mark.linux
def test_a_drive_that_is_not_mounted_is_another_device(tmp_path: Path) -> None:
    """The directory that a drive is mounted at has another device without the drive.

    The same share has the same device each time, and a name in its source stays secret.
    """
    point = tmp_path / "with space"
    point.mkdir()
    without, seen = device_of(point), []
    for _ in range(2):
        source = "https://user:secret@host/share"
        subprocess.run(["mount", "-t", "tmpfs", source, point], check=True)
        try:
            seen.append(device_of(point / "backups"))
        finally:
            subprocess.run(["umount", point], check=True)
    assert seen == ["tmpfs https://host/share"] * 2
    assert device_of(point) == without != seen[0]


@pytest.mark.linux
def test_a_drive_is_known_by_its_uuid(tmp_path: Path) -> None:
    """A drive keeps its device whatever name or number it gets at the next boot."""
    major, minor = location(tmp_path)[0].split(":")
    script = f"""
        mount -t tmpfs none /dev && mkdir -p /dev/disk/by-uuid || exit 99
        mknod /dev/other b 7 200 && mknod /dev/drive b {major} {minor} || exit 99
        ln -s ../../other /dev/disk/by-uuid/0000-0000
        ln -s ../../drive /dev/disk/by-uuid/5EED-CAFE
        exec "$0" -c 'import sys
from agebackup.system.mounts import device_of
print(device_of(sys.argv[1]))' "$1"
    """
    done = subprocess.run(
        [*OWN_MOUNTS, "sh", "-c", script, sys.executable, tmp_path],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith(" UUID 5EED-CAFE\n"), (done.returncode, done.stdout, done.stderr)
