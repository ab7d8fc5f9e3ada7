"""What somebody who can write to the folder of archives cannot make agebackup do.

The attacker here knows the public key and every name, and acts between two commands.
"""

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hostile
import pyrage
import pytest
import sample_app
from conftest import Keys, Outcome, World
from pyrage import x25519
from saved_machine import as_it_was, saved_machine


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> tuple[World, Path]:
    """A machine with three archives of one app, all in the ledger; and a copy of all its files."""
    return saved_machine(tmp_path_factory.mktemp("machine"), keys)


@pytest.fixture
def world(template: tuple[World, Path]) -> World:
    """That machine as it was, whatever the test before did to it."""
    return as_it_was(template)


@pytest.fixture
def folder(world: World) -> Path:
    """Its destination."""
    return world.directory / "cloud"


def archives(folder: Path) -> list[Path]:
    """Return the archives, the newest last, as `latest` orders them."""
    return sorted(folder.glob("notes-*.age"), key=lambda path: path.name)


def forged(archive: Path, keys: Keys, *, size: int | None = None) -> bytes:
    """Return a sound archive of the same content that somebody else made with the public key.

    Headers hold noise of random length: tried again until the file has `size` bytes.
    """
    plain = subprocess.run(
        ["age", "-d", "-i", keys.identity, archive], check=True, capture_output=True
    ).stdout
    owner = x25519.Recipient.from_str(keys.recipient)
    while True:
        content = pyrage.encrypt(plain, [owner, x25519.Identity.generate().to_public()])
        if size in (None, len(content)):
            return content


def replaced(archive: Path, keys: Keys) -> None:
    """Put a sound archive of another maker, equally large, in the place of `archive`."""
    content = forged(archive, keys, size=archive.stat().st_size)
    assert content != archive.read_bytes()
    archive.write_bytes(content)


def planted(folder: Path, content: bytes, *, ahead: timedelta = timedelta(minutes=5)) -> Path:
    """Put `content` there under the name of an archive newer than all others."""
    time = datetime.now(UTC) + ahead
    path = folder / f"notes-{time:%Y%m%dT%H%M%SZ}-deadbeef.tar.age"
    path.write_bytes(content)
    return path


def said(outcome: Outcome) -> dict[str, Any]:
    """Return the object that a command wrote."""
    found: dict[str, Any] = json.loads(outcome.out)
    return found


def states(world: World) -> dict[str, str]:
    """Return the state that `list` shows of each archive."""
    listed = said(world.run("list", "notes", "--json"))["destinations"][0]["archives"]
    return {one["name"]: one["state"] for one in listed}


# A sound archive in the place of another


def test_a_sound_archive_of_another_maker_is_not_verified(
    world: World, folder: Path, keys: Keys
) -> None:
    """age proves no origin; the ledger's hash does: what is not what was written is damaged."""
    newest = archives(folder)[-1]
    replaced(newest, keys)
    outcome = world.run("verify", "notes:latest", "-i", keys.identity)
    assert outcome.code == 4 and newest.name in outcome.err and "hash" in outcome.err
    assert states(world)[newest.name] == "damaged"
    assert world.run("verify", newest, "-i", keys.identity, "--quick").code == 0
    assert states(world)[newest.name] == "damaged"  # a look at the header heals nothing


def test_a_sound_archive_of_another_maker_is_not_restored(
    world: World, folder: Path, keys: Keys
) -> None:
    """Neither the latest nor a named one whose hash the ledger knows: the target stays absent."""
    newest = archives(folder)[-1]
    replaced(newest, keys)
    for text in ("notes:latest", newest):
        outcome = world.run("restore", text, "-i", keys.identity, "--target", "back")
        assert outcome.code == 4 and "not the archive that was written" in outcome.err
        assert not (world.directory / "back").exists()
    outcome = world.run("cat", newest, "ledger.db", "-i", keys.identity, errors="replace")
    assert outcome.code == 4 and not outcome.out
    elsewhere = shutil.copy(newest, world.directory / "trusted.age")
    assert world.run("restore", elsewhere, "-i", keys.identity, "--target", "back").code == 0


def test_an_old_archive_under_a_new_name_heals_nothing(
    world: World, folder: Path, keys: Keys
) -> None:
    """A file that says it is another archive makes no row good, even where no hash is known."""
    older, newest = archives(folder)[-2:]
    (world.state / "ledger.db").unlink()
    newest.write_bytes(older.read_bytes())
    assert world.run("ledger", "rebuild", folder).code == 0
    outcome = world.run("verify", newest, "-i", keys.identity)
    assert outcome.code == 0 and "renamed or exchanged" in outcome.err
    assert states(world)[newest.name] == "unproved"
    assert world.run("verify", older, "-i", keys.identity).code == 0
    assert states(world)[older.name] == "verified"
    assert world.run("verify", older, "--quick").code == 0
    assert states(world)[older.name] == "verified"


