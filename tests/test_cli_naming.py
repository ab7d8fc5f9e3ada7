"""Wherever a command takes an archive it may be named in few words."""

import shutil
from pathlib import Path

import pytest
from conftest import Keys, World
from sample_app import SampleApp
from shelf import Shelf, declare, named, shelf

from agebackup.model.names import ArchiveName


@pytest.fixture
def real(world: World, app: SampleApp, keys: Keys) -> Path:
    """A real archive of `notes` in the folder `out`, made just now."""
    shelf(world)
    words = ("create", *app.create_arguments, "--app", "notes", "--to", "out", "-r", keys.recipient)
    done = world.run(*words)
    assert done.code == 0, done.err
    return Path(done.out.strip()).resolve()


def parsed(path: Path) -> ArchiveName:
    name = ArchiveName.parse(path.name)
    assert name is not None
    return name


def test_every_command_understands_it(world: World, real: Path, keys: Keys) -> None:
    """Without any configuration the ledger knows where the archives are; the pick is said."""
    key = ("-i", keys.identity)
    calls: list[tuple[object, ...]] = [
        ("verify", "latest", *key),
        ("verify", "--quick", "notes:latest"),
        ("inspect", "notes:latest", *key),
        ("ls", parsed(real).id[:6], *key),
        ("cat", "latest", "ledger.db", *key),
        ("restore", "notes@2999-01-01", "--target", "restored", *key),
        ("get", "notes:latest", "-o", "copy.age"),
        ("tag", "latest", "word"),
    ]
    for words in calls:
        done = world.run(*words)
        assert done.code == 0 and f" is {real}" in done.err, done.err
    assert world.run("verify", real.name, *key).code == 0


def test_latest_passes_over_what_cannot_be_it(world: World, real: Path, keys: Keys) -> None:
    """A future-dated, a damaged, an evicted and a copied one are told of, and not taken."""
    out = Shelf(world, real.parent)
    later = [named(-number / 1000, number, now=parsed(real).time) for number in range(1, 4)]
    out.put(later[0], bad=True)
    (out.path / f".{later[1]}.icloud").write_bytes(b"stub")
    shutil.copy(real, out.path / f"{later[2]} (1)")
    out.put(named(-30, 9), known=False)
    for words in (("verify",), ("verify", "--quick"), ("inspect",), ("ls",)):
        key = () if "--quick" in words else ("-i", keys.identity)
        done = world.run(*words, "latest", *key)
        assert done.code == 0 and f"latest is {real}" in done.err, done.err
        assert done.err.count("is newer, but") == 4


def test_a_check_that_fails_makes_an_archive_known_as_bad(
    world: World, real: Path, keys: Keys
) -> None:
    """What verify found damaged is not `latest` any more, nor counted as good."""
    out = Shelf(world, real.parent)
    newer = out.put(named(-0.001, 1, now=parsed(real).time), real.read_bytes()[:-1])
    assert world.run("verify", "latest", "-i", keys.identity).code == 4
    done = world.run("verify", "latest", "-i", keys.identity)
    assert done.code == 0 and f"{newer.name} is newer, but it is damaged" in done.err


@pytest.mark.parametrize("command", ["verify", "restore", "inspect", "ls", "cat", "get", "delete"])
def test_what_is_ambiguous_is_refused_with_the_candidates(
    world: World, keys: Keys, command: str
) -> None:
    """No command picks one of several; nothing is done."""
    out = shelf(world)
    out.put(named(1, 0x1F2E0001))
    out.put(named(2, 0x1F2E0002, "photos"))
    more = {
        "restore": ("--target", "restored"),
        "cat": ("bagit.txt",),
        "get": ("-o", "copy.age"),
        "delete": ("--yes", "--even-last"),
    }
    key = () if command in ("get", "delete") else ("-i", keys.identity)
    for text, candidates in (("1f2e", ("1f2e0001", "1f2e0002")), ("latest", ("notes:", "photos:"))):
        done = world.run(command, text, *more.get(command, ()), *key)
        assert done.code == 2 and not done.out, done.err
        assert all(candidate in done.err for candidate in candidates)
    assert len(out.names()) == 2
    assert {path.name for path in world.directory.iterdir()} == {"out"}


