"""The scan of attachments: what it opens, what it leaves out and why, and what it never touches."""

import fcntl
import os
import pickle
import resource
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from agebackup.errors import FailedError, StoppedError
from agebackup.model.layout import SQLITE_MAGIC
from agebackup.model.source import DatabaseSource, Skipped, Source, TreeSource
from agebackup.snapshot.attachments import (
    EmptyDirectory,
    FoundFile,
    ScanRules,
    StableCopy,
    measure,
    scan,
    stable_copy,
)
from agebackup.system.progress import Progress, Stop

Found = dict[str, bytes]
T = TypeVar("T")


class Result:
    """What a scan gave: contents by path inside the tree, empty directories, skipped by path."""

    def __init__(self) -> None:
        self.files: Found = {}
        self.empty: list[str] = []
        self.skipped: dict[str, Skipped] = {}

    def take(self, item: FoundFile | EmptyDirectory | Skipped) -> None:
        if isinstance(item, FoundFile):
            name = item.place.removeprefix("data/t/")
            assert name not in self.files
            self.files[name] = os.pread(item.descriptor, 1 << 16, 0)
        elif isinstance(item, EmptyDirectory):
            self.empty.append(item.place.removeprefix("data/t/"))
        else:
            self.skipped[item.path.removeprefix("data/t/")] = item

    @property
    def reasons(self) -> dict[str, str]:
        return {path: one.reason for path, one in self.skipped.items()}

    @property
    def lost(self) -> set[str]:
        return {path for path, one in self.skipped.items() if one.lost}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An empty directory to be scanned; files beside it are outside the tree."""
    directory = tmp_path / "tree"
    directory.mkdir()
    return directory


def source_of(tree: Path) -> TreeSource:
    return TreeSource("t", tree, "data/t")


def scanned(tree: Path, rules: ScanRules | None = None, **more: object) -> Result:
    result = Result()
    chosen = rules or ScanRules(**more)  # type: ignore[arg-type]
    for item in scan(source_of(tree), chosen, Progress()):
        result.take(item)
    return result


def interrupted(tree: Path, meanwhile: Callable[[], object], rules: ScanRules) -> Result:
    """Scan `tree`, whose first file is called `0`; call `meanwhile` while that one is open."""
    result = Result()
    for item in scan(source_of(tree), rules, Progress()):
        result.take(item)
        if isinstance(item, FoundFile) and item.place == "data/t/0":
            meanwhile()
    return result


def identity(path: Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def as_nobody(function: Callable[[], T]) -> T:
    """Return what `function` returns in a child that may read only what everybody may."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            answer = pickle.dumps(function())
        except BaseException as error:
            answer = pickle.dumps(error)
        os.write(writing, answer)
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        answered = pickle.load(pipe)
    os.waitpid(pid, 0)
    if isinstance(answered, BaseException):
        raise answered
    return answered  # type: ignore[no-any-return]


@pytest.fixture
def public() -> Iterator[Path]:
    """A tree that another user may reach."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


# What is carried


def test_files_come_in_a_settled_order(tree: Path) -> None:
    """The same tree gives the same order: a directory's files by name, then its directories."""
    for name in ("b/x", "b/a/y", "a", "c", "B"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(name)
    result = scanned(tree)
    assert list(result.files) == ["B", "a", "c", "b/x", "b/a/y"]
    assert all(content.decode() == name for name, content in result.files.items())


def test_empty_directories_come_back(tree: Path) -> None:
    """A directory of which nothing is carried is recorded, so that restore can make it again."""
    (tree / "full").mkdir()
    (tree / "full" / "file").touch()
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "links").mkdir()
    (tree / "links" / "l").symlink_to("nowhere")
    result = scanned(tree)
    assert result.empty == ["a/b", "links"]
    shutil.rmtree(tree)
    tree.mkdir()
    assert scanned(tree).empty == ["data/t"]


def test_a_found_file_is_open_and_described(tree: Path) -> None:
    """The descriptor and the status belong together, and are closed when the scan goes on."""
    (tree / "a").write_bytes(b"12345")
    descriptors = []
    for item in scan(source_of(tree), ScanRules(), Progress()):
        assert isinstance(item, FoundFile)
        assert item.status == os.fstat(item.descriptor)
        assert item.status.st_size == 5
        descriptors.append(item.descriptor)
    with pytest.raises(OSError):
        os.fstat(descriptors[0])


