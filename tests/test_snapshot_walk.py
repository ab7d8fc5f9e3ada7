"""The walk through a tree while the ground moves: what is lost is said to be lost."""

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from agebackup.errors import FailedError
from agebackup.model.source import Skipped, TreeSource
from agebackup.snapshot.attachments import FoundFile, ScanRules, scan
from agebackup.snapshot.links import unreadable
from agebackup.system.progress import Progress


class Meanwhile(Progress):
    """Removes `path` as soon as the scan reports for the first time."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def advance(self, count: int) -> None:
        shutil.rmtree(self._path, ignore_errors=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory to be scanned."""
    (tmp_path / "tree").mkdir()
    return tmp_path / "tree"


def test_a_share_that_went_away_took_files_along() -> None:
    """A stale handle is a file that could not be read, and not one that its owner deleted."""
    found = unreadable("data/t/x", OSError(errno.ESTALE, os.strerror(errno.ESTALE)))
    assert found.lost and "Stale file handle" in found.reason
    assert unreadable("data/t/x", OSError(errno.ENOENT, "")) == Skipped(
        "data/t/x", "vanished while the tree was read"
    )


@pytest.mark.linux
def test_a_tree_removed_while_it_is_listed_fails_the_run(tree: Path) -> None:
    """Attachments that are removed as a whole are not taken for attachments without files."""
    for number in range(2000):  # more than one reading of the directory gives
        (tree / f"{number:050}").touch()
    with pytest.raises(FailedError, match="No such file") as caught:
        list(scan(TreeSource("t", tree, "data/t"), ScanRules(), Meanwhile(tree)))
    assert str(tree) in caught.value.message


@pytest.mark.linux
def test_a_config_directory_removed_while_it_is_listed_is_lost(tree: Path) -> None:
    """Other trees do not fail the run, but make it incomplete."""
    for number in range(2000):
        (tree / f"{number:050}").touch()
    found = list(scan(TreeSource("t", tree, "data/t", role="config"), ScanRules(), Meanwhile(tree)))
    assert not [item for item in found if isinstance(item, FoundFile)]
    assert Skipped("data/t", "cannot be read: No such file or directory", lost=True) in found


def test_a_withheld_directory_may_be_of_any_depth(tree: Path) -> None:
    """What is withheld is known by its identity too, however deep it lies."""
    (tree / "tokens").mkdir()
    (tree / "free").mkdir()
    below = os.open(tree / "tokens", os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=below)
        deeper = os.open("d", os.O_RDONLY, dir_fd=below)
        os.close(below)
        below = deeper
    os.close(os.open("token", os.O_CREAT | os.O_WRONLY, dir_fd=below))
    os.link("token", tree / "free" / "hard-link", src_dir_fd=below)
    os.close(below)
    rules = ScanRules(withheld=(tree / "tokens",))
    found = list(scan(TreeSource("t", tree, "data/t"), rules, Progress()))
    assert not [item for item in found if isinstance(item, FoundFile)]
    subprocess.run(["rm", "-r", tree], check=True)  # shutil.rmtree does not go that deep


@pytest.mark.parametrize("withheld", ["real/token", "real/sub"])
def test_a_token_replaced_during_the_scan_is_not_reached_by_a_link(
    tree: Path, withheld: str
) -> None:
    """What is withheld stays so under every name that leads to its directory, with a new inode."""
    (tree / "0").touch()
    (tree / "real" / "sub").mkdir(parents=True)
    for name in ("token", "sub/token", "fine"):
        (tree / "real" / name).write_text("old")
    (tree.parent / "kept").hardlink_to(tree / "real" / "token")  # or its inode would be used again
    (tree / "link").symlink_to("real")
    rules = ScanRules(withheld=(tree / withheld,), follow_symlinks=True)
    found = {}
    for item in scan(TreeSource("t", tree, "data/t"), rules, Progress()):
        if isinstance(item, FoundFile):
            found[item.place.removeprefix("data/t/")] = item.status.st_ino
        if isinstance(item, FoundFile) and item.place == "data/t/0":
            (tree / "real" / "sub").rename(tree.parent / "old")
            (tree / "real" / "sub").mkdir()
            for name in ("token", "sub/token"):
                (tree / "new").write_text("new secret")
                (tree / "new").rename(tree / "real" / name)
    other = {"real/token": "sub/token", "real/sub": "token"}[withheld]
    expected = {"0", *(f"{top}/{name}" for top in ("real", "link") for name in ("fine", other))}
    assert set(found) == expected
