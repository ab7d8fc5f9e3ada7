"""GitHub's releases: what the real `gh` meets at the stand-in, and what a person learns of it."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from github_stand_in import HOST, TOKEN, Asset, Fault, Release, StandIn, stand_in

from agebackup.destinations.github import PART_BYTES, GitHub
from agebackup.destinations.interface import Means, OutOfReachError, Parcel
from agebackup.errors import (
    AgebackupError,
    FailedError,
    NotFoundError,
    RefusedError,
    UsageError,
    VerificationError,
)
from agebackup.ledger import open_ledger
from agebackup.model.inventory import FolderEntry
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord
from agebackup.model.releases import described_in, release_text, tag_of
from agebackup.model.whereabouts import Whereabouts
from agebackup.operations.removal import finish_deletions
from agebackup.system.claims import Claims
from agebackup.system.process import Worker
from agebackup.system.progress import Progress

pytestmark = pytest.mark.linux

NAME = "mail-20260102T030405Z-0123abcd.tar.age"
TAG = "mail-20260102T030405Z-0123abcd"
PLACE = "ada/backups"


class Told(Progress):
    """Keeps what a person would be told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def warn(self, text: str) -> None:
        self.told.append(text)


@dataclass(frozen=True)
class Bench:
    """A repository at the stand-in and a file to carry there."""

    world: StandIn
    directory: Path
    progress: Told = field(default_factory=Told)

    def hub(self, place: str = PLACE, part_bytes: int = PART_BYTES, **more: object) -> GitHub:
        environment = {**self.world.environment(self.directory), **more.pop("environment", {})}  # type: ignore
        claims = Claims(self.directory / "claims")
        means = Means(environment, self.directory / "workspace", claims, self.progress)
        where = Whereabouts("github", place, **more)  # type: ignore[arg-type]
        return GitHub(where, means, part_bytes, (0.0, 0.0), 0.0)

    def parcel(self, content: bytes = b"sent", name: str = NAME) -> Parcel:
        path = self.directory / "file"
        path.write_bytes(content)
        return Parcel(path, name, len(content), hashlib.sha256(content).hexdigest())

    @property
    def releases(self) -> list[Release]:
        return self.world.repository(PLACE).releases

    def whole(self, content: bytes) -> None:
        """Assert that the archive lies there once, published, and nothing else does."""
        (release,) = self.releases
        assert not release.draft and release.tag == TAG
        assets = sorted(release.assets, key=lambda asset: asset.name)
        assert b"".join(asset.content for asset in assets) == content
        assert all(asset.state == "uploaded" for asset in assets)
        (entry,) = self.hub().entries()
        assert (entry.name, entry.size, entry.partial) == (NAME, len(content), False)
        assert self.world.repository(PLACE).tags == {TAG}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with stand_in() as world:
        world.repository(PLACE)
        made = Bench(world, tmp_path)
        yield made
        assert not any(TOKEN in text for text in made.progress.told)


def failing(bench: Bench, kind: type[AgebackupError], *words: str) -> AgebackupError:
    """Put a file there, see that it fails as `kind`, and that message and hint say `words`."""
    with pytest.raises(kind) as caught:
        bench.hub().put(bench.parcel())
    error = caught.value
    said = f"{error.message} {error.hint}"
    assert all(word in said for word in words), said
    assert TOKEN not in said and error.hint
    return error


def test_a_release_tells_a_person_how_to_get_its_archive_back(bench: Bench) -> None:
    """The text beside the file has its hash and size and a recipe, and we read it again."""
    parcel = bench.parcel(b"x" * 5000)
    bench.hub().put(parcel)
    (release,) = bench.releases
    assert release.tag == TAG and [asset.name for asset in release.assets] == [NAME]
    for words in (
        parcel.sha256,
        "5000 bytes",
        f"age -d -i key.txt -o {NAME[:-4]} {NAME}",
        "tar xf",
    ):
        assert words in release.body
    assert described_in(release.body).sha256 == parcel.sha256  # type: ignore[union-attr]
    bench.whole(b"x" * 5000)


