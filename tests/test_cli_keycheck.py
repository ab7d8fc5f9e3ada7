"""keycheck: whether a key opens archives is seen from their first bytes, and remembered."""

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import Keys, World
from pseudo_terminal import protected
from shelf import Shelf, declare, named, shelf

from agebackup.ledger import open_ledger
from agebackup.model.ageheader import CHUNK_BYTES, parse, sealed_size
from agebackup.model.names import ArchiveName
from agebackup.model.records import KeycheckRecord


@pytest.fixture
def out(world: World) -> Shelf:
    """An empty folder of archives."""
    return shelf(world)


def sealed(*recipients: str, content: bytes = b"content") -> bytes:
    """Return what stock age makes of `content`."""
    flags = [word for one in recipients for word in ("-r", one)]
    return subprocess.run(["age", *flags], input=content, capture_output=True, check=True).stdout


def checked(world: World, *words: object) -> dict[str, Any]:
    """Return what `keycheck WORDS…` prints; its exit code is the process's."""
    done = world.run("--json", "keycheck", *words)
    printed: dict[str, Any] = json.loads(done.out)
    assert printed.get("exit", 0) == done.code
    return printed


def noted(world: World) -> dict[str, KeycheckRecord]:
    with open_ledger(world.state / "ledger.db") as ledger:
        return {one.recipient: one for one in ledger.keychecks()}


def ids(printed: dict[str, Any]) -> list[int]:
    """Return the numbers of the archives that were tried."""
    names = [ArchiveName.parse(Path(one["archive"]).name) for one in printed["results"]]
    return [int(name.id, 16) for name in names if name]


def test_a_key_that_opens(world: World, out: Shelf, keys: Keys, other_keys: Keys) -> None:
    """A line for each archive, then for whom the key stands, and whose key was not given."""
    declare(out, keys)
    more = f'recipients = ["{keys.recipient}", "{other_keys.recipient}"]'
    text = world.config.read_text().replace(f'recipients = ["{keys.recipient}"]', more)
    world.config.write_text(text)
    path = out.put(named(1, 1), sealed(keys.recipient, other_keys.recipient))
    done = world.run("keycheck", "-i", keys.identity)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"{path}: opened by {keys.recipient}",
        f"{keys.recipient}: a recipient of notes",
        f"{other_keys.recipient}: of notes; none of these keys is its own",
    ]
    assert world.leftovers() == ()


def test_which_archives_are_tried(world: World, out: Shelf, keys: Keys) -> None:
    """Of each app the newest, and the oldest that each rule keeps, each once: there a key that was
    changed shows."""
    declare(
        out, keys, "[apps.notes.retention]\nkeep_daily = 3\nkeep_monthly = 2\nkeep_manual = 1\n"
    )
    content = sealed(keys.recipient)
    for day in range(70):
        out.put(named(day, day), content)
    out.put(named(5.5, 200, manual=True), content)
    out.put(named(3, 100, "photos"), content)
    listed = json.loads(world.run("--json", "list").out)["destinations"][0]["archives"]
    tried = ids(checked(world, "-i", keys.identity))
    assert tried[0] == 0 and 200 in tried and tried[-1] == 100, "the newest, the manual, the other"
    assert len(tried) == len(set(tried)) < 10
    by_tier = {
        rule: [
            int(one["id"], 16) for one in listed if any(r.startswith(rule) for r in one["reasons"])
        ]
        for rule in ("daily", "monthly")
    }
    for numbers in by_tier.values():
        assert numbers[-1] in tried


def test_an_old_archive_needs_the_old_key(
    world: World, out: Shelf, keys: Keys, other_keys: Keys
) -> None:
    """A key that was changed since shows as 12, with the archive; with both keys all is well."""
    declare(out, keys, "[apps.notes.retention]\nkeep_daily = 2\nkeep_monthly = 3\n")
    out.put(named(1, 1), sealed(keys.recipient))
    old = out.put(named(80, 2), sealed(other_keys.recipient))
    done = world.run("keycheck", "-i", keys.identity)
    assert done.code == 12 and f"{old}: no given key opens it" in done.err
    assert noted(world).keys() == {keys.recipient}
    both = checked(world, "-i", keys.identity, "-i", other_keys.identity)
    assert [one["opened_by"] for one in both["results"]] == [
        [keys.recipient],
        [other_keys.recipient],
    ]
    assert both["keys"][1] == {"recipient": other_keys.recipient, "apps": []}