def test_manual_ones_and_days(world: World, keys: Keys) -> None:
    """latest-manual and APP@DAY, the day being one of the policy's time zone."""
    out = shelf(world)
    zone = '[apps.notes.retention]\nkeep_last = 9\ntimezone = "Pacific/Auckland"\n'
    declare(out, keys, zone)
    old, manual = named(9, 1), named(8, 2, manual=True)
    evening = named(5.5, 3)  # noon in UTC, past midnight in Auckland
    for name in (old, manual, evening):
        out.put(name)
    day = evening.time.date()
    for number, (text, name) in enumerate(
        {"notes:latest-manual": manual, f"notes@{day}": manual, "notes:latest": evening}.items()
    ):
        done = world.run("get", text, "-o", f"copy-{number}")
        assert done.code == 0 and name.id in done.err, done.err


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("latest", 10),
        ("notes:latest", 10),
        ("NOTES:latest", 2),
        ("notes@soon", 2),
        ("notes@2026-11-01", 10),
        ("1f2e", 10),
        (str(named(1, 1)), 10),
        ("\x1b[2J", 10),
        ("", 2),
        ("a\udcffb", 10),
        ("x" * 5000, 10),
    ],
)
def test_what_means_nothing_is_answered(world: World, text: str, code: int) -> None:
    """In an empty folder: a sentence and an exit code."""
    shelf(world)
    done = world.run("verify", "--quick", text, "--to", "out")
    assert done.code == code and "Traceback" not in done.err, done.err
    assert "\x1b" not in done.err


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("38", "at least four characters of an id"),
        ("3AB", "at least four characters of an id"),
        ("notes:lates", "latest or latest-manual"),
        ("notse", "agebackup list"),
    ],
)
def test_what_is_nearly_one_gets_a_hint(world: World, text: str, hint: str) -> None:
    """Too few characters of an id, or a slip of the finger, is told what would have been right."""
    shelf(world).put(named(1, 0x38AB0000))
    for words in (("get", text, "-o", "copy"), ("inspect", text), ("delete", text, "--yes")):
        done = world.run(*words)
        assert done.code == 10 and hint in done.err, done.err
    assert world.run("get", "38AB", "-o", "copy").code == 0


@pytest.mark.parametrize("text", ["latest", "notes@2026-11-01", "1f2e", str(named(1, 1))])
def test_where_no_folder_is_known(world: World, text: str) -> None:
    """On a machine that knows of none the hint is --to, or that the file is not here."""
    done = world.run("verify", "--quick", text)
    assert done.code == 10 and ("--to" in done.err or "Check the name" in done.err)


def test_a_path_is_a_path(world: World) -> None:
    """What has a slash is one, and a whole name that lies here; the words keep their meaning."""
    out = shelf(world)
    path = out.put(named(1, 1))
    for name in ("latest", "00000001", path.name):
        (world.directory / name).write_bytes(b"something else")
    for text, code in {
        "./latest": 4,
        path.name: 4,
        f"out/{path.name}": 0,
        str(path): 0,
        "latest": 0,
        "00000001": 0,
    }.items():
        assert world.run("get", text, "-o", "copy").code == code, text
        (world.directory / "copy").unlink(missing_ok=True)


def test_a_folder_can_be_given(world: World) -> None:
    """With --to the archive is looked for there and nowhere else."""
    out, other = shelf(world), shelf(world, "other")
    out.put(named(1, 1))
    older = other.put(named(2, 2))
    done = world.run("get", "latest", "--to", "other", "-o", "copy")
    assert done.code == 0 and older.name in done.err
    assert world.run("get", "latest", "--to", "absent", "-o", "more").code == 10


def test_an_archive_in_the_cloud_says_so(world: World) -> None:
    """One that is named, but is only a stub here, is to be downloaded first."""
    out = shelf(world)
    out.put(named(1, 1))
    stub = named(1 / 2, 0x2222)
    (out.path / f".{stub}.icloud").write_bytes(b"stub")
    for text in (str(stub), stub.id, f"out/{stub}"):
        done = world.run("get", text, "-o", "copy")
        assert done.code == 10 and "Finder" in done.err
    evicted = out.put(named(1 / 4, 0x3333))
    evict(evicted)
    done = world.run("get", "00003333", "-o", "copy")
    assert done.code == 10 and "cloud" in done.err


def evict(path: Path) -> None:
    """Take a file's content away, as cloud clients do, and leave its size."""
    with path.open("r+b") as file:
        file.truncate(0)
        file.truncate(1 << 20)


def test_two_archives_of_one_moment(world: World) -> None:
    """The same one is picked every time."""
    out = shelf(world)
    for number in (3, 1, 2):
        out.put(named(1, number))
    picked = {world.run("get", "latest", "-o", f"c{n}").err.splitlines()[0] for n in range(3)}
    assert len(picked) == 1