def test_a_sparse_and_an_empty_file_are_files(tree: Path) -> None:
    """Holes are carried as the zeros that they read as, at the file's full size."""
    (tree / "empty").touch()
    with (tree / "sparse").open("wb") as file:
        file.truncate(1 << 40)
        file.seek(1 << 30)
        file.write(b"x")
    for item in scan(source_of(tree), ScanRules(), Progress()):
        assert isinstance(item, FoundFile)
        if item.place.endswith("sparse"):
            assert item.status.st_size == 1 << 40
            assert os.pread(item.descriptor, 3, (1 << 30) - 1) == b"\0x\0"


def test_hard_links_are_files_of_their_own(tree: Path) -> None:
    """Each name of a file with several names is carried with its content."""
    (tree / "one").write_text("same")
    os.link(tree / "one", tree / "two")
    assert scanned(tree).files == {"one": b"same", "two": b"same"}


NAMES = {
    b"-rf": None,
    b"a b": None,
    "é NFC".encode(): None,
    "e\u0301 NFD".encode(): None,
    b"x" * 255: None,
    b"100%": None,
    b"back\\slash": None,
    b"new\nline": "line break",
    b"tab\t": "control",
    "\u2028".encode(): "line break",
    b"not-utf8-\xff": "UTF-8",
    b"blank ": "blank",
    b"%0A": "line break",
}


@pytest.mark.linux  # macOS refuses to make some of them
@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_an_outcome(tree: Path, name: bytes) -> None:
    """A file is carried under its very name, or it counts as lost because a bag cannot name it."""
    (tree / os.fsdecode(name)).write_text("content")
    result = scanned(tree)
    reason = NAMES[name]
    if reason is None:
        assert result.files == {os.fsdecode(name): b"content"}
        assert not result.skipped
    else:
        assert result.lost == {os.fsdecode(name)}
        assert reason in result.reasons[os.fsdecode(name)]


def test_a_directory_that_a_bag_cannot_name_is_lost_as_a_whole(tree: Path) -> None:
    """It is reported once, not for every file below it; a blank inside a path is no trouble."""
    for name in ("new\nline", "blank "):
        (tree / name / "sub").mkdir(parents=True)
        (tree / name / "sub" / "file").write_text("content")
    result = scanned(tree)
    assert result.lost == {"new\nline"}
    assert list(result.files) == ["blank /sub/file"]


def test_an_empty_directory_that_cannot_be_named_is_lost(tree: Path) -> None:
    """What the record of empty directories cannot hold is said, not dropped."""
    (tree / "blank ").mkdir()
    assert scanned(tree).lost == {"blank "}


def dig(tree: Path, name: str, levels: int, each: Callable[[int, int], None]) -> None:
    """Make `levels` directories inside each other; `each` gets a level and its descriptor."""
    descriptor = os.open(tree, os.O_RDONLY)
    for level in range(levels):
        each(level, descriptor)
        os.mkdir(name, dir_fd=descriptor)
        below = os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    each(levels, descriptor)
    os.close(descriptor)


@pytest.fixture
def deep(tree: Path) -> Iterator[Path]:
    """A tree that only `rm` can remove: others give up at such a depth."""
    yield tree
    subprocess.run(["rm", "-rf", tree], check=True)


@pytest.mark.linux  # elsewhere the longest path is shorter
def test_four_thousand_characters_deep_is_carried(deep: Path) -> None:
    """A path as long as the system allows is read, holding few descriptors at any depth."""

    def each(level: int, descriptor: int) -> None:
        for name in ["z-file"] if level % 100 == 0 else []:
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
        if level % 50 == 0:
            os.mkdir("sibling", dir_fd=descriptor)

    dig(deep, "d", 2000, each)
    before, most, result = open_descriptors(), 0, Result()
    for item in scan(source_of(deep), ScanRules(), Progress()):
        result.take(item)
        if isinstance(item, FoundFile):
            most = max(most, open_descriptors())
    assert len(result.files) == 21 and max(map(len, result.files)) == 4006
    assert len(result.empty) == 41
    assert not result.skipped
    assert most - before < 80


