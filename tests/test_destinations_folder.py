"""A folder as a destination: what --to names, and what is refused there."""

import os
from pathlib import Path

import pytest

from agebackup.destinations.folder import Folder, open_folder
from agebackup.errors import FailedError, NotFoundError, RefusedError
from agebackup.model.recovery import RECOVERY_NOTE
from agebackup.system.claims import Claims

AGE = b"age-encryption.org/v1\nrest"


def opened(to: Path, *, make: bool = False, overwrite: bool = False) -> Folder:
    return open_folder(str(to), make=make, overwrite=overwrite)


def test_a_directory_names_its_archives(tmp_path: Path) -> None:
    """--to DIR keeps each archive under its own name."""
    folder = opened(tmp_path)
    assert folder == Folder(tmp_path)
    assert folder.published_name("a.tar.age") == "a.tar.age"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_directory_called_like_an_archive_is_refused(tmp_path: Path, overwrite: bool) -> None:
    """What ends in .age is a file's name; a directory of that name is never replaced nor used."""
    (tmp_path / "x.age").mkdir()
    with pytest.raises(RefusedError, match="is a directory"):
        opened(tmp_path / "x.age", overwrite=overwrite)


def test_an_absent_directory_is_not_made_by_itself(tmp_path: Path) -> None:
    """An unmounted drive is not mistaken for a new folder: exit code 10, unless --mkdir."""
    with pytest.raises(NotFoundError):
        opened(tmp_path / "drive" / "backups")
    assert not (tmp_path / "drive").exists()
    folder = opened(tmp_path / "drive" / "backups", make=True)
    assert folder.absent
    assert not (tmp_path / "drive").exists()
    folder.prepare()
    assert (tmp_path / "drive" / "backups").stat().st_mode & 0o777 == 0o700


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    """A destination that is a file is refused, and so is one below a file."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(RefusedError):
        opened(tmp_path / "file")
    with pytest.raises(FailedError, match="Not a directory"):
        opened(tmp_path / "file" / "below")


def test_a_loop_of_links_is_said_as_itself(tmp_path: Path) -> None:
    """A destination that is a loop of symlinks is named as that."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(FailedError, match="symbolic links"):
        opened(tmp_path / "loop")


def test_a_free_name_replaces_only_age_files(tmp_path: Path) -> None:
    """--to FILE.age replaces an age file or nothing; anything else only with --overwrite."""
    assert opened(tmp_path / "new.age") == Folder(tmp_path, "new.age")
    (tmp_path / "old.age").write_bytes(AGE)
    assert opened(tmp_path / "old.age") == Folder(tmp_path, "old.age")
    (tmp_path / "thesis.age").write_text("years of work")
    with pytest.raises(RefusedError):
        opened(tmp_path / "thesis.age")
    assert opened(tmp_path / "thesis.age", overwrite=True) == Folder(tmp_path, "thesis.age")


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    """A link that somebody put under the archive's name is replaced, not what it leads to."""
    (tmp_path / "precious").write_bytes(AGE)
    (tmp_path / "a.age").symlink_to(tmp_path / "precious")
    folder, claims = opened(tmp_path / "a.age"), Claims(tmp_path / "claims")
    with folder.publication("unused", claims) as draft:
        os.write(draft.descriptor, b"new")
    assert not (tmp_path / "a.age").is_symlink()
    assert (tmp_path / "a.age").read_bytes() == b"new"
    assert (tmp_path / "precious").read_bytes() == AGE


def test_the_recovery_note_is_written_once(tmp_path: Path) -> None:
    """The by-hand recipe lies beside the archives, and a person's own version of it stays."""
    folder, claims = Folder(tmp_path / "d"), Claims(tmp_path / "claims")
    (tmp_path / "d").mkdir()
    folder.leave_note(claims)
    note = tmp_path / "d" / RECOVERY_NOTE
    assert "age -d -i key.txt" in note.read_text()
    note.write_text("mine")
    folder.leave_note(claims)
    assert note.read_text() == "mine"
