"""status gathers what is known before it looks, and nothing that fails keeps it from judging."""

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agebackup.ledger import LedgerError, open_ledger
from agebackup.model.freshness import AppStatus
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord
from agebackup.model.watch import Watch
from agebackup.operations.status import Watched, status
from agebackup.system.progress import Progress

pytestmark = pytest.mark.linux

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)


class Listening(Progress):
    """Keeps what it is warned of."""

    def __init__(self) -> None:
        super().__init__()
        self.warned: list[str] = []

    def warn(self, text: str) -> None:
        self.warned.append(text)


def watched(directory: Path, app: str = "notes") -> Watched:
    lock = directory.parent / f"{app}.lock"
    return Watched(app, directory, lock, Watch(enabled=True))


def archive(out: Path, app: str = "notes") -> ArchiveName:
    """Leave an archive of an hour ago in `out`."""
    out.mkdir(exist_ok=True)
    name = ArchiveName(app, NOW - timedelta(hours=1), "00000001")
    (out / str(name)).write_bytes(b"x")
    return name


def codes(one: AppStatus) -> list[str]:
    return [finding.code for finding in one.findings]


def test_the_ledger_is_read_and_closed(tmp_path: Path) -> None:
    """What the ledger knows is joined with what lies there, and nobody holds it afterwards."""
    name = archive(tmp_path / "out")
    ledger = open_ledger(tmp_path / "ledger.db")
    ledger.put(ArchiveRecord.of(name, str(tmp_path / "out")))
    (one,) = status([watched(tmp_path / "out")], ledger, NOW, Progress())
    assert (one.state, one.findings, one.destination) == ("fresh", (), str(tmp_path / "out"))
    with pytest.raises(LedgerError):
        ledger.archives()


def test_a_ledger_that_fails_midway(tmp_path: Path) -> None:
    """Where a row makes no sense the names in the folder are judged, and that is said."""
    name = archive(tmp_path / "out")
    ledger = open_ledger(tmp_path / "ledger.db")
    ledger.put(ArchiveRecord.of(name, str(tmp_path / "out")))
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as other:
        other.execute("UPDATE archives SET time = 'once upon a time'")
        other.commit()
    listening = Listening()
    (one,) = status([watched(tmp_path / "out")], ledger, NOW, listening)
    assert one.state == "fresh" and one.newest is not None and one.newest.name == str(name)
    assert len(listening.warned) == 1 and "ledger" in listening.warned[0]


def test_one_folder_of_many_apps_is_looked_at_once(tmp_path: Path) -> None:
    """Apps that share a folder are told apart by name alone."""
    for app in ("notes", "notes-two", "photos"):
        archive(tmp_path / "out", app)
    every = [watched(tmp_path / "out", app) for app in ("notes", "notes-two", "photos", "never")]
    found = status(every, None, NOW, Progress())
    assert [one.state for one in found] == ["fresh", "fresh", "fresh", "never"]
    assert [one.newest.app for one in found if one.newest] == ["notes", "notes-two", "photos"]


def test_a_place_that_is_no_folder(tmp_path: Path) -> None:
    """Each that cannot be read is named with the system's own reason; the others are judged."""
    archive(tmp_path / "out")
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    places = ["absent", "file", "loop", "out"]
    found = status([watched(tmp_path / one) for one in places], None, NOW, Progress())
    assert [codes(one)[-1] for one in found] == ["destination-away"] * 3 + ["newest-foreign"]
    reasons = ["No such file", "Not a directory", "symbolic links"]
    for one, reason in zip(found, reasons, strict=False):
        assert any(reason in finding.fact for finding in one.findings)


def test_nothing_to_watch() -> None:
    """Nothing asked is nothing found."""
    assert status([], None, NOW, Progress()) == ()


def test_a_recipients_file_that_never_answers(tmp_path: Path) -> None:
    """Where recipients cannot be read in time, the others are still reminded of."""
    name = archive(tmp_path / "out")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "more.txt").write_text("# a friend\nage1friend\n")
    ledger = open_ledger(tmp_path / "ledger.db")
    old = ArchiveName("notes", NOW - timedelta(days=100), "00000002")
    ledger.put(*(ArchiveRecord.of(one, str(tmp_path / "out")) for one in (name, old)))
    files = tuple(tmp_path / one for one in ("pipe", "more.txt", "absent.txt"))
    asked = replace(
        watched(tmp_path / "out"), recipients=("ssh-rsa A a b",), recipients_files=files
    )
    (one,) = status([asked], ledger, NOW, Progress())
    (finding,) = (one for one in one.findings if one.code == "keycheck-due")
    assert "ssh-rsa A and of age1friend" in finding.fact