@pytest.mark.linux  # elsewhere the longest path is shorter
def test_deeper_than_the_longest_path_is_lost_and_said(deep: Path) -> None:
    """Where no path below a directory fits into a bag any more, that directory is lost, at once."""
    dig(deep, "d" * 100, 60, lambda level, descriptor: None)
    result = scanned(deep)
    (path,) = result.lost
    assert not result.files and result.empty == [os.path.dirname(path)]
    assert "longer than" in result.reasons[path]


@pytest.mark.linux  # elsewhere the longest path is shorter
def test_a_directory_replaced_while_deep_below_it(deep: Path) -> None:
    """Where the way back up leads to another directory, what was not read there is lost."""

    def each(level: int, descriptor: int) -> None:
        os.mkdir("z", dir_fd=descriptor)

    dig(deep, "d", 100, each)
    (deep / ("d/" * 100) / "bottom").touch()
    upper = deep / ("d/" * 80)
    result = Result()
    for item in scan(source_of(deep), ScanRules(), Progress()):
        result.take(item)
        if isinstance(item, FoundFile):
            upper.rename(deep / "moved")
            (upper / "z").mkdir(parents=True)
            (upper / "z" / "new").touch()
    assert "d/" * 80 + "z" in result.lost
    assert list(result.files) == ["d/" * 100 + "bottom"]


# What is left out for its kind, or because it is gone


