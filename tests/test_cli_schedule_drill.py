"""`agebackup schedule … --drill`: drills by a timer of their own, on a machine that has a key.

A stand-in for crontab(1) keeps the crontab in the world's home.
"""

import json
import os
import pty
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Keys, World
from nights import declare, script
from sample_app import SampleApp
from timers import CRONTAB, program

MINE = "5 4 * * * true\n"


@pytest.fixture
def machine(world: World, app: SampleApp, keys: Keys) -> World:
    """A machine whose crontab has a line of the person's, and a declared app with an archive."""
    program(world.directory / "bin", "crontab", CRONTAB)
    program(world.directory / "bin", "systemctl", "raise SystemExit('no bus')")
    path = f"{world.directory / 'bin'}:{world.env['PATH']}"
    crontab(world).write_text(MINE)
    declare(world, app, keys)
    assert world.run("create", "notes").code == 0
    return replace(world, env={**world.env, "PATH": path})


def crontab(world: World) -> Path:
    return world.home / "crontab"


def timers(world: World) -> list[tuple[object, object, object, object]]:
    """Return what `schedule show` lists: app, task, rhythm, and whether it is there."""
    outcome = world.run("schedule", "show", "--json")
    assert outcome.code == 0, outcome.err
    rows = json.loads(outcome.out)["timers"]
    return [(row["app"], row["task"], row["every"], row["present"]) for row in rows]


def drills(world: World) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(world.run("drill", "--report", "--json").out)[
        "drills"
    ]
    return rows


def test_a_second_timer(machine: World, keys: Keys) -> None:
    """It is tried out as it will run at night, lives beside that of backups, and goes with it."""
    outcome = machine.run("schedule", "install", "notes", "--drill", "monthly", "-i", keys.identity)
    assert outcome.code == 0, outcome.err
    (row,) = drills(machine)
    assert row["outcome"] == "ok" and f"Drilled: {row['archive']}" in outcome.err
    assert "ran well" in outcome.err and "drills of notes" in outcome.err
    text = crontab(machine).read_text()
    assert text.startswith(f"{MINE}# BEGIN agebackup_drill-notes ")
    assert "30 4 1 * * " in text and f"drill notes -i {keys.identity}" in text
    assert timers(machine) == [("notes", "drill", "monthly", True)]
    assert machine.run("schedule", "install", "notes", "--no-run").code == 0
    assert timers(machine) == [
        ("notes", "backup", "daily", True),
        ("notes", "drill", "monthly", True),
    ]
    shown = machine.run("schedule", "show", "notes").out.splitlines()
    assert len(shown) == 2 and shown[1].startswith("notes: drill, cron, monthly, next ")
    assert "No difference" in machine.run("schedule", "show", "--diff").err
    assert machine.run("schedule", "remove", "notes").code == 0
    assert crontab(machine).read_text() == MINE and timers(machine) == []
    assert not machine.leftovers()


def test_each_goes_alone(machine: World, keys: Keys) -> None:
    """--drill removes only the timer of drills; of all apps as of one."""
    install = ("schedule", "install", "--no-run")
    assert machine.run(*install).code == 0
    assert machine.run(*install, "--drill", "weekly", "-i", keys.identity).code == 0
    assert "agebackup_drill " in crontab(machine).read_text()
    assert f"drill --all -i {keys.identity}" in crontab(machine).read_text()
    assert timers(machine) == [(None, "backup", "daily", True), (None, "drill", "weekly", True)]
    outcome = machine.run("schedule", "remove", "--drill", "--json")
    assert json.loads(outcome.out)["removed"] is True
    assert timers(machine) == [(None, "backup", "daily", True)]
    assert machine.run("schedule", "remove", "--drill").code == 0


def test_an_app_called_drill(machine: World, app: SampleApp, keys: Keys) -> None:
    """Whatever apps are called, no timer is taken for another one."""
    declare(machine, app, keys, name="drill")
    declare(machine, app, keys, name="drill-notes")
    for words in (("drill",), ("drill-notes",), ("notes", "--drill", "daily", "-i", keys.identity)):
        assert machine.run("schedule", "install", "--no-run", *words).code == 0
    assert [row[:2] for row in timers(machine)] == [
        ("drill", "backup"),
        ("drill-notes", "backup"),
        ("notes", "drill"),
    ]
    assert machine.run("schedule", "remove", "drill-notes").code == 0
    assert [row[:2] for row in timers(machine)] == [("drill", "backup"), ("notes", "drill")]
    assert all(row[3] for row in timers(machine))


