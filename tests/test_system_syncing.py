"""Bringing a whole tree to the disk, with one call where there is one."""

import errno
import os
from pathlib import Path

import pytest
from system_faults import calls, fault, run

from agebackup.system.syncing import failure

pytestmark = pytest.mark.linux

SYNC = """
(here / "tree" / "deep").mkdir(parents=True, exist_ok=True)
(here / "tree" / "file").write_text("a")
(here / "tree" / "deep" / "file").write_text("b")
(here / "tree" / "link").is_symlink() or (here / "tree" / "link").symlink_to("/nowhere")
sync_tree(here / "tree")
"""


def test_one_call_brings_a_tree_to_the_disk(tmp_path: Path) -> None:
    """On Linux thousands of restored files cost one call, not one each."""
    made = calls(SYNC, tmp_path)
    assert len([call for call in made if call.startswith("syncfs")]) == 1
    assert not [call for call in made if call.startswith("fsync")]


def test_without_that_call_each_file_is_brought(tmp_path: Path) -> None:
    """Where syncfs is missing, every file and every directory is brought to the disk by itself."""
    made = calls(SYNC, tmp_path, "syncfs:error=ENOSYS")
    tree = tmp_path / "tree"
    synced = {call.split("<")[1].split(">")[0] for call in made if call.startswith("fsync")}
    assert synced == {str(p) for p in (tree, tree / "file", tree / "deep", tree / "deep" / "file")}


@pytest.mark.parametrize(
    "faults", [("syncfs:error=EIO",), ("syncfs:error=ENOSYS", "fsync:error=EIO:when=2")]
)
def test_a_failed_sync_is_a_failure(tmp_path: Path, faults: tuple[str, ...]) -> None:
    """A restore whose data did not reach the disk is not put into place."""
    done = run(SYNC, tmp_path, under=fault(*faults))
    assert done.stdout == f"FailedError The disk of {tmp_path}/tree failed to write.\n", done


@pytest.mark.parametrize("place", [".", "deep", ""])
def test_a_relative_place_is_named_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Whoever gave a part of the path, or nothing, still reads which disk is full."""
    monkeypatch.chdir(tmp_path)
    told = failure(OSError(errno.ENOSPC, "full"), Path(place)).message
    assert told == f"The disk of {tmp_path / place} is full."


def test_a_place_below_a_folder_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the current directory was removed the sentence says what it can."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert failure(OSError(errno.ENOENT, "gone"), Path("x")).message == "The place x vanished."


def test_an_interrupted_call_is_made_again(tmp_path: Path) -> None:
    """A signal that strikes in the middle of a call of the C library does not fail the run."""
    done = run(SYNC, tmp_path, under=fault("syncfs:error=EINTR:when=1..2"))
    assert done.stdout == "done\n", done


def test_a_very_deep_tree_is_brought_to_the_disk_without_that_call(tmp_path: Path) -> None:
    """Any depth that a file system allows can be synced, with few descriptors."""
    scenario = """
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    (here / "tree").mkdir()
    below = os.open(here / "tree", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=below)
        deeper = os.open("d", os.O_RDONLY, dir_fd=below)
        os.close(below)
        below = deeper
    sync_tree(here / "tree")
    with claims.claim(here / temporary_name()) as claim:
        os.rename(here / "tree", claim.path)
        claim.identify()
    print(os.listdir(here / "state" / "claims"))
    """
    done = run(scenario, tmp_path, under=fault("syncfs:error=ENOSYS"))
    assert done.stdout == "[]\ndone\n", done


@pytest.mark.parametrize("error", ["EINVAL", "EOPNOTSUPP", "EBADF", "EACCES"])
def test_a_directory_that_cannot_be_synced_is_fine(tmp_path: Path, error: str) -> None:
    """File systems that cannot sync a directory (network shares) can be used all the same."""
    (tmp_path / "dest").mkdir()
    done = run(
        'write_durably(here / "dest" / "file", b"content", claims, replace=False)',
        tmp_path,
        under=(
            *fault(f"fsync:error={error}"),
            *("-P", str(tmp_path / "dest"), "-P", str(tmp_path / "state" / "claims")),
        ),
    )
    assert done.stdout == "done\n", done
    assert os.listdir(tmp_path / "dest") == ["file"]