def test_special_files_are_skipped_and_never_opened(tree: Path, tmp_path: Path) -> None:
    """A fifo without a writer, a socket and devices neither block the scan nor are lost."""
    os.mkfifo(tree / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(tree)  # a socket's path may be 108 bytes long
        server.bind("socket")
        os.chdir(here)
    os.mkfifo(tree / "fifo\n")
    expected = {"fifo": "a fifo", "fifo\n": "a fifo", "socket": "a socket"}
    if os.getuid() == 0:  # nobody else may make devices
        os.mknod(tree / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        os.mknod(tree / "block", stat.S_IFBLK | 0o600, os.makedev(7, 99))
        expected |= {"null": "a character device", "block": "a block device"}
    result = scanned(tree)
    assert result.reasons == expected
    assert not result.lost


def swap_fifo(path: Path) -> None:
    os.mkfifo(path)


def swap_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(path.parent)
        server.bind(path.name)
        os.chdir(here)


def swap_link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def swap_nothing(path: Path) -> None:
    pass


SWAPS = [
    (swap_fifo, "a fifo", False),
    (swap_socket, "a socket", False),
    (swap_link, "a symlink", False),
    (swap_nothing, "vanished while the tree was read", False),
    (Path.mkdir, "became a directory", True),
]


@pytest.mark.parametrize("swap, reason, lost", SWAPS)
def test_a_file_replaced_after_it_was_listed(
    tree: Path, swap: Callable[[Path], None], reason: str, lost: bool
) -> None:
    """Whatever takes a listed file's place before it is opened is not followed or waited for."""
    (tree / "0").touch()
    (tree / "1").write_text("secret")

    def meanwhile() -> None:
        (tree / "1").unlink()
        swap(tree / "1")

    result = interrupted(tree, meanwhile, ScanRules(follow_symlinks=True))
    assert result.skipped["1"] == Skipped("data/t/1", reason, lost)
    assert list(result.files) == ["0"]


@pytest.mark.parametrize("swap, reason, lost", [*SWAPS[2:4], (Path.touch, "", True)])
def test_a_directory_replaced_after_it_was_listed(
    tree: Path, swap: Callable[[Path], None], reason: str, lost: bool
) -> None:
    """A directory swapped for a link to one outside does not lead the scan out of the tree."""
    (tree / "0").touch()
    (tree / "1").mkdir()
    outside = tree.parent / "outside"
    outside.mkdir()
    (outside / "secret").touch()

    def meanwhile() -> None:
        (tree / "1").rmdir()
        if swap is swap_link:
            (tree / "1").symlink_to(outside)
        else:
            swap(tree / "1")

    result = interrupted(tree, meanwhile, ScanRules(follow_symlinks=True))
    assert list(result.files) == ["0"]
    if swap is swap_nothing:
        assert result.skipped["1"] == Skipped("data/t/1", reason)
    else:
        assert result.lost == {"1"} and "changed its kind" in result.reasons["1"]


# Symlinks


def test_symlinks_are_skipped(tree: Path) -> None:
    """Without --follow-symlinks every link is left out with that reason, and is not lost."""
    (tree / "dir").mkdir()
    (tree / "dir" / "file").write_text("content")
    (tree / "to-file").symlink_to("dir/file")
    (tree / "to-dir").symlink_to("dir")
    (tree / "out").symlink_to("/etc/passwd")
    (tree / "bad\nname").symlink_to("dir")
    result = scanned(tree)
    assert list(result.files) == ["dir/file"]
    assert set(result.reasons.values()) == {"a symlink"} and len(result.reasons) == 4
    assert not result.lost


def test_followed_symlinks_give_their_targets_content(tree: Path) -> None:
    """With --follow-symlinks, links inside the tree carry what they lead to, at any spelling."""
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "b" / "file").write_text("content")
    (tree / "a" / "up").symlink_to("../a/b/../b/file")
    (tree / "absolute").symlink_to(tree / "a" / "b" / "file")
    (tree / "chain").symlink_to("a/up")
    (tree / "directory").symlink_to("a/b")
    result = scanned(tree, follow_symlinks=True)
    assert result.files == dict.fromkeys(
        ["a/b/file", "a/up", "absolute", "chain", "directory/file"], b"content"
    )
    assert not result.skipped


def test_no_symlink_leads_out_of_the_tree(tree: Path) -> None:
    """Also with --follow-symlinks nothing outside the tree is read, by whatever way."""
    outside = tree.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (tree / "file").symlink_to("../outside/secret")
    (tree / "directory").symlink_to(outside)
    (tree / "parent").symlink_to("..")
    (tree / "through").symlink_to("directory/secret")
    beside = tree.parent / "tree-2"
    beside.mkdir()
    (tree / "beside").symlink_to(beside)
    result = scanned(tree, follow_symlinks=True)
    assert not result.files
    assert set(result.reasons.values()) == {"a symlink that leads out of the tree"}
    assert len(result.reasons) == 5 and not result.lost


def test_symlink_loops_end(tree: Path) -> None:
    """Links to each other, to themselves, and to a directory above them are skipped as loops."""
    (tree / "a").symlink_to("b")
    (tree / "b").symlink_to("a")
    (tree / "self").symlink_to("self")
    (tree / "sub").mkdir()
    (tree / "sub" / "up").symlink_to("..")
    (tree / "sub" / "here").symlink_to(".")
    (tree / "sub" / "file").write_text("content")
    result = scanned(tree, follow_symlinks=True)
    assert set(result.reasons) == {"a", "b", "self", "sub/up", "sub/here"}
    assert set(result.reasons.values()) == {"a symlink loop"}
    assert list(result.files) == ["sub/file"]


def test_links_to_directories_do_not_multiply(tree: Path) -> None:
    """Twenty directories that link to each other twice do not become a million files."""
    for number in range(20):
        (tree / f"{number:02}").mkdir()
        (tree / f"{number:02}" / "file").touch()
        for twin in "ab":
            (tree / f"{number:02}" / twin).symlink_to(f"../{number + 1:02}")
    result = scanned(tree, follow_symlinks=True)
    assert len(result.files) == 20 + 2 * 19
    assert "a symlink to a directory, below another one" in result.reasons.values()


def test_links_to_nothing_and_to_special_files_are_said(tree: Path) -> None:
    """A followed link to nothing, or to a fifo, is skipped with that reason."""
    os.mkfifo(tree / "fifo")
    (tree / "dangling").symlink_to("nowhere")
    (tree / "special").symlink_to("fifo")
    result = scanned(tree, follow_symlinks=True)
    assert result.reasons["dangling"] == "a symlink to nothing"
    assert result.reasons["special"] == "a symlink to a fifo"
    assert not result.lost


def test_no_symlink_leads_round_a_rule(tree: Path) -> None:
    """What is excluded, withheld or a declared database is not carried through a link either."""
    for name in ("cache/made", "tokens/key", "token", "app.db"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text("secret")
    for number, target in enumerate(["cache", "cache/made", "tokens", "tokens/key", "token"]):
        (tree / f"link{number}").symlink_to(target)
    (tree / "link-db").symlink_to("app.db")
    rules = ScanRules(
        excluded=("/cache/",),
        withheld=(tree / "tokens", tree / "token"),
        inodes=frozenset({identity(tree / "app.db")}),
        follow_symlinks=True,
    )
    result = scanned(tree, rules)
    assert not result.files and result.empty == ["data/t"]
    assert len(result.skipped) == 4 + 6
    # A file that came after the scan began to look, reached through a link.
    (tree / "0").touch()
    (tree / "z").symlink_to("tokens/later")
    (tree / "tokens" / "later").touch()
    later = interrupted(tree, lambda: (tree / "tokens" / "later").write_text("secret"), rules)
    assert list(later.files) == ["0"]


# What cannot be read


def test_unreadable_files_and_directories_are_lost(public: Path) -> None:
    """Each counts as lost with its reason, and the rest of the tree is carried all the same."""
    (public / "secret").write_text("x")
    (public / "secret").chmod(0)
    (public / "closed").mkdir(mode=0o700)
    (public / "listed").mkdir()
    (public / "listed" / "file").write_text("x")
    (public / "listed").chmod(0o744)
    (public / "fine").write_text("content")
    (public / "fine").chmod(0o644)
    skipped, files = as_nobody(lambda: (lambda r: (r.skipped, r.files))(scanned(public)))
    assert set(skipped) == {"secret", "closed", "listed/file"}
    assert {one.reason for one in skipped.values()} == {"permission denied"}
    assert all(one.lost for one in skipped.values())
    assert files == {"fine": b"content"}


def test_attachments_that_are_not_there_fail_the_run(tmp_path: Path, public: Path) -> None:
    """A missing or closed tree, or a file where a directory should be, is a failure by its name."""
    (tmp_path / "file").touch()
    public.chmod(0o700)
    for path, why in ((tmp_path / "gone", "No such file"), (tmp_path / "file", "Not a directory")):
        with pytest.raises(FailedError, match=why) as caught:
            scanned(path)
        assert str(path) in caught.value.message
    with pytest.raises(FailedError, match="Permission denied"):
        as_nobody(lambda: scanned(public).files)


def test_running_out_of_descriptors_is_not_the_files_fault(tree: Path) -> None:
    """A process at its limit of open files fails as such instead of skipping file after file."""
    (tree / "file").touch()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = os.open("/dev/null", os.O_RDONLY)
    os.close(highest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, hard))
    try:
        with pytest.raises(FailedError, match="Too many open files"):
            scanned(tree)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# Databases


def test_declared_databases_are_left_out_by_inode(tree: Path) -> None:
    """So are their companions, also new ones, and hard links; what only looks alike is carried."""
    for name in ("app.db", "app.db-wal", "app.db-shm", "app.db-journal", "other.db-wal"):
        (tree / name).write_text(name)
    os.link(tree / "app.db", tree / "twin")
    (tree / "sub").mkdir()
    (tree / "sub" / "app.db").write_text("a file of the same name")
    (tree / "twin-wal").write_text("the companion of that name")
    inodes = frozenset({identity(tree / "app.db"), identity(tree / "app.db-wal")})
    result = scanned(tree, inodes=inodes)
    assert set(result.files) == {"other.db-wal", "sub/app.db"}
    assert set(result.skipped) == {
        *("app.db", "app.db-wal", "app.db-shm", "app.db-journal", "twin", "twin-wal")
    }
    assert {"belongs to a declared database, which is archived as a copy"} == set(
        result.reasons.values()
    )
    assert not result.lost


def test_a_declared_database_is_not_even_opened(tree: Path) -> None:
    """The locks that this process holds on a database survive the scan of its directory."""
    database = tree / "app.db"
    database.write_bytes(SQLITE_MAGIC)
    os.link(database, tree / "twin")
    probe = (
        "import fcntl, sys\n"
        "try:\n fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "except OSError: sys.exit(9)"
    )
    with database.open("r+b") as held:
        fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert not scanned(tree, inodes=frozenset({identity(database)})).files
        ended = subprocess.run([sys.executable, "-c", probe, database], check=False)
        assert ended.returncode == 9


@pytest.mark.linux
def test_a_database_mounted_as_a_file_is_not_opened_either(tree: Path, tmp_path: Path) -> None:
    """A database that is bind-mounted into the tree is recognised before it is opened."""
    database, mounted = tmp_path / "host.db", tree / "app.db"
    database.write_bytes(SQLITE_MAGIC)
    mounted.touch()
    subprocess.run(["mount", "--bind", database, mounted], check=True)
    try:
        source = Source("a", databases=(DatabaseSource("d", mounted, "data/d"),))
        rules = ScanRules.of(source, [identity(mounted)])
        with database.open("r+b") as held:
            fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            assert set(scanned(tree, rules).skipped) == {"app.db"}
            probe = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), 2 | 4)"
            ended = subprocess.run(
                [sys.executable, "-c", probe, database], check=False, capture_output=True
            )
            assert b"BlockingIOError" in ended.stderr
    finally:
        subprocess.run(["umount", mounted], check=True)


