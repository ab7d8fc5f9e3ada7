"""A push with real folders and a real ledger: a year of it, and places that keep what they have."""

import hashlib
import os
import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from system_faults import OWN_MOUNTS, run

from agebackup.destinations.folder import Folder
from agebackup.destinations.interface import Means, OutOfReachError, Parcel
from agebackup.destinations.mirror import Mirror
from agebackup.errors import RefusedError, VerificationError
from agebackup.ledger import Ledger, open_ledger
from agebackup.ledger.salvage import content_of
from agebackup.model.inventory import FolderEntry
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord
from agebackup.model.retention import Policy
from agebackup.operations.prune import PruneOrder, prune
from agebackup.operations.push import Desk, PushReport, push
from agebackup.operations.pushlooks import PushOrder
from agebackup.system.claims import Claims
from agebackup.system.progress import Progress

BEGIN = datetime(2026, 1, 1, 3, tzinfo=UTC)
POLICY = Policy(last=2, daily=5, weekly=4, monthly=12, max_prune=1000)


class Machine:
    """A folder, a place for copies, and the ledger; `night` counts days."""

    def __init__(self, directory: Path, ledger: Ledger) -> None:
        for name in ("here", "there", "claims"):
            (directory / name).mkdir()
        self.ledger, self.night = ledger, 0
        self.here = Folder(directory / "here")
        means = Means({}, directory, Claims(directory / "claims"), Progress())
        self.there = Mirror(Folder(directory / "there"), means)
        self.events: list[dict[str, Any]] = []

    @property
    def now(self) -> datetime:
        return BEGIN + timedelta(days=self.night)

    def make(self) -> None:
        """Publish an archive, and prune here as a run does."""
        name = ArchiveName("notes", self.now, f"{self.night:08x}")
        content = f"archive {self.night}\n".encode() * 3
        (self.here.path / str(name)).write_bytes(content)
        record = replace(
            ArchiveRecord.of(name, self.here.key),
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            proved=True,
        )
        self.ledger.put(record)
        order = PruneOrder("notes", POLICY, self.now)
        prune(order, self.here, self.ledger, Progress(), lambda name, why: None)

    def push(self, remote: Any = None) -> PushReport:
        """Push as a run does after it."""
        order = PushOrder("notes", POLICY, lambda: self.now)
        desk = Desk(self.ledger, Progress(), self.note)
        return push(order, self.here, remote or self.there, desk)

    def note(self, event: str, **fields: Any) -> None:
        self.events.append({"event": event, **fields})

    @property
    def copies(self) -> set[str]:
        return set(os.listdir(self.there.folder.path))


@pytest.fixture
def machine(tmp_path: Path) -> Any:
    with open_ledger(tmp_path / "ledger.db") as ledger:
        yield Machine(tmp_path, ledger)


def test_a_year_of_nights_with_a_drive_that_is_often_away(machine: Machine) -> None:
    """Both folders hold the same archives at the end, and the drive always its newest."""
    chance, away = random.Random(5), 0
    place = machine.there.folder.path
    newest = ""
    for machine.night in range(0, 366, 3):
        machine.make()
        away = away - 1 if away else chance.choice([0] * 9 + [2, 10])
        if away:
            place.rename(place.with_name("away"))
        report = machine.push()
        assert report.complete == (not away), report
        if away:
            place.with_name("away").rename(place)
        newest = max(newest, *machine.copies, "")
        assert not newest or newest in machine.copies
    if away:
        machine.push()
    assert machine.copies == set(os.listdir(machine.here.path))
    assert len(machine.copies) > 12
    assert not any((place.parent / "claims").iterdir())


def test_an_archive_that_was_cut_short_here_is_said_where_its_copy_is_missing(
    machine: Machine,
) -> None:
    """It is carried nowhere, and no push calls the place complete; one that is there already is no
    matter of the push's."""
    machine.make()
    machine.push()
    machine.night = 1
    machine.make()
    for name in os.listdir(machine.here.path):
        (machine.here.path / name).write_bytes(b"cut")
    report = machine.push()
    newest = max(os.listdir(machine.here.path))
    assert report.owed == (newest,) and newest not in machine.copies
    (failure,) = report.failures
    assert failure.archive == newest and isinstance(failure.error, VerificationError)


@dataclass(frozen=True)
class Locked(Mirror):
    """A folder that lets nothing go, as object storage with a lock does."""

    def remove(self, entry: FolderEntry) -> None:
        raise RefusedError(f"{entry.name} is locked until next year.")


def test_a_place_that_keeps_what_it_has_is_no_failure(machine: Machine) -> None:
    """Copies that are locked there stay, night by night, are told, and are pruned once they can."""
    locked = Locked(machine.there.folder, machine.there.means)
    for machine.night in range(30):
        machine.make()
        report = machine.push(locked)
        assert report.complete
    assert "is locked" in report.pruning.message and report.pruning.status == "done"
    assert len(machine.copies) == 30
    assert not machine.ledger.archives("notes", destination=locked.key, deleted=True)[0].deleted
    again = machine.push()
    assert again.complete and machine.copies == set(os.listdir(machine.here.path))


