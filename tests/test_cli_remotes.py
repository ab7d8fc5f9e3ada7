"""Archives that lie in remotes, by every command that reads: named, fetched, and nothing left."""

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import github_stand_in
import pytest
import sample_app
from conftest import Keys, Outcome, World
from live_app import LiveApp
from sample_app import SampleApp
from shelf import TODAY, Shelf, declare, named, shelf, under
from test_cli_push import hours_ago
from test_documents import EXAMPLE, blocks, shell

from agebackup.destinations.interface import Means
from agebackup.destinations.rclone import Rclone
from agebackup.destinations.rclone_program import PATIENT
from agebackup.ledger import open_ledger
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord
from agebackup.model.releases import tag_of
from agebackup.model.whereabouts import parse_whereabouts
from agebackup.operations.remoteaudit import RemoteOrder, audit_remote
from agebackup.system.claims import Claims
from agebackup.system.progress import Progress

FAR = "rclone:far:backups"
OLD, NEW = named(3, 0xAAAA0001), named(1, 0xAAAA0002)


@dataclass(frozen=True)
class Made:
    """A real archive."""

    name: str
    content: bytes


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Made:
    """A real archive of the app notes, made on a machine that is gone."""
    root = tmp_path_factory.mktemp("gone")
    for name in ("home", "world"):
        (root / name).mkdir()
    world = World(root / "world", root / "home", sample_app.environment(root / "home"))
    app = sample_app.build(root / "app")
    words = (*app.create_arguments, "--app", "notes", "--to", "out", "--mkdir")
    done = world.run("create", *words, "-r", keys.recipient)
    assert done.code == 0, done.err
    path = Path(done.out.strip())
    return Made(path.name, path.read_bytes())


@dataclass(frozen=True)
class Far:
    """An rclone remote that is a directory of this machine, and a person who reaches it."""

    world: World
    path: Path
    content: bytes

    def put(self, name: ArchiveName | str, content: bytes = b"") -> None:
        (self.path / str(name)).write_bytes(content or self.content)

    def run(self, *words: object, **options: Any) -> Outcome:
        return self.world.run(*words, **options)

    def told(self, *words: object) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.run("--json", *words).out)
        return told

    def record(self, name: ArchiveName, at: str = FAR) -> None:
        """Let the ledger know the archive in the place `at`."""
        self.world.state.mkdir(parents=True, mode=0o700, exist_ok=True)
        row = replace(
            ArchiveRecord.of(name, at),
            size=len(self.content),
            sha256=hashlib.sha256(self.content).hexdigest(),
            proved=True,
        )
        with open_ledger(self.world.state / "ledger.db") as ledger:
            ledger.put(row)

    def rows(self) -> tuple[ArchiveRecord, ...]:
        with open_ledger(self.world.state / "ledger.db") as ledger:
            return ledger.archives(deleted=True, pending=True)


@pytest.fixture
def far(world: World, tmp_path: Path, made: Made) -> Far:
    """A machine with nothing but rclone's configuration, and an empty remote."""
    config = tmp_path / "rclone.conf"
    config.write_text(f"[far]\ntype = alias\nremote = {tmp_path}/far\n")
    path = tmp_path / "far" / "backups"
    path.mkdir(parents=True)
    return Far(replace(world, env={**world.env, "RCLONE_CONFIG": str(config)}), path, made.content)


def declared(far: Far, keys: Keys, more: str = "") -> Shelf:
    """Declare notes with an empty local folder and this remote."""
    out = shelf(far.world)
    declare(out, keys, more)
    config = far.world.config
    line = f'destination = "{out.path}"'
    config.write_text(config.read_text().replace(line, f'destination = ["{out.path}", "{FAR}"]'))
    return out


def test_everything_back_on_a_fresh_machine(far: Far, keys: Keys, made: Made) -> None:
    """With the remote's name and the key alone, restore gets everything back, leaving nothing."""
    far.put(made.name, made.content)
    words = ("latest", "--from", FAR, "-i", keys.identity, "--target", "back")
    done = far.run("restore", *words)
    assert done.code == 0, done.err
    assert (far.world.directory / "back" / "ledger.db").exists()
    assert f"latest is {FAR}/{made.name}" in done.err
    assert not far.world.leftovers()