# latest


def test_latest_is_never_a_file_that_somebody_put_there(
    world: World, folder: Path, keys: Keys
) -> None:
    """A sound archive under a newer name is neither restored nor deleted, but told of."""
    newest = archives(folder)[-1]
    strange = planted(folder, forged(newest, keys))
    outcome = world.run("restore", "notes:latest", "-i", keys.identity, "--target", "back")
    assert outcome.code == 0 and newest.name in outcome.err
    assert strange.name in outcome.err and "does not know it" in outcome.err
    outcome = world.run("get", "notes:latest", "-o", "copy.age")
    assert (world.directory / "copy.age").read_bytes() == newest.read_bytes(), outcome.err


def test_latest_is_never_a_strange_file_where_all_others_are_gone(
    world: World, folder: Path, keys: Keys
) -> None:
    """Who removes every archive does not get his own one restored for it."""
    content = forged(archives(folder)[-1], keys)
    for path in archives(folder):
        path.unlink()
    strange = planted(folder, content)
    outcome = world.run("restore", "notes:latest", "-i", keys.identity, "--target", "back")
    assert outcome.code == 10 and strange.name in outcome.err
    assert not (world.directory / "back").exists()
    assert world.run("status", "notes").code == 5


def test_words_never_mean_a_file_of_that_name(world: World, folder: Path, keys: Keys) -> None:
    """Who stands in the folder and says latest means the newest archive, whatever lies there."""
    newest = archives(folder)[-1]
    for text in ("latest", "notes:latest", newest.name.split("-")[2][:8]):
        (folder / text).write_bytes(b"age-encryption.org/v1\n")
        outcome = world.run("get", text, "-o", world.directory / "copy.age", cwd=folder)
        assert outcome.code == 0, outcome.err
        assert (world.directory / "copy.age").read_bytes() == newest.read_bytes()
        os.unlink(world.directory / "copy.age")


# ledger rebuild


LIES: dict[str, dict[str, object]] = {
    "number too large": {"series": "s", "sequence": 1 << 80},
    "number too small": {"series": "s", "sequence": -1},
    "last number": {"series": "s", "sequence": (1 << 63) - 1},
    "texts": {"series": "\0x", "tag": "\x1b[31m", "note": "\x1b]0;x\x07" * 99, "sequence": 1},
}


@pytest.mark.parametrize("lie", LIES)
def test_no_manifest_keeps_a_ledger_from_being_made(world: World, keys: Keys, lie: str) -> None:
    """One archive that anybody could make, full of odd values, does not fail the rebuild."""
    name = "app-20261120T021500Z-1f2e3d4c.tar.age"
    files = {"data/attachments/a.txt": b"alpha"}
    bag = hostile.Bag(files, (), lambda manifest: manifest.update({"archive": name} | LIES[lie]))
    there = world.directory / "there"
    there.mkdir()
    sealed = pyrage.encrypt(bag.stream(), [x25519.Recipient.from_str(keys.recipient)])
    (there / name).write_bytes(sealed)
    outcome = world.run("ledger", "rebuild", there, "-i", keys.identity)
    assert outcome.code == 0 and "1 verified" in outcome.out, outcome.err
    assert world.run("ledger", "check").code == 0
    shown = world.run("list", "--to", there)
    assert shown.code == 0 and "verified" in shown.out and "\x1b" not in shown.out + shown.err
    assert world.run("audit", "--to", there).code == 0
    for text in (["app:latest", "--to", there], ["notes:latest"]):
        assert world.run("get", *text, "-o", world.directory / "copy").code == 0
        os.unlink(world.directory / "copy")


def test_what_was_planted_is_never_this_machines(world: World, folder: Path, keys: Keys) -> None:
    """Adopted without --mine it evicts nothing, is not pruned, and is no proof of freshness."""
    planted(folder, forged(archives(folder)[-1], keys))
    assert world.run("ledger", "rebuild", folder, "-i", keys.identity).code == 4  # it is renamed
    before = archives(folder)
    rules = ("--keep-last", "3", "--to", folder)
    outcome = world.run("prune", "notes", *rules)
    assert outcome.code == 0 and archives(folder) == before


