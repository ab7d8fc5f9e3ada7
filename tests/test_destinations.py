"""What every kind of remote promises: one suite, held against each kind in `remote_kinds`."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pytest
from remote_kinds import KINDS, Site

from agebackup.destinations.interface import Means, OutOfReachError, Parcel, Remote
from agebackup.errors import FailedError, NotFoundError, StoppedError, VerificationError
from agebackup.model.inventory import FolderEntry
from agebackup.system.claims import Claims
from agebackup.system.clock import Stopwatch
from agebackup.system.process import Worker
from agebackup.system.progress import Progress, Stop

pytestmark = pytest.mark.linux

NAME = "mail-20260102T030405Z-0123abcd.tar.age"
LONGEST = f"{'a' * 40}-20260102T030405Z-0123abcd-manual.tar.zst.age"
LARGE = 5 << 20
SLOW = "4M"
"""Bytes per second that leave time to strike in the middle of `LARGE`."""


@dataclass(frozen=True)
class Stage:
    """A remote, what its test may look behind it with, and the private room it works in."""

    site: Site
    means: Means
    room: Path

    @cached_property
    def remote(self) -> Remote:
        return self.site.remote(self.means)

    def parcel(self, content: bytes, name: str = NAME) -> Parcel:
        path = self.room / "to-send"
        path.write_bytes(content)
        return Parcel(path, name, len(content), hashlib.sha256(content).hexdigest())

    def put(self, content: bytes, name: str = NAME) -> None:
        self.remote.put(self.parcel(content, name))

    def listed(self) -> dict[str, FolderEntry]:
        """Return what the remote lists of whole files that are no leftovers."""
        return {e.name: e for e in self.remote.entries() if not e.partial and e.name[:2] != ".~"}

    def fetched(self, entry: FolderEntry) -> bytes:
        output = self.room / f"fetched-{entry.name}"
        self.remote.get(entry, output)
        try:
            return output.read_bytes()
        finally:
            output.unlink()

    def struck(self, progress: Progress) -> Remote:
        """Return the remote, slow, with a progress that strikes in the middle of transfers."""
        means = replace(self.means, progress=progress, bandwidth=SLOW)
        return self.site.remote(means)


@pytest.fixture(params=KINDS)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    room, workspace = tmp_path / "room", tmp_path / "workspace"
    room.mkdir(), workspace.mkdir()
    with KINDS[request.param](tmp_path) as site:
        claims = Claims(tmp_path / "state" / "claims")
        yield Stage(site, Means(site.environment, workspace, claims, Progress()), room)
        claims.sweep()
        assert not list(workspace.iterdir()), "something was left in the workspace"
        left = [path.name for path in room.iterdir() if path.name.startswith(".~")]
        assert not left and not list((tmp_path / "state").rglob("*.json"))


def content(size: int) -> bytes:
    return os.urandom(size)


def test_what_was_put_is_listed_and_comes_back_until_it_is_removed(stage: Stage) -> None:
    """An archive goes there and back unchanged; a removed one is gone, and may be removed again."""
    remote, sent = stage.remote, content(70_000)
    assert remote.entries() == () and not remote.has(NAME)
    remote.put(stage.parcel(sent))
    (entry,) = remote.entries()
    assert (entry.name, entry.size, entry.partial) == (NAME, len(sent), False)
    assert entry.sha256 in ("", hashlib.sha256(sent).hexdigest())
    assert entry.regular and not entry.evicted
    assert remote.has(NAME) and not remote.has(LONGEST)
    assert stage.fetched(entry) == sent and stage.site.read(NAME) == sent
    assert NAME in remote.called(NAME)
    remote.remove(entry)
    assert remote.entries() == () and not remote.has(NAME) and stage.site.read(NAME) is None
    remote.remove(entry)


def test_every_size_arrives_whole(stage: Stage) -> None:
    """Sizes at the edges of blocks, and none at all, are carried like any other."""
    sent = {f"{size}.age": content(size) for size in (0, 1, 65536, LARGE)}
    for name, one in sent.items():
        stage.put(one, name)
    assert {name: entry.size for name, entry in stage.listed().items()} == {
        name: len(one) for name, one in sent.items()
    }
    for name in ("0.age", f"{LARGE}.age"):
        assert stage.fetched(stage.listed()[name]) == sent[name]


def test_what_is_put_again_changes_nothing(stage: Stage) -> None:
    """A push that is not sure whether the last one worked may simply be repeated."""
    sent = content(5000)
    stage.put(sent)
    before = stage.remote.entries()
    stage.put(sent)
    assert [(e.name, e.size) for e in stage.remote.entries()] == [(e.name, e.size) for e in before]
    assert stage.site.read(NAME) == sent


def test_other_content_of_the_same_name_is_replaced(stage: Stage) -> None:
    """A rekeyed archive takes the place of its former content, even one of exactly its size."""
    for size in (5000, 5000, 300):
        sent = content(size)
        stage.put(sent)
        assert stage.site.read(NAME) == sent
    assert list(stage.listed()) == [NAME]


def test_half_of_one_is_mended(stage: Stage) -> None:
    """What a broken transfer left under the archive's name is replaced by all of it."""
    sent = content(5000)
    stage.put(sent)
    stage.site.cut(NAME, 1234)
    assert NAME not in stage.listed() or stage.listed()[NAME].size != 5000
    stage.put(sent)
    assert stage.site.read(NAME) == sent and stage.listed()[NAME].size == 5000