def test_everything_back_with_the_config_line(far: Far, keys: Keys, made: Made) -> None:
    """With the configuration and the key, `restore APP` looks in the folder, then in the remote."""
    out = declared(far, keys)
    out.path.rmdir()
    far.put(made.name, made.content)
    done = far.run("restore", "notes", "-i", keys.identity, "--target", "back")
    assert done.code == 0, done.err
    assert f"Looking in {FAR}." in done.err and "does not exist" in done.err
    assert (far.world.directory / "back" / "events.db").exists() and not far.world.leftovers()


def test_the_newest_of_several_remotes(far: Far, keys: Keys, made: Made) -> None:
    """An old copy in the first remote is no reason to bring back old state; one away is told."""
    declared(far, keys)
    text = far.world.config.read_text()
    further = f'"{FAR}", "rclone:far:second", "rclone:far:away"]'
    far.world.config.write_text(text.replace(f'"{FAR}"]', further))
    old = re.sub(r"-\d{8}T", "-20240101T", made.name)
    far.put(old)
    second = far.path.parent / "second"
    second.mkdir()
    (second / made.name).write_bytes(made.content)
    done = far.run("restore", "notes", "-i", keys.identity, "--target", "back")
    assert done.code == 0, done.err
    assert f"is rclone:far:second/{made.name}" in done.err and "rclone:far:away" in done.err


def test_every_reading_command_names_the_remote(far: Far, keys: Keys, made: Made) -> None:
    """What reports and messages call the archive is its place there, never the private copy."""
    far.put(made.name, made.content)
    there, key = f"{FAR}/{made.name}", ("-i", keys.identity)
    assert far.told("verify", "latest", "--to", FAR, *key)["results"][0]["archive"] == there
    assert far.told("verify", made.name, "--to", FAR, "--quick")["results"][0]["archive"] == there
    assert far.told("inspect", "notes:latest", "--from", FAR)["archive"] == there
    assert far.told("keycheck", "--to", FAR, *key)["results"][0]["archive"] == there
    paths = [one["path"] for one in far.told("ls", "latest", "--to", FAR, *key)["files"]]
    assert "ledger.db" in paths
    (archive,) = far.told("list", "--from", FAR)["destinations"][0]["archives"]
    assert (archive["path"], archive["app"]) == (there, "notes")
    got = far.told("get", "latest", "--to", FAR, "-o", "x.age")
    assert got["archive"] == made.name
    assert (far.world.directory / "x.age").read_bytes() == made.content
    assert not far.world.leftovers()


def test_a_drill_and_a_plan(far: Far, keys: Keys, made: Made) -> None:
    """A drill restores from the remote and says so in its receipt; a plan in place reads it too."""
    declared(far, keys)
    far.put(made.name, made.content)
    key = ("-i", keys.identity)
    (drilled,) = far.told("drill", "notes", "--to", FAR, *key)["results"]
    receipt = drilled["receipt"]
    assert (receipt["outcome"], receipt["destination"]) == ("ok", FAR), drilled
    assert receipt["archive"] == made.name and not far.world.leftovers()
    done = far.run("restore", "notes", "--in-place", "--plan", "--from", FAR, *key)
    assert ".~agebackup" not in done.out + done.err and not far.world.leftovers()


def test_in_place_from_the_remote_alone(far: Far, app: SampleApp, keys: Keys) -> None:
    """With the folder lost, the copy in the remote goes into the application's own places."""
    out = far.world.directory / "out"
    live = LiveApp(far.world, app, keys, out)
    live.declare()
    made = live.create("--include-config", "--include-tokens")
    before = live.state()
    live.change()
    shutil.move(made, far.path / made.name)
    done = live.restore("--from", FAR)
    assert done.code == 0, done.err
    after = live.state()
    plain = {name for name in before if not name.endswith(".db")}
    assert {name: after[name] for name in plain} == {name: before[name] for name in plain}
    assert live.entries == 50 and f"{FAR}/{made.name}" in done.err
    assert [path.suffix for path in out.iterdir() if path.suffix == ".age"] == [".age"]
    assert not far.world.leftovers()


def test_a_damaged_one_is_named_where_it_lies(far: Far, keys: Keys, made: Made) -> None:
    """An error names the archive in the remote, not a file that is gone by then."""
    far.put(made.name, made.content[:-1] + b"?")
    done = far.run("verify", "latest", "--to", FAR, "-i", keys.identity)
    assert done.code == 4
    assert f"{FAR}/{made.name}" in done.err and ".~agebackup" not in done.err
    assert not far.world.leftovers()


