"""push, and what create and run do with further destinations: folders, a remote of rclone."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import Keys, World
from sample_app import SampleApp
from shelf import under


def declare(world: World, app: SampleApp, keys: Keys, *more: str, extra: str = "") -> None:
    """Declare the app `notes`, published in `here` and carried to the folders `more`."""
    world.config.parent.mkdir(parents=True, exist_ok=True)
    places = ", ".join(f'"{place}"' for place in (world.directory / "here", *more))
    world.config.write_text(
        f'[apps.notes]\nenabled = true\ninterval = "1h"\ndestination = [{places}]\n'
        f'recipients = ["{keys.recipient}"]\ndatabases = {{"ledger.db" = "{app.ledger}"}}\n{extra}'
    )
    (world.directory / "here").mkdir(exist_ok=True)


@pytest.fixture
def mirrored(world: World, app: SampleApp, keys: Keys) -> World:
    """An app with a second folder, `there`."""
    declare(world, app, keys, str(world.directory / "there"))
    (world.directory / "there").mkdir()
    return world


def archives(world: World, folder: str) -> dict[str, bytes]:
    """Return what lies in a folder: archives by name."""
    return {path.name: path.read_bytes() for path in (world.directory / folder).glob("*.age")}


def hours_ago(hours: int) -> tuple[str, ...]:
    """Return what sets the clock of a command back: no two archives are of one second."""
    return ("faketime", "--exclude-monotonic", "-f", f"-{hours}h")


def result(said: str) -> dict:
    """Return the one result in a JSON object."""
    (one,) = json.loads(said)["results"]
    return one


def test_create_carries_the_archive_to_every_further_destination(mirrored: World) -> None:
    """What is published here lies there too, byte for byte, and nothing is owed."""
    done = mirrored.run("create", "notes")
    assert done.code == 0, done.err
    here = archives(mirrored, "here")
    assert len(here) == 1 and archives(mirrored, "there") == here
    assert "pushed to" in done.err
    again = mirrored.run("push", "notes", "--json")
    assert again.code == 0, again.err
    (place,) = result(again.out)["destinations"]
    assert place["pushed"] == [] and place["owed"] == [] and place["status"] == "ok"
    assert mirrored.leftovers() == ()


def test_a_limit_that_nothing_keeps_is_said(mirrored: World) -> None:
    """Where no program limits the bandwidth, a warning says so, and the copy is carried."""
    assert mirrored.run("create", "notes", "--no-push").code == 0
    done = mirrored.run("push", "--bwlimit", "1M")
    assert done.code == 0 and "Only rclone limits its bandwidth" in done.err
    assert archives(mirrored, "there") == archives(mirrored, "here")


def test_a_place_that_is_away_costs_no_archive(mirrored: World) -> None:
    """The archive is published, exit code 3; the next run that is not due carries what is owed."""
    (mirrored.directory / "there").rename(mirrored.directory / "away")
    done = mirrored.run("create", "notes", "--json")
    assert done.code == 3, done.err
    made = result(done.out)
    assert made["status"] == "incomplete" and Path(made["path"]).exists()
    assert made["pushes"][0]["status"] == "failed"
    told = json.loads((mirrored.state / "apps" / "notes.last-run.json").read_text())
    assert told["exit"] == 3 and "Not pushed to" in told["message"]
    assert told["pushes"][0]["status"] == "failed"
    stood = mirrored.run("status", "--json")
    (judged,) = json.loads(stood.out)["apps"]
    assert stood.code == 0 and judged["copies"][0]["owed"] == [made["archive"]]
    assert "push-failed" in [one["code"] for one in judged["findings"]]
    still = mirrored.run("run", "--json")
    assert still.code == 3 and result(still.out)["status"] == "not-due"
    (mirrored.directory / "away").rename(mirrored.directory / "there")
    late = mirrored.run("run", "--json")
    assert late.code == 0, late.err
    assert result(late.out)["pushes"][0]["pushed"] == [made["archive"]]
    assert archives(mirrored, "there") == archives(mirrored, "here")
    healed = mirrored.run("status")
    assert "nothing owed" in healed.out and "not complete" not in healed.out, healed.out
    idle = mirrored.run("run", "--json")
    assert idle.code == 0 and "pushes" not in result(idle.out)


def test_two_places_of_which_one_is_away(world: World, app: SampleApp, keys: Keys) -> None:
    """The other one gets its copy all the same, and only the one that is away is owed any."""
    first, second = world.directory / "first", world.directory / "second"
    declare(world, app, keys, str(first), str(second))
    second.mkdir()
    assert world.run("create", "notes").code == 3
    assert archives(world, "second") == archives(world, "here")
    first.mkdir()
    done = world.run("push", "--json")
    assert done.code == 0, done.err
    one, other = result(done.out)["destinations"]
    assert len(one["pushed"]) == 1 and other["pushed"] == []


def test_a_damaged_archive_never_replaces_a_good_copy(mirrored: World) -> None:
    """What is not what was written is not carried: 4; the others are, and a whole copy stays."""
    for _ in range(2):
        assert mirrored.run("create", "notes").code == 0
    good = archives(mirrored, "there")
    older, newer = sorted((mirrored.directory / "here").glob("*.age"))
    older.write_bytes(older.read_bytes()[:-1] + b"?")
    for path in (mirrored.directory / "there").glob("*.age"):
        path.write_bytes(b"half")
    done = mirrored.run("push", "notes", "--json")
    assert done.code == 4, done.err
    (place,) = result(done.out)["destinations"]
    assert [one["name"] for one in place["pushed"]] == [newer.name]
    assert place["failures"][0]["archive"] == older.name and place["owed"] == [older.name]
    assert archives(mirrored, "there") == {newer.name: good[newer.name], older.name: b"half"}


def test_a_copy_that_vanished_is_brought_again_and_one_that_was_deleted_is_not(
    mirrored: World,
) -> None:
    """The ledger tells the two apart; why each is carried, or is not, is said."""
    for _ in range(3):
        assert mirrored.run("create", "notes").code == 0
    there = sorted((mirrored.directory / "there").glob("*.age"))
    there[0].unlink()
    deleted = mirrored.run("delete", there[1], "--yes")
    assert deleted.code == 0, deleted.err
    done = mirrored.run("push", "notes")
    assert done.code == 0, done.err
    assert done.out.split() == [there[0].name]
    assert "it vanished there" in done.err and "it was deleted there" in done.err
    assert there[0].exists() and not there[1].exists()


def test_retention_is_mirrored_and_marks_belong_to_the_archive(
    world: World, app: SampleApp, keys: Keys
) -> None:
    """Both places keep the same archives, the one that was marked here among them."""
    there = world.directory / "there"
    there.mkdir()
    declare(world, app, keys, str(there), extra="[apps.notes.retention]\nkeep_last = 2\n")
    assert under(world, hours_ago(6), "create", "notes").code == 0
    first = next(iter(archives(world, "here")))
    assert world.run("keep", f"here/{first}").code == 0
    for hours in (5, 4, 3):
        done = under(world, hours_ago(hours), "create", "notes")
        assert done.code == 0, done.err
    assert len(archives(world, "here")) == 3 and first in archives(world, "there")
    assert archives(world, "there") == archives(world, "here")
    assert world.run("unkeep", f"here/{first}").code == 0
    assert world.run("create", "notes").code == 0
    assert archives(world, "there") == archives(world, "here")
    assert first not in archives(world, "there")


def test_a_rekeyed_archive_replaces_its_copy(mirrored: World, keys: Keys, other_keys: Keys) -> None:
    """The next push carries the file under its new key, in place of the one under the old."""
    assert mirrored.run("create", "notes").code == 0
    (old,) = archives(mirrored, "here").values()
    words = ("-i", keys.identity, "-r", other_keys.recipient, "--yes")
    (path,) = (mirrored.directory / "here").glob("*.age")
    done = mirrored.run("rekey", path, *words)
    assert done.code == 0, done.err
    pushed = mirrored.run("push", "notes")
    assert pushed.code == 0 and "encrypted to other keys" in pushed.err, pushed.err
    (new,) = archives(mirrored, "there").values()
    assert new == archives(mirrored, "here")[path.name] != old
    assert mirrored.run("create", "notes").code == 0
    audited = mirrored.run("audit", "notes", "--full")
    assert audited.code == 0, audited.out + audited.err


def test_an_empty_mount_point_is_not_filled(mirrored: World) -> None:
    """A folder that lost everything looks like an unmounted drive's: nothing goes without --yes."""
    assert mirrored.run("create", "notes").code == 0
    for path in (mirrored.directory / "there").iterdir():
        path.unlink()
    refused = mirrored.run("push", "notes")
    assert refused.code == 3 and "Nothing is carried" in refused.err
    assert archives(mirrored, "there") == {}
    assert mirrored.run("push", "notes", "--yes").code == 0
    assert archives(mirrored, "there") == archives(mirrored, "here")