def test_the_longest_names_are_carried(stage: Stage) -> None:
    """An archive of the longest app's name, made by hand and compressed, keeps its name."""
    names = (LONGEST, f"{'b' * 91}.note.age")
    for name in names:
        stage.put(b"x", name)
    assert sorted(stage.listed()) == sorted(names)


def test_what_is_absent_cannot_be_fetched(stage: Stage) -> None:
    """An archive that is gone by now is said to be gone: exit code 10."""
    stage.put(b"here")
    with pytest.raises(NotFoundError):
        stage.fetched(FolderEntry(LONGEST, 4, 0.0))
    (entry,) = stage.remote.entries()
    stage.remote.remove(entry)
    with pytest.raises(NotFoundError):
        stage.fetched(entry)


def test_what_changed_since_it_was_listed_is_not_taken(stage: Stage) -> None:
    """A file that another replaced or cut between listing and fetching is not handed on."""
    stage.put(content(5000))
    (entry,) = stage.remote.entries()
    stage.site.cut(NAME, 1234)
    with pytest.raises(VerificationError):
        stage.fetched(entry)


def test_files_of_others_are_listed_and_left_alone(stage: Stage) -> None:
    """What else lies there is seen, and stays as it is whatever is put and removed beside it."""
    stage.site.write("holiday.jpg", b"jpeg")
    stage.put(b"first")
    assert sorted(stage.listed()) == sorted([NAME, "holiday.jpg"])
    stage.put(b"second!")
    stage.remote.remove(stage.listed()[NAME])
    assert stage.site.read("holiday.jpg") == b"jpeg"
    assert list(stage.listed()) == ["holiday.jpg"]


def test_a_transfer_that_was_corrupted_is_noticed(stage: Stage) -> None:
    """Where hashes are compared, what is not the archive that was meant fails the push."""
    parcel = replace(stage.parcel(content(5000)), sha256="0" * 64)
    if stage.remote.capabilities.compares == "size":
        parcel = replace(parcel, size=5001)
    with pytest.raises(FailedError):
        stage.remote.put(parcel)
    assert NAME not in stage.listed() or not stage.remote.capabilities.atomic


class Killed(Progress):
    """Ends this very process in the middle of the first transfer, as a power cut does."""

    def __init__(self, method: str) -> None:
        super().__init__()
        setattr(self, method, lambda *_: os.kill(os.getpid(), 9))


def test_a_push_that_is_killed_leaves_nothing_false_and_the_next_converges(stage: Stage) -> None:
    """After a kill amid a transfer no name shows a whole archive that is none; a put mends it."""
    sent = content(LARGE)
    parcel, remote = stage.parcel(sent), stage.struck(Killed(stage.site.struck))
    with Worker.start(lambda: remote.put(parcel)) as worker, pytest.raises(FailedError):
        worker.result(Progress())
    assert stage.listed().get(NAME) is None or stage.listed()[NAME].size != LARGE
    _converges(stage, sent)


class Stopped(Progress):
    """Asks for the end in the middle of the first transfer, as Ctrl-C does."""

    def __init__(self, method: str) -> None:
        super().__init__(Stop())
        setattr(self, method, lambda *_: self.stop.request(2))


def test_a_push_that_is_stopped_ends_at_once(stage: Stage) -> None:
    """Ctrl-C amid a transfer is obeyed within a second or two and leaves nothing to clean up."""
    sent, watch = content(LARGE), Stopwatch()
    with pytest.raises(StoppedError):
        stage.struck(Stopped(stage.site.struck)).put(stage.parcel(sent))
    assert watch.seconds < 10
    assert NAME not in stage.listed()
    _converges(stage, sent)


def _converges(stage: Stage, sent: bytes) -> None:
    """After the next run's sweep and a put, the archive lies there, and nothing beside it.

    A server may show what a dead client sent only after it noticed: then the put after that clears.
    """
    stage.means.claims.sweep()
    stage.put(sent)
    assert (NAME, len(sent)) in [(e.name, e.size) for e in stage.remote.entries()]
    if len(stage.remote.entries()) > 1:
        stage.put(sent)
    assert [(e.name, e.size) for e in stage.remote.entries()] == [(NAME, len(sent))]
    assert stage.site.read(NAME) == sent


def test_a_place_that_is_not_there_is_said(stage: Stage) -> None:
    """What does not exist, or cannot be reached, is no empty destination."""
    gone = stage.site.gone(stage.means)
    with pytest.raises((NotFoundError, OutOfReachError)):
        gone.entries()
    assert not gone.has(NAME)


def test_a_place_has_one_key_however_it_is_written(stage: Stage) -> None:
    """The ledger knows a place by one name, so that no archive is pushed to it twice."""
    assert {one.key for one in stage.site.spelt(stage.means)} == {stage.remote.key}
