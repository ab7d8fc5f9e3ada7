"""tag, untag, keep, unkeep: marks in the ledger alone, on any archive that can be named."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from conftest import Keys, World
from shelf import Shelf, declare, named, shelf

NAME = named(1, 0x1F2E3D4C)


@pytest.fixture
def out(world: World) -> Shelf:
    """A folder with one archive."""
    out = shelf(world)
    out.put(NAME)
    return out


def state(path: Path) -> tuple[bytes, int, int]:
    """Return what marking an archive must not change."""
    status = path.stat()
    return path.read_bytes(), status.st_ino, status.st_mtime_ns


def test_marks_come_and_go(world: World, out: Shelf) -> None:
    """Each command says what holds now, list shows it, and the file stays untouched."""
    before = state(out.path / str(NAME))
    steps: list[tuple[tuple[str, ...], str, bool]] = [
        (("tag", "latest", "before-2.0"), "before-2.0", False),
        (("keep", "latest"), "before-2.0", True),
        (("tag", NAME.id, "other"), "other", True),
        (("untag", str(NAME)), "", True),
        (("untag", f"out/{NAME}"), "", True),
        (("unkeep", "notes:latest"), "", False),
    ]
    for words, tag, kept in steps:
        told = json.loads(world.run("--json", *words).out)
        assert (told["archive"], told["tag"], told["kept"]) == (str(NAME), tag, kept)
        (listed,) = json.loads(world.run("--json", "list").out)["destinations"][0]["archives"]
        assert (listed["tag"], listed["kept"]) == (tag, kept)
    assert state(out.path / str(NAME)) == before and out.names() == {str(NAME)}


def test_what_was_done_is_said(world: World, out: Shelf) -> None:
    """In a sentence on stderr, and stdout has the name alone; -q leaves that only."""
    steps = {
        ("keep",): f"Kept {NAME}.",
        ("keep", ""): f"{NAME} was kept already.",
        ("tag", "one"): f"Tagged {NAME} as one.",
        ("tag", "two"): f"Tagged {NAME} as two, no longer one.",
        ("untag",): f"Took the tag two from {NAME}.",
        ("untag", ""): f"{NAME} had no tag.",
        ("unkeep",): f"The rules decide about {NAME} again.",
        ("unkeep", ""): f"{NAME} was not kept.",
    }
    for (command, *more), said in steps.items():
        done = world.run(command, str(NAME), *filter(None, more))
        assert (done.code, done.out, done.err) == (0, f"{NAME}\n", f"{said}\n")
    done = world.run("-q", "tag", str(NAME), "word")
    assert (done.out, done.err) == (f"{NAME}\n", "")


def test_a_tag_that_keeps_nothing_says_so(world: World, out: Shelf, keys: Keys) -> None:
    """Whoever trusts a tag learns that no rule goes by it, and what does keep the archive."""
    hint = f"A tag alone does not keep it: agebackup keep {NAME.id}"
    assert world.run("tag", "latest", "word").err.count(hint) == 1
    declare(out, keys, '[apps.notes.retention]\nkeep_last = 1\nkeep_tags = ["release"]\n')
    assert hint in world.run("tag", "latest", "word").err
    assert hint not in world.run("tag", "latest", "release").err
    assert world.run("keep", NAME.id).code == 0
    assert hint not in world.run("tag", "latest", "word").err
    world.config.write_text("nonsense")
    assert world.run("tag", f"out/{NAME}", "word").code == 0


def test_marked_ones_survive_prune(world: World, out: Shelf, keys: Keys) -> None:
    """What is kept is never pruned, nor what has a tag that the policy keeps."""
    declare(out, keys, '[apps.notes.retention]\nkeep_last = 1\nkeep_tags = ["release"]\n')
    names = [named(day, day) for day in range(2, 7)]
    for name in names:
        out.put(name)
    assert world.run("keep", names[1].id).code == 0
    assert world.run("tag", names[2].id, "release").code == 0
    assert world.run("tag", names[3].id, "else").code == 0
    done = world.run("prune", "notes", "--yes")
    assert done.code == 0, done.err
    assert out.names() == {str(NAME), str(names[1]), str(names[2])}


@pytest.mark.parametrize(
    "word",
    [
        "",
        " ",
        "two words",
        "a\nb",
        "a\tb",
        "\x1b[2J",
        "a\u202eb",
        "a\udcffb",
        " a",
        "a\u2003b",
        "\x7f",
    ],
)
def test_a_tag_is_one_word(world: World, out: Shelf, word: str) -> None:
    """A tag that could do something to a terminal, or is none, is refused."""
    done = world.run("tag", "latest", word)
    assert done.code == 2 and "Traceback" not in done.err and "\x1b" not in done.err
    assert out.row(NAME).tag == ""


@pytest.mark.parametrize("word", ["ü", "日本", "#1", "a" * 5000, "';--", "a,b", "--", "%s", "👍"])
def test_any_printable_word_is_one(world: World, out: Shelf, word: str) -> None:
    """Whatever can be printed and is one word comes back as it was given."""
    assert world.run("tag", "latest", "--", word).code == 0
    assert out.row(NAME).tag == word
    assert word in world.run("list").out


def evict(path: Path) -> Path:
    """Take the content away and leave the size, as cloud clients do."""
    os.truncate(path, 0)
    os.truncate(path, 1 << 20)
    return path


@pytest.mark.parametrize("how", ["NAME", "ID", "PATH"])
@pytest.mark.parametrize("cloud", ["stub", "evicted"])
def test_an_archive_in_the_cloud_can_be_marked(
    world: World, out: Shelf, how: str, cloud: str
) -> None:
    """A mark needs no content: nothing has to be downloaded for it."""
    away = named(2, 0x22220000)
    path = out.put(away, b"x" * (1 << 20))
    if cloud == "stub":
        path.rename(out.path / f".{away}.icloud")
    else:
        evict(path)
    text = {"NAME": str(away), "ID": away.id[:4], "PATH": f"out/{away}"}[how]
    assert world.run("keep", text).code == 0
    done = world.run("tag", text, "word")
    assert done.code == 0, done.err
    row = out.row(away)
    assert (row.tag, row.kept, row.size, row.foreign) == ("word", True, 1 << 20, False)


def test_an_unknown_one_becomes_known_as_anothers(world: World, out: Shelf) -> None:
    """Marking another machine's archive does not make it this one's to prune."""
    strange = out.put(named(2, 0x22220000), known=False)
    assert world.run("tag", "2222", "word").code == 0
    row = out.row(named(2, 0x22220000))
    assert row.foreign and row.size == strange.stat().st_size and row.tag == "word"


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("out/mine.age", 13, "not named as an archive"),
        (f"out/{named(8, 8)}", 13, "no regular file"),
        (f"out/{named(9, 9)}", 10, "no archive"),
        (f"absent/{named(9, 9)}", 10, "does not exist"),
        ("out/absent.age", 10, "There is no archive /"),
        ("nonono", 10, "There is no archive nonono"),
        ("ffff", 10, "ffff"),
        ("38", 10, "at least four characters of an id"),
        ("photos:latest", 10, "photos"),
        ("", 2, "empty"),
    ],
)
def test_nonsense_is_answered(world: World, out: Shelf, text: str, code: int, said: str) -> None:
    """What cannot be marked is named for what it is, and the ledger learns nothing."""
    (out.path / "mine.age").write_bytes(b"mine")
    (out.path / str(named(8, 8))).symlink_to(str(NAME))
    done = world.run("keep", text)
    assert done.code == code and said in done.err, done.err
    rows: dict[str, Any] = json.loads(world.run("--json", "list").out)["destinations"][0]
    assert [(one["tag"], one["kept"]) for one in rows["archives"]] == [("", False)]


def test_a_ledger_that_cannot_be_used_is_said(world: World, out: Shelf) -> None:
    """A mark that would be lost is not promised."""
    (world.state / "ledger.db").write_bytes(b"no database " * 1000)
    done = world.run("keep", f"out/{NAME}")
    assert done.code not in (0, 3) and "Traceback" not in done.err and not done.out


def test_without_a_ledger_one_is_made(world: World, out: Shelf) -> None:
    """A machine that has never made a backup can mark what it finds."""
    for file in world.state.glob("ledger.db*"):
        file.unlink()
    assert world.run("keep", "latest", "--to", "out").code == 0
    assert out.row(NAME).kept and out.row(NAME).foreign
