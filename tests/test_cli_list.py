"""list: what lies in a folder, whatever that is, from names and status alone."""

import json
import os
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import Keys, World
from shelf import POWERLESS, TODAY, Shelf, declare, named, shelf, under

from agebackup.ledger import open_ledger
from agebackup.model.records import ArchiveRecord

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")


@pytest.fixture
def out(world: World) -> Shelf:
    """An empty folder of archives."""
    return shelf(world)


def listed(world: World, *words: object) -> dict[str, Any]:
    """Return the only destination that `list WORDS…` tells of."""
    done = world.run("--json", "list", *words)
    assert done.code == 0, done.err
    (destination,) = json.loads(done.out)["destinations"]
    found: dict[str, Any] = destination
    return found


def states(destination: dict[str, Any]) -> list[str]:
    return [one["state"] for one in destination["archives"]]


def test_a_table_for_a_person(world: World, out: Shelf) -> None:
    """Each archive in a line, newest first, by app; then what else lies there."""
    out.put(named(2, 1), b"x" * 12_345, tag="before-2.0")
    out.put(named(1, 2, manual=True))
    out.put(named(1, 3, "photos"), known=False)
    (out.path / "holiday.jpg").write_bytes(b"jpg")
    done = world.run("list", "--to", "out")
    lines = done.out.splitlines()
    assert (done.code, lines[0]) == (0, f"{out.path.resolve()}: 3 archives")
    assert [line.split()[0] for line in lines[1:]] == [
        *("notes", "00000002", "00000001", "photos", "00000003", "other", "holiday.jpg:")
    ]
    assert {"manual", "proved"} <= set(lines[2].split())
    assert {"auto", "12,345", "#before-2.0"} <= set(lines[3].split())
    assert "unknown" in lines[5]


def test_how_far_each_can_be_relied_upon(world: World, out: Shelf) -> None:
    """Verified, proved, unproved, incomplete, damaged and unknown each have their word."""
    changes: list[dict[str, Any]] = [
        {"check": "verify"},
        {},
        {"proved": False},
        {"complete": False},
        {"bad": True},
        {"size": 1},
    ]
    for days, fields in enumerate(changes, start=1):
        out.put(named(days, days), **fields)
    out.put(named(9, 9), known=False)
    words = "verified proved unproved incomplete damaged damaged unknown"
    assert states(listed(world, "--to", "out")) == words.split()
    assert "DAMAGED" in world.run("list", "--to", "out").out


def test_which_rule_keeps_each(world: World, out: Shelf, keys: Keys) -> None:
    """The policy's reasons are told, and what the next prune removes."""
    declare(out, keys, "[apps.notes.retention]\nkeep_last = 2\nkeep_manual = 1\n")
    names = [named(day, day) for day in range(1, 5)]
    for name in names:
        out.put(name)
    out.put(named(8, 8), kept=True)
    out.put(named(9, 9), foreign=True)
    found = listed(world, "notes")["archives"]
    assert [one["stays"] for one in found] == [True, True, False, False, True, True]
    assert "last" in found[0]["reasons"] and "kept by hand" in found[4]["reasons"]
    assert "not this machine's" in found[5]["reasons"][0]
    assert world.run("list").out.count("the next prune removes it") == 2


def test_deletions_are_told_as_what_they_are(world: World, out: Shelf, keys: Keys) -> None:
    """One that is on its way out, and one that somebody brought back, say so."""
    declare(out, keys, "[apps.notes.retention]\nkeep_last = 2\n")
    out.put(named(1, 1), deleted=TODAY, pending="delete")
    out.put(named(2, 2), deleted=TODAY)
    going, back = listed(world)["archives"]
    assert (going["stays"], back["stays"]) == (False, True)
    assert "cut short" in going["reasons"][0] and "again" in back["reasons"][0]


def test_only_one_app(world: World, out: Shelf) -> None:
    """With an app's name the others' archives are not told of, nor their copies."""
    out.put(named(1, 1))
    out.put(named(1, 2, "notes-work"))
    (out.path / f"{named(1, 2, 'notes-work')} (1)").write_bytes(b"x")
    found = listed(world, "notes", "--to", "out")
    assert [one["app"] for one in found["archives"]] == ["notes"] and not found["others"]