def test_an_archive_over_the_limit_goes_in_parts_that_cat_joins(bench: Bench) -> None:
    """Its parts in order are the archive, the text says so, and getting it back joins them."""
    content = os.urandom(2500)
    hub = bench.hub(part_bytes=1000)
    hub.put(bench.parcel(content))
    names = [f"{NAME}.part-{n:03}-of-003" for n in (1, 2, 3)]
    assert [asset.name for asset in bench.releases[0].assets] == names
    assert f"cat {NAME}.part-* > {NAME}" in bench.releases[0].body
    bench.whole(content)
    output = bench.directory / "back"
    hub.get(hub.entries()[0], output)
    assert output.read_bytes() == content and output.stat().st_mode & 0o777 == 0o600


def test_only_missing_and_wrong_parts_are_sent_again(bench: Bench) -> None:
    """A push of many parts that broke off goes on where it was; a damaged part is replaced."""
    content = os.urandom(3500)
    hub = bench.hub(part_bytes=1000)
    hub.put(bench.parcel(content))
    assets = bench.releases[0].assets
    del assets[1]
    assets[2].content, assets[2].digest = b"y" * 500, None
    assert [entry.partial for entry in hub.entries()] == [True]
    bench.world.asked.clear()
    hub.put(bench.parcel(content))
    assert bench.world.count("^POST .*/assets") == 2
    bench.whole(content)


def test_parts_too_many_are_refused_before_anything_is_sent(bench: Bench) -> None:
    """An archive that no release could hold fails at once."""
    with pytest.raises(FailedError, match="parts"):
        bench.hub(part_bytes=1).put(bench.parcel(b"x" * 1001))
    assert not bench.world.asked


PASSING = {
    "failing": [
        Fault("graphql", 502),
        Fault("POST .*/releases$", 503),
        Fault("POST .*/assets", 500),
        Fault("POST .*/assets", 502, half=1000),
        Fault("PATCH", 0, after=True),
    ],
    "breaking": [
        Fault("graphql", 0),
        Fault("POST .*/releases$", 0, after=True),
        Fault("POST .*/assets", 0, half=2000),
        Fault("POST .*/assets", 0, after=True),
    ],
    "limiting": [
        Fault("graphql", 403, headers={"X-RateLimit-Remaining": "0"}),
        Fault("POST .*/releases$", 429, headers={"Retry-After": "0"}),
        Fault("POST .*/assets", 403, message="You have exceeded a secondary rate limit."),
    ],
}


@pytest.mark.parametrize("kind", PASSING)
def test_what_passes_is_tried_again_until_the_archive_lies_there(bench: Bench, kind: str) -> None:
    """Servers that fail, break off, answer nothing or want a pause cost repetitions, no archive."""
    bench.world.faults += [replace(fault) for fault in PASSING[kind]]
    bench.hub().put(bench.parcel(b"z" * 4000))
    assert not any(fault.times for fault in bench.world.faults)
    again = [text for text in bench.progress.told if "Trying again" in text]
    assert len(again) == len(bench.world.faults)
    bench.whole(b"z" * 4000)


def test_three_attempts_are_all(bench: Bench) -> None:
    """A server that stays broken fails the push as one that may be repeated."""
    bench.world.faults.append(Fault("POST .*/assets", 500, times=9))
    error = failing(bench, OutOfReachError, "500", "tried 3 times")
    assert error.exit_code == 1 and bench.world.count("POST .*/assets") == 3
    assert [entry.partial for entry in bench.hub().entries()] == [True]
    bench.world.faults.clear()
    bench.hub().put(bench.parcel())
    bench.whole(b"sent")


def test_a_long_rate_limit_ends_it_at_once(bench: Bench) -> None:
    """Who must wait for longer than a nightly run can is not kept waiting."""
    limit = Fault("POST .*/releases$", 429, times=9, headers={"Retry-After": "3000"})
    bench.world.faults.append(limit)
    failing(bench, OutOfReachError, "3000 seconds")
    assert limit.times == 8


def test_no_network_is_out_of_reach(bench: Bench) -> None:
    """A proxy or network that is not there is said as what it is, after three attempts."""
    nowhere = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    with pytest.raises(OutOfReachError, match=r"cannot be reached.*tried 3 times"):
        bench.hub(environment=nowhere).entries()
    assert len(bench.progress.told) == 2


def test_no_name_server_is_out_of_reach(bench: Bench) -> None:
    """A host whose name nobody knows is a fault that may pass."""
    unknown = {"HTTP_PROXY": "http://proxy.invalid:80", "http_proxy": "http://proxy.invalid:80"}
    with pytest.raises(OutOfReachError, match="cannot be reached"):
        bench.hub(environment=unknown).entries()