def test_dry_runs_carry_nothing_and_say_what_would_go(mirrored: World) -> None:
    """push --dry-run names the archives; create --dry-run names the places."""
    assert mirrored.run("create", "notes", "--no-push").code == 0
    planned = mirrored.run("push", "--dry-run", "--json")
    assert planned.code == 0, planned.err
    (place,) = result(planned.out)["destinations"]
    assert [one["name"] for one in place["pushed"]] == list(archives(mirrored, "here"))
    assert archives(mirrored, "there") == {}
    said = mirrored.run("create", "notes", "--dry-run")
    assert f"then a copy to {mirrored.directory / 'there'}" in said.out
    assert archives(mirrored, "there") == {}


def test_a_place_is_named_once_in_what_is_said_of_it(
    world: World, app: SampleApp, keys: Keys
) -> None:
    """The warning of a run and of status names a remote that is away once, and why it is."""
    declare(world, app, keys, "rclone:nowhere:x")
    lines = world.run("create", "notes").err.splitlines()
    (said,) = [line for line in lines if "Not pushed to" in line]
    assert said.count("rclone:nowhere:x") == 1 and "rclone knows no remote of that name" in said
    assert "failed: rclone knows no remote of that name" in world.run("status").out


def test_a_dry_run_goes_on_behind_a_place_that_is_away(
    world: World, app: SampleApp, keys: Keys
) -> None:
    """push --dry-run says what each place would get, and why one cannot be looked into."""
    declare(world, app, keys, str(world.directory / "away"), str(world.directory / "there"))
    (world.directory / "there").mkdir()
    assert world.run("create", "notes", "--no-push").code == 0
    planned = world.run("push", "--dry-run", "--json")
    assert planned.code == 10, planned.err
    away, there = result(planned.out)["destinations"]
    assert away["status"] == "failed" and "does not exist" in away["failures"][0]["message"]
    assert [one["name"] for one in there["pushed"]] == list(archives(world, "here"))
    said = world.run("push", "--dry-run").err
    assert "away does not exist" in said and "1 archive would be carried" in said