def test_what_is_other(world: World, out: Shelf) -> None:
    """Copies, stubs, links, pipes, directories and strangers are listed, each with its kind."""
    path, name = out.path, named(1, 1)
    out.put(name)
    kinds = {f"{name} (Anna's conflicted copy)": "conflict", "backup.age": "foreign"}
    kinds |= {f".{named(0, 2)}.icloud": "evicted", f"{name}.part": "unparseable"}
    kinds |= {".~agebackup-0123456789abcdef.nosync.tmp": "temporary", f"{named(-9, 3)}": "future"}
    for other in kinds:
        (path / other).write_bytes(b"x")
    (path / str(named(1, 4))).mkdir()
    (path / str(named(1, 5))).symlink_to(path / str(name))
    os.mkfifo(path / str(named(1, 6)))
    kinds |= {str(named(1, number)): "link" for number in (4, 5, 6)}
    found = listed(world, "--to", "out")
    assert [one["name"] for one in found["archives"]] == [str(name)]
    assert {one["name"]: one["kind"] for one in found["others"]} == kinds


def test_an_evicted_file_is_told_apart_from_an_empty_one(world: World, out: Shelf) -> None:
    """A file with a size but without a single block is in the cloud; an empty one is damaged."""
    out.put(named(3, 1))
    out.put(named(2, 2), b"")
    evicted = out.put(named(1, 3))
    os.truncate(evicted, 0)
    os.truncate(evicted, 1 << 20)
    found = listed(world, "--to", "out")
    assert states(found) == ["damaged", "proved"]
    assert [(one["kind"], one["name"]) for one in found["others"]] == [("evicted", evicted.name)]


def test_what_is_missing(world: World, out: Shelf) -> None:
    """What the ledger knows and the folder has not is told, but for what was deleted."""
    out.put(named(3, 1))
    gone, deleted = out.put(named(2, 2)), out.put(named(1, 3), deleted=TODAY)
    gone.unlink()
    deleted.unlink()
    assert listed(world, "--to", "out")["missing"] == [gone.name]
    assert "MISSING" in world.run("list", "--to", "out").out


def hostile(folder: Path) -> None:
    """Fill `folder` with names that nobody should have."""
    names: list[bytes] = [b"\x1b[2J\x1b]0;owned\x07", b"two\nlines.age", b"\xff\xfe.age"]
    names += ["‮ega.\u202d".encode(), b"-rf", b"x" * 255, b"notes-\r.tar.age", b" "]
    for name in names:
        (Path(os.fsdecode(os.fsencode(folder) + b"/" + name))).write_bytes(b"x")


def test_names_with_control_characters_do_nothing(world: World, out: Shelf) -> None:
    """Escape codes, line breaks and broken UTF-8 are shown, not performed."""
    hostile(out.path)
    out.put(named(1, 1), tag="evil\x1b[2J", note="\x1b")
    done = world.run("list", "--to", "out")
    assert done.code == 0 and not CONTROL.search(done.out + done.err)
    assert len(done.out.splitlines()) == 12
    found = listed(world, "--to", "out")
    assert len(found["others"]) == 8 and found["archives"][0]["tag"] == "evil\x1b[2J"


def test_ten_thousand_strange_names_are_counted(world: World, out: Shelf) -> None:
    """A screen is not flooded; with --json they all are there."""
    for number in range(10_000):
        (out.path / f"strange \x1b {number}").touch()
    lines = world.run("list", "--to", "out").out.splitlines()
    assert len(lines) == 23 and "9,980 more" in lines[-1]
    assert len(listed(world, "--to", "out")["others"]) == 10_000


@pytest.mark.parametrize("where", ["a\udcffb", "a\nb", "\x1b[2J", "-x", "a'b"])
def test_a_folder_with_a_strange_name(world: World, where: str) -> None:
    """The folder's own name may be anything too."""
    strange = shelf(world, where)
    strange.put(named(1, 1), known="\udcff" not in where)
    done = world.run("list", "--to", f"./{where}")
    assert done.code == 0 and not CONTROL.search(done.out), done.err
    assert len(listed(world, "--to", f"./{where}")["archives"]) == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--to", "absent"), 10),
        (("--to", "file"), 10),
        (("--to", "file/below"), 10),
        (("--to", "loop"), 1),
        (("--to", "x" * 300), 1),
        (("--to", ""), 2),
        (("NOTES", "--to", "out"), 2),
        (("no/app",), 2),
        (("unknown",), 10),
        ((), 10),
        (("a", "b"), 2),
    ],
)
def test_nonsense_is_answered(world: World, out: Shelf, words: tuple[str, ...], code: int) -> None:
    """A wrong name is a sentence, a hint and an exit code."""
    (world.directory / "file").write_text("x")
    (world.directory / "loop").symlink_to("loop")
    done = world.run("list", *words)
    assert (done.code, done.out) == (code, "") and "Traceback" not in done.err
    assert len(done.err.splitlines()) >= 2