def test_a_warning_names_it_where_it_lies(far: Far, keys: Keys, made: Made) -> None:
    """What is said of a copy with the keys from before a rekey is said of the one in the remote."""
    name = ArchiveName.parse(made.name)
    assert name is not None
    far.put(name)
    far.record(name)
    with open_ledger(far.world.state / "ledger.db") as ledger:
        (row,) = ledger.archives()
        ledger.amend(row, sha256="f" * 64, former=(row.sha256,))
    done = far.run("verify", "latest", "--to", FAR, "-i", keys.identity)
    assert f"warning: {FAR}/{name}: " in done.err and ".~agebackup" not in done.err, done.err


def test_nearest_first(far: Far, keys: Keys) -> None:
    """An archive that a declared folder holds is taken there, and no remote is asked."""
    out = declared(far, keys)
    out.put(NEW, far.content)
    shutil.rmtree(far.path)
    done = far.run("get", "notes:latest", "-o", "x.age")
    assert done.code == 0 and "Looking in" not in done.err


@pytest.mark.parametrize("form", ["aaaa0002", str(NEW), "notes@2026", "notes:latest"])
def test_every_form_of_a_name(far: Far, form: str) -> None:
    """An id, a whole name, a day and latest mean the archive in a remote as in a folder."""
    far.put(NEW)
    form = f"notes@{NEW.time:%Y-%m-%d}" if form == "notes@2026" else form
    assert far.told("inspect", form, "--to", FAR)["archive"] == f"{FAR}/{NEW}"


def test_several_apps_in_one_remote(far: Far) -> None:
    """`latest` of several apps is refused with what to say instead."""
    far.put(NEW)
    far.put(named(1, 0xBBBB0001, "mail"))
    done = far.run("inspect", "latest", "--to", FAR)
    assert done.code == 2 and "mail:latest" in done.err and "notes:latest" in done.err
    assert far.told("inspect", "mail:latest", "--to", FAR)["app"] == "mail"


def test_list_asks_remotes_on_request(far: Far, keys: Keys) -> None:
    """`list` alone contacts no remote; --remotes lists them too; a fresh machine is told of it."""
    out = declared(far, keys)
    far.put(NEW)
    places = [one["destination"] for one in far.told("list")["destinations"]]
    assert places == [str(out.path)]
    places = [one["destination"] for one in far.told("list", "--remotes")["destinations"]]
    assert places == [str(out.path), FAR]
    out.path.rmdir()
    done = far.run("list")
    assert done.code == 10 and f"Copies are carried to {FAR}" in done.err
    assert far.run("list", "--remotes", "--to", FAR).code == 2


# Somebody who can write to the remote


def test_a_forged_newest_is_passed_over(far: Far) -> None:
    """`latest` is never one that the ledger does not know where it knows others of that remote."""
    far.put(OLD)
    far.record(OLD)
    far.put(NEW, far.content + b"forged")
    done = far.run("--json", "inspect", "latest", "--to", FAR)
    assert json.loads(done.out)["archive"] == f"{FAR}/{OLD}"
    assert "the ledger does not know it" in done.err


def test_what_the_ledger_knows_elsewhere_counts(far: Far) -> None:
    """A copy that the ledger never saw there must have the hash that it knows from the folder."""
    far.put(OLD, far.content[::-1])
    far.record(OLD, at=str(far.world.directory / "out"))
    done = far.run("get", str(OLD), "--to", FAR, "-o", "x.age")
    assert done.code == 4 and "its hash differs" in done.err
    assert not (far.world.directory / "x.age").exists() and not far.world.leftovers()


def test_another_size_is_not_even_fetched(far: Far) -> None:
    """What is not as large as the ledger says is refused before anything is fetched."""
    far.put(OLD, far.content + b"more")
    far.record(OLD)
    done = far.run("get", str(OLD), "--to", FAR, "-o", "x.age")
    assert done.code == 4 and "bytes there, not" in done.err and "Fetching" not in done.err


