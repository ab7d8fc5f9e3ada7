"""What a restore puts into place, and what it refuses before it begins."""

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Keys, World
from hostile import Bag, Manifest, header, member, stream_of

from agebackup.errors import FailedError, RefusedError, UsageError, VerificationError
from agebackup.model.limits import Limits
from agebackup.model.reports import RestoreReport
from agebackup.operations import receivers
from agebackup.operations.answering import facts_of
from agebackup.operations.reading import Reading, open_archive
from agebackup.operations.receivers import DatabaseSpool, Selection
from agebackup.operations.restore import RestoreOrder, restore
from agebackup.operations.stage import Wanted
from agebackup.operations.staging import Staging
from agebackup.operations.verify import verify_archive, verify_extracted
from agebackup.snapshot.bag import Member
from agebackup.snapshot.keys import read_identities
from agebackup.system.claims import Claims
from agebackup.system.progress import Progress

LONG = "/".join(["n" * 250] * 15)


class Desk:
    """Makes archives of bags, and restores them to `target`."""

    def __init__(self, directory: Path, keys: Keys) -> None:
        self.directory, self.keys = directory, keys
        self.target = directory / "target"
        self.archive = directory / "made.tar.age"
        self.claims = Claims(directory / "claims")
        identities = read_identities([keys.identity], passphrase=None, warn=lambda text: None)
        self.reading = Reading(identities, Limits(depth=2_000), Progress())

    def put(self, stream: bytes) -> None:
        """Encrypt `stream` as the archive."""
        command = ["age", "-r", self.keys.recipient, "-o", self.archive]
        subprocess.run(command, input=stream, check=True)

    def restore(self, target: Path | None = None, **options: object) -> RestoreReport:
        """Restore the archive."""
        overwrite = bool(options.pop("overwrite", False))
        wanted = Wanted(self.archive, **options)
        order = RestoreOrder(wanted, target or self.target, "pre_restore_now", overwrite)
        return restore(order, self.claims, self.reading)

    def verify(self) -> None:
        """Verify the archive."""
        verify_archive(self.archive, self.directory / "work", self.claims, self.reading)

    def leftovers(self) -> list[Path]:
        """Return temporary things beside the target."""
        return list(self.directory.glob(".~agebackup*"))


@pytest.fixture
def desk(tmp_path: Path, keys: Keys) -> Iterator[Desk]:
    """A place to restore to, cleaned by a program that knows no longest path."""
    yield Desk(tmp_path, keys)
    subprocess.run(["rm", "-rf", tmp_path], check=True)


def names(top: Path) -> set[str]:
    """Return what lies below `top`; directories end in a slash."""
    return {
        f"{path.relative_to(top)}{'/' if path.is_dir() else ''}" for path in sorted(top.rglob("*"))
    }


def content_below(directory: Path, path: str) -> bytes:
    """Return what the file at `path` holds, which with `directory` is too long for the system."""
    top = os.open(directory, os.O_RDONLY)
    try:
        with open(os.open(path, os.O_RDONLY, dir_fd=top), "rb") as file:
            return file.read()
    finally:
        os.close(top)


def described(manifest: Manifest, database: Path) -> None:
    """Let the manifest say of its only database what is true of that file."""
    facts = facts_of(database)
    record = manifest["databases"][0]  # type: ignore[index]
    record.update({key: facts[key] for key in ("schema_sha256", "rows", "encoding", "page_size")})


