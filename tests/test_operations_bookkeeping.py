"""What a run tells the ledger: always true, settled after a kill, and never worth a backup."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agebackup.destinations.folder import Folder
from agebackup.errors import StoppedError
from agebackup.ledger import Ledger, open_ledger
from agebackup.ledger.failures import NO_NUMBER, NO_ROW
from agebackup.model.devices import differs
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord, DatabaseFigures, Figures, Sequel, TreeFigures
from agebackup.operations.bookkeeping import NO_FIGURES, Bookkeeping
from agebackup.system.progress import Progress, Stop

NOW = datetime(2026, 11, 21, 2, 15, tzinfo=UTC)
CONTENT = b"an archive's bytes"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.db"


@pytest.fixture
def ledger(file: Path) -> Iterator[Ledger]:
    file.parent.mkdir()
    with open_ledger(file, busy_seconds=0.05) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "out").mkdir()
    return Folder(tmp_path / "out")


def record(
    folder: Folder, minute: int = 0, file_name: str = "", app: str = "notes"
) -> ArchiveRecord:
    """Return what is known of an archive whose bytes are `CONTENT`."""
    name = ArchiveName(app, NOW + timedelta(minutes=minute), f"{minute:08x}", False)
    return replace(
        ArchiveRecord.of(name, folder.key, file_name),
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )


def numbered(books: Bookkeeping, archive: ArchiveRecord) -> ArchiveRecord:
    sequel = books.sequel(archive.app)
    assert sequel is not None
    return replace(archive, series=sequel.series, sequence=sequel.sequence)


def put_in_place(archive: ArchiveRecord, content: bytes = CONTENT) -> Path:
    path = Path(archive.destination, archive.file_name)
    path.write_bytes(content)
    return path


def rows(ledger: Ledger) -> dict[str, ArchiveRecord]:
    return {row.name: row for row in ledger.archives(deleted=True, pending=True)}


# What is told


def test_an_archive_is_known_only_once_it_is_published(ledger: Ledger, folder: Folder) -> None:
    """Between announcement and publication nobody takes the archive for one that is there."""
    books, archive = Bookkeeping(ledger), record(folder)
    books.announce(archive)
    assert ledger.archives() == ()
    assert rows(ledger)[archive.name].pending == "publish"
    assert books.published(archive) == archive
    assert ledger.archives() == (archive,)
    assert books.losses == ()


def test_a_number_is_used_up_by_published_archives_only(ledger: Ledger, folder: Folder) -> None:
    """Failed and killed runs leave no gap, and each archive names the one before."""
    books = Bookkeeping(ledger)
    first = numbered(books, record(folder, 1))
    put_in_place(first)
    books.announce(first)
    books.published(first)
    failed = numbered(books, record(folder, 2))
    books.announce(failed)
    books.withdrawn(failed, NOW)
    assert failed.name not in rows(ledger)
    killed = numbered(books, record(folder, 3))
    books.announce(killed)
    assert (first.sequence, failed.sequence, killed.sequence) == (1, 2, 2)
    books.settle("notes", folder, NOW)
    assert books.sequel("notes") == Sequel(ledger.series, 2, first.name, first.sha256)
    assert books.sequel("other") == Sequel(ledger.series, 1)


def test_what_replaces_a_freely_named_file_ends_the_row_of_the_old_one(
    ledger: Ledger, folder: Folder
) -> None:
    """Of archives called FILE.age only the last is there, and the others' rows say why."""
    books = Bookkeeping(ledger)
    archives = [record(folder, n, "latest.age") for n in range(3)]
    other = record(folder, 9, "other.age")
    for archive in (other, *archives):
        books.announce(archive)
        books.replaced(books.published(archive), NOW)
    assert {row.name for row in ledger.archives()} == {other.name, archives[2].name}
    gone = rows(ledger)[archives[1].name]
    assert (gone.deleted, gone.deleted_why) == (NOW, f"replaced by {archives[2].name}")
    books.replaced(replace(record(folder, 20)), NOW)
    assert {row.name for row in ledger.archives()} == {other.name, archives[2].name}


def test_another_device_is_noticed(ledger: Ledger, folder: Folder) -> None:
    """The device of a destination is kept, and the one before it is told."""
    books = Bookkeeping(ledger)
    assert books.saw(folder.key, "ext4 UUID a", NOW) == ""
    assert books.saw(folder.key, "ext4 UUID b", NOW) == "ext4 UUID a"
    (known,) = ledger.destinations()
    assert (known.path, known.device, known.seen) == (folder.key, "ext4 UUID b", NOW)


