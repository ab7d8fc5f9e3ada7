"""Bags: what is written is accepted by every tool in use, and read back strictly."""

import hashlib
import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest
from bounded import Keep
from hostile import SQLITE, manifest_for
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import PLACES

from agebackup.errors import (
    FailedError,
    RefusedError,
    UsageError,
)
from agebackup.model.limits import Limits
from agebackup.model.manifest import Manifest, decode_manifest, encode_manifest
from agebackup.snapshot.bag import (
    BagContents,
    BagWriter,
    FileChangedError,
    Member,
    read_bag,
    read_extracted,
)
from agebackup.system.progress import Progress

NASTY = (
    "-rf", "--help", "*", "*star", "a b", " leading", "quote'\"", "$HOME", "~", "%25", "100%",
    "back\\slash", "back\\nslash", "\\", "#hash", "ünï", "u\u0308 nfd", "emoji \U0001f600", "a:b",
    "\u202eright-to-left", "\u200bzero", "semi;colon", "a..b", "..a", "a.", "CON", "aux.txt", "?",
    "\ufeffbom", "|", "[x]", "{y}", "&", "data/data", "x" * 255,
)  # fmt: skip


class Making:
    """A bag in a file, made by our writer."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "bag.tar"
        self.files: dict[str, bytes] = {}
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self.bag = BagWriter(self._descriptor, "app", mtime=1_700_000_000, progress=Progress())
        self.bag.add_leading(b"# Hello\n")

    def add(self, files: dict[str, bytes]) -> None:
        """Add payload files."""
        for place, content in files.items():
            record = self.bag.add_content(place, content)
            assert record[:3] == (place, len(content), hashlib.sha256(content).digest())
            self.files[place] = content

    def finish(self, databases: Iterable[str] = (), **changes: object) -> Path:
        """End the bag with an honest manifest, but for `changes`, and return its path."""
        record = manifest_for(self.files, tuple(databases))
        record["clashing_names"] = self.bag.clashing_names
        trees = record["trees"]
        assert isinstance(trees, list)
        trees[0]["path"] = "data"
        record.update(changes)
        info = [("Payload-Oxum", f"{self.bag.bytes}.{self.bag.files}")]
        totals = self.bag.finish(encode_manifest(_manifest(record)), info)
        assert totals == (len(self.files), sum(map(len, self.files.values())), totals[2])
        os.close(self._descriptor)
        return self.path

    def read(self, **limits: int) -> BagContents:
        """Read the finished bag with our reader."""
        with self.path.open("rb") as file:
            return read_bag(file.fileno(), Keep(), limits=Limits(**limits), progress=Progress())


def _manifest(record: dict[str, object]) -> Manifest:
    import msgspec

    return decode_manifest(msgspec.json.encode(record))


def made(directory: Path, files: dict[str, bytes], databases: Iterable[str] = ()) -> Path:
    """Return the path of a bag of `files`."""
    making = Making(directory)
    making.add(files)
    return making.finish(databases)


def run(*command: object, cwd: Path) -> None:
    """Run `command`, which must succeed and find nothing to say on stderr."""
    assert shutil.which(str(command[0])), f"{command[0]} is missing: run scripts/test"
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, check=False)
    assert done.returncode == 0, done


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bag with every odd name that a bag can carry, extracted by GNU tar."""
    directory = tmp_path_factory.mktemp("nasty")
    files = {f"data/{name}": name.encode() * 3 for name in NASTY}
    long = {"data/" + "/".join(["long" * 20] * 12): b"long", "data/" + "n" * 250 + "/x": b"name"}
    run("tar", "xf", made(directory, files | long), cwd=directory)
    return directory / "app"


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("sha256sum", "-c", "--strict"), marks=pytest.mark.linux),
        pytest.param(("busybox", "sha256sum", "-c"), marks=pytest.mark.linux),
        ("shasum", "-a", "256", "-c"),
    ],
    ids=["sha256sum", "busybox", "shasum"],
)
@pytest.mark.parametrize("name", ["manifest-sha256.txt", "tagmanifest-sha256.txt"])
def test_stock_checkers_accept_it(command: tuple[str, ...], name: str, nasty: Path) -> None:
    """A person without agebackup can check every file, whatever its name, with what there is."""
    run(*command, name, cwd=nasty)