def test_a_hole_of_a_terabyte_is_not_read(world: World, folder: Path) -> None:
    """What has not the size of the archive that had its name is false, and costs no time."""
    newest = archives(folder)[-1]
    content = newest.read_bytes()
    with newest.open("wb") as file:
        file.write(content)
        file.truncate(1 << 40)
    outcome = world.run("ledger", "rebuild", folder, "--read", seconds=30)
    assert outcome.code == 4 and "1,099,511,627,776 bytes" in outcome.out
    outcome = world.run("audit", "--full", seconds=30)
    assert outcome.code == 4 and "size-differs" in outcome.out
    outcome = world.run("get", newest, "-o", world.directory / "copy", seconds=30)
    assert outcome.code == 4 and not (world.directory / "copy").exists()


# audit


def codes(world: World, *arguments: object) -> tuple[int, dict[str, str]]:
    """Return the exit code of an audit, and the subjects of its problems by code."""
    outcome = world.run("audit", "--json", *arguments)
    found = said(outcome)["findings"]
    return outcome.code, {one["code"]: one["subject"] for one in found if one["severity"] != "note"}


def hollowed(path: Path, size: int) -> None:
    """Leave what looks like a file whose content a cloud client took away."""
    path.unlink()
    with path.open("wb") as file:
        file.truncate(size)


@pytest.mark.linux
def test_stubs_of_everything_are_no_quiet_folder(world: World, folder: Path) -> None:
    """Who replaces all archives by holes or iCloud's stubs of them is not passed over as a note."""
    names = archives(folder)
    for path in names[:-1]:
        hollowed(path, path.stat().st_size)
    assert codes(world) == (0, {})
    hollowed(names[-1], names[-1].stat().st_size)
    assert codes(world) == (4, {"out-of-reach": "notes"})
    for path in names:
        path.rename(path.with_name(f".{path.name}.icloud"))
    assert codes(world) == (4, {"out-of-reach": "notes"})
    planted(folder, b"x" * 300)
    assert "out-of-reach" in codes(world)[1]


@pytest.mark.linux
def test_a_stub_of_another_size_is_no_stub(world: World, folder: Path) -> None:
    """Cloud clients keep a file's size when they take its content away."""
    newest = archives(folder)[-1]
    hollowed(newest, 1 << 20)
    assert codes(world) == (4, {"size-differs": newest.name})


def test_a_rebuilt_ledger_makes_no_alarm_of_recipients(
    world: World, folder: Path, keys: Keys
) -> None:
    """Of an archive that was taken in by its name nobody knows whether a proof added a key."""
    (world.state / "ledger.db").unlink()
    assert world.run("ledger", "rebuild", "--mine", "--read", folder).code == 0
    app = sample_app.SampleApp.at(world.directory / "app")
    words = ("--db", app.ledger, "--app", "notes", "--to", folder, "-r", keys.recipient)
    assert world.run("create", *words).code == 0
    assert codes(world) == (0, {})


def test_a_recipe_that_somebody_changed_is_told_of(world: World, folder: Path) -> None:
    """Who is asked by the folder's own text to send the key away finds a note of it first."""
    recipe = folder / "AGEBACKUP-RECOVER.txt"
    assert "recipe-differs" not in world.run("audit").out
    recipe.write_text(recipe.read_text() + "\nThen send key.txt to help@example.org.\n")
    assert "recipe-differs" in world.run("audit").out
    recipe.unlink()
    recipe.symlink_to("/dev/zero")
    assert world.run("audit", seconds=30).code == 0


# prune


CONFIG = """[apps.notes]
recipients = ["{recipient}"]
destination = "{folder}"
[apps.notes.databases]
ledger = "{database}"
[apps.notes.retention]
keep_last = 1
keep_yearly = -1
shared = {shared}
"""


def configured(world: World, folder: Path, keys: Keys, *, shared: bool) -> None:
    """Declare the app, with a policy that keeps one archive and one of each year."""
    database = sample_app.SampleApp.at(world.directory / "app").ledger
    world.config.parent.mkdir(parents=True, exist_ok=True)
    world.config.write_text(
        CONFIG.format(
            recipient=keys.recipient,
            folder=folder,
            database=database,
            shared=str(shared).lower(),
        )
    )


def test_a_flood_of_newer_names_evicts_nothing(world: World, folder: Path, keys: Keys) -> None:
    """A hundred archives that the ledger does not know take no place in any rule."""
    configured(world, folder, keys, shared=False)
    kept = archives(folder)
    for number in range(100):
        planted(folder, b"x" * 400, ahead=timedelta(seconds=number))
    outcome = world.run("prune", "notes", "--keep-last", "3")
    assert outcome.code == 0 and all(path.exists() for path in kept), outcome.err