PERMANENT = [
    ({"private": False}, RefusedError, ("read by everybody", "allow_public")),
    ({"archived": True}, RefusedError, ("archived", "Unarchive")),
    ({"permission": "READ"}, RefusedError, ("may not write", "scope")),
    ({"empty": True}, FailedError, ("empty", "doctor --fix")),
]


@pytest.mark.parametrize(("state", "kind", "words"), PERMANENT, ids=lambda one: str(one)[:20])
def test_what_stays_wrong_is_said_before_anything_is_sent(
    bench: Bench, state: dict[str, object], kind: type[AgebackupError], words: tuple[str, ...]
) -> None:
    """What no repetition can mend is not repeated: it is said, with what to do about it."""
    bench.world.repository(PLACE, **state)
    failing(bench, kind, *words)
    assert len(bench.world.asked) == 1 and not bench.progress.told


def test_a_public_repository_is_used_where_that_was_allowed_and_always_read(bench: Bench) -> None:
    """`allow_public` lets archives go there; getting them back needs no leave."""
    bench.world.repository(PLACE, private=False)
    bench.hub(allow_public=True).put(bench.parcel(b"sent"))
    bench.whole(b"sent")
    bench.hub().get(bench.hub().entries()[0], bench.directory / "back")


def test_no_login_no_program_and_no_repository_each_have_a_remedy(bench: Bench) -> None:
    """Each is told apart from a network that fails, is not repeated, and says what to do."""
    bench.world.token = "another"
    failing(bench, FailedError, "does not know you", "gh auth login")
    for word in ("GH_TOKEN", "PATH"):
        environment = dict(bench.world.environment(bench.directory))
        environment[word] = "" if word == "GH_TOKEN" else str(bench.directory)
        with pytest.raises(FailedError) as caught:
            bench.hub(environment=environment).entries()
        assert "gh auth login" in caught.value.hint
    bench.world.token = TOKEN
    for act in (
        bench.hub("ada/absent").entries,
        lambda: bench.hub("ada/absent").put(bench.parcel()),
    ):
        with pytest.raises(NotFoundError) as missing:
            act()
        assert "no repository ada/absent" in missing.value.message
        assert "doctor --fix" in missing.value.hint
    assert not bench.progress.told


def test_a_refusal_that_echoes_the_login_is_not_echoed(bench: Bench) -> None:
    """Whatever a server or gh says, no token of the person's reaches a message."""
    bench.world.faults.append(Fault("POST .*/releases$", 403, message=f"Not with {TOKEN}, {HOST}"))
    error = failing(bench, RefusedError, "may not write")
    assert "(not shown)" in error.message


def test_immutable_releases_take_new_archives_and_keep_them(bench: Bench) -> None:
    """A new archive is complete when it is published; one that may not go is refused, and stays."""
    bench.world.repository(PLACE, immutable=True)
    bench.hub().put(bench.parcel())
    bench.hub().put(bench.parcel())
    (entry,) = bench.hub().entries()
    with pytest.raises(RefusedError, match="immutable"):
        bench.hub().remove(entry)
    with pytest.raises(RefusedError, match="immutable"):
        bench.hub().put(bench.parcel(b"other"))
    bench.whole(b"sent")


def test_a_server_that_tells_no_hash_is_told_of(bench: Bench) -> None:
    """A person learns that only sizes were compared; what the text says is still checked."""
    bench.world.repository(PLACE, digests=False)
    hub = bench.hub()
    hub.put(bench.parcel(b"good"))
    assert any("tells no hash" in text for text in bench.progress.told)
    bench.releases[0].assets[0].content = b"evil"
    (entry,) = hub.entries()
    with pytest.raises(VerificationError):
        hub.get(entry, bench.directory / "back")


def test_an_asset_whose_hash_differs_is_replaced(bench: Bench) -> None:
    """What the server tells of the content counts for more than that the name is there."""
    bench.hub().put(bench.parcel(b"first"))
    bench.releases[0].assets[0].content, bench.releases[0].assets[0].digest = b"thirs", None
    bench.hub().put(bench.parcel(b"first"))
    bench.whole(b"first")


def test_what_arrived_otherwise_is_not_taken_for_the_archive(bench: Bench) -> None:
    """Bytes that a proxy or a server damaged fail the push, and are taken away again."""
    bench.world.damage = True
    failing(bench, OutOfReachError, "did not arrive as it was sent", "tried 3 times")
    assert not bench.releases[0].assets and bench.releases[0].draft


