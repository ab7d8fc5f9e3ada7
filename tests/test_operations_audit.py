"""The audit of one folder: real age files, a real ledger, and hostile things in between."""

import hashlib
import os
import subprocess
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import Keys

from agebackup.destinations.folder import listed_folder
from agebackup.errors import NotFoundError, StoppedError
from agebackup.ledger import Ledger, open_ledger
from agebackup.model.budget import UNLIMITED, Budget
from agebackup.model.findings import Finding
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord
from agebackup.operations.audit import AuditOrder, AuditReport, audit, ledger_or_finding
from agebackup.system.progress import Progress

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)
RECORD = 10_240
"""A tar's block: what an archive holds is a multiple of it."""


@dataclass
class Yard:
    """A folder with a ledger, and the key that its archives are made for."""

    path: Path
    ledger: Ledger
    keys: Keys
    made: int = 0

    def archive(self, *, blocks: int = 1, record: bool = True) -> Path:
        """Make an archive an hour after the last one, with the stock `age` program."""
        self.made += 1
        time = NOW - timedelta(days=2) + timedelta(hours=self.made)
        name = ArchiveName("notes", time, f"{self.made:08x}")
        file = self.path / str(name)
        content = bytes([self.made]) * (RECORD * blocks)
        subprocess.run(["age", "-r", self.keys.recipient, "-o", file], input=content, check=True)
        if record:
            self.ledger.put(self._record(name, file))
        return file

    def _record(self, name: ArchiveName, file: Path) -> ArchiveRecord:
        return replace(
            ArchiveRecord.of(name, os.path.realpath(self.path)),
            size=file.stat().st_size,
            sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
            series=self.ledger.series,
            sequence=self.made,
        )

    def audit(
        self, budget: Budget = UNLIMITED, progress: Progress | None = None, **more: object
    ) -> AuditReport:
        """Audit the folder as it is."""
        order = AuditOrder(listed_folder(str(self.path)), NOW, budget=budget, **more)  # type: ignore[arg-type]
        return audit(order, self.ledger, progress or Progress())

    def problems(self, budget: Budget = UNLIMITED) -> dict[str, str]:
        """Return the codes of errors and warnings with their subjects."""
        found = self.audit(budget).findings
        return {one.code: one.subject for one in found if one.severity != "note"}

    def row(self, file: Path) -> ArchiveRecord:
        """Return what the ledger says of `file` now."""
        (row,) = [r for r in self.ledger.archives(deleted=True) if r.file_name == file.name]
        return row


@pytest.fixture
def yard(tmp_path: Path, keys: Keys) -> Yard:
    """An empty folder with an empty ledger."""
    folder = tmp_path / "cloud"
    folder.mkdir()
    return Yard(folder, open_ledger(tmp_path / "ledger.db"), keys)


def test_an_honest_folder_is_in_order_and_every_hash_was_seen(yard: Yard) -> None:
    """The report counts what was read, and the ledger remembers when."""
    files = [yard.archive() for _ in range(3)]
    report = yard.audit()
    assert report.findings == ()
    assert (report.archives, report.hashed) == (3, 3)
    assert report.read_bytes == sum(file.stat().st_size for file in files)
    assert (report.turns.recorded, report.turns.read, report.turns.oldest) == (3, 3, NOW)
    assert {yard.row(file).hashed for file in files} == {NOW}


def test_whoever_was_not_read_for_longest_is_read_first(yard: Yard) -> None:
    """The turns go round: the oldest look comes first, never-read archives before all."""
    files = [yard.archive() for _ in range(3)]
    for days, file in zip((3, 9, 5), files, strict=True):
        yard.ledger.amend(yard.row(file), hashed=NOW - timedelta(days=days))
    assert yard.audit(Budget(bytes=1)).hashed == 1
    assert [yard.row(file).hashed == NOW for file in files] == [False, True, False]


def test_a_huge_suspect_does_not_take_the_others_turn(yard: Yard) -> None:
    """One file that is suspicious each time, and too large for the budget, holds up nobody."""
    files = [yard.archive() for _ in range(3)]
    os.truncate(files[0], 1 << 40)
    for expected in (1, 2):
        report = yard.audit(Budget(bytes=20_000))
        assert (report.hashed, report.turns.read) == (1, expected)
        assert report.read_bytes < 20_000


def test_a_time_limit_ends_the_reading_of_a_planted_giant(yard: Yard) -> None:
    """A sparse file of a tebibyte costs no more than the time that was given."""
    yard.archive()
    giant = yard.archive(record=False)
    os.truncate(giant, 1 << 40)
    report = yard.audit(Budget(seconds=0.2))
    assert report.hashed == 1


def test_a_broken_header_is_damage_and_the_row_is_bad(yard: Yard) -> None:
    """Zeros of the right size are told by the header alone."""
    file = yard.archive()
    size = file.stat().st_size
    file.write_bytes(b"\0" * size)
    assert yard.problems(Budget(bytes=0)) == {"damaged": file.name}
    assert yard.row(file).bad


def test_a_size_that_no_archive_has_is_damage_without_any_row(yard: Yard) -> None:
    """The exact-size formula needs no ledger."""
    yard.archive()
    file = yard.archive(record=False)
    os.truncate(file, file.stat().st_size - 1)
    assert yard.problems() == {"damaged": file.name}


def test_an_archive_mended_from_the_trash_is_good_again(yard: Yard) -> None:
    """What was bad and proved, and has its hash again, counts again."""
    file = yard.archive()
    whole = file.read_bytes()
    yard.ledger.amend(yard.row(file), proved=True)
    file.write_bytes(whole[:-1] + b"?")
    assert yard.problems() == {"content-differs": file.name}
    assert yard.row(file).bad
    file.write_bytes(whole)
    assert yard.problems() == {}
    assert not yard.row(file).bad