# Withheld, excluded, and trees inside trees


def test_withheld_paths_are_never_carried(tree: Path) -> None:
    """A declared token stays out: as file or directory, made anew, and as a hard link."""
    (tree / "0").touch()
    (tree / "keys" / "deep").mkdir(parents=True)
    (tree / "keys" / "deep" / "key").write_text("secret")
    os.link(tree / "keys" / "deep" / "key", tree / "linked-key")
    (tree / "token").write_text("secret")
    os.link(tree / "token", tree / "linked-token")
    rules = ScanRules(withheld=(tree / "keys", tree / "token", tree / "new", tree.parent / "x"))

    def rotate() -> None:
        (tree / "fresh").write_text("secret")
        (tree / "fresh").rename(tree / "token")

    result = interrupted(tree, rotate, rules)
    assert list(result.files) == ["0"]
    assert set(result.skipped) == {"keys", "token", "linked-key", "linked-token"}
    assert not result.lost
    (tree / "new").write_text("secret")
    assert "new" not in scanned(tree, rules).files


def test_a_withheld_path_may_be_written_in_other_ways(tree: Path) -> None:
    """Neither dots in the declared path nor a symlink on the way to the tree let a token slip."""
    (tree / "sub").mkdir()
    (tree / "sub" / "token").write_text("secret")
    alias = tree.parent / "alias"
    alias.symlink_to(tree)
    for withheld in (tree / "sub" / ".." / "sub" / "token", alias / "sub" / "token"):
        for top in (tree, alias):
            assert not scanned(top, withheld=(withheld,)).files