def test_another_apps_key(world: World, out: Shelf, keys: Keys, other_keys: Keys) -> None:
    """A key of one app is not blamed for another's; named, an archive must open; and what is
    nobody's key opens nothing (12)."""
    declare(out, keys)
    declare(out, other_keys, app="photos")
    out.put(named(1, 1), sealed(keys.recipient))
    theirs = out.put(named(1, 2, "photos"), sealed(other_keys.recipient))
    printed = checked(world, "-i", keys.identity)
    assert [one["status"] for one in printed["results"]] == ["opened", "other-keys"]
    assert printed["unheld"] == [{"recipient": other_keys.recipient, "apps": ["photos"]}]
    assert checked(world, "-i", keys.identity, theirs)["exit"] == 12
    stranger = world.directory / "stranger.txt"
    subprocess.run(["age-keygen", "-o", stranger], check=True, capture_output=True)
    printed = checked(world, "-i", stranger)
    assert printed["exit"] == 12 and [one["exit"] for one in printed["results"]] == [12, 12]
    assert noted(world).keys() == {keys.recipient}


def test_the_date_is_kept_per_recipient(
    world: World, out: Shelf, keys: Keys, other_keys: Keys
) -> None:
    """Only a key that really opened an archive is noted, with the archive and the moment."""
    path = out.put(named(1, 1), sealed(keys.recipient))
    begun = datetime.now(UTC)
    assert world.run("keycheck", path, "-i", keys.identity, "-i", other_keys.identity).code == 0
    (record,) = noted(world).values()
    assert (record.recipient, record.archive) == (keys.recipient, path.name)
    assert begun <= record.checked <= datetime.now(UTC)


def test_damage_and_absence(world: World, out: Shelf, keys: Keys) -> None:
    """4 for a damaged header or a cut file, 10 for one that is not there; the worst counts, and
    the others are tried all the same."""
    content = sealed(keys.recipient)
    good = out.put(named(1, 1), content)
    mac = content.index(b"\n--- ") + 5
    damaged = out.put(
        named(2, 2), content[:mac] + (b"A" if content[mac] != 65 else b"B") + content[mac + 1 :]
    )
    cut = out.put(named(3, 3), content[:-1][: len(content) - 17])
    text = out.put(named(4, 4), b"no age file at all")
    for path in (damaged, cut, text):
        done = world.run("keycheck", "-i", keys.identity, path)
        assert done.code == 4 and path.name in done.err, path
    done = world.run("keycheck", "-i", keys.identity, "absent.age")
    assert done.code == 10 and "There is no archive absent.age" in done.err
    printed = checked(world, "-i", keys.identity, "absent.age", damaged, good)
    assert (printed["exit"], [one["exit"] for one in printed["results"]]) == (10, [10, 4, 0])


def test_a_damaged_first_chunk(world: World, out: Shelf, keys: Keys) -> None:
    """A header that opens what then is not authentic is damage too (4)."""
    content = bytearray(sealed(keys.recipient, content=bytes(300_000)))
    content[parse(bytes(content)).length + 16 + 1000] ^= 1
    path = out.put(named(1, 1), bytes(content))
    done = world.run("keycheck", "-i", keys.identity, path)
    assert done.code == 4 and "damaged after its header" in done.err


def test_only_the_beginning_is_read(world: World, out: Shelf, keys: Keys) -> None:
    """An archive of a terabyte takes milliseconds: nothing after the first chunk is looked at."""
    content = sealed(keys.recipient, content=os.urandom(3 * CHUNK_BYTES))
    length = parse(content).length
    path = out.put(named(1, 1), content[: length + 16 + CHUNK_BYTES + 16])
    os.truncate(path, sealed_size(length, 1 << 40))
    printed = checked(world, "-i", keys.identity, path)
    (one,) = printed["results"]
    assert one["opened_by"] == [keys.recipient] and one["seconds"] < 1