def made(path: Path) -> bytes:
    """Return the content of a new database."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t(x)")
    return path.read_bytes()


def tree(path: str, role: str, files: int, size: int) -> dict[str, object]:
    return {"name": path, "path": path, "role": role, "files": files, "bytes": size}


def owned(files: dict[str, bytes], *trees: dict[str, object], **more: object) -> Bag:
    """Return a bag of `files` in `trees`, config and tokens included."""

    def lie(manifest: Manifest) -> None:
        manifest.update(trees=list(trees), config_included=True, tokens_included=True, **more)

    return Bag(files, (), lie)


@pytest.mark.parametrize("below", ["/".join(["m" * 200] * 20), "d/" * 1_900 + "x"])
def test_the_longest_and_deepest_paths_come_back(desk: Desk, below: str) -> None:
    """Whatever the format allows and verify accepts can be restored."""
    below = below[: 4_040 - len("data/attachments/")]
    desk.put(Bag({f"data/attachments/{below}": b"deep down"}, ()).stream())
    desk.verify()
    desk.restore()
    assert content_below(desk.target / "attachments", below) == b"deep down"
    assert not desk.leftovers()


def test_a_database_deep_down_is_examined(desk: Desk) -> None:
    """A database whose path SQLite could not open is checked and restored like any other."""
    content = made(desk.directory / "made.db")
    place = f"data/{LONG}/a.db"

    def lie(manifest: Manifest) -> None:
        described(manifest, desk.directory / "made.db")
        manifest["trees"] = []

    desk.put(Bag({place: content}, (place,), lie).stream())
    desk.verify()
    desk.restore()
    head = content_below(desk.target, f"{LONG}/a.db")
    assert head[18:20] == b"\x02\x02" and head[20:] == content[20:]
    assert not desk.leftovers()


def test_what_lies_inside_unwanted_trees(desk: Desk) -> None:
    """Leaving tokens out takes away their files alone: neither databases nor trees inside them."""
    content = made(desk.directory / "made.db")
    files = {
        "data/secret/a.db": content,
        "data/secret/token": b"t",
        "data/secret/deep/token": b"t",
        "data/secret/blobs/one": b"b",
    }
    trees = [
        tree("data/secret", "tokens", 2, 2),
        tree("data/secret/blobs", "attachments", 1, 1),
    ]

    def lie(manifest: Manifest) -> None:
        described(manifest, desk.directory / "made.db")
        empty = ["data/secret/gone", "data/secret/blobs/kept"]
        manifest.update(trees=trees, tokens_included=True, empty_directories=empty)

    desk.put(Bag(files, ("data/secret/a.db",), lie).stream())
    report = desk.restore(tokens=False)
    expected = {"secret/", "secret/a.db", "secret/blobs/", "secret/blobs/one"}
    assert names(desk.target) == expected | {"secret/blobs/kept/"}
    assert report.left_out == ("tokens: secret",)
    assert (report.files, report.bytes) == (2, len(content) + 1)


def test_tokens_that_are_the_whole_payload(desk: Desk) -> None:
    """A tokens tree whose path is data itself is left out but for the trees inside it."""
    files = {"data/token": b"t", "data/blobs/one": b"b"}
    desk.put(
        owned(
            files,
            tree("data", "tokens", 1, 1),
            tree("data/blobs", "attachments", 1, 1),
        ).stream()
    )
    desk.restore(tokens=False)
    assert names(desk.target) == {"blobs/", "blobs/one"}


@pytest.mark.parametrize(
    "options", [{"tokens": False}, {"config": False}, {"selection": Selection.of(["*.db"])}]
)
def test_a_part_of_a_bag_is_refused(desk: Desk, options: dict[str, object]) -> None:
    """--keep-bag with anything that leaves files out is refused before the archive is looked at."""
    with pytest.raises(UsageError, match="whole or not at all"):
        desk.restore(keep_bag=True, **options)
    assert not desk.target.exists()


def test_the_old_state_is_named_after_the_real_target(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the target is spelt, the old state lies beside it under its own name."""
    desk.put(Bag({"data/attachments/a": b"a"}, ()).stream())
    inner = desk.target / "inner"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    report = desk.restore(Path(".."), overwrite=True)
    assert report.previous_state == f"{desk.target}.pre_restore_now"
    link = desk.directory / "link"
    link.symlink_to(desk.target)
    os.rename(f"{desk.target}.pre_restore_now", desk.directory / "older")
    assert desk.restore(link, overwrite=True).previous_state == f"{desk.target}.pre_restore_now"


def test_an_empty_mount_point_is_refused_at_once(desk: Desk) -> None:
    """A mount point cannot be exchanged, empty or not: that is said before anything is read."""
    with pytest.raises(RefusedError, match="mount point"):
        desk.restore(Path("/proc"))


@pytest.mark.parametrize("mtime", [2**63 - 1, -(2**63)])
def test_times_beyond_the_system(desk: Desk, mtime: int) -> None:
    """A time that no system can set does not keep a file from being restored."""
    files = {"data/attachments/a": b"a"}
    entries = Bag(files, ()).members()
    field = mtime.to_bytes(12, "big", signed=True) if mtime < 0 else b"\x80" + mtime.to_bytes(11)
    plain = member("app/data/attachments/a", b"a")
    odd = header(b"app/data/attachments/a", 1, mtime=field) + plain[512:]
    stream = stream_of(entries)
    assert plain in stream
    desk.put(stream.replace(plain, odd))
    desk.restore()
    assert (desk.target / "attachments" / "a").read_bytes() == b"a"