def test_a_file_that_changes_on_the_way_is_not_taken_for_the_archive(bench: Bench) -> None:
    """What was sent is hashed in passing: another content fails the push, and does not count."""
    parcel = bench.parcel(b"sent")
    parcel.path.write_bytes(b"sank")
    with pytest.raises(FailedError, match="not what was to be carried"):
        bench.hub().put(parcel)
    assert all(entry.partial for entry in bench.hub().entries())
    bench.hub().put(bench.parcel(b"sent"))
    bench.whole(b"sent")


def test_hundreds_of_releases_are_all_listed(bench: Bench) -> None:
    """Every page is read, and names tell what lies there, whatever order or date they have."""
    names = [f"mail-20260102T{n // 60:02}{n % 60:02}05Z-0123abcd.tar.age" for n in range(250)]
    bench.releases.extend(Release(tag_of(n), assets=[Asset(n, b"x")]) for n in names[::-1])
    assert [entry.name for entry in bench.hub().entries()] == names
    assert bench.world.count("GET .*/releases[?]") == 3


def test_what_others_put_there_is_never_taken_for_an_archive(bench: Bench) -> None:
    """Odd tags, huge texts, foreign files, double releases: seen, bounded, and left alone."""
    good = bench.parcel(b"sent")
    bench.hub().put(good)
    html = "<script>alert(1)</script>" * 5000
    others = [
        Release("../../etc/x", html, assets=[Asset("a", b"a")]),
        Release("--help", assets=[Asset("--help", b"a")]),
        Release("v1", assets=[Asset(NAME, b"evil")]),
        Release(f"{TAG[:-1]}e", assets=[Asset(NAME, b"evil"), Asset("b", b"")]),
        Release(NAME, assets=[Asset("c", b"c")]),
        Release("many", assets=[Asset(f"many{n}", b"") for n in range(3000)]),
        Release(TAG, draft=True, body=html, assets=[Asset(NAME, b"half", "starter")]),
        Release("\x1b[31mred", assets=[]),
    ]
    bench.releases[:0] = others
    entries = {entry.name: entry for entry in bench.hub().entries()}
    assert (entries[NAME].size, entries[NAME].partial) == (4, False)
    assert len(entries) < 12
    others = [entry for name, entry in entries.items() if name != NAME]
    assert all(name.startswith("release:") and "/" not in name and name.isprintable()
               for name in (e.name for e in others))  # fmt: skip
    for entry in others:
        with pytest.raises(RefusedError):
            bench.hub().remove(entry)
        with pytest.raises(NotFoundError):
            bench.hub().get(entry, bench.directory / "back")
    with pytest.raises(UsageError):
        bench.hub().put(replace(good, name="../x"))
    with pytest.raises(UsageError):
        bench.hub().put(replace(good, name="--help"))


def test_removing_takes_release_and_tag_and_drafts_of_it(bench: Bench) -> None:
    """Nothing of an archive stays; a kill between release and tag is made good by the next time."""
    hub = bench.hub()
    hub.put(bench.parcel())
    (entry,) = hub.entries()
    bench.releases.append(Release(TAG, draft=True))
    hub.remove(entry)
    assert not bench.releases and not bench.world.repository(PLACE).tags
    bench.world.repository(PLACE).tags.add(TAG)
    hub.remove(entry)
    assert not bench.world.repository(PLACE).tags
    bench.world.repository(PLACE).tags.add(TAG)
    hub.put(bench.parcel())
    bench.whole(b"sent")


def test_a_removal_that_was_killed_before_the_tag_is_ended_by_the_next(bench: Bench) -> None:
    """What prune began there, the next push or prune ends: no tag stays of what is gone."""
    name = ArchiveName.parse(NAME)
    assert name is not None
    now, hub, tags = name.time, bench.hub(), bench.world.repository(PLACE).tags
    tags.add(TAG)
    with open_ledger(bench.directory / "ledger.db") as ledger:
        row = ArchiveRecord.of(name, hub.key)
        ledger.put(replace(row, deleted=now, deleted_why="pruned", pending="delete"))
        assert list(finish_deletions("mail", hub, ledger, now, Progress())) == [NAME]
        assert not ledger.archives("mail", deleted=True)[0].pending
    assert not tags