@pytest.mark.parametrize(
    "words, code, said",
    [
        (("nobody",), 2, "declares no app"),
        (("--to", "rclone:box:x"), 2, "is no further destination of any app"),
        (("notes", "--to", "github:nope"), 2, "names no repository"),
        (("--bwlimit", "fast"), 2, "is no limit of bandwidth"),
        (("notes", "more"), 2, "unexpected extra argument"),
    ],
)
def test_what_cannot_be_pushed_is_said(
    mirrored: World, words: tuple[str, ...], code: int, said: str
) -> None:
    """Unknown apps, places and rates are usage errors that name what there is."""
    done = mirrored.run("push", *words)
    assert done.code == code and said in done.err, done.err


def test_an_app_with_one_folder_has_nowhere_to_push_to(
    world: World, app: SampleApp, keys: Keys
) -> None:
    """push says how further destinations are declared."""
    declare(world, app, keys)
    done = world.run("push", "notes")
    assert done.code == 2 and "destination = [" in done.err
    assert world.run("create", "notes").code == 0


def test_an_archive_file_of_a_fixed_name_is_carried_nowhere(
    world: World, app: SampleApp, keys: Keys
) -> None:
    """FILE.age is replaced each night: copies need names of their own, so it is refused at once."""
    declare(world, app, keys, "there")
    text = world.config.read_text().replace(f'{world.directory / "here"}"', 'here/one.age"')
    world.config.write_text(text)
    done = world.run("create", "notes")
    assert done.code == 2 and "names of their own" in done.err, done.err


RCLONE = "[box]\ntype = alias\nremote = {path}\n"


def test_a_remote_of_rclone_is_pushed_to(world: World, app: SampleApp, keys: Keys) -> None:
    """Any remote that rclone knows is a destination; a limit of bandwidth is handed through.

    Where the whole place is gone, a person says whether it is to be filled again."""
    config = world.directory / "rclone.conf"
    config.write_text(RCLONE.format(path=world.directory / "cloud"))
    declare(world, app, keys, "rclone:box:notes")
    env = {**world.env, "RCLONE_CONFIG": str(config)}
    assert world.run("create", "notes", "--no-push", env=env).code == 0
    done = world.run("push", "--to", "rclone:box:notes", "--bwlimit", "50M", env=env)
    assert done.code == 0, done.err
    assert archives(world, "cloud/notes") == archives(world, "here")
    second = world.run("create", "notes", env=env)
    assert second.code == 0, second.err
    assert archives(world, "cloud/notes") == archives(world, "here")
    fresh = world.run("status", "--json", env={**world.env, "PATH": "/nowhere"})
    assert fresh.code == 0, fresh.out + fresh.err
    shutil.rmtree(world.directory / "cloud" / "notes")
    gone = world.run("push", "notes", env=env)
    assert gone.code == 3 and "--yes" in gone.err, gone.err
    assert world.run("push", "notes", "--yes", env=env).code == 0
    assert archives(world, "cloud/notes") == archives(world, "here")