def test_an_unmounted_drive_is_noticed_every_night(ledger: Ledger, folder: Folder) -> None:
    """Another device is told again and again while everything that was on the known one is gone."""
    books, drive, root = Bookkeeping(ledger), "ext4 UUID a", "ext4 UUID b"
    archives = [record(folder, n) for n in range(4)]
    times = [archive.time for archive in archives]
    paths = [folder.path / archive.name for archive in archives]
    for archive, path in zip(archives[:2], paths[:2], strict=True):
        path.write_bytes(b"on the drive")
        books.published(archive)
        books.saw(folder.key, drive, archive.time)
    for path in paths[:2]:
        path.unlink()
    for archive, path in zip(archives[2:], paths[2:], strict=True):
        path.write_bytes(b"beside the drive")
        books.published(archive)
        assert books.saw(folder.key, root, archive.time) == drive
    (known,) = ledger.destinations()
    assert (known.device, known.seen) == (drive, times[1])
    paths[1].write_bytes(b"brought over")
    assert books.saw(folder.key, root, times[3]) == drive
    assert books.saw(folder.key, root, times[3]) == root


def test_what_was_forgotten_holds_no_device(ledger: Ledger, folder: Folder) -> None:
    """Once the missing archives are known to be gone, the new device is believed."""
    books, archive = Bookkeeping(ledger), record(folder, 1)
    ledger.amend(books.published(archive), deleted=NOW, deleted_why="it is gone")
    books.saw(folder.key, "ext4 UUID a", archive.time)
    books.saw(folder.key, "ext4 UUID b", NOW)
    assert ledger.destinations()[0].device == "ext4 UUID b"


@pytest.mark.parametrize(
    ("was", "now", "differing"),
    [
        ("ext4 UUID a", "ext4 UUID a", False),
        ("ext4 UUID a", "ext4 UUID b", True),
        ("nfs server:/x", "ext4 /dev/sda2", True),
        ("ext4 /dev/sda1", "ext4 /dev/sda2", True),
        ("ext4 UUID a", "ext4 /dev/sda2", False),
        ("ext4 /dev/sda2", "vfat UUID 1234", True),
        ("", "ext4 UUID a", False),
        ("ext4 UUID a", "", False),
    ],
)
def test_only_what_can_be_compared_differs(was: str, now: str, differing: bool) -> None:
    """A service that sees no devices does not make every second run warn."""
    assert differs(was, now) is differing


def test_the_more_telling_words_stay(ledger: Ledger, folder: Folder) -> None:
    """A device's UUID is not forgotten by a run that could not see it."""
    books = Bookkeeping(ledger)
    for device in ("ext4 /dev/sda1", "ext4 UUID a", "ext4 /dev/sda1"):
        books.saw(folder.key, device, NOW)
    assert ledger.destinations()[0].device == "ext4 UUID a"
    assert ledger.destinations()[0].seen == NOW


def test_the_last_figures_are_those_of_the_newest_archive(ledger: Ledger, folder: Folder) -> None:
    """What the last archive held is known although it was deleted; without figures none is."""
    books = Bookkeeping(ledger)
    figures = Figures({"data/a": DatabaseFigures(1, 2)}, {"data/t": TreeFigures(3, 4)})
    assert books.last("notes") is None
    newest = replace(record(folder, 2), figures=figures, deleted=NOW)
    ledger.put(replace(record(folder, 1), figures=Figures()), newest, record(folder, 3))
    ledger.put(replace(record(folder, 4, app="other"), figures=Figures()))
    assert books.last("notes") == newest


# Settling what a killed run left


def test_an_archive_that_is_there_was_published(ledger: Ledger, folder: Folder) -> None:
    """A run killed right after the rename has published: its row says so from then on."""
    books, archive = Bookkeeping(ledger), record(folder)
    books.announce(archive)
    put_in_place(archive)
    books.settle("notes", folder, NOW)
    assert ledger.archives() == (archive,)


def _missing(path: Path) -> None:
    path.unlink()


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _shorter(path: Path) -> None:
    path.write_bytes(CONTENT[1:])


@pytest.mark.parametrize("change", [_missing, _directory, _link, _shorter])
def test_what_is_not_the_announced_file_was_not_published(
    ledger: Ledger, folder: Folder, change: Callable[[Path], None]
) -> None:
    """Only a regular file of the announced size counts; anything else leaves no row."""
    books, archive = Bookkeeping(ledger), record(folder)
    books.announce(archive)
    change(put_in_place(archive))
    books.settle("notes", folder, NOW)
    assert rows(ledger) == {}


def test_an_old_file_of_the_same_size_is_not_taken_for_the_new_one(
    ledger: Ledger, folder: Folder
) -> None:
    """Where a name is used again, only the content tells which archive has it."""
    books = Bookkeeping(ledger)
    old, new = record(folder, 1, "latest.age"), record(folder, 2, "latest.age")
    old = replace(old, sha256="0" * 64)
    ledger.put(old)
    put_in_place(old, b"x" * len(CONTENT))
    books.announce(new)
    books.settle("notes", folder, NOW)
    assert ledger.archives() == (old,)
    books.announce(new)
    put_in_place(new)
    books.settle("notes", folder, NOW)
    assert ledger.archives() == (new,)
    assert rows(ledger)[old.name].deleted_why == f"replaced by {new.name}"


