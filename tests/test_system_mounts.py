"""Where a path really lies, under whatever name it is reached."""

import subprocess
from pathlib import Path

import pytest

from agebackup.system.mounts import contains, location


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
