"""Private directories: nobody else enters them, and nothing of them stays."""

import os
import stat
from pathlib import Path

import pytest
from system_faults import OWN_MOUNTS, run

from agebackup.errors import FailedError
from agebackup.system.claims import Claims
from agebackup.system.durable import TEMPORARY_NAME
from agebackup.system.workspace import free_bytes, is_tmpfs, private_directory

pytestmark = pytest.mark.linux


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    """The claims of this test's user."""
    return Claims(tmp_path / "state" / "claims")


@pytest.mark.parametrize("umask", [0, 0o077, 0o777])
def test_nobody_else_may_enter(tmp_path: Path, claims: Claims, umask: int) -> None:
    """Copies in plaintext lie in a directory of mode 0700, whatever the umask is."""
    before = os.umask(umask)
    try:
        with private_directory(tmp_path, claims, prefix="create") as private:
            assert stat.S_IMODE(private.stat().st_mode) == 0o700
            assert TEMPORARY_NAME.fullmatch(private.name) and "create" in private.name
    finally:
        os.umask(before)
    assert os.listdir(tmp_path) == ["state"]


def test_nothing_stays_after_a_failure(tmp_path: Path, claims: Claims) -> None:
    """The private copies are removed whatever happened, with all that lies in them."""
    outside = tmp_path / "outside"
    outside.write_text("precious")
    with (
        pytest.raises(KeyboardInterrupt),
        private_directory(tmp_path / "cache" / "app", claims, prefix="create") as private,
    ):
        (private / "deep" / "er").mkdir(parents=True)
        (private / "deep" / "er" / "file").write_text("plaintext")
        (private / "link").symlink_to(tmp_path)
        (private / "hard").hardlink_to(outside)
        os.mkfifo(private / "fifo")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path / "cache" / "app") == []
    assert stat.S_IMODE((tmp_path / "cache" / "app").stat().st_mode) == 0o700
    assert outside.read_text() == "precious"
    assert os.listdir(tmp_path / "state" / "claims") == []


def test_a_directory_that_the_body_removed_is_fine(tmp_path: Path, claims: Claims) -> None:
    """Cleaning up twice is no failure."""
    with private_directory(tmp_path, claims, prefix="create") as private:
        private.rmdir()
    assert os.listdir(tmp_path) == ["state"]


def test_deep_trees_are_removed(tmp_path: Path, claims: Claims) -> None:
    """A staging directory is removed although it is as deep as an archive may be."""
    with private_directory(tmp_path, claims, prefix="restore") as private:
        folder = os.open(private, os.O_RDONLY)
        for _ in range(512):
            os.mkdir("d", dir_fd=folder)
            below = os.open("d", os.O_RDONLY, dir_fd=folder)
            os.close(folder)
            folder = below
        os.close(folder)
    assert os.listdir(tmp_path) == ["state"]
    assert os.listdir(tmp_path / "state" / "claims") == []


def test_a_workspace_that_is_a_file(tmp_path: Path, claims: Claims) -> None:
    """A workspace that cannot be one is named."""
    (tmp_path / "file").touch()
    with (
        pytest.raises(FailedError, match=str(tmp_path / "file")),
        private_directory(tmp_path / "file", claims, prefix="create"),
    ):
        pytest.fail("nothing may be begun")


def test_room_and_memory_are_told(tmp_path: Path) -> None:
    """Free space is known in bytes, unknown where a mount reports none, and memory is memory."""
    status = os.statvfs(tmp_path)
    free = free_bytes(tmp_path)
    assert free is not None and abs(free - status.f_bavail * status.f_frsize) < 1 << 30
    assert free_bytes(Path("/proc")) is None
    done = run(
        """
        import subprocess
        from agebackup.system.workspace import free_bytes, is_tmpfs
        for kind in ("tmpfs", "ramfs"):
            where = here / f"a {kind}"
            where.mkdir()
            assert is_tmpfs(where) == is_tmpfs(here)
            subprocess.run(["mount", "-t", kind, "-osize=1m", "none", where], check=True)
            (where / "below").mkdir()
            assert is_tmpfs(where) and is_tmpfs(where / "below")
            assert free_bytes(where) == (1 << 20 if kind == "tmpfs" else None), free_bytes(where)
        """,
        tmp_path,
        under=OWN_MOUNTS,
    )
    assert done.stdout == "done\n", done
    assert not is_tmpfs(Path("/proc"))