def test_settling_leaves_alone_what_it_cannot_judge(
    ledger: Ledger, folder: Folder, tmp_path: Path
) -> None:
    """Other apps' rows, other folders' and those of an absent folder wait for their turn."""
    books = Bookkeeping(ledger)
    (tmp_path / "away").mkdir()
    away = Folder(tmp_path / "away")
    for archive in (record(folder, 1, app="other"), record(away, 2)):
        books.announce(archive)
    books.settle("notes", folder, NOW)
    assert len(rows(ledger)) == 2
    away.path.rename(tmp_path / "unmounted")
    books.settle("notes", away, NOW)
    assert len(rows(ledger)) == 2
    (tmp_path / "unmounted").rename(away.path)
    books.settle("notes", away, NOW)
    assert len(rows(ledger)) == 1


def test_settling_waits_for_the_known_folder(
    ledger: Ledger, folder: Folder, tmp_path: Path
) -> None:
    """An empty folder in the place of an unmounted drive makes no archive unpublished."""
    books, first, second = Bookkeeping(ledger), record(folder, 1), record(folder, 2)
    for archive in (first, second):
        books.announce(archive)
        put_in_place(archive)
    books.published(first)
    folder.path.rename(tmp_path / "unmounted")
    folder.path.mkdir()
    books.settle("notes", folder, NOW)
    assert rows(ledger)[second.name].pending == "publish"
    folder.path.rmdir()
    (tmp_path / "unmounted").rename(folder.path)
    books.settle("notes", folder, NOW)
    assert rows(ledger)[second.name].pending == ""


def test_what_went_to_the_cloud_was_published(ledger: Ledger, folder: Folder) -> None:
    """A stub of iCloud's stands for an archive that had got its name."""
    books, archive = Bookkeeping(ledger), record(folder)
    books.announce(archive)
    (folder.path / f".{archive.name}.icloud").write_bytes(b"stub")
    books.settle("notes", folder, NOW)
    assert rows(ledger)[archive.name].pending == ""


def test_settling_can_be_stopped(ledger: Ledger, folder: Folder) -> None:
    """A signal ends the reading of a large file, and the row waits for the next run."""
    books, archive = Bookkeeping(ledger), record(folder, 1, "latest.age")
    books.announce(archive)
    put_in_place(archive)
    stop = Stop()
    stop.request(15)
    with pytest.raises(StoppedError):
        books.settle("notes", folder, NOW, Progress(stop))
    assert rows(ledger)[archive.name].pending == "publish"


# A ledger that cannot be used


def everything(books: Bookkeeping, folder: Folder) -> ArchiveRecord:
    """Do all that a run does with its books."""
    archive = record(folder)
    books.settle("notes", folder, NOW)
    books.sequel("notes")
    books.last("notes")
    books.announce(archive)
    put_in_place(archive)
    books.replaced(books.published(archive), NOW)
    books.saw(folder.key, "device", NOW)
    return archive


def test_no_ledger_is_no_trouble(folder: Folder) -> None:
    """Without a ledger nothing is known, nothing raised, and what was said before stays said."""
    books = Bookkeeping(None, ["It is broken."])
    everything(books, folder)
    assert books.sequel("notes") is None and books.last("notes") is None
    assert books.losses == ("It is broken.",)


def _removed(file: Path) -> None:
    file.unlink()


def _replaced(file: Path) -> None:
    file.rename(file.with_name("aside"))
    open_ledger(file).close()


def _emptied_tables(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DROP TABLE archives")


def _newer(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize("harm", [_removed, _replaced, _emptied_tables, _newer])
def test_a_ledger_that_is_harmed_meanwhile_costs_a_sentence(
    ledger: Ledger, file: Path, folder: Folder, harm: Callable[[Path], None]
) -> None:
    """Whatever becomes of the ledger during a run: nothing is raised, all that is lost is said."""
    books = Bookkeeping(ledger)
    harm(file)
    everything(books, folder)
    (said,) = books.losses
    assert said.startswith(f"The ledger {file} cannot be used: ")
    assert NO_NUMBER in said and NO_FIGURES in said and NO_ROW in said
    assert "Archives do not depend on it" in said or "Upgrade" in said


def test_a_ledger_that_was_locked_for_a_while_gets_its_row(
    ledger: Ledger, file: Path, folder: Folder
) -> None:
    """What could be written in the end is not called lost."""
    books, archive = Bookkeeping(ledger), record(folder)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        books.announce(archive)
        assert NO_ROW in books.losses[0] and "another process holds it" in books.losses[0]
        other.execute("ROLLBACK")
    books.published(archive)
    assert books.losses == ()
    assert ledger.archives() == (archive,)


def test_a_row_that_stays_announced_is_said_and_settled_next_time(
    ledger: Ledger, file: Path, folder: Folder
) -> None:
    """Locked at the very end only: the next run makes the row whole."""
    books, archive = Bookkeeping(ledger), record(folder)
    books.announce(archive)
    put_in_place(archive)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        books.published(archive)
        books.saw(folder.key, "device", NOW)
        (said,) = books.losses
    assert "until the next run" in said and NO_ROW not in said
    assert ledger.archives() == ()
    Bookkeeping(ledger).settle("notes", folder, NOW)
    assert ledger.archives() == (archive,)