def test_keys_of_every_kind(world: World, out: Shelf) -> None:
    """SSH keys stand for their public half, in PEM form too, where only a trial can tell."""
    made = {}
    for name, kind in {"ed": ("ed25519",), "pem": ("rsa", "-b", "2048", "-m", "PEM")}.items():
        made[name] = world.directory / name
        words = ["ssh-keygen", "-q", "-N", "", "-C", "a comment", "-f", made[name], "-t", *kind]
        subprocess.run(words, check=True)
    public = {name: Path(f"{path}.pub").read_text().strip() for name, path in made.items()}
    declare(out, Keys(made["ed"], public["ed"]))
    declare(out, Keys(made["pem"], public["pem"]), app="photos")
    out.put(named(1, 1), sealed(public["ed"]))
    out.put(named(1, 2, "photos"), sealed(public["pem"]))
    printed = checked(world, "-i", made["ed"], "-i", made["pem"])
    texts = {name: " ".join(text.split()[:2]) for name, text in public.items()}
    assert printed["keys"] == [
        {"recipient": texts["ed"], "apps": ["notes"]},
        {"recipient": texts["pem"], "apps": ["photos"]},
    ]
    assert printed["unheld"] == [] and noted(world).keys() == set(texts.values())
    nobody = out.put(named(1, 3, "films"), sealed(public["pem"]))
    world.config.unlink()
    done = world.run("keycheck", "-i", made["pem"], nobody)
    assert done.code == 0 and "does not tell its public half" in done.out


def test_a_protected_key(world: World, out: Shelf, keys: Keys) -> None:
    """Its passphrase is read from a descriptor; a wrong one is 12, and neither is ever said."""
    path = out.put(named(1, 1), sealed(keys.recipient))
    locked = protected(keys.identity, "correct horse", world.directory / "locked.age")
    for passphrase, code in (("correct horse", 0), ("wrong donkey", 12)):
        reading, writing = os.pipe()
        os.write(writing, f"{passphrase}\n".encode())
        os.close(writing)
        words = ("keycheck", path, "-i", locked, "--passphrase-fd", reading)
        done = world.run(*words, pass_fds=(reading,))
        os.close(reading)
        assert done.code == code and passphrase not in done.out + done.err


def test_without_a_ledger_or_configuration(world: World, out: Shelf, keys: Keys) -> None:
    """On another machine it works as well, and leaves no ledger there."""
    out.put(named(1, 1), sealed(keys.recipient), known=False)
    done = world.run("keycheck", "-i", keys.identity, "--to", "out")
    assert done.code == 0, done.err
    assert not (world.state / "ledger.db").exists()
    assert "of no app in the configuration" in done.out


def test_nothing_to_try(world: World, out: Shelf, keys: Keys) -> None:
    """No archive at all is 10, no key is 2, an unreadable folder beside a good one is told."""
    declare(out, keys)
    assert world.run("keycheck", "-i", keys.identity).code == 10
    assert world.run("keycheck").code == 2
    assert world.run("keycheck", "-i", "absent.txt").code == 2
    out.put(named(1, 1), sealed(keys.recipient))
    away = Shelf(world, world.directory / "away")
    declare(away, keys, app="photos")
    printed = checked(world, "-i", keys.identity)
    assert printed["exit"] == 10 and sorted(one["exit"] for one in printed["results"]) == [0, 10]


def test_a_freely_named_archive(world: World, out: Shelf, keys: Keys) -> None:
    """An app with `destination = FILE.age` has that one file tried."""
    file = out.path / "latest.age"
    file.write_bytes(sealed(keys.recipient))
    declare(out, keys)
    world.config.write_text(world.config.read_text().replace(f'"{out.path}"', f'"{file}"'))
    (one,) = checked(world, "-i", keys.identity)["results"]
    assert Path(one["archive"]) == file and one["status"] == "opened"


