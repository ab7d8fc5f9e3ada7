"""Bags that were extracted by hand: checked in place, with no key, as strictly as in a stream."""

import os
from pathlib import Path

import pytest
from bounded import Keep, contents_of
from hostile import FILES, FORMAT_LINE, Bag

from agebackup.errors import AgebackupError, NotFoundError, VerificationError
from agebackup.model.limits import Limits
from agebackup.snapshot.bag import read_extracted
from agebackup.system.progress import Progress


def extracted(directory: Path, bag: Bag | None = None) -> Path:
    """Return the folder of a bag that was extracted."""
    for name, content in (bag or Bag()).members():
        path = directory / "app" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return directory / "app"


def differences(directory: Path) -> tuple[str, ...]:
    """Return what our reader says of an extracted bag."""
    return read_extracted(directory, Keep(), limits=Limits(), progress=Progress()).differences


def test_an_extracted_bag_may_be_renamed_and_have_empty_directories(tmp_path: Path) -> None:
    """A folder that was renamed, and directories that nothing lies in, are no differences."""
    folder = extracted(tmp_path).rename(tmp_path / "My backup of Friday")
    (folder / "data/attachments/nothing/here").mkdir(parents=True)
    assert differences(folder) == ()


TAMPERED = {
    "a changed file": ("data/ledger.db", lambda p: p.write_bytes(b"x"), "does not have the hash"),
    "a missing file": ("data/ledger.db", Path.unlink, "is not there"),
    "an extra file": ("data/extra", lambda p: p.write_bytes(b"x"), "but is not listed"),
    "an extra -wal": ("data/ledger.db-wal", lambda p: p.write_bytes(b"x"), "but is not listed"),
    "an extra link": ("data/link", lambda p: p.symlink_to("/etc/passwd"), "is a symbolic link"),
    "a fifo": ("data/fifo", os.mkfifo, "is a fifo"),
    "an extra tag file": ("fetch.txt", lambda p: p.write_bytes(b"x"), "no part of the bag"),
    "an extra folder": ("data2", Path.mkdir, "no part of the bag"),
    "a changed tag file": (
        "RECOVER.md",
        lambda p: p.write_bytes(FORMAT_LINE),
        "tag manifest: RECOVER",
    ),
}


@pytest.mark.parametrize("place, tamper, says", TAMPERED.values(), ids=TAMPERED.keys())
def test_a_tampered_directory_is_noticed(place: str, tamper, says: str, tmp_path: Path) -> None:
    """Whatever was changed, added or taken away in an extracted bag is named."""
    folder = extracted(tmp_path)
    tamper(folder / place)
    assert any(says in line for line in differences(folder))


def test_no_link_is_followed_in_an_extracted_bag(tmp_path: Path) -> None:
    """A directory that was replaced by a link, to just the right content even, does not count."""
    folder = extracted(tmp_path)
    (folder / "data/attachments").rename(tmp_path / "elsewhere")
    (folder / "data/attachments").symlink_to(tmp_path / "elsewhere")
    lines = differences(folder)
    assert any("data/attachments is a symbolic link" in line for line in lines)
    assert any("a.txt is listed, but is not there" in line for line in lines)


@pytest.mark.parametrize("name", ["bagit.txt", "manifest.json", "tagmanifest-sha256.txt"])
def test_a_part_of_a_bag_is_no_bag(name: str, tmp_path: Path) -> None:
    """A folder that lacks a tag file, or has a link instead of it, is refused."""
    folder = extracted(tmp_path)
    (folder / name).rename(tmp_path / "moved")
    with pytest.raises(VerificationError, match=f"{name} is missing"):
        differences(folder)
    (folder / name).symlink_to(tmp_path / "moved")
    with pytest.raises(VerificationError, match=name):
        differences(folder)


def test_hostile_lines_lead_nowhere(tmp_path: Path) -> None:
    """A payload manifest that names files outside is only told about: they are never opened."""
    secret = tmp_path / "secret"
    os.mkfifo(secret)  # opening it would hang
    lines = "".join(f"{'0' * 64}  {p}\n" for p in ("data/../../secret", "/etc/passwd", str(secret)))
    bag = Bag(tags={"manifest-sha256.txt": lines.encode()})
    found = differences(extracted(tmp_path, bag))
    assert sum("is not a path in data/" in line for line in found) == 3


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    """A folder that is not there, or is a file, is not found: that is no damage."""
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(NotFoundError):
            differences(path)


def test_the_stream_and_the_folder_are_judged_alike(tmp_path: Path) -> None:
    """The same lie gives the same differences in a stream and in the folder made from it."""
    bag = Bag(lie=lambda manifest: manifest.update(payload_bytes=1, clashing_names=2))
    assert differences(extracted(tmp_path, bag)) == contents_of(bag.stream(), tmp_path).differences
    assert len(FILES) == contents_of(bag.stream(), tmp_path).files


def test_an_unreadable_directory_is_a_failure_not_damage(tmp_path: Path) -> None:
    """A file that this user may not read fails the check as such, and is not called damaged."""
    folder = extracted(tmp_path)
    (folder / "data/ledger.db").chmod(0)
    for path in (*tmp_path.parents, tmp_path):
        if path.stat().st_uid == os.getuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            if os.getuid() == 0:
                os.setuid(65534)
            differences(folder)
        except AgebackupError as error:
            os.write(writing, f"{error.code} {error.message}".encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with open(reading, "rb") as answer:
        assert answer.read() == b"1 ledger.db cannot be read: Permission denied."


@pytest.mark.parametrize("name", ["ledger.db-wal", "ledger.db-WAL", "Ledger.DB-journal"])
def test_a_smuggled_companion_is_refused(name: str, tmp_path: Path) -> None:
    """A file that some file system would take for a database's own log is named, though listed."""
    folder = extracted(tmp_path, Bag(files=FILES | {f"data/{name}": b"x"}))
    assert f"payload: data/{name} may not lie beside a database" in differences(folder)