@dataclass(frozen=True)
class Broken(Mirror):
    """A place whose network dies at every transfer."""

    def put(self, parcel: Parcel) -> None:
        raise OutOfReachError("The connection was lost.")


def test_a_copy_that_cannot_be_put_leaves_the_old_ones(machine: Machine) -> None:
    """While the newest archive has not arrived, retention removes nothing there."""
    for machine.night in range(20):
        machine.make()
        machine.push()
    before = machine.copies
    for machine.night in range(20, 40):
        machine.make()
        report = machine.push(Broken(machine.there.folder, machine.there.means))
        newest = max(os.listdir(machine.here.path))
        assert not report.complete and newest in report.owed and len(report.failures) == 1
    assert machine.copies == before
    assert machine.push().complete
    assert machine.copies == set(os.listdir(machine.here.path))


def test_the_ledger_names_the_last_push(machine: Machine) -> None:
    """How the last one ended, how much it carried and why it failed are known without a network."""
    machine.make()
    place = machine.there.folder.path
    place.rename(place.with_name("away"))
    machine.push()
    (last,) = machine.ledger.pushes("notes")
    assert last.outcome == "failed" and "does not exist" in last.message and last.ended
    place.with_name("away").rename(place)
    machine.push()
    (last,) = machine.ledger.pushes()
    assert (last.outcome, last.message, last.pushed) == ("ok", "", 1) and last.bytes > 0
    assert [one["event"] for one in machine.events] == ["push-failed", "pushed"]
    saved = content_of(machine.ledger.file, machine.there.means.claims)
    assert saved is not None and saved.pushes == (last,)


def test_numbers_go_on_from_the_archive_here(machine: Machine) -> None:
    """A copy under older keys is not what the next archive says came before it."""
    machine.make()
    machine.push()
    (here,) = machine.ledger.archives("notes", destination=machine.here.key)
    rows = machine.ledger.archives("notes")
    counted = {"series": machine.ledger.series, "sequence": 7}
    for row in rows:
        machine.ledger.amend(row, **counted)
    machine.ledger.amend(here, former=(here.sha256,), sha256="f" * 64)
    after = machine.ledger.sequel("notes")
    assert (after.sequence, after.previous_sha256) == (8, "f" * 64)


def test_what_is_in_the_way_there_leaves_the_copy_owed(machine: Machine) -> None:
    """A directory, or a link, of an archive's name there is no copy, and no push calls it one."""
    machine.make()
    (name,) = os.listdir(machine.here.path)
    (machine.there.folder.path / name).mkdir()
    report = machine.push()
    assert not report.complete and report.owed == (name,) and not report.left
    (machine.there.folder.path / name).rmdir()
    again = machine.push()
    assert again.complete and not again.owed and machine.copies == {name}


STUCK = (
    f"sys.path.append({str(Path(__file__).parent)!r})"
    + """
from test_operations_push import Machine
from datetime import UTC, datetime
from functools import partial
from agebackup.destinations.folder import Folder
from agebackup.destinations.mirror import Mirror
from agebackup.ledger import open_ledger
from agebackup.operations.pusheverywhere import Places, push_everywhere
from agebackup.operations.pushlooks import PushOrder
for name in ("dead", "well"):
    (here / name).mkdir()
with open_ledger(here / "ledger.db") as ledger:
    machine = Machine(here, ledger)
    machine.make()
    means, files = machine.there.means, [str(here / name) for name in ("dead", "well")]
    reach = {one: partial(Mirror, Folder(Path(one)), means) for one in files}
    places = Places(machine.here, reach, here / "lock", means.claims, patience=1)
    order = PushOrder("notes", None, lambda: machine.now)
    done = push_everywhere(order, places, ledger, Progress(), machine.note)
dead, well = done.reports
print(dead.message, len(well.sent), done.code)
"""
)


@pytest.mark.linux
def test_a_dead_mount_keeps_no_other_place_from_its_copies(tmp_path: Path) -> None:
    """A folder on a share that never answers is given up after some seconds, and said."""
    hang = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(tmp_path / "dead")]
    hang += ["-e", "trace=statfs", "-e", "inject=statfs:delay_enter=4s"]
    done = run(STUCK, tmp_path, under=tuple(hang))
    assert f"{tmp_path}/dead did not answer within 1 seconds. 1 3" in done.stdout, done


MOUNTED_TWICE = (
    f"sys.path.append({str(Path(__file__).parent)!r})"
    + """
import subprocess
from test_operations_push import Machine
from agebackup.ledger import open_ledger
with open_ledger(here / "ledger.db") as ledger:
    machine = Machine(here, ledger)
    machine.make()
    subprocess.run(["mount", "--bind", here / "here", here / "there"], check=True)
    report = machine.push()
    print(report.message, len(report.confirmed))
"""
)


@pytest.mark.linux
def test_a_folder_that_is_mounted_twice_is_no_second_place(tmp_path: Path) -> None:
    """An archive is not its own copy, by whatever name its folder goes."""
    done = run(MOUNTED_TWICE, tmp_path, under=OWN_MOUNTS)
    assert "is the folder that the copies are made of. 0" in done.stdout, done