def test_links_pipes_and_directories_are_never_followed_or_opened(yard: Yard) -> None:
    """What is no regular file is named; nothing behind it is read, and nothing hangs."""
    files = [yard.archive() for _ in range(4)]
    (yard.path.parent / "elsewhere").write_bytes(files[0].read_bytes())
    for file in files[:3]:
        file.unlink()
    files[0].symlink_to(yard.path.parent / "elsewhere")
    os.mkfifo(files[1])
    files[2].mkdir()
    found = [one for one in yard.audit().findings if one.code == "not-a-file"]
    assert {one.subject for one in found} == {file.name for file in files[:3]}


def test_a_deletion_that_was_cut_short_is_no_problem(yard: Yard) -> None:
    """Decided, but not done: the next run finishes it."""
    file, _ = yard.archive(), yard.archive()
    yard.ledger.amend(yard.row(file), deleted=NOW, pending="delete")
    assert [one.code for one in yard.audit().findings] == ["deletion-unfinished"]


def test_an_archive_brought_back_is_noted(yard: Yard) -> None:
    """A deleted one that lies there again is a fact, not a fault."""
    file, _ = yard.archive(), yard.archive()
    yard.ledger.amend(yard.row(file), deleted=NOW)
    assert [(one.severity, one.code) for one in yard.audit().findings] == [("note", "brought-back")]


class Meddler(Progress):
    """Does something to the folder in the middle of the reading."""

    def __init__(self, act: object) -> None:
        super().__init__()
        self._act = act
        self.read = 0

    def advance(self, count: int) -> None:
        self.read += count

    def phase(self, name: str, total: int | None = None) -> None:
        if name == "hashes":
            self._act()  # type: ignore[operator]


def test_what_is_published_and_pruned_meanwhile_is_no_finding(yard: Yard) -> None:
    """A run that works while the audit reads gives no false alarm."""
    old, _ = yard.archive(), yard.archive()

    def run() -> None:
        yard.archive()
        yard.ledger.amend(yard.row(old), deleted=NOW, pending="delete")
        old.unlink()
        yard.ledger.amend(yard.row(old), pending="")

    assert yard.audit(progress=Meddler(run)).findings == ()


def test_a_file_that_grows_while_it_is_read_is_told(yard: Yard) -> None:
    """Archives never change; one that does is neither bad nor good, but is named."""
    file = yard.archive()
    report = yard.audit(progress=Meddler(lambda: os.truncate(file, 1 << 20)))
    assert {one.code for one in report.findings} <= {"changed-while-read"}
    assert not yard.row(file).bad


def test_a_stop_keeps_the_turns_that_were_read(yard: Yard) -> None:
    """Who ends each audit after a while still gets round."""
    files = [yard.archive() for _ in range(3)]

    class Impatient(Progress):
        def advance(self, count: int) -> None:
            super().advance(count)
            self.stop.request(2)

    for turns in (1, 2):
        with pytest.raises(StoppedError):
            yard.audit(progress=Impatient())
        assert sum(yard.row(file).hashed is not None for file in files) == turns


def test_an_absent_folder_is_an_error_only_where_it_is_known(yard: Yard) -> None:
    """An unmounted drive is a finding, a mistyped name is not found."""
    order = AuditOrder(listed_folder(str(yard.path / "typo")), NOW)
    with pytest.raises(NotFoundError):
        audit(order, yard.ledger, Progress())
    (finding,) = audit(replace(order, declared=True), yard.ledger, Progress()).findings
    assert (finding.severity, finding.code) == ("warning", "destination-missing")
    yard.archive()
    yard.path.rename(yard.path.with_name("gone"))
    (finding,) = yard.audit().findings
    assert (finding.severity, finding.code) == ("error", "destination-missing")
    assert "1 archive there" in finding.fact


def test_a_ledger_that_breaks_meanwhile_is_a_finding_and_the_rest_is_still_said(
    yard: Yard,
) -> None:
    """The files' own faults do not hide behind the ledger's."""
    file = yard.archive()
    file.write_bytes(b"")

    def lose() -> None:
        for part in yard.path.parent.glob("ledger.db*"):
            part.unlink()

    whole = yard.archive()
    meddler = Meddler(lose)
    report = yard.audit(progress=meddler)
    assert {one.code for one in report.findings} == {"ledger-unusable", "size-differs"}
    assert meddler.read == report.read_bytes == whole.stat().st_size  # nothing was read again


def test_an_absent_and_a_damaged_ledger_are_told_apart(tmp_path: Path) -> None:
    """Each has its own code and way out."""
    ledger, finding = ledger_or_finding(tmp_path / "ledger.db")
    assert ledger is None
    assert isinstance(finding, Finding)
    assert finding.code == "ledger-absent"
    (tmp_path / "ledger.db").write_bytes(b"no database at all" * 100)
    ledger, finding = ledger_or_finding(tmp_path / "ledger.db")
    assert ledger is None
    assert finding is not None
    assert (finding.code, bool(finding.remedy)) == ("ledger-unusable", True)


def test_thousands_of_archives_are_audited_in_seconds(yard: Yard) -> None:
    """The beginning of 2,000 archives is read in a moment."""
    model = yard.archive(record=False)
    content = model.read_bytes()
    model.unlink()
    rows = []
    for number in range(2_000):
        name = ArchiveName("notes", NOW - timedelta(hours=number), f"{number:08x}")
        file = yard.path / str(name)
        file.write_bytes(content)
        rows.append(replace(ArchiveRecord.of(name, os.path.realpath(yard.path)), size=len(content)))
    yard.ledger.put(*rows)
    report = yard.audit(Budget(bytes=0))
    assert report.archives == 2_000
