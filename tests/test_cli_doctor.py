"""`agebackup doctor`: each thing that a nightly job stumbles over is named by day."""

import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import Keys, World
from hypothesis import given
from hypothesis import strategies as st
from sample_app import SampleApp, command
from system_faults import OWN_MOUNTS, run

from agebackup.model.checkup import (
    KNOWN_BAD,
    of_clock,
    of_size,
    of_space,
    of_timer,
    of_versions,
)
from agebackup.model.source import DatabaseSource, Source
from agebackup.model.timer import Timer
from agebackup.model.watch import Watch
from agebackup.operations.doctor import NETWORK, answering, of_sources
from agebackup.system.claims import Claims
from agebackup.system.durable import temporary_name
from agebackup.system.mounts import kind_of
from agebackup.system.progress import Progress
from agebackup.system.rehearsal import rehearse


@pytest.fixture
def nightly(world: World, app: SampleApp, keys: Keys) -> Path:
    """A configured app with one archive; returns the destination."""
    cloud = world.directory / "cloud"
    cloud.mkdir(mode=0o700)
    made = world.run(
        *("config", "init", "notes", "--db", app.ledger, "--attachments", app.blobs),
        *("--to", cloud, "-r", keys.recipient),
    )
    assert made.code == 0, made.err
    created = world.run("create", "notes")
    assert created.code == 0, created.err
    return cloud


def _doctor(world: World, *arguments: object) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Return the exit code, the whole object, and the problems' subjects by code."""
    outcome = world.run("doctor", "--json", *arguments)
    said = json.loads(outcome.out)
    assert said["schema"] == "agebackup/doctor/v1"
    problems = [one for one in said["findings"] if one["severity"] != "note"]
    assert all(one["fact"] and one["remedy"] for one in problems)
    return outcome.code, said, {one["code"]: one["subject"] for one in problems}


def test_a_sound_machine_is_0_and_nothing_stays_behind(world: World, nightly: Path) -> None:
    """Doctor writes to the destination and takes it back; what it finds there is as before."""
    before = sorted(path.name for path in nightly.iterdir())
    code, said, problems = _doctor(world)
    assert (code, problems, said["apps"]) == (0, {}, ["notes"])
    assert sorted(path.name for path in nightly.iterdir()) == before
    assert world.leftovers() == ()


def test_permissions_are_found_and_mended_on_request(world: World, nightly: Path) -> None:
    """Only --fix changes anything, and then nothing is left to find."""
    ledger = world.state / "ledger.db"
    ledger.chmod(0o644)
    world.state.chmod(0o755)
    world.config.chmod(0o666)
    code, _, problems = _doctor(world)
    assert (code, set(problems)) == (4, {"permissions"})
    assert world.config.stat().st_mode & 0o777 == 0o666
    code, said, problems = _doctor(world, "--fix")
    assert (code, problems) == (0, {})
    assert "permissions-mended" in {one["code"] for one in said["findings"]}
    assert world.state.stat().st_mode & 0o777 == 0o700
    assert world.config.stat().st_mode & 0o022 == 0


def test_a_private_key_beside_the_archives_is_an_error(
    world: World, nightly: Path, keys: Keys
) -> None:
    """Whatever it is called, a key in the cloud folder is found, and never shown."""
    (nightly / "old").mkdir()
    shutil.copy(keys.identity, nightly / "old" / "notes-about-holiday")
    code, said, problems = _doctor(world)
    assert code == 4
    assert problems["identity-in-destination"].endswith("notes-about-holiday")
    assert keys.identity.read_text().split()[-1] not in json.dumps(said)


def test_a_private_key_on_the_machine_or_in_the_data_is_a_warning(
    world: World, nightly: Path, keys: Keys, app: SampleApp
) -> None:
    """A machine that makes backups needs no key."""
    shutil.copy(keys.identity, app.blobs / "a")
    shutil.copy(keys.identity, world.config.parent / "key.txt")
    assert {"identity-in-source", "identity-on-machine"} <= set(_doctor(world)[2])