def test_the_reference_validator_accepts_it(nasty: Path) -> None:
    """The Library of Congress validator calls it a valid bag."""
    run(sys.executable, "-m", "bagit", "--validate", nasty, cwd=nasty.parent)


def test_our_reader_accepts_what_tar_extracted(nasty: Path) -> None:
    """An extracted bag reads as the stream did."""
    stream = nasty.parent / "bag.tar"
    with stream.open("rb") as file:
        read = read_bag(file.fileno(), Keep(), limits=Limits(), progress=Progress())
    extracted = read_extracted(nasty, Keep(), limits=Limits(), progress=Progress())
    assert read.differences == extracted.differences == ()
    assert read.lines == extracted.lines
    assert read.manifest == extracted.manifest
    assert read.tag_files == extracted.tag_files


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    files=st.dictionaries(
        PLACES.map(lambda place: f"data/{place}"), st.binary(max_size=1500), max_size=8
    )
)
def test_any_names_and_contents_come_back(files: dict[str, bytes], tmp_path: Path) -> None:
    """Whatever a bag accepts, it gives back: or it refuses a name that cannot be beside another."""
    making = Making(tmp_path)
    for place, content in files.items():
        try:
            making.add({place: content})
        except RefusedError:
            others = making.files.keys()
            assert any(p.startswith(place + "/") or place.startswith(p + "/") for p in others)
    making.finish()
    contents = making.read()
    assert contents.differences == ()
    assert contents.files == len(making.files)
    for place, content in making.files.items():
        assert contents.digest_of(place) == hashlib.sha256(content).digest()
    assert contents.digest_of("data/not there") is None


def test_hashes_are_found_for_many_places(tmp_path: Path) -> None:
    """Hashes are found by their place, also where one place ends like a line of another."""
    files = {f"data/{number}": str(number).encode() for number in range(100)}
    files["data/x  data/7"] = b"not seven"
    making = Making(tmp_path)
    making.add(files)
    making.finish()
    contents = making.read()
    for place, content in files.items():
        assert contents.digest_of(place) == hashlib.sha256(content).digest()
    assert contents.digest_of("data/7 ") is None
    assert contents.digest_of("data/\udcff") is None


class Collect:
    """Writes every payload file into one file and knows where each begins."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.heads: list[tuple[str, Member, bytes]] = []
        self.digests: list[bytes] = []

    def begin(self, place: str, member: Member, head: bytes) -> int | None:
        """Take everything but what is called "left"."""
        self.heads.append((place, member, head))
        return None if place.endswith("left") else self.descriptor

    def end(self, place: str, digest: bytes) -> None:
        """Remember the hash."""
        self.digests.append(digest)


def test_a_receiver_gets_what_it_asks_for(tmp_path: Path) -> None:
    """A receiver sees each file's beginning, gets its bytes where it wants them, and its hash."""
    files = {"data/a.db": SQLITE, "data/left": bytes(2000), "data/large": os.urandom(2_500_000)}
    path = made(tmp_path, files, ["data/a.db"])
    with path.open("rb") as stream, (tmp_path / "out").open("wb", buffering=0) as out:
        receiver = Collect(out.fileno())
        contents = read_bag(stream.fileno(), receiver, limits=Limits(), progress=Progress())
    assert contents.differences == ()
    assert (tmp_path / "out").read_bytes() == files["data/a.db"] + files["data/large"]
    assert [head for _, _, head in receiver.heads] == [content[:100] for content in files.values()]
    assert [member.size for _, member, _ in receiver.heads] == [len(c) for c in files.values()]
    assert receiver.digests == [hashlib.sha256(content).digest() for content in files.values()]