def test_a_time_that_is_refused_is_told(tmp_path: Path) -> None:
    """A file whose time cannot be set is kept, and counted for a warning."""
    top = os.open(tmp_path, os.O_RDONLY)
    with closing(Staging(top, tmp_path, Selection(), lambda place, path: None)) as staging:
        assert staging.begin("data/a", Member("data/a", 0, 2**70, 0o600), b"") is not None
        staging.end("data/a", b"")
        assert staging.untimed == 1
    os.close(top)


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("kind", ["spool", "staging"])
@pytest.mark.linux
def test_receivers_hold_nothing_after_a_failure(tmp_path: Path, kind: str) -> None:
    """Reading that fails amid a file leaves no descriptor open."""
    top = os.open(tmp_path, os.O_RDONLY)
    before = open_descriptors()
    arrived: Callable[[str, Path], None] = lambda place, path: None  # noqa: E731
    made = (
        DatabaseSpool(tmp_path, arrived)
        if kind == "spool"
        else Staging(top, tmp_path, Selection(), arrived)
    )
    with pytest.raises(FailedError), closing(made) as receiver:
        receiver.begin("data/a/b", Member("data/a/b", 9, 0, 0o600), b"SQLite format 3\0")
        assert open_descriptors() > before
        raise FailedError("reading failed")
    assert open_descriptors() == before
    os.close(top)


def test_spooling_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Databases beyond the ten thousandth do not go through the disk any more."""
    monkeypatch.setattr(receivers, "MAX_SPOOLED", 2)
    places: list[str] = []
    spool = DatabaseSpool(tmp_path, lambda place, path: places.append(place))
    for number in range(4):
        spool.begin(f"data/{number}", Member("", 0, 0, 0o600), b"SQLite format 3\0")
        spool.end(f"data/{number}", b"")
    assert places == ["data/0", "data/1"]


@pytest.mark.linux
def test_a_file_system_without_hard_links(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Databases are examined, as copies, where the target's file system knows no hard links."""

    def unlinked(*arguments: object, **options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    content = made(desk.directory / "made.db")

    def lie(manifest: Manifest) -> None:
        described(manifest, desk.directory / "made.db")
        manifest["databases"][0]["user_version"] = 7  # type: ignore[index]
        manifest["trees"] = []

    desk.put(Bag({"data/a.db": content}, ("data/a.db",), lie).stream())
    monkeypatch.setattr(os, "link", unlinked)
    with pytest.raises(VerificationError) as caught:
        desk.restore()
    assert caught.value.details == ("a.db: user version is 0, the manifest says 7",)


def test_an_evicted_archive(tmp_path: Path) -> None:
    """A name with a size and no content is told from a small file that takes no block."""
    evicted = tmp_path / "evicted"
    with evicted.open("wb") as file:
        file.truncate(100_000)
    with pytest.raises(Exception, match="in the cloud"), open_archive(evicted):
        pass
    whole = tmp_path / "whole"
    whole.write_bytes(bytes(100_000))
    with open_archive(whole) as descriptor:
        assert os.lseek(descriptor, 0, os.SEEK_CUR) == 0


def test_an_extracted_database_is_examined_as_it_was_hashed(desk: Desk) -> None:
    """verify DIR looks into private copies: nobody can exchange a database in between."""
    content = made(desk.directory / "made.db")

    def lie(manifest: Manifest) -> None:
        described(manifest, desk.directory / "made.db")
        manifest["trees"] = []

    desk.put(Bag({"data/a.db": content}, ("data/a.db",), lie).stream())
    desk.restore(keep_bag=True)

    class Exchanging(Progress):
        """Exchanges the database for a link as soon as it was read."""

        def advance(self, count: int) -> None:
            super().advance(count)
            database = desk.target / "data" / "a.db"
            if count == len(content) and not database.is_symlink():
                database.unlink()
                database.symlink_to("/dev/zero")

    reading = Reading(desk.reading.identities, Limits(), Exchanging())
    with pytest.raises(VerificationError) as caught:
        verify_extracted(desk.target, desk.directory / "work", desk.claims, reading)
    assert all("symbolic link" in line for line in caught.value.details)


def test_absolute_references_verify(world: World, keys: Keys) -> None:
    """An archive whose database names attachments by absolute paths is proved, and verifies."""
    blobs, out = world.directory / "blobs", world.directory / "out"
    blobs.mkdir()
    out.mkdir()
    (blobs / "a").write_bytes(b"a")
    database = world.directory / "a.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE t(path)")
        connection.execute("INSERT INTO t VALUES (?)", (str(blobs / "a"),))
        connection.commit()
    words = ("create", "--db", database, "--attachments", blobs, "--to", out, "-r", keys.recipient)
    outcome = world.run(*words, "--referenced-by", "a.db: SELECT path FROM t")
    assert outcome.code == 0, outcome.err
    verified = world.run("verify", outcome.out.strip(), "-i", keys.identity)
    assert verified.code == 0, verified.err