def test_hostile_names(far: Far) -> None:
    """Names that are no archive's are listed as other, printable, and never picked."""
    far.put(OLD)
    far.put("notes-20261120T000000Z-aaaa0003.tar.age\x1b[2J")
    far.put(str(named(-30, 0xAAAA0009)))
    done = far.run("list", "--to", FAR)
    assert done.code == 0 and "\x1b" not in done.out and "its time has not come yet" in done.out
    assert far.told("inspect", "latest", "--to", FAR)["archive"] == f"{FAR}/{OLD}"


def test_a_size_that_fits_no_disk(far: Far) -> None:
    """Of 50 TB nothing is fetched: the failure tells both figures."""
    with (far.path / str(OLD)).open("wb") as file:
        try:
            file.truncate(15 << 40)
        except OSError:
            file.truncate(1 << 40)
    done = far.run("verify", "--quick", str(OLD), "--to", FAR)
    assert done.code == 1 and "bytes, " in done.err and "are free" in done.err
    assert not far.world.leftovers()


# What is removed and marked there


def test_delete_there(far: Far) -> None:
    """delete --to removes a remote's archive, guards its last good one, and nothing elsewhere."""
    for name in (OLD, NEW):
        far.put(name)
        far.record(name)
    assert far.run("--yes", "delete", str(OLD), str(NEW), "--to", FAR).code == 13
    assert far.run("--yes", "delete", str(OLD), "--to", FAR).code == 0
    assert [path.name for path in far.path.iterdir()] == [str(NEW)]
    assert [row.name for row in far.rows() if row.deleted] == [str(OLD)]
    assert far.run("--yes", "delete", str(NEW), "--to", FAR).code == 13


def test_copies_that_stay_are_told(far: Far, keys: Keys) -> None:
    """Deleting from the folder leaves the copy in the remote, and says how it goes."""
    out = declared(far, keys)
    for name in (OLD, NEW):
        out.put(name, far.content)
        far.put(name)
        far.record(name)
    done = far.run("--yes", "delete", str(OLD))
    assert done.code == 0 and f"agebackup delete --to {FAR} {OLD}" in done.err
    assert (far.path / str(OLD)).exists()


def test_kept_and_tagged_there(far: Far) -> None:
    """keep and tag with --to mark the remote's copy; what is kept is not deleted there."""
    for name in (OLD, NEW):
        far.put(name)
        far.record(name)
    assert far.told("tag", str(OLD), "v1", "--to", FAR)["destination"] == FAR
    assert far.run("keep", "aaaa0001", "--to", FAR).code == 0
    assert far.run("--yes", "delete", str(OLD), "--to", FAR).code == 13


def test_prune_there(far: Far, keys: Keys) -> None:
    """prune --to applies the rules to the remote; without it only folders are looked at."""
    out = declared(far, keys)
    names = [named(days, 0xAAAA0010 + days) for days in range(1, 5)]
    for name in names:
        far.put(name)
        far.record(name)
        out.put(name, far.content)
    assert far.run("--yes", "prune", "notes", "--keep-last", 3).code == 0
    assert len(list(far.path.iterdir())) == 4 and len(list(out.path.iterdir())) == 3
    assert far.run("--yes", "prune", "notes", "--keep-last", 2, "--to", FAR).code == 0
    assert {path.name for path in far.path.iterdir()} == {str(name) for name in names[:2]}


def test_after_a_kill_the_next_run_removes_the_copy(far: Far, keys: Keys, made: Made) -> None:
    """What was fetched for a command that was killed is gone after the next one."""
    far.put(made.name, made.content)
    words = ("cat", "latest", "ledger.db", "--from", FAR, "-i", keys.identity)
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    with far.world.start(*words, stdout=writing) as process:
        os.close(writing)
        assert os.read(reading, 1) == b"S"
        process.kill()
    os.close(reading)
    assert any(made.name in str(path) for path in far.world.leftovers())
    assert far.run("verify", "latest", "--from", FAR, "-i", keys.identity).code == 0
    assert not far.world.leftovers()


# audit


def codes(far: Far, *words: object) -> dict[str, str]:
    told = far.told("audit", *words)
    return {one["code"]: one["subject"] for one in told["findings"] if one["severity"] != "note"}


def test_an_honest_remote(far: Far) -> None:
    """A remote that holds what the ledger knows gives no finding, and nothing is fetched."""
    for name in (OLD, NEW):
        far.put(name)
        far.record(name)
    told = far.told("audit", "--to", FAR)
    assert (told["exit"], told["findings"]) == (0, [])
    assert told["destinations"][0]["archives"] == 2 and told["destinations"][0]["hashed"] == 0