def test_an_empty_folder_is_no_failure(world: World, out: Shelf) -> None:
    """Nothing there yet is an answer."""
    assert world.run("list", "--to", "out").out == f"{out.path.resolve()}: 0 archives\n"


def test_a_file_in_the_folder_stands_for_it(world: World, out: Shelf) -> None:
    """The --to of create, which may name a file freely, is understood: that file is other."""
    (out.path / "backup.age").write_bytes(b"x")
    for to in ("out/backup.age", "out/absent.age"):
        assert listed(world, "--to", to)["others"][0]["reason"] == "it is not named as an archive"


@pytest.mark.linux
@pytest.mark.parametrize("mode", [0o000, 0o400, 0o100])
def test_a_folder_that_may_not_be_read(world: World, out: Shelf, mode: int) -> None:
    """Without the right to list or to enter it the folder is named, and nothing is guessed."""
    out.put(named(1, 1))
    out.path.chmod(mode)
    done = under(world, POWERLESS, "list", "--to", "out")
    out.path.chmod(0o700)
    assert done.code == 1 and "Permission denied" in done.err and not done.out


def test_one_folder_of_several_is_away(world: World, out: Shelf, keys: Keys) -> None:
    """The others are listed all the same; the exit code and --json tell of the one."""
    declare(out, keys)
    away = shelf(world, "away")
    declare(away, keys, app="photos")
    out.put(named(1, 1))
    away.path.rmdir()
    done = world.run("--json", "list")
    told = json.loads(done.out)
    assert (done.code, told["status"], told["exit"]) == (10, "incomplete", 10)
    assert len(told["destinations"]) == 1 and "does not exist" in told["unread"][0]["message"]
    assert "does not exist" in world.run("list").err


def test_a_damaged_ledger_hides_no_archive(world: World, out: Shelf) -> None:
    """Then the archives are listed as unknown, with a warning."""
    out.put(named(1, 1))
    (world.state / "ledger.db").write_bytes(b"no database " * 1000)
    done = world.run("--json", "list", "--to", "out")
    assert done.code == 0 and "warning" in done.err
    assert states(json.loads(done.out)["destinations"][0]) == ["unknown"]


def test_two_names_of_one_folder_are_listed_once(world: World, out: Shelf, keys: Keys) -> None:
    """A folder that the configuration reaches through a link is the one that the ledger knows."""
    (world.directory / "link").symlink_to("out")
    declare(replace(out, path=world.directory / "link"), keys)
    out.put(named(1, 1))
    assert states(listed(world)) == ["proved"]
    assert states(listed(world, "--to", "out/../link/")) == ["proved"]


@pytest.mark.linux
def test_no_archive_is_opened(world: World, out: Shelf) -> None:
    """Neither archives nor evicted files nor anything else in the folder is opened or read."""
    for number in range(5):
        out.put(named(number, number))
    (out.path / f".{named(9, 9)}.icloud").write_bytes(b"stub")
    hostile(out.path)
    log = world.directory / "strace.log"
    traced = ("strace", "-f", "-qq", "-y", "-o", str(log), "-e", "trace=%file,read,pread64,mmap")
    done = under(world, traced, "list", "--to", "out")
    assert done.code == 0 and "00000004" in done.out, done.err
    calls = [line.split(maxsplit=1)[1] for line in log.read_text().splitlines()]
    within = [call for call in calls if f"{out.path}" in call or "notes-" in call]
    kinds = {call.split("(")[0] for call in within}
    opened = [call for call in within if call.startswith("open")]
    assert opened and all("O_DIRECTORY" in call for call in opened)
    assert kinds <= {"openat", "newfstatat", "lstat", "statx", "stat", "readlink", "getcwd"}, kinds


def test_ten_thousand_archives(world: World, out: Shelf) -> None:
    """They all are listed, each with what the ledger knows of it."""
    names = [named(number / 24, number) for number in range(10_000)]
    rows = []
    for name in names:
        (out.path / str(name)).touch()
        record = ArchiveRecord.of(name, str(out.path.resolve()))
        rows.append(replace(record, size=0, proved=True))
    with open_ledger(world.state / "ledger.db") as ledger:
        ledger.put(*rows)
    found = listed(world, "--to", "out")
    assert [one["name"] for one in found["archives"]] == list(map(str, names))
    assert (
        not found["missing"] and found["archives"][-1]["age"] > timedelta(days=400).total_seconds()
    )