def test_a_private_key_that_was_left_where_it_was_made_is_a_warning(
    world: World, nightly: Path, keys: Keys
) -> None:
    """Who forgot to move key.txt out of the home directory after the first backup is told."""
    assert "identity-on-machine" not in _doctor(world)[2]
    shutil.copy(keys.identity, world.home / "key.txt")
    assert _doctor(world)[2]["identity-on-machine"] == str(world.home / "key.txt")


def test_the_environment_s_identity_is_on_the_machine_too(
    world: World, nightly: Path, keys: Keys
) -> None:
    """AGEBACKUP_IDENTITY_FILE names one."""
    named = World(
        world.directory,
        world.home,
        {**world.env, "AGEBACKUP_IDENTITY_FILE": str(keys.identity)},
    )
    assert _doctor(named)[2]["identity-on-machine"] == str(keys.identity)


def test_what_config_check_finds_is_found(world: World, nightly: Path, app: SampleApp) -> None:
    """A database that is gone, a recipient that is none, a file that is no configuration."""
    app.ledger.unlink()
    code, _, problems = _doctor(world)
    assert (code, problems["configuration"]) == (4, "notes")
    world.config.write_text("[apps.notes\n")
    code, _, problems = _doctor(world)
    assert (code, problems["unusable"]) == (4, "configuration")


def test_a_destination_that_is_away_is_an_error(world: World, nightly: Path) -> None:
    """The unmounted drive is named by day."""
    nightly.rename(nightly.with_name("gone"))
    code, _, problems = _doctor(world)
    assert code == 4
    assert "destination-missing" in problems


def test_a_further_folder_is_looked_at_like_the_first(world: World, nightly: Path) -> None:
    """A second folder that is absent is found by day; config check names where copies go."""
    further = world.directory / "further"
    text = world.config.read_text()
    world.config.write_text(text.replace(f'"{nightly}"', f'["{nightly}", "{further}"]'))
    assert f"copies to    {further}" in world.run("config", "check").out
    code, _, problems = _doctor(world)
    assert code == 4 and problems["destination-missing"] == str(further)
    further.mkdir(mode=0o700)
    _, _, problems = _doctor(world)
    assert "destination-missing" not in problems


def test_what_an_audit_sees_is_said_here_too(world: World, nightly: Path) -> None:
    """The cheap part: sizes and headers."""
    (archive,) = nightly.glob("notes-*.age")
    os.truncate(archive, archive.stat().st_size - 1)
    assert _doctor(world)[2]["size-differs"] == archive.name