@pytest.mark.parametrize(
    "first, second, why",
    [
        ("data/x", "data/x", "there twice"),
        ("data/x/y", "data/x", "a directory as well"),
        ("data/x", "data/x/y", "name of a directory"),
        ("data/x", "data/x/y/z", "name of a directory"),
        ("data/y", "data/a\nb", "control character"),
        ("data/y", "data/../x", "plain relative path"),
        ("data/y", "x", "not in data/"),
        ("data/y", "data/\udcff", "not valid UTF-8"),
        ("data/y", "data/" + "x" * 4050, "longer than"),
        ("data/y", "data/x/", "names no file"),
    ],
)
def test_a_place_that_cannot_be_is_refused(
    first: str, second: str, why: str, tmp_path: Path
) -> None:
    """Two files at one place, or a name that a bag cannot carry, never get into a bag."""
    making = Making(tmp_path)
    making.bag.add_content(first, b"")
    with pytest.raises(RefusedError, match=why) as caught:
        making.bag.add_content(second, b"")
    assert caught.value.message.isprintable()


def test_an_app_must_have_a_name(tmp_path: Path) -> None:
    """The top folder is the app's name, which is checked before anything is written."""
    with (tmp_path / "x").open("wb") as file, pytest.raises(UsageError):
        BagWriter(file.fileno(), "../app", mtime=0, progress=Progress())


def test_clashing_names_are_carried_and_counted(tmp_path: Path) -> None:
    """Names that one file system takes for one are all carried, and declared by their number."""
    names = ["a", "A", "ß", "SS", "ss", "é", "e\u0301", "É", "D/x", "d/x", "d/y", "D/X", "ﬁ", "fi"]
    making = Making(tmp_path)
    making.add({f"data/{name}": name.encode() for name in names})
    assert making.bag.clashing_names == 9
    making.finish()
    assert making.read().differences == ()


def test_a_spoilt_bag_cannot_be_finished(tmp_path: Path) -> None:
    """Once a file changed under our hands, more files can be looked at, but no bag comes of it."""
    source = tmp_path / "source"
    source.write_bytes(bytes(700_000))
    status = source.stat()
    source.write_bytes(bytes(700_001))
    making = Making(tmp_path)
    with source.open("rb") as file, pytest.raises(FileChangedError):
        making.bag.add_file("data/x", file.fileno(), status)
    with source.open("rb") as file:
        making.bag.add_file("data/y", file.fileno(), os.fstat(file.fileno()))
    with pytest.raises(FailedError, match="given up"):
        making.bag.finish(b"{}", [])


def test_memory_follows_the_number_of_files(tmp_path: Path) -> None:
    """Writer and reader keep at most 350 bytes of a file, however many there are."""
    count = 20_000
    places = [f"data/attachments/{n % 256:02x}/{n:08x}" + "a" * 56 for n in range(count)]
    with (tmp_path / "empty").open("wb+") as empty:
        status = os.fstat(empty.fileno())
        making = Making(tmp_path)
        tracemalloc.start()
        try:
            for place in places:
                making.bag.add_file(place, empty.fileno(), status)
            assert tracemalloc.get_traced_memory()[1] / count < 350
            making.files = dict.fromkeys(places, b"")
            making.finish()
            making.files = {}
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            with making.path.open("rb") as file:
                contents = read_bag(file.fileno(), Drop(), limits=Limits(), progress=Progress())
            assert (tracemalloc.get_traced_memory()[1] - before - (2 << 20)) / count < 350
        finally:
            tracemalloc.stop()
    assert contents.differences == ()


class Drop:
    """Keeps nothing at all."""

    def begin(self, place: str, member: Member, head: bytes) -> int | None:
        """Ask for no bytes."""
        return None

    def end(self, place: str, digest: bytes) -> None:
        """Forget the hash."""