def test_removing_leaves_what_another_put_into_the_release(bench: Bench) -> None:
    """Only the archive's own files go where somebody's lie beside them."""
    hub = bench.hub()
    hub.put(bench.parcel())
    bench.releases[0].assets.append(Asset("notes.txt", b"mine"))
    hub.remove(FolderEntry(NAME, 4, 0.0))
    assert [asset.name for asset in bench.releases[0].assets] == ["notes.txt"]


@pytest.mark.parametrize("digests", [True, False])
def test_a_content_of_the_same_size_is_replaced_even_without_hashes(
    bench: Bench, digests: bool
) -> None:
    """A rekeyed archive is told from its former self by the release's text."""
    bench.world.repository(PLACE, digests=digests)
    bench.hub().put(bench.parcel(b"first"))
    bench.hub().put(bench.parcel(b"other"))
    bench.whole(b"other")


def test_no_room_is_said_before_anything_is_fetched(bench: Bench) -> None:
    """An archive larger than the disk's free space is not begun."""
    bench.hub().put(bench.parcel())
    (entry,) = bench.hub().entries()
    bench.releases[0].assets[0].content = _Endless()  # type: ignore[assignment]
    bench.world.repository(PLACE, digests=False)
    with pytest.raises(FailedError, match="free bytes"):
        bench.hub().get(replace(entry, size=1 << 50), bench.directory / "back")
    assert not (bench.directory / "back").exists()


class _Endless(bytes):
    """Is told as larger than any disk."""

    def __len__(self) -> int:
        return 1 << 50


POINTS = ["graphql", "POST .*/releases$", "GET .*/assets", "POST .*/assets", "PATCH"]


@pytest.mark.parametrize("point", POINTS)
def test_a_push_killed_at_any_request_is_made_good_by_the_next(bench: Bench, point: str) -> None:
    """Wherever the process dies, nothing false is listed, and another push leaves one archive."""
    content = os.urandom(2500)
    hub, parcel = bench.hub(part_bytes=1000), bench.parcel(content)
    with Worker.start(lambda: hub.put(parcel)) as worker:
        original = bench.world.due

        def deadly(request: str) -> Fault | None:
            if bench.world.count(point) and not worker_is_dead:
                worker_is_dead.append(True)
                os.kill(worker.pid, 9)
                return Fault("", after=True) if point == "PATCH" else Fault("", 0)
            return original(request)

        worker_is_dead: list[bool] = []
        bench.world.due = deadly  # type: ignore[method-assign]
        with pytest.raises(FailedError):
            worker.result(Progress())
    assert worker_is_dead
    assert all(e.partial or e.size == len(content) for e in bench.hub().entries())
    hub.put(parcel)
    bench.whole(content)


@pytest.mark.parametrize(
    "said, kind, words",
    [
        ("exit 0", OutOfReachError, "cannot be reached"),
        ("""printf 'HTTP/2.0 200 OK\r\n\r\n{"id":1}\n'""", OutOfReachError, "no release"),
        ("""printf 'HTTP/2.0 200 OK\r\n\r\n'; exec yes '{}'""", FailedError, "does not end"),
    ],
)
def test_what_is_no_listing_is_not_taken_for_an_empty_one(
    bench: Bench, said: str, kind: type[AgebackupError], words: str
) -> None:
    """Where gh says nothing, nonsense or no end of it, nobody concludes that copies are gone."""
    programs = bench.directory / "bin"
    programs.mkdir()
    (programs / "gh").write_text(f"#!/bin/sh\n{said}\n")
    (programs / "gh").chmod(0o755)
    hub = bench.hub(environment={"PATH": f"{programs}:{os.environ['PATH']}"})
    with pytest.raises(kind, match=words):
        hub.entries()
    if "yes" in said:
        with pytest.raises(kind, match=words):
            hub.look()


def test_the_text_of_a_release_is_read_strictly() -> None:
    """Only what agebackup wrote counts as its text, to the letter."""
    text = "| | |\n|---|---|\n| File | `a.age` |\n| Size | 5 bytes |\n"
    assert described_in(text) is None
    whole = f"{text}| SHA-256 | `{'a' * 64}` |\n\nWords."
    found = described_in(whole)
    assert found is not None and described_in(release_text(found)) == found
    for wrong in (whole.replace("5", "05"), whole.replace("aaaa", "AAAA"), f"x{whole}",
                  whole.replace("a.age", "../a"), whole.replace("| Size", "| size")):  # fmt: skip
        assert described_in(wrong) is None