def test_excluded_directories_are_pruned(tree: Path) -> None:
    """What a pattern names is listed as excluded, a directory once, and is not looked into."""
    for name in ("cache/a/b", "cache/c.db", "x/cache/d", "a.tmp", "x/b.tmp", "x/keep", "top/y"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(SQLITE_MAGIC if name.endswith(".db") else b"content")
    result = scanned(tree, excluded=("cache/", "*.tmp", "/top/**"))
    assert list(result.files) == ["x/keep"]
    assert result.empty == ["top"]
    assert set(result.skipped) == {"cache", "x/cache", "a.tmp", "x/b.tmp", "top/y"}
    assert set(result.reasons.values()) == {"excluded by a pattern"} and not result.lost


def test_globs_count_from_the_apps_root(tree: Path) -> None:
    """A tree below the app's root is matched by its path from that root."""
    (tree / "thumbs").mkdir()
    (tree / "thumbs" / "a").touch()
    (tree / "keep").touch()
    source = TreeSource("t", tree, "data/t", below_root="blobs/")
    found = list(scan(source, ScanRules(excluded=("blobs/thumbs", "/thumbs")), Progress()))
    assert Skipped("data/t/thumbs", "excluded by a pattern") in found
    other = list(scan(source, ScanRules(excluded=("/thumbs",)), Progress()))
    assert not [item for item in other if isinstance(item, Skipped)]


def test_a_tree_inside_another_is_carried_once(tree: Path) -> None:
    """The outer tree leaves it to the inner one without a word, and records no empty directory."""
    (tree / "sub" / "inner").mkdir(parents=True)
    (tree / "sub" / "inner" / "file").touch()
    (tree / "db").mkdir()
    (tree / "db" / "app.db").touch()
    outer = TreeSource("t", tree, "data/t")
    inner = TreeSource("i", tree / "sub" / "inner", "data/t/sub/inner")
    database = DatabaseSource("d", tree / "db" / "app.db", "data/t/db/app.db")
    source = Source("app", databases=(database,), trees=(outer, inner))
    rules = ScanRules.of(source, [identity(database.path)])
    carried = list(scan(outer, rules, Progress()))
    assert [item.path for item in carried if isinstance(item, Skipped)] == ["data/t/db/app.db"]
    assert len(carried) == 1
    (file,) = (item for item in scan(inner, rules, Progress()) if isinstance(item, FoundFile))
    assert file.place == "data/t/sub/inner/file"


@pytest.mark.linux
def test_mounted_file_systems_are_carried(tree: Path) -> None:
    """What is mounted inside the tree belongs to it; a directory above is not entered again."""
    (tree / "disk").mkdir()
    (tree / "sub" / "again").mkdir(parents=True)
    (tree / "file").write_text("content")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", tree / "disk"], check=True)
    subprocess.run(["mount", "--bind", tree, tree / "sub" / "again"], check=True)
    try:
        (tree / "disk" / "on-it").write_text("mounted")
        result = scanned(tree)
    finally:
        subprocess.run(["umount", tree / "sub" / "again", tree / "disk"], check=True)
    assert result.files == {"file": b"content", "disk/on-it": b"mounted"}
    assert result.reasons == {"sub/again": "the same directory as one above it"}


# Single files, for config and tokens


def test_config_may_be_a_single_file(tmp_path: Path) -> None:
    """A config file is carried at its place, also where its declared path is a symlink."""
    (tmp_path / "real").write_text("content")
    (tmp_path / "link").symlink_to("real")
    for name in ("real", "link"):
        source = TreeSource("c", tmp_path / name, "data/config/app.toml", "config")
        contents = [
            (item.place, os.pread(item.descriptor, 9, 0))
            for item in scan(source, ScanRules(), Progress())
            if isinstance(item, FoundFile)
        ]
        assert contents == [("data/config/app.toml", b"content")]


def test_a_missing_config_file_is_lost(tmp_path: Path) -> None:
    """Config or tokens that are not there, or are a fifo, are lost: --allow-missing decides."""
    os.mkfifo(tmp_path / "fifo")
    for name in ("gone", "fifo"):
        source = TreeSource("c", tmp_path / name, "data/config/x", "tokens")
        (skipped,) = scan(source, ScanRules(), Progress())
        assert isinstance(skipped, Skipped) and skipped.lost
        assert skipped.path == "data/config/x"


# The scan as a good citizen


def test_a_stop_ends_the_scan_and_closes_everything(tree: Path) -> None:
    """A wish to stop is heard within a few hundred entries, and no descriptor stays open."""
    (tree / "sub").mkdir()
    for number in range(600):
        (tree / "sub" / f"{number}").touch()
    before, stop, seen = open_descriptors(), Stop(), 0
    with pytest.raises(StoppedError):
        for _ in scan(source_of(tree), ScanRules(), Progress(stop)):
            seen += 1
            stop.request(15)
    assert 0 < seen < 400
    assert open_descriptors() == before


def test_leaving_early_closes_everything(tree: Path) -> None:
    """Whoever stops iterating leaves no descriptor behind."""
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "b" / "file").touch()
    (tree / "a" / "z").mkdir()
    before = open_descriptors()
    items = scan(source_of(tree), ScanRules(), Progress())
    assert isinstance(next(items), FoundFile)
    assert open_descriptors() > before
    items.close()  # type: ignore[attr-defined]
    assert open_descriptors() == before