def test_what_audit_finds_there(far: Far) -> None:
    """Missing, another size, unknown, and from the future: all by the listing."""
    for name, content in ((OLD, far.content + b"x"), (named(-30, 0xAAAA0009), far.content)):
        far.put(name, content)
    stranger, gone = named(2, 0xAAAA0005), named(5, 0xAAAA0006)
    far.put(stranger)
    for name in (OLD, NEW, gone):
        far.record(name)
    found = codes(far, "--to", FAR)
    assert found["size-differs"] == str(OLD) and found["archive-gone"] == str(gone)
    assert {"rolled-back", "unrecorded", "future-dated"} <= set(found)
    assert next(row for row in far.rows() if row.name == str(OLD)).bad
    far.put(OLD)
    later = far.told("audit", "--to", FAR)["findings"]
    (known,) = [one for one in later if one["code"] == "known-bad"]
    assert "agebackup push" in known["remedy"]
    assert f"agebackup delete --to {FAR} {OLD}" in known["remedy"], "never the copy elsewhere"


def test_audit_covers_declared_remotes(far: Far, keys: Keys) -> None:
    """Every declared remote is audited unless --no-remotes; one that is not there is a finding."""
    out = declared(far, keys)
    out.put(NEW, far.content)
    far.record(NEW)
    assert codes(far) == {"destination-empty": FAR}
    shutil.rmtree(far.path)
    done = far.run("audit")
    assert done.code == 4 and FAR in done.out
    assert "destination-missing" in codes(far)
    assert far.run("audit", "--no-remotes").code == 0


def test_a_server_out_of_reach(far: Far) -> None:
    """A remote that does not answer is a warning of the audit, and no archive counts as gone."""
    config = Path(far.world.env["RCLONE_CONFIG"])
    config.write_text("[far]\ntype = webdav\nurl = http://127.0.0.1:1/\n")
    far.record(NEW)
    private = far.world.directory
    means = Means(far.world.env, private, Claims(private / "claims"), Progress())
    remote = Rclone(parse_whereabouts(FAR), means, replace(PATIENT, pauses=()))
    with open_ledger(far.world.state / "ledger.db") as ledger:
        report = audit_remote(RemoteOrder(remote, TODAY), ledger)
    (finding,) = report.findings
    assert (finding.severity, finding.code) == ("warning", "destination-out-of-reach")
    assert finding.subject == FAR and finding.remedy


# GitHub, and what can be wrong with a name


@pytest.fixture
def hub(world: World, tmp_path: Path) -> Iterator[tuple[World, github_stand_in.Repository]]:
    """A fresh machine that is logged in, and a public repository with releases."""
    with github_stand_in.stand_in() as server:
        repository = server.repository("ada/backups", private=False)
        yield replace(world, env={**world.env, **server.environment(world.home)}), repository


def test_everything_back_from_github(
    hub: tuple[World, github_stand_in.Repository], keys: Keys, made: Made
) -> None:
    """Nothing but the repository's name and the key: listed and restored, even a public one."""
    world, repository = hub
    release = github_stand_in.Release(tag_of(made.name), "By hand.")
    release.assets.append(github_stand_in.Asset(made.name, made.content))
    repository.releases.append(release)
    listed = world.run("list", "--from", "github:Ada/backups")
    assert listed.code == 0 and "github:ada/backups: 1 archive" in listed.out
    words = ("notes", "--from", "github:ada/backups", "-i", keys.identity, "--target", "back")
    done = world.run("restore", *words)
    assert done.code == 0, done.err
    assert (world.directory / "back" / "ledger.db").exists() and not world.leftovers()
    audited = json.loads(world.run("--json", "audit", "--to", "github:ada/backups").out)
    assert audited["destinations"][0]["archives"] == 1