def test_names_of_others_do_not_raise_what_may_go_at_once(
    world: World, folder: Path, keys: Keys
) -> None:
    """Where machines share a folder, archives that are kept for each year do not make half of the
    good ones more than it is."""
    configured(world, folder, keys, shared=True)
    database = sample_app.SampleApp.at(world.directory / "app").ledger
    words = ("--db", database, "--app", "notes", "--to", folder, "-r", keys.recipient)
    for _ in range(3):
        assert world.run("create", *words).code == 0
    good = archives(folder)
    for year in range(1970, 2020):
        (folder / f"notes-{year}0101T000000Z-deadbeef.tar.age").write_bytes(b"x" * 400)
    outcome = world.run("prune", "notes")
    assert outcome.code == 13 and "good archives" in outcome.err
    assert all(path.exists() for path in good)


# status


@pytest.mark.linux
def test_a_hole_of_another_size_is_no_evicted_archive(
    world: World, folder: Path, keys: Keys
) -> None:
    """The newest, cut short without content, is not passed over as being in the cloud."""
    for path in archives(folder):
        hollowed(path, 1 << 20)
    outcome = world.run("status", "notes", "--max-age", "1d")
    assert outcome.code == 5 and "newest-cut" in outcome.out


def test_a_planted_name_is_no_proof_that_backups_are_made(
    world: World, folder: Path, keys: Keys
) -> None:
    """What the ledger does not know is not fresh, and hides nothing that is gone."""
    configured(world, folder, keys, shared=False)
    for path in archives(folder):
        path.unlink()
    planted(folder, b"x" * 400, ahead=timedelta(0))
    outcome = world.run("status", "notes")
    assert outcome.code == 5 and "newest-gone" in outcome.out


# The state directory


@pytest.mark.parametrize("name", ["schedule.json", "log/agebackup.log.1", "wanted/notes"])
def test_a_pipe_among_its_own_files_holds_nobody_up(
    world: World, folder: Path, keys: Keys, name: str
) -> None:
    """Whoever may write to the state directory, too, does not make a command wait for ever."""
    configured(world, folder, keys, shared=False)
    pipe = world.state / name
    pipe.parent.mkdir(parents=True, exist_ok=True)
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    for words in (("status",), ("log",), ("doctor",), ("run",)):
        outcome = world.run(*words, seconds=30)
        assert outcome.code in (0, 1, 4, 5, 10) and "defect" not in outcome.err, outcome.err


# Names


NAMES = (
    "\x1b]0;title\x07.age",
    "\x1b[31mred.tar.age",
    "new\nline.age",
    "\u202egpj.age",
    "\x9b31m.age",
    "\udcff\udcfe.age",
    "{stem} (\x1b[2Jcopy).tar.age",
    "{stem}.tar.age\u0301",
    ".{stem}.tar.age.icloud",
    ".~agebackup-\x1b[31m",
    "notes-99991231T235959Z-ae62d119.tar.age",
    "notes-00010101T000000Z-ae62d119.tar.age",
    "notes-\uff120261121T072240Z-ae62d119.tar.age",
    "-rf",
)


def odd_things(folder: Path, stem: str) -> None:
    """Put files with `NAMES` there, and under archives' names what is no file."""
    for name in NAMES:
        (folder / name.format(stem=stem)).write_bytes(b"x")
    forms = [
        folder / f"notes-20261101T00000{number}Z-0000000{number}.tar.age" for number in range(4)
    ]
    os.mkfifo(forms[0])
    forms[1].mkdir()
    forms[2].symlink_to("/dev/zero")
    forms[3].symlink_to("/etc/passwd")


def test_no_name_or_kind_of_file_disturbs_any_command(
    world: World, folder: Path, keys: Keys
) -> None:
    """Nothing hangs, no terminal acts on a name, nothing is followed, and backups go on."""
    configured(world, folder, keys, shared=False)
    odd_things(folder, archives(folder)[-1].name.removesuffix(".tar.age"))
    there = set(os.listdir(folder))
    for words, codes_ in {
        ("list",): (0,),
        ("audit", "--full"): (4,),
        ("status",): (0,),
        ("doctor",): (4,),
        ("clean",): (0,),
        ("prune", "notes", "--keep-last", "9"): (0,),
        ("ledger", "rebuild", str(folder)): (0,),
        ("verify", "notes:latest", "-i", str(keys.identity)): (0,),
    }.items():
        outcome = world.run(*words, seconds=60)
        assert outcome.code in codes_, (words, outcome)
        told = (outcome.out + outcome.err).replace("\n", "")
        assert told.isprintable(), words
        json.loads(world.run(*words, "--json", seconds=60).out)
    assert set(os.listdir(folder)) == there
    assert world.run("create", "notes").code == 0
    for path in sorted(folder.glob("notes-20261101T*")):
        assert world.run("delete", path, "--yes").code == 13
        assert os.path.lexists(path)
