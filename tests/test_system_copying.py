"""Copies are compared, and what takes a thing's place is as accessible as that was."""

import os
import stat
from pathlib import Path

import pytest

from agebackup.errors import FailedError, StoppedError
from agebackup.system.copying import copy_compared
from agebackup.system.likeness import liken


def nothing() -> None:
    """Let the copying go on."""


def mode(path: Path) -> int:
    """Return the permissions of `path`."""
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_tree_is_copied_with_all_that_is_in_it(tmp_path: Path) -> None:
    """Files, directories and links come over, with their content, permissions and times."""
    top = tmp_path / "top"
    (top / "deep" / "empty").mkdir(parents=True)
    (top / "deep" / "file").write_bytes(b"x" * 3_000_000)
    (top / "deep" / "file").chmod(0o640)
    (top / "link").symlink_to("deep/file")
    os.utime(top / "deep", ns=(5, 5))
    copy_compared(top, tmp_path / "copy", nothing)
    copy = tmp_path / "copy"
    assert (copy / "deep" / "file").read_bytes() == (top / "deep" / "file").read_bytes()
    assert mode(copy / "deep" / "file") == 0o640 and (copy / "deep" / "empty").is_dir()
    assert os.readlink(copy / "link") == "deep/file"
    assert (copy / "deep").stat().st_mtime_ns == 5


def test_what_cannot_be_copied(tmp_path: Path) -> None:
    """A pipe, a target that is there, and a stop end the copy with a reason."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(FailedError, match="neither a file nor a directory"):
        copy_compared(pipe, tmp_path / "copy", nothing)
    file = tmp_path / "file"
    file.write_bytes(b"x")
    with pytest.raises(FailedError):
        copy_compared(file, file, nothing)

    def stop() -> None:
        raise StoppedError(15)

    with pytest.raises(StoppedError):
        copy_compared(file, tmp_path / "copy", stop)


def test_likeness(tmp_path: Path) -> None:
    """A counterpart gives its permissions, else the directory does; who may run a file stays."""
    present, staged = tmp_path / "present", tmp_path / "staged"
    for top in (present, staged):
        (top / "sub").mkdir(parents=True)
        (top / "both").write_text(top.name)
    (present / "both").chmod(0o664)
    (present / "sub").chmod(0o2770)
    present.chmod(0o750)
    (staged / "new").write_text("new")
    (staged / "sub" / "tool").write_text("tool")
    (staged / "sub" / "tool").chmod(0o700)
    assert liken(staged, present) == 0
    assert (mode(staged), mode(staged / "sub")) == (0o750, 0o2770)
    assert mode(staged / "both") == 0o664 and mode(staged / "new") == 0o640
    assert mode(staged / "sub" / "tool") == 0o770
    assert (staged / "both").read_text() == "staged"


def test_no_right_to_become_another_is_taken_over(tmp_path: Path) -> None:
    """A set-user-id bit of the file that is replaced never comes to stand on what replaces it."""
    present, staged = tmp_path / "present", tmp_path / "staged"
    present.write_text("old")
    staged.write_text("new")
    present.chmod(0o4755)
    liken(staged, present)
    assert mode(staged) == 0o644


def test_nothing_to_be_like(tmp_path: Path) -> None:
    """Where there was nothing, what is staged stays private."""
    staged = tmp_path / "staged"
    staged.touch(0o600)
    assert liken(staged, tmp_path / "absent") == 0 and mode(staged) == 0o600