def test_a_life_with_github(
    hub: tuple[World, github_stand_in.Repository], app: SampleApp, keys: Keys, tmp_path: Path
) -> None:
    """Of three nights the last two lie in the repository, known and in order; a fresh machine with
    nothing but the key gets all of it back from there."""
    world, repository = hub
    repository.private = True
    out, place = world.directory / "out", "github:ada/backups"
    out.mkdir()
    world.config.parent.mkdir(parents=True)
    world.config.write_text(
        f'[apps.notes]\nroot = "{app.root}"\nattachments = ["blobs"]\n'
        f'databases = {{ledger = "ledger.db", events = "events.db"}}\n'
        f'destination = ["{out}", "{place}"]\nrecipients = ["{keys.recipient}"]\n'
        "[apps.notes.retention]\nkeep_last = 2\n"
    )
    for hours in (3, 2, 1):
        done = under(world, hours_ago(hours), "create", "notes")
        assert done.code == 0, done.err
    assert world.run("--yes", "prune", "notes").code == 0
    assert world.run("push", "notes").code == 0
    kept = {path.name for path in out.iterdir() if path.suffix == ".age"}
    assert len(kept) == 2 and {one.tag for one in repository.releases} == set(map(tag_of, kept))
    (stood,) = json.loads(world.run("--json", "status").out)["apps"]
    assert (stood["copies"][0]["newest"], stood["copies"][0]["owed"]) == (max(kept), [])
    audited = json.loads(world.run("--json", "audit").out)
    assert (audited["problems"], audited["destinations"][1]["archives"]) == (0, 2)
    home = tmp_path / "fresh-home"
    env = {name: text.replace(str(world.home), str(home)) for name, text in world.env.items()}
    fresh = World(tmp_path / "fresh", home, env)
    home.mkdir(), fresh.directory.mkdir()
    shutil.rmtree(out)
    done = fresh.run("restore", "latest", "--from", place, "-i", keys.identity, "--target", "back")
    assert done.code == 0, done.err
    back = SampleApp.at(fresh.directory / "back")
    assert sample_app.last_pair(back.ledger, back.events) == sample_app.last_pair(
        app.ledger, app.events
    )
    blobs = {path.name: path.read_bytes() for path in app.blobs.iterdir()}
    assert blobs == {path.name: path.read_bytes() for path in back.blobs.iterdir()}
    assert not fresh.leftovers()


def test_what_audit_reads_from_a_listing(
    hub: tuple[World, github_stand_in.Repository], made: Made
) -> None:
    """A half upload and another content by the server's own hash are told; nothing is fetched."""
    world, repository = hub
    place, half, other = "github:ada/backups", named(2, 0xAAAA0021), named(1, 0xAAAA0022)
    machine = Far(world, world.directory, made.content)
    for name in (half, other):
        machine.record(name, place)
        release = github_stand_in.Release(tag_of(str(name)), "By hand.", draft=name is half)
        content = made.content[:9] if name is half else made.content[::-1]
        release.assets.append(github_stand_in.Asset(str(name), content))
        repository.releases.append(release)
    told = json.loads(world.run("--json", "audit", "--to", place).out)
    found = {(one["code"], one["subject"]) for one in told["findings"]}
    assert told["exit"] == 4 and told["destinations"][0]["hashed"] == 0
    assert {("content-differs", str(other)), ("partial", str(half))} <= found, found
    assert str(other) in {row.name for row in machine.rows() if row.bad}


def test_a_server_that_exchanges_the_content(
    hub: tuple[World, github_stand_in.Repository], made: Made
) -> None:
    """What the server's own hash does not fit is no archive."""
    world, repository = hub
    release = github_stand_in.Release(tag_of(made.name), "By hand.")
    asset = github_stand_in.Asset(made.name, made.content, digest="0" * 64)
    release.assets.append(asset)
    repository.releases.append(release)
    done = world.run("get", "latest", "--from", "github:ada/backups", "-o", "x.age")
    assert done.code == 4 and not (world.directory / "x.age").exists()
    assert not world.leftovers()


@pytest.mark.parametrize("lies", [False, True], ids=["tells", "lies"])
def test_another_content_than_the_ledgers(
    hub: tuple[World, github_stand_in.Repository], made: Made, *, lies: bool
) -> None:
    """What the server's hash tells is not even fetched; a server that lies about it is caught."""
    world, repository = hub
    place, name = "github:ada/backups", ArchiveName.parse(made.name)
    assert name is not None
    Far(world, world.directory, made.content).record(name, place)
    digest = hashlib.sha256(made.content).hexdigest() if lies else None
    asset = github_stand_in.Asset(made.name, made.content[::-1], digest=digest)
    release = github_stand_in.Release(tag_of(made.name), "By hand.", assets=[asset])
    repository.releases.append(release)
    done = world.run("get", made.name, "--from", place, "-o", "x.age")
    assert done.code == 4 and ("Fetching" in done.err) == lies, done.err
    assert not (world.directory / "x.age").exists() and not world.leftovers()