def test_a_damaged_ledger_is_an_error(world: World, nightly: Path) -> None:
    """With the way to a new one."""
    for file in world.state.glob("ledger.db-*"):
        file.unlink()
    (world.state / "ledger.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    assert "ledger-unusable" in _doctor(world)[2]


def test_a_clock_that_went_back_is_an_error(world: World, nightly: Path) -> None:
    """An archive of this machine from the future means that the clock is wrong."""
    ahead = (datetime.now(UTC) + timedelta(days=2)).isoformat(timespec="microseconds")
    with closing(sqlite3.connect(world.state / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE runs SET begun = ?", (ahead,))
    assert "clock" in _doctor(world)[2]


def test_leftovers_are_named_and_with_fix_removed(world: World, nightly: Path) -> None:
    """What a run that died left behind is found without touching it, unless asked."""
    draft = nightly / temporary_name()
    left = os.fork()
    if left == 0:
        with Claims(world.state / "claims").claim(draft) as claim:
            draft.write_bytes(b"half")
            claim.identify()
            os._exit(0)
    os.waitpid(left, 0)
    assert _doctor(world)[2]["leftovers"] == str(draft)
    assert draft.exists()
    assert _doctor(world, "--fix")[0] == 0
    assert not draft.exists()


def test_without_anything_it_says_so(world: World) -> None:
    """A fresh machine has no fault, and learns what to begin with."""
    code, said, problems = _doctor(world)
    assert (code, problems) == (0, {})
    assert "no-configuration" in {one["code"] for one in said["findings"]}


def test_a_person_reads_facts_and_remedies(world: World, nightly: Path) -> None:
    """Without --json each fault is two lines: what it is, and what to do."""
    world.state.chmod(0o755)
    outcome = world.run("doctor")
    assert outcome.code == 4
    assert "[permissions]" in outcome.out
    assert "--fix" in outcome.out


@pytest.mark.parametrize("arguments", [("No App",), ("--mend",)])
def test_nonsense_is_refused(world: World, arguments: tuple[str, ...]) -> None:
    """Bad input is exit code 2."""
    assert world.run("doctor", *arguments).code == 2


def test_a_rehearsal_meets_what_a_run_would_meet(tmp_path: Path) -> None:
    """A directory that vanished refuses, and nothing is left claimed."""
    from agebackup.errors import AgebackupError

    claims = Claims(tmp_path / "claims")
    rehearse(tmp_path, claims)
    assert [path.name for path in tmp_path.iterdir()] == ["claims"]
    with pytest.raises(AgebackupError):
        rehearse(tmp_path / "absent", claims)
    assert list((tmp_path / "claims").iterdir()) == []


@pytest.mark.parametrize(
    ("version", "codes"),
    [
        ("3.26.0", ["version-too-old", "version-known-bad"]),
        ("3.40.1", ["version-known-bad"]),
        ("3.44.6", []),
        ("3.50.6", ["version-known-bad"]),
        ("3.50.7", []),
        ("3.51.2", ["version-known-bad"]),
        ("3.51.3", []),
        ("3.52.0", ["version-known-bad"]),
        ("3.53.0", []),
    ],
)
def test_versions_with_known_faults_are_named(version: str, codes: list[str]) -> None:
    """The table knows which releases have the WAL-reset defect, and which was withdrawn."""
    found = of_versions({"sqlite": version, "pyrage": "1.4.0"})
    assert [one.code for one in found] == codes
    assert all(bad.remedy for bad in KNOWN_BAD)


@given(st.text(max_size=20))
def test_any_text_is_a_version(text: str) -> None:
    """Whatever a distribution calls its version, doctor goes on."""
    of_versions({"sqlite": text, "pyrage": text, "other": text})


def test_figures_are_judged() -> None:
    """The clock, space for the next archives, and iCloud's limit."""
    now = datetime(2026, 11, 21, tzinfo=UTC)
    assert of_clock(now, now) == ()
    assert [one.code for one in of_clock(now, now + timedelta(hours=1))] == ["clock"]
    assert [one.code for one in of_clock(datetime(1970, 1, 1, tzinfo=UTC), None)] == ["clock"]
    severities = [[one.severity for one in of_space("x", free, 100)] for free in (99, 150, 300)]
    assert severities == [["error"], ["warning"], []]
    assert of_space("x", None, 100) == of_space("x", 5, None) == ()
    assert [len(of_size("x", size)) for size in (50 * 10**9, 50 * 10**9 + 1)] == [0, 1]


def test_a_place_that_answers_is_not_called_stuck(tmp_path: Path) -> None:
    """What answers, even that it is absent, is looked at further."""
    alive, stuck = answering([tmp_path, tmp_path / "absent"], Progress())
    assert (alive, stuck) == (frozenset({tmp_path, tmp_path / "absent"}), ())


STUCK = """
from dataclasses import replace
from agebackup.model.profile import Profile, TreeEntry
from agebackup.operations.doctor import answering
from agebackup.operations.reachable import require_answers
dead, well = here / "dead", here / "well"
dead.mkdir()
alive, stuck = answering([dead, well], Progress(), what="source", seconds=1)
assert alive == {well}, alive
(one,) = stuck
print(one.code, one.subject == str(dead), one.fact)
profile = Profile("notes", here, destination=well, attachments=(TreeEntry("", dead),))
require_answers(replace(profile, attachments=()), Progress(), seconds=20)
told(lambda: require_answers(profile, Progress(), seconds=1))
"""


@pytest.mark.linux
def test_a_place_that_never_answers_is_named(tmp_path: Path) -> None:
    """A dead mount under a source or destination is told after some seconds, and is no hang."""
    hang = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(tmp_path / "dead")]
    hang += ["-e", "trace=statfs", "-e", "inject=statfs:delay_enter=4s"]
    done = run(STUCK, tmp_path, under=tuple(hang))
    found, refused = done.stdout.splitlines()
    assert found == "source-stuck True It did not answer within 1 seconds.", done
    assert refused.startswith("NotFoundError") and "dead did not answer" in refused, done


@pytest.mark.linux
def test_a_database_in_wal_mode_on_a_network_share_is_a_warning(app: SampleApp) -> None:
    """Where several machines may have the file open, WAL mode cannot keep them apart."""
    here = kind_of(app.ledger)
    assert here
    assert here not in NETWORK
    source = Source("notes", (DatabaseSource("ledger", app.ledger, "data/ledger"),))
    assert list(of_sources(source)) == []
    (finding,) = of_sources(source, {here})
    assert (finding.code, finding.subject) == ("wal-on-network", str(app.ledger))
    with closing(sqlite3.connect(app.ledger)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    assert list(of_sources(source, {here})) == []


NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("watch", "period", "heard", "found"),
    [
        (Watch(), None, None, ("note", "no-timer")),
        (Watch(enabled=True), None, None, ("warning", "no-timer")),
        (Watch(enabled=False), 3600.0, NOW, ("note", "disabled")),
        (Watch(), 86_400.0, NOW - 47 * HOUR, None),
        (Watch(), 86_400.0, NOW - 49 * HOUR, ("error", "timer-silent")),
    ],
)
def test_a_timer_is_missed_when_nothing_was_heard_of_it(
    watch: Watch, period: float | None, heard: datetime | None, found: tuple[str, str] | None
) -> None:
    """Twice its period without a run is an error; no timer at all is one where it should be."""
    timer = Timer("", "cron", "1h", period, heard) if period and heard else None
    findings = of_timer("notes", watch, timer, None, NOW)
    assert [(one.severity, one.code) for one in findings] == ([found] if found else [])
    assert of_timer("notes", Watch(), timer, NOW, NOW) == () or timer is None


def test_what_to_try_with_a_silent_timer_works() -> None:
    """One timer for all apps is tried by the command that has no name."""
    since = NOW - 999 * HOUR
    for app in ("", "notes"):
        (one,) = of_timer("notes", Watch(), Timer(app, "cron", "1h", 3600.0, since), None, NOW)
        assert one.remedy.endswith(f"run-now {app}".rstrip())


@pytest.mark.parametrize("name", ["notes", ""])
def test_a_timer_without_a_configuration_is_an_error(
    world: World, nightly: Path, name: str
) -> None:
    """Whose declaration vanished is backed up by nobody, although a timer calls."""
    timer = {"every": "daily", "kind": "systemd", "since": datetime.now(UTC).isoformat()}
    (world.state / "schedule.json").write_text(json.dumps({"timers": {name: timer}}))
    world.config.unlink()
    code, _, problems = _doctor(world)
    assert code == 4 and "undeclared" in problems


@pytest.mark.linux
def test_a_timer_that_somebody_removed_is_an_error(world: World, nightly: Path) -> None:
    """The timer was installed, but the crontab does not have it any more."""
    timer = {"every": "daily", "kind": "cron", "since": datetime.now(UTC).isoformat()}
    (world.state / "schedule.json").write_text(json.dumps({"timers": {"notes": timer}}))
    script = 'mount -t tmpfs none /var/spool/cron/crontabs && exec "$@"'
    done = subprocess.run(
        [*OWN_MOUNTS, "sh", "-c", script, "sh", *command(), "doctor", "--json"],
        env=dict(world.env),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    codes = {one["code"]: one["severity"] for one in json.loads(done.stdout)["findings"]}
    assert codes["timer-gone"] == "error"