def test_a_planted_archive_blames_no_key(
    world: World, out: Shelf, keys: Keys, other_keys: Keys
) -> None:
    """What the ledger does not know where it knows others is not taken for the app's own."""
    declare(out, keys)
    out.put(named(2, 1), sealed(keys.recipient))
    out.put(named(1, 2), sealed(other_keys.recipient), known=False)
    printed = checked(world, "-i", keys.identity)
    assert (printed["exit"], ids(printed)) == (0, [1])


def told(world: World) -> str:
    """Return what `status` says; a reminder is no reason for an exit code."""
    done = world.run("status", "--max-age", "5000d")
    assert done.code == 0, done.out
    return done.out


def test_status_reminds(world: World, out: Shelf, keys: Keys) -> None:
    """A key that nobody tried for 90 days is a warning of status, and keycheck takes it away."""
    declare(out, keys)
    out.put(named(1, 1), sealed(keys.recipient))
    assert "keycheck-due" not in told(world), "nobody is nagged on the first day"
    out.put(named(91, 2), sealed(keys.recipient))
    said = told(world)
    assert "[keycheck-due]" in said and keys.recipient in said and "keycheck -i KEY" in said
    assert world.run("keycheck", "-i", keys.identity).code == 0
    assert "keycheck-due" not in told(world)
    with open_ledger(world.state / "ledger.db") as ledger:
        then = datetime.now(UTC) - timedelta(days=91)
        ledger.put(KeycheckRecord(keys.recipient, then, "x"))
    assert "for 90d" in told(world)


def test_every_recipient_counts(world: World, out: Shelf, keys: Keys, other_keys: Keys) -> None:
    """Each recipient's key is to be tried, those that stand in files too; others' are not asked."""
    declare(out, keys, 'recipients_files = ["more.txt"]')
    (world.config.parent / "more.txt").write_text(f"# a friend's\n{other_keys.recipient}\n")
    out.put(named(100, 1), sealed(keys.recipient, other_keys.recipient))
    assert world.run("keycheck", "-i", keys.identity).code == 0
    said = told(world)
    assert other_keys.recipient in said and keys.recipient not in said


def test_pruned_archives_count_from_the_first(world: World, out: Shelf, keys: Keys) -> None:
    """Retention does not put the reminder off: the first archive counts, even if it is gone."""
    declare(out, keys)
    out.put(named(1, 1), sealed(keys.recipient))
    out.record(named(100, 2), deleted=datetime.now(UTC), deleted_why="pruned")
    assert "keycheck-due" in told(world)


@pytest.mark.parametrize(("every", "due"), [("never", False), ("200d", False), ("30d", True)])
def test_how_often_is_configured(
    world: World, out: Shelf, keys: Keys, every: str, due: bool
) -> None:
    """`keycheck_every` sets it for each app, and "never" switches it off."""
    declare(out, keys, f'keycheck_every = "{every}"')
    out.put(named(50, 1), sealed(keys.recipient))
    assert ("keycheck-due" in told(world)) == due


def test_an_impossible_interval_is_refused(world: World, out: Shelf, keys: Keys) -> None:
    """What is no span of time is named with its key (2)."""
    declare(out, keys, 'keycheck_every = "often"')
    done = world.run("status")
    assert done.code == 2 and "apps.notes.keycheck_every" in done.err


def test_doctor_recommends_a_second_key(
    world: World, out: Shelf, keys: Keys, other_keys: Keys
) -> None:
    """Where one lost key would cost everything, doctor notes it; status and runs never do."""
    declare(out, keys)
    found = json.loads(world.run("--json", "doctor").out)["findings"]
    (one,) = [one for one in found if one["code"] == "single-recipient"]
    assert (one["severity"], one["subject"]) == ("note", "notes")
    (world.config.parent / "more.txt").write_text(f"{other_keys.recipient}\n")
    text = world.config.read_text()
    world.config.write_text(text + 'recipients_files = ["more.txt"]\n')
    assert "single-recipient" not in world.run("doctor").out
