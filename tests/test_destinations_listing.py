"""A folder's names are looked at, opened and removed as exactly the files that they were."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agebackup.destinations.listing import open_entry, read_entries, remove_entry
from agebackup.errors import FailedError, NotFoundError
from agebackup.model.inventory import FolderEntry


def entry(directory: Path, name: str = "file") -> FolderEntry:
    """Return what `name` is now."""
    return next(one for one in read_entries(directory) if one.name == name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with one file."""
    directory = tmp_path / "folder"
    directory.mkdir()
    (directory / "file").write_bytes(b"content")
    return directory


def test_what_lstat_says(folder: Path) -> None:
    """Size, time and kind of each name, sorted; a link is looked at itself."""
    (folder / "link").symlink_to("file")
    (folder / "directory").mkdir()
    os.mkfifo(folder / "pipe")
    found = read_entries(folder)
    assert [one.name for one in found] == ["directory", "file", "link", "pipe"]
    assert [one.regular for one in found] == [False, True, False, False]
    assert entry(folder).size == 7 and entry(folder).mtime == (folder / "file").stat().st_mtime


def test_what_is_evicted(folder: Path) -> None:
    """A file of some size without a block is in the cloud, a small or empty one perhaps not."""
    for name, size in (("big", 1 << 20), ("small", 100), ("empty", 0)):
        (folder / name).touch()
        os.truncate(folder / name, size)
    assert {one.name for one in read_entries(folder) if one.evicted} == {"big"}


def test_where_no_file_has_blocks_none_is_evicted(tmp_path: Path) -> None:
    """Some file systems tell of no blocks at all: then nothing can be said by them."""
    (tmp_path / "big").touch()
    os.truncate(tmp_path / "big", 1 << 20)
    assert not entry(tmp_path, "big").evicted


def test_an_open_file_is_that_file(folder: Path) -> None:
    """What is read is what was listed."""
    descriptor = open_entry(folder, entry(folder))
    assert os.read(descriptor, 10) == b"content"
    os.close(descriptor)


def _link(path: Path) -> None:
    path.symlink_to(path.with_name("other"))


SWAPS: dict[str, Callable[[Path], object]] = {
    "another file": lambda path: path.with_name("other").replace(path),
    "a link": _link,
    "a pipe": os.mkfifo,
    "a directory": os.mkdir,
}


@pytest.mark.parametrize("what", SWAPS)
def test_what_was_exchanged_is_neither_opened_nor_removed(folder: Path, what: str) -> None:
    """Whatever has the name by now is another thing, and stays untouched."""
    listed = entry(folder)
    (folder / "other").write_bytes(b"other")
    (folder / "file").rename(folder.parent / "kept")
    SWAPS[what](folder / "file")
    with pytest.raises(FailedError):
        open_entry(folder, listed)
    with pytest.raises(FailedError):
        remove_entry(folder, listed)
    assert os.path.lexists(folder / "file")


def test_what_is_gone_is_gone(folder: Path) -> None:
    """Opening it says so; that it was to be removed is fine."""
    listed = entry(folder)
    remove_entry(folder, listed)
    assert not read_entries(folder)
    remove_entry(folder, listed)
    with pytest.raises(NotFoundError):
        open_entry(folder, listed)


def test_a_folder_that_is_gone(folder: Path) -> None:
    """An absent folder is no empty one, and removing from it is not said to be done."""
    listed = entry(folder)
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(NotFoundError):
        read_entries(folder)
    with pytest.raises((FailedError, NotFoundError)):
        remove_entry(folder, listed)
    assert (folder.parent / "elsewhere" / "file").exists()