def test_run_now(machine: World, keys: Keys, other_keys: Keys) -> None:
    """The installed line itself is run, and its exit code is that of the drill, with the reason."""
    outcome = machine.run("schedule", "run-now", "notes", "--drill")
    assert outcome.code == 10 and "--drill monthly -i KEY" in outcome.err
    install = ("schedule", "install", "notes", "--no-run", "--drill", "monthly", "-i")
    assert machine.run(*install, keys.identity).code == 0
    outcome = machine.run("schedule", "run-now", "notes", "--drill", "--json")
    result = json.loads(outcome.out)
    assert outcome.code == 0 and result["drilled"] == [drills(machine)[0]["archive"]]
    assert result["archives"] == []
    assert machine.run(*install, other_keys.identity).code == 0
    outcome = machine.run("schedule", "run-now", "notes", "--drill")
    assert outcome.code == 12 and "ended with 12" in outcome.err and "opens" in outcome.err


def test_a_job_that_looks_elsewhere_is_found(machine: World, keys: Keys) -> None:
    """A job with another state directory keeps its receipts where nobody looks: it fails by day."""
    install = ("schedule", "install", "notes", "--no-run", "--drill", "monthly", "-i")
    assert machine.run(*install, keys.identity).code == 0
    text = crontab(machine).read_text()
    crontab(machine).write_text(
        text.replace(f"XDG_STATE_HOME={machine.home}", f"XDG_STATE_HOME={machine.directory}")
    )
    outcome = machine.run("schedule", "run-now", "notes", "--drill")
    assert outcome.code == 1 and "state directory" in outcome.err


@pytest.mark.parametrize("kind", ["systemd", "launchd", "cron"])
def test_print_installs_nothing(machine: World, keys: Keys, kind: str) -> None:
    """Of every kind it can be seen beforehand; the key's path stands in it, never its content."""
    words = ("schedule", "install", "notes", "--drill", "monthly", "-i", keys.identity)
    outcome = machine.run(*words, "--kind", kind, "--print")
    assert outcome.code == 0, outcome.err
    assert str(keys.identity) in outcome.out and "AGE-SECRET-KEY" not in outcome.out
    assert "agebackup_drill" in outcome.out
    assert crontab(machine).read_text() == MINE and timers(machine) == []


def test_the_notes_hold_no_secret(machine: World, keys: Keys) -> None:
    """What is noted of the key is where it lies, wherever the command was called."""
    relative = os.path.relpath(keys.identity, machine.directory)
    words = ("schedule", "install", "notes", "--no-run", "--drill", "monthly", "-i", relative)
    assert machine.run(*words).code == 0
    noted = (machine.state / "drills.json").read_text()
    assert str(keys.identity) in noted and relative not in noted
    secret = keys.identity.read_text().splitlines()[-1]
    kept = [path.read_text(errors="replace") for path in machine.home.rglob("*") if path.is_file()]
    assert not any(secret in text for text in kept)