PAGE = "The archives lie in GitHub or behind rclone"


def test_the_page_of_the_readme(
    hub: tuple[World, github_stand_in.Repository], keys: Keys, made: Made
) -> None:
    """What the README says of GitHub works as it is: with agebackup, and by hand."""
    world, repository = hub
    release = github_stand_in.Release(EXAMPLE, "By hand.")
    half = len(made.content) // 2
    for number, piece in enumerate((made.content[:half], made.content[half:]), 1):
        name = f"{EXAMPLE}.tar.age.part-{number:03}-of-002"
        release.assets.append(github_stand_in.Asset(name, piece))
    repository.releases.append(release)
    (fetch,), (join,) = blocks(PAGE, "bash"), blocks(PAGE, "zsh")
    done = shell(world, fetch + join, world.directory)
    assert done.returncode == 0, done.stderr
    assert (world.directory / f"{EXAMPLE}.tar.age").read_bytes() == made.content
    release = github_stand_in.Release(tag_of(made.name), "By hand.")
    release.assets.append(github_stand_in.Asset(made.name, made.content))
    repository.releases[:] = [release]
    (world.directory / "key.txt").write_bytes(keys.identity.read_bytes())
    (code,) = blocks(PAGE, "sh")
    done = shell(world, code, world.directory)
    assert done.returncode == 0, done.stderr
    assert (world.directory / "restored" / "ledger.db").exists()


def test_the_page_of_the_readme_for_rclone(far: Far) -> None:
    """The README's command fetches an archive with rclone alone."""
    far.put(f"{EXAMPLE}.tar.age")
    (code,) = blocks(PAGE, "console")
    done = shell(far.world, code, far.world.directory)
    assert done.returncode == 0, done.stderr
    assert (far.world.directory / f"{EXAMPLE}.tar.age").read_bytes() == far.content


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("list", "--from", "github:x"), 2, "names no repository"),
        (("list", "--from", "rclone:nothing"), 2, "names no remote"),
        (("list", "--from", ""), 2, "is empty"),
        (("list", "--from", "rclone:far:absent"), 10, "does not exist"),
        (("get", "latest", "--from", FAR, "-o", "x"), 10, "No archive in"),
        (("get", "aaaa0001", "--from", FAR, "-o", "x"), 10, "No archive in"),
        (("get", "one.age", "--from", FAR, "-o", "x"), 10, "no archive one.age"),
        (("clean", "--to", FAR), 2, "is no folder"),
        (("ledger", "rebuild", FAR), 2, "is no folder"),
        (("audit", "--to", "github:x"), 2, "names no repository"),
        (("prune", "notes", "--to", "github:x", "--keep-last", "1"), 2, "names no repository"),
    ],
)
def test_bad_names(far: Far, words: tuple[str, ...], code: int, said: str) -> None:
    """What can be no remote, is none, or holds no such archive is said in one sentence."""
    done = far.run(*words)
    assert (done.code, said in done.err) == (code, True), done.err
    assert "Traceback" not in done.err and not far.world.leftovers()


def test_rekey_reaches_files_only(far: Far, keys: Keys) -> None:
    """A remote's archive is not rekeyed there: that is said, and how to go on."""
    far.put(NEW)
    words = ("-i", keys.identity, "-r", keys.recipient)
    done = far.run("--yes", "rekey", "latest", "--to", FAR, *words)
    assert done.code == 2 and "no file of this machine" in done.err


def test_without_rclone(far: Far, tmp_path: Path) -> None:
    """Where the program is missing, that is said."""
    (tmp_path / "bin").mkdir()
    bare = replace(far.world, env={**far.world.env, "PATH": str(tmp_path / "bin")})
    done = bare.run("list", "--from", FAR)
    assert done.code != 0 and "rclone" in done.err and "Traceback" not in done.err


def test_the_remote_that_fails_is_named(far: Far, keys: Keys) -> None:
    """Where no place has the archive, each place that was asked is told."""
    out = declared(far, keys)
    far.put(named(1, 0xCCCC0001, "mail"))
    done = far.run("get", "notes:latest", "-o", "x.age")
    assert done.code == 10 and FAR in done.err and str(out.path) in done.err