def test_a_huge_directory_costs_little_memory(tree: Path) -> None:
    """A directory with very many files costs at most 150 bytes for each of them."""
    count, descriptor = 20_000, os.open(tree, os.O_RDONLY)
    for number in range(count):
        os.close(os.open(f"{number:064x}", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
    os.close(descriptor)
    items = scan(source_of(tree), ScanRules(), Progress())
    tracemalloc.start()
    try:
        assert sum(isinstance(item, FoundFile) for item in items) == count
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak / count <= 150


def test_measuring_agrees_with_scanning(tree: Path) -> None:
    """The size of what will be carried is known beforehand, without opening a file."""
    for name, size in (("a", 10), ("sub/b", 200), ("cache/c", 4000), ("app.db", 9), ("token", 5)):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_bytes(bytes(size))
    (tree / "link").symlink_to("a")
    source = Source(
        "app",
        databases=(DatabaseSource("d", tree / "app.db", "data/d"),),
        trees=(source_of(tree),),
        excluded=("cache/",),
        withheld=(tree / "token",),
    )
    measured = measure(source.trees[0], source, Progress())
    assert (measured.files, measured.bytes) == (2, 210)
    with pytest.raises(FailedError, match="cannot be read"):
        measure(TreeSource("g", tree / "gone", "data/g"), source, Progress())


# Files that keep changing


class Meddler(Progress):
    """Changes a file whenever the copy reports progress, at most `times`."""

    def __init__(self, path: Path, times: int) -> None:
        super().__init__()
        self.path, self.times = path, times

    def advance(self, count: int) -> None:
        if self.times:
            self.times -= 1
            with self.path.open("ab") as file:
                file.write(b"more")
            os.utime(self.path, (self.times, self.times))


def copied(tree: Path, workspace: Path, progress: Progress) -> StableCopy | Skipped:
    for item in scan(source_of(tree), ScanRules(), Progress()):
        if isinstance(item, FoundFile):
            return stable_copy(item, workspace, progress)
    raise AssertionError


def test_a_changing_file_is_copied_at_one_moment(tree: Path, tmp_path: Path) -> None:
    """The copy holds what the file held at one moment, with its time and mode, and has no name."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (tree / "log").write_bytes(b"x" * 3_000_000)
    (tree / "log").chmod(0o640)
    copy = copied(tree, workspace, Meddler(tree / "log", 2))
    assert isinstance(copy, StableCopy)
    with copy as held:
        assert os.pread(held.descriptor, 1 << 23, 0) == (tree / "log").read_bytes()
        original = os.stat(tree / "log")
        assert held.status == os.fstat(held.descriptor)
        assert held.status.st_mtime_ns == original.st_mtime_ns
        assert held.status.st_mode == original.st_mode
        assert held.status.st_size == 3_000_008
        assert not list(workspace.iterdir())
    with pytest.raises(OSError):
        os.fstat(copy.descriptor)


def test_a_file_that_never_rests_is_lost(tree: Path, tmp_path: Path) -> None:
    """After three tries it counts as lost, and nothing of it stays anywhere."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (tree / "log").write_bytes(b"x" * 100)
    before = open_descriptors()
    copy = copied(tree, workspace, Meddler(tree / "log", 99))
    assert copy == Skipped("data/t/log", "kept changing while it was read", lost=True)
    assert open_descriptors() == before and not list(workspace.iterdir())


@pytest.mark.linux
def test_a_full_workspace_fails_the_copy(tree: Path, tmp_path: Path) -> None:
    """Too little space for a private copy is said as such, and so is a workspace that is gone."""
    (tree / "log").write_bytes(b"x" * 300_000)
    workspace = tmp_path / "workspace"
    with pytest.raises(FailedError, match="No such file"):
        copied(tree, workspace, Progress())
    workspace.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", workspace], check=True)
    try:
        with pytest.raises(FailedError, match="No space left"):
            copied(tree, workspace, Progress())
    finally:
        subprocess.run(["umount", workspace], check=True)


@pytest.mark.linux
def test_a_file_that_cannot_be_read_on_is_lost(tree: Path, tmp_path: Path) -> None:
    """An input or output error while copying counts the file as lost with that reason."""
    descriptor = os.open(tree, os.O_RDONLY)  # reading a directory is an error even for root
    try:
        found = FoundFile("data/t/x", descriptor, os.fstat(descriptor))
        copy = stable_copy(found, tmp_path, Progress())
        assert copy == Skipped("data/t/x", "cannot be read: Is a directory", lost=True)
    finally:
        os.close(descriptor)