def protected(keys: Keys, file: Path) -> Path:
    """Return `file`, made of the key by `age -p` with a passphrase that a terminal gave."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        ["setsid", "-c", "age", "-p", "-o", file, keys.identity],
        stdin=slave,
        stdout=slave,
        stderr=slave,
    ) as process:
        os.close(slave)
        with suppress(OSError):  # the end of the terminal
            while said := os.read(master, 1000):
                if b":" in said:
                    os.write(master, b"correct horse\n")
    assert process.returncode == 0
    os.close(master)
    return file


def test_a_protected_key_is_refused(machine: World, keys: Keys) -> None:
    """Nobody types a passphrase at night; nothing is installed."""
    file = protected(keys, machine.directory / "protected.age")
    words = ("schedule", "install", "notes", "--drill", "monthly", "-i", file)
    outcome = machine.run(*words)
    assert outcome.code == 13 and "passphrase" in outcome.err, outcome.err
    assert crontab(machine).read_text() == MINE and timers(machine) == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("notes", "--drill", "monthly"), 2, "needs a private key"),
        (("notes", "--drill", "monthly", "-i", "absent.txt"), 2, "absent.txt"),
        (("notes", "--drill", "monthly", "-i", "/dev/null"), 13, "no file"),
        (("notes", "--drill", "monthly", "-i", "out-notes/key.txt"), 13, "lies in the destination"),
        (("notes", "--drill", "yearly", "-i", "key.txt"), 2, "no rhythm that"),
        (("notes", "--drill", "", "-i", "key.txt"), 2, "no rhythm that"),
        (("notes", "--drill", "monthly", "--every", "1h", "-i", "key.txt"), 2, "two timers"),
        (("notes", "-i", "key.txt"), 2, "needs no private key"),
        (("unknown", "--drill", "monthly", "-i", "key.txt"), 2, "unknown"),
        (("nowhere", "--drill", "monthly", "-i", "key.txt"), 13, "declares no destination"),
    ],
)
def test_what_is_refused(
    machine: World, keys: Keys, words: tuple[str, ...], code: int, said: str
) -> None:
    """What could never drill at night is refused by day, and nothing is installed."""
    for place in (machine.directory / "key.txt", machine.directory / "out-notes" / "key.txt"):
        place.write_bytes(keys.identity.read_bytes())
        place.chmod(0o600)
    text = machine.config.read_text()
    machine.config.write_text(f"{text}\n[apps.nowhere]\n{text.splitlines()[1]}\n")
    outcome = machine.run("schedule", "install", *words)
    assert outcome.code == code and said in outcome.err, outcome.err
    assert "Traceback" not in outcome.err
    assert crontab(machine).read_text() == MINE and timers(machine) == []


def test_status_and_doctor_watch_it(machine: World, keys: Keys) -> None:
    """A timer of drills that is gone is told; its key may lie here, where others could read it."""
    words = ("schedule", "install", "notes", "--no-run", "--drill", "monthly", "-i")
    key = machine.home / "config" / "agebackup" / "key.txt"
    key.write_bytes(keys.identity.read_bytes())
    key.chmod(0o600)
    found = machine.run("doctor").out
    assert "identity-on-machine" in found
    assert machine.run(*words, key).code == 0
    assert machine.run("schedule", "install", "notes", "--no-run").code == 0
    found = machine.run("doctor").out
    assert "identity-on-machine" not in found and "timer-gone" not in found
    key.chmod(0o644)
    assert "[permissions]" in machine.run("doctor").out
    assert machine.run("status").code == 0
    text = crontab(machine).read_text()
    before, _, after = text.partition("# BEGIN agebackup_drill")
    crontab(machine).write_text(before + after.partition("# END agebackup_drill-notes\n")[2])
    outcome = machine.run("status")
    assert outcome.code == 5 and "drills of notes" in outcome.out and "timer-gone" in outcome.out
    assert "--drill monthly -i KEY" in outcome.out
    assert "timer-gone" in machine.run("doctor").out
    assert "GONE: agebackup schedule install notes --drill" in machine.run("schedule", "show").out


def test_damaged_notes(machine: World, keys: Keys) -> None:
    """Which drills there are cannot be guessed: it is said, and the timer can still be removed."""
    words = ("schedule", "install", "notes", "--no-run", "--drill", "monthly", "-i", keys.identity)
    assert machine.run(*words).code == 0
    (machine.state / "drills.json").write_text("{")
    assert "not known" in machine.run("status").err
    assert machine.run("run", "notes", "--now").code == 0
    outcome = machine.run("schedule", "remove", "notes")
    assert outcome.code == 0 and crontab(machine).read_text() == MINE
    outcome = machine.run(*words)
    assert outcome.code == 0 and "Install every timer of drills again" in outcome.err
    assert timers(machine) == [("notes", "drill", "monthly", True)]


def test_a_program_that_the_timer_does_not_find(machine: World, keys: Keys) -> None:
    """A command of an assertion that only the shell's PATH finds is told when it is installed."""
    program(machine.directory / "bin", "notes-check", "")
    text = machine.config.read_text()
    machine.config.write_text(f'{text}[apps.notes.assertions]\nx = {{command = ["notes-check"]}}\n')
    outcome = machine.run("schedule", "install", "notes", "--no-run")
    assert outcome.code == 0 and "notes-check" not in outcome.err
    words = ("schedule", "install", "notes", "--drill", "monthly", "-i", keys.identity)
    outcome = machine.run(*words)
    assert outcome.code == 4 and "assertions.x: there is no program notes-check" in outcome.err


def test_overdue(machine: World, keys: Keys) -> None:
    """Where a timer is installed and no drill is made, status says so in time."""
    words = ("schedule", "install", "notes", "--no-run", "--drill", "daily", "-i", keys.identity)
    assert machine.run(*words).code == 0
    notes = json.loads((machine.state / "drills.json").read_text())
    notes["timers"]["notes"]["since"] = "2026-01-01T00:00:00+00:00"
    (machine.state / "drills.json").write_text(json.dumps(notes))
    outcome = machine.run("status", "--max-age", "10000d")
    assert "[drill-overdue]" in outcome.out and "run-now --drill notes" in outcome.out
    assert machine.run("schedule", "run-now", "notes", "--drill").code == 0
    assert "[drill-overdue]" not in machine.run("status").out


def test_a_failing_drill_at_night_is_heard_of(machine: World, keys: Keys) -> None:
    """What the job writes to stderr is mailed by cron: the reason, and nothing when all is well."""
    asserted = f"[apps.notes.assertions]\nx = {{command = {script(machine, 'bad', 'exit(3)')}}}\n"
    words = ("schedule", "install", "notes", "--no-run", "--drill", "daily", "-i", keys.identity)
    assert machine.run(*words).code == 0
    line = crontab(machine).read_text().splitlines()[2].split(maxsplit=5)[5]
    for code, text in ((0, ""), (4, "assertions do not hold")):
        done = subprocess.run(
            ["env", "-i", "PATH=/usr/bin:/bin", "/bin/sh", "-c", line],
            capture_output=True,
            text=True,
            check=False,
            env={**machine.env},
        )
        assert (done.returncode, done.stdout) == (code, "")
        assert text in done.stderr if text else done.stderr == ""
        machine.config.write_text(machine.config.read_text() + asserted)
