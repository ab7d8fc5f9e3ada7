"""`agebackup schedule`: a timer is installed, tried out by day, shown, and removed without a trace.

A stand-in for crontab(1) keeps the crontab in the world's home; `test_real_cron.py` has the real
one, and cron itself.
"""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from conftest import Keys, World
from nights import declare, last_run, script
from sample_app import SampleApp
from timers import CRONTAB, program

from agebackup.cli.carriers import carrying_variables
from agebackup.model.profile import Profile
from agebackup.model.whereabouts import parse_whereabouts

MINE = "5 4 * * * true\n"


@pytest.fixture
def machine(world: World, app: SampleApp, keys: Keys) -> World:
    """A machine whose crontab has a line of the person's, and a declared app `notes`."""
    program(world.directory / "bin", "crontab", CRONTAB)
    program(world.directory / "bin", "systemctl", "raise SystemExit('no bus')")
    path = f"{world.directory / 'bin'}:{world.env['PATH']}"
    crontab(world).write_text(MINE)
    declare(world, app, keys)
    return replace(world, env={**world.env, "PATH": path})


def crontab(world: World) -> Path:
    return world.home / "crontab"


def archives(world: World) -> int:
    return len(list((world.directory / "out-notes").glob("*.age")))


def shown(world: World) -> list[dict[str, object]]:
    outcome = world.run("schedule", "show", "--json")
    assert outcome.code == 0, outcome.err
    timers: list[dict[str, object]] = json.loads(outcome.out)["timers"]
    return timers


def test_installing_tries_it_out(machine: World) -> None:
    """Right after a backup the installed line makes another one; from then on the clock decides."""
    assert machine.run("create", "notes").code == 0
    outcome = machine.run("schedule", "install", "notes", "--every", "1h")
    assert outcome.code == 0, outcome.err
    (first, second) = sorted((machine.directory / "out-notes").glob("*.age"), key=os.path.getmtime)
    assert outcome.out == "" and "ran well" in outcome.err
    assert f"Made: {second}" in outcome.err and first.name not in outcome.err
    assert archives(machine) == 2 and last_run(machine)["kind"] == "auto"
    assert crontab(machine).read_text().startswith(f"{MINE}# BEGIN agebackup-notes")
    assert machine.run("run", "notes").code == 0 and archives(machine) == 2
    assert not list((machine.state / "wanted").iterdir()) and not machine.leftovers()


def test_installing_again_changes_nothing(machine: World) -> None:
    """Twice the same is once; another rhythm replaces the first; removing leaves no trace."""
    install = ("schedule", "install", "notes", "--no-run")
    assert machine.run(*install).code == 0
    before = crontab(machine).read_text()
    assert machine.run(*install).code == 0 and crontab(machine).read_text() == before
    outcome = machine.run(*install, "--every", "03:45", "--json")
    assert "45 3 * * *" in crontab(machine).read_text() and "30 3 * * *" in before
    result = json.loads(outcome.out)
    assert (result["run"], result["places"], result["kind"]) == (None, ["crontab"], "cron")
    (row,) = shown(machine)
    assert (row["app"], row["every"], row["present"]) == ("notes", "03:45", True)
    assert machine.run("schedule", "remove", "notes").code == 0
    assert crontab(machine).read_text() == MINE and shown(machine) == []
    outcome = machine.run("schedule", "remove", "notes", "--json")
    assert outcome.code == 0 and json.loads(outcome.out)["removed"] is False


def test_one_for_all_and_one_of_its_own(machine: World, app: SampleApp, keys: Keys) -> None:
    """A timer for all apps and one for a single app live side by side, and are tried out alone."""
    other = declare(machine, app, keys, name="other")
    disabled = declare(machine, app, keys, "enabled = false", "disabled")
    assert machine.run("schedule", "install", "--every", "1h").code == 0
    assert archives(machine) == len(list(other.glob("*.age"))) == 1
    assert not list(disabled.glob("*.age"))
    assert machine.run("schedule", "install", "notes").code == 0
    assert archives(machine) == 2 and len(list(other.glob("*.age"))) == 1
    assert [row["app"] for row in shown(machine)] == [None, "notes"]
    outcome = machine.run("schedule", "run-now")
    assert outcome.code == 0 and archives(machine) == 3
    assert outcome.out.split() == [last_run(machine, name)["path"] for name in ("notes", "other")]
    assert machine.run("schedule", "remove").code == 0
    assert [row["app"] for row in shown(machine)] == ["notes"]
    assert "BEGIN agebackup-notes" in crontab(machine).read_text()


def test_a_job_that_fails_is_loud(machine: World) -> None:
    """The exit code is the job's, at once, with its reason; the timer stays: the cause may pass.

    At night it would try again for hours; by day somebody waits.
    """
    for file in (machine.directory / "out-notes").iterdir():
        file.unlink()
    (machine.directory / "out-notes").rmdir()
    config = machine.config.read_text()
    machine.config.write_text(config + 'retries = 9\nretry_after = "1h"\n')
    outcome = machine.run("schedule", "install", "notes", "--json")
    result = json.loads(outcome.out)
    assert outcome.code == result["exit"] == result["run"] == 10 and result["status"] == "failed"
    assert "does not exist" in outcome.err and "stays installed" in outcome.err
    assert "BEGIN agebackup-notes" in crontab(machine).read_text()
    assert not list((machine.state / "wanted").iterdir())


def test_run_now(machine: World) -> None:
    """The installed line itself is run; what a person broke in it fails by day, not at night."""
    outcome = machine.run("schedule", "run-now", "notes")
    assert outcome.code == 10 and "schedule install notes" in outcome.err
    assert machine.run("schedule", "install", "notes", "--no-run").code == 0
    outcome = machine.run("schedule", "run-now", "notes", "--json")
    result = json.loads(outcome.out)
    assert (outcome.code, result["exit"]) == (0, 0) and archives(machine) == 1
    assert result["archives"] == [last_run(machine)["path"]] and result["pruned"] == []
    edit(machine, "notes --quiet", "nots --quiet")
    outcome = machine.run("schedule", "run-now", "notes")
    assert outcome.code == 2 and "nots" in outcome.err


def test_run_now_beside_a_run(machine: World) -> None:
    """While another run is at work, trying the timer out fails at once instead of saying well."""
    started, go = machine.directory / "started", machine.directory / "go"
    body = (
        f"import os, time; open({str(started)!r}, 'w').close()\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.01)"
    )
    prepare = f'prepare = {script(machine, "prepare", body)}\nretry_after = "1h"\n'
    machine.config.write_text(machine.config.read_text() + prepare)
    assert machine.run("schedule", "install", "notes", "--no-run").code == 0
    with machine.start("create", "notes") as process:
        try:
            while not started.exists():
                assert process.poll() is None, process.communicate()
            outcome = machine.run("schedule", "run-now", "notes")
        finally:
            go.touch()
            process.communicate()
    assert outcome.code == 11 and "another run" in outcome.err.lower(), outcome.err
    assert process.returncode == 0 and archives(machine) == 1


def test_nothing_is_enabled(machine: World) -> None:
    """Where every app is disabled, `install` and `run` say which line is in the way."""
    text = machine.config.read_text()
    machine.config.write_text(text + "enabled = false\n")
    outcome = machine.run("schedule", "install")
    assert outcome.code == 2 and "enabled = false" in outcome.err
    assert "Set enabled = true, or remove the line" in outcome.err
    outcome = machine.run("run")
    assert outcome.code == 0 and "Set enabled = true" in outcome.err
    machine.config.write_text("")
    outcome = machine.run("schedule", "install")
    assert outcome.code == 2 and "declares no app" in outcome.err


def edit(world: World, old: str, new: str) -> None:
    """Change the crontab by hand."""
    text = crontab(world).read_text()
    assert old in text
    crontab(world).write_text(text.replace(old, new))


def test_a_job_that_looks_elsewhere_is_found(machine: World) -> None:
    """A job with another state directory would never know what is due: it ends well, and fails."""
    assert machine.run("schedule", "install", "notes", "--no-run").code == 0
    edit(machine, f"XDG_STATE_HOME={machine.home}", f"XDG_STATE_HOME={machine.directory}")
    outcome = machine.run("schedule", "run-now", "notes")
    assert outcome.code == 1 and "state directory" in outcome.err
    assert not list((machine.state / "wanted").iterdir())


def test_what_was_edited_by_hand_is_shown(machine: World) -> None:
    """`show --diff` says what a person changed or removed, and plain `show` that it is gone."""
    assert machine.run("schedule", "install", "notes", "--no-run").code == 0
    outcome = machine.run("schedule", "show", "--diff")
    assert outcome.out == "" and "No difference" in outcome.err
    outcome = machine.run("schedule", "install", "notes", "--diff")
    assert outcome.out == "" and "No difference" in outcome.err
    edit(machine, "30 3", "31 3")
    outcome = machine.run("schedule", "show", "notes", "--diff")
    assert outcome.code == 0 and "\n-31 3" in outcome.out and "\n+30 3" in outcome.out
    crontab(machine).write_text(MINE)
    outcome = machine.run("schedule", "show")
    assert "GONE" in outcome.out and [row["present"] for row in shown(machine)] == [False]
    assert machine.run("schedule", "install", "notes", "--no-run").code == 0
    assert [row["present"] for row in shown(machine)] == [True]


@pytest.mark.parametrize("kind", ["systemd", "launchd", "cron"])
def test_print_installs_nothing(machine: World, kind: str) -> None:
    """Whichever kind, there or not: it is shown as it would be, absolutely, without a secret."""
    outcome = machine.run("schedule", "install", "notes", "--kind", kind, "--print")
    assert outcome.code == 0, outcome.err
    assert str(machine.config) in outcome.out and "HOME" in outcome.out
    files = json.loads(
        machine.run("schedule", "install", "notes", "--kind", kind, "--print", "--json").out
    )["files"]
    assert all(text in "\n".join(files.values()) for text in ("notes", "-P", "--quiet"))
    diff = machine.run("schedule", "install", "notes", "--kind", kind, "--diff")
    assert diff.code == 0 and "+++" in diff.out
    assert crontab(machine).read_text() == MINE and not archives(machine)
    assert not (machine.home / "config" / "systemd").exists() and shown(machine) == []
    assert not (machine.home / "Library").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("notes", "--every", "7h"), 2, "no rhythm that"),
        (("notes", "--every", ""), 2, "no rhythm that"),
        (("notes", "--every", "\n"), 2, "no rhythm that"),
        (("notes", "--kind", "at"), 2, "at"),
        (("unknown",), 2, "unknown"),
        (("off",), 13, "disabled"),
        (("nowhere",), 13, "destination"),
        (("nobody",), 13, "recipient"),
        (("notes", "--kind", "systemd"), 13, "systemd does not answer"),
        (("notes", "--kind", "systemd"), 13, "What works for you here: --kind cron."),
        (("notes", "--kind", "launchd"), 13, "launchd"),
        (("notes", "--kind", "cron", "--system"), 13, "Only systemd"),
        (("notes", "--system"), 13, "systemd"),
        (("notes", "too", "many"), 2, "many"),
    ],
)
def test_what_is_refused(
    machine: World, app: SampleApp, keys: Keys, words: tuple[str, ...], code: int, said: str
) -> None:
    """Nonsense, and what could never run, is refused in a sentence; nothing is installed."""
    declare(machine, app, keys, "enabled = false", "off")
    text = machine.config.read_text().splitlines()
    text += ["[apps.nowhere]", *text[1:2], text[3], "[apps.nobody]", *text[1:3]]
    machine.config.write_text("\n".join([*text, ""]))
    outcome = machine.run("schedule", "install", *words)
    assert outcome.code == code and said in outcome.err, outcome.err
    assert "Traceback" not in outcome.err
    assert crontab(machine).read_text() == MINE and not archives(machine)
    assert not (machine.home / "config" / "systemd").exists()


@pytest.mark.parametrize("verb", ["install", "remove", "show", "run-now"])
def test_names_that_are_none(world: World, verb: str) -> None:
    """What cannot be an app's name leads to no file, whichever command is given it."""
    for name in ("../../x", "", "x\n"):
        outcome = world.run("schedule", verb, name)
        assert outcome.code == 2 and "app's name" in outcome.err


def test_a_configuration_in_an_awkward_place(machine: World) -> None:
    """Blanks, quotes, % and $ in the config's path come through cron; a line end is refused."""
    awkward = machine.directory / 'it\'s 100% "$HOME" \\% ü.toml'
    awkward.write_bytes(machine.config.read_bytes())
    outcome = machine.run("--config", awkward, "schedule", "install", "notes")
    assert outcome.code == 0, outcome.err
    assert archives(machine) == 1
    broken = machine.directory / "a\nb.toml"
    broken.write_bytes(machine.config.read_bytes())
    before = crontab(machine).read_text()
    outcome = machine.run("--config", broken, "schedule", "install", "notes")
    assert outcome.code == 2 and "No timer can name" in outcome.err
    assert crontab(machine).read_text() == before


def test_a_variable_that_the_night_has_not(machine: World) -> None:
    """What the configuration takes from this shell's environment is missing at night: said now."""
    text = machine.config.read_text().replace('destination = "', 'destination = "$PLACE', 1)
    machine.config.write_text(text)
    here = replace(machine, env={**machine.env, "PLACE": "/", "AGEBACKUP_RECIPIENTS_FILE": "x"})
    outcome = here.run("schedule", "install", "notes")
    assert outcome.code == 2 and "The timer does not have that variable" in outcome.err


def test_programs_that_the_night_does_not_find(machine: World) -> None:
    """A program on this shell's search path only is named at install, hooks included."""
    program(machine.directory / "bin", "myhook", "")
    machine.config.write_text(
        machine.config.read_text() + '[apps.notes.hooks]\non_failure = ["myhook"]\n'
    )
    outcome = machine.run("schedule", "install", "notes", "--no-run")
    assert outcome.code == 0 and "on_failure" in outcome.err and "myhook" in outcome.err


def test_a_night_reaches_the_remotes_that_the_day_reaches(machine: World) -> None:
    """The job knows where rclone's and gh's own configuration lies, and may keep renewed logins."""
    text = machine.config.read_text()
    first = str(machine.directory / "out-notes")
    several = f'["{first}", "rclone:box:notes", "github:ada/notes"]'
    machine.config.write_text(text.replace(f'"{first}"', several, 1))
    own = {"RCLONE_CONFIG": "/etc/box/rclone.conf", "GH_HOST": "git.example", "GH_TOKEN": "geheim"}
    here = replace(machine, env={**machine.env, **own})
    outcome = here.run("schedule", "install", "notes", "--kind", "systemd", "--print")
    assert outcome.code == 0, outcome.err
    assert "RCLONE_CONFIG=/etc/box/rclone.conf" in outcome.out and "GH_HOST=git" in outcome.out
    assert 'ReadWritePaths="-/etc/box"' in outcome.out
    assert f'ReadWritePaths="-{machine.home}/config/gh"' in outcome.out
    assert "geheim" not in outcome.out and " PATH=" not in outcome.out


def test_a_program_of_a_remote_in_a_place_of_its_own(tmp_path: Path) -> None:
    """Where gh or rclone is installed elsewhere, the job looks there too."""
    program(tmp_path, "rclone", "")
    profile = Profile("notes", tmp_path, remotes=(parse_whereabouts("rclone:box:notes"),))
    found = carrying_variables((profile,), {"PATH": f"{tmp_path}:/bin"}, "/nowhere")
    assert found == {"PATH": f"{tmp_path}:/nowhere"}
    assert carrying_variables((profile,), {"PATH": "/elsewhere"}, "/nowhere") == {}


def test_no_secret_and_nothing_of_this_shell(machine: World) -> None:
    """Only places are passed on: no other variable, whatever it holds, gets into the crontab."""
    here = replace(
        machine, env={**machine.env, "TOKEN": "geheim", "AGEBACKUP_IDENTITY_FILE": "geheim"}
    )
    assert here.run("schedule", "install", "notes", "--no-run").code == 0
    assert "geheim" not in crontab(machine).read_text()
    assert f"HOME={machine.home}" in crontab(machine).read_text()


@pytest.mark.parametrize("content", ["", '{"timers": {"../x": {}}}', "[" * 100_000])
def test_damaged_notes(machine: World, content: str) -> None:
    """Damaged notes of timers are said, kept from `show`, and mended by installing any again.

    Those that are really there are noted as they are: none is forgotten.
    """
    assert machine.run("schedule", "install", "notes", "--no-run").code == 0
    assert machine.run("schedule", "install", "--every", "6h", "--no-run").code == 0
    text = machine.config.read_text()
    machine.config.write_text(text + text.replace("[apps.notes]", "[apps.other]"))
    assert machine.run("schedule", "install", "other", "--every", "weekly", "--no-run").code == 0
    notes = machine.state / "schedule.json"
    notes.write_text(content)
    for verb in ("show", "run-now"):
        outcome = machine.run("schedule", verb)
        assert outcome.code == 1 and "schedule.json" in outcome.err
    assert machine.run("schedule", "remove", "--kind", "systemd").code == 0
    assert notes.read_text() == content
    edit(machine, "0 */6 * * *", "0 */6 1 * *")
    outcome = machine.run("schedule", "install", "notes", "--every", "1h", "--no-run")
    assert outcome.code == 0 and "other (cron, weekly)" in outcome.err
    assert "When the timer of all apps (cron) fires is not known" in outcome.err
    rows = {row["app"]: row["every"] for row in shown(machine)}
    assert rows == {None: "daily", "notes": "1h", "other": "weekly"}


def test_damaged_markers(machine: World) -> None:
    """A crontab whose markers a person damaged is left as it is, with a word how to mend it."""
    assert machine.run("schedule", "install", "notes", "--no-run").code == 0
    edit(machine, "# END agebackup-notes\n", "")
    damaged = crontab(machine).read_text()
    for verb in ("install", "remove", "show", "run-now"):
        outcome = machine.run("schedule", verb, "notes")
        assert outcome.code == 1 and "crontab -e" in outcome.err
        assert crontab(machine).read_text() == damaged


def test_without_any_kind_of_timer(machine: World) -> None:
    """Where neither systemd nor cron works it is said why, for each, and what to do."""
    bare = machine.directory / "bare"
    bare.mkdir()
    here = replace(machine, env={**machine.env, "PATH": str(bare)})
    outcome = here.run("schedule", "install", "notes")
    assert outcome.code == 13 and "agebackup run" in outcome.err
    assert all(kind in outcome.err for kind in ("launchd", "systemd", "cron"))
    assert here.run("schedule", "remove", "notes").code == 0


def test_a_timer_of_another_kind_is_replaced(machine: World) -> None:
    """Two kinds of timers would run the app twice: the earlier one goes when a new one is there."""
    assert machine.run("schedule", "install", "notes", "--no-run").code == 0
    program(machine.directory / "bin", "systemctl", "")
    outcome = machine.run("schedule", "install", "notes", "--no-run", "--json")
    assert outcome.code == 0 and json.loads(outcome.out)["kind"] == "systemd"
    assert crontab(machine).read_text() == MINE
    units = machine.home / "config" / "systemd" / "user"
    assert sorted(os.listdir(units)) == ["agebackup-notes.service", "agebackup-notes.timer"]
    assert machine.run("schedule", "remove", "notes").code == 0 and not os.listdir(units)


def test_a_service_that_the_configuration_outgrew(machine: World) -> None:
    """doctor says when a destination was changed that the installed service may not write to."""
    program(machine.directory / "bin", "systemctl", "")
    assert machine.run("schedule", "install", "notes", "--no-run").code == 0
    assert "timer-outdated" not in machine.run("doctor", "--json").out
    text = machine.config.read_text()
    (machine.directory / "elsewhere").mkdir()
    machine.config.write_text(text.replace("out-notes", "elsewhere"))
    outcome = machine.run("doctor", "--json")
    assert outcome.code == 4 and "timer-outdated" in outcome.out
    assert machine.run("schedule", "install", "notes", "--no-run").code == 0
    assert "timer-outdated" not in machine.run("doctor", "--json").out


def test_a_failed_install_leaves_nothing(machine: World) -> None:
    """Where the manager refuses a unit no half of a timer stays, and none is noted."""
    body = "import sys\nif 'enable' in sys.argv: sys.exit('refused')"
    program(machine.directory / "bin", "systemctl", body)
    outcome = machine.run("schedule", "install", "notes")
    assert outcome.code == 1 and "refused" in outcome.err
    assert not os.listdir(machine.home / "config" / "systemd" / "user") and shown(machine) == []


def test_disabled_after_it_was_installed(machine: World) -> None:
    """`run-now` says that the configuration forbids it, instead of that nothing was to be done."""
    assert machine.run("schedule", "install", "notes", "--no-run").code == 0
    machine.config.write_text(machine.config.read_text() + "enabled = false\n")
    outcome = machine.run("schedule", "run-now", "notes")
    assert outcome.code == 13 and "disabled" in outcome.err and not archives(machine)


def test_a_slow_job_counts_as_tried(machine: World) -> None:
    """The job takes the wish at its start: a long run, or one that fails late, is tried once."""
    body = f"import os; assert not os.listdir({str(machine.state / 'wanted')!r})"
    prepare = f"prepare = {script(machine, 'prepare', body)}\n"
    machine.config.write_text(machine.config.read_text() + prepare)
    assert machine.run("schedule", "install", "notes").code == 0 and archives(machine) == 1


def test_the_next_firing_is_told(machine: World) -> None:
    """`install` and `show` say when the timer fires next."""
    outcome = machine.run("schedule", "install", "notes", "--no-run", "--every", "1h", "--json")
    told = datetime.fromisoformat(json.loads(outcome.out)["next_run"])
    assert timedelta(0) < told - datetime.now(UTC) + timedelta(seconds=30) <= timedelta(hours=1.1)
    here = replace(machine, env={**machine.env, "TZ": "XYZ-1"})
    there = told.astimezone(timezone(timedelta(hours=1), "XYZ"))
    assert f"next {there:%Y-%m-%d %H}:00 XYZ, installed" in here.run("schedule", "show").out
    outcome = here.run("schedule", "install", "notes", "--every", "3:05", "--no-run")
    assert "(cron, 03:05; next " in outcome.err and " 03:05 XYZ)" in outcome.err


@pytest.mark.parametrize("verb", ["install", "remove", "show", "run-now"])
def test_a_name_that_is_mistyped(machine: World, verb: str) -> None:
    """An app that the configuration does not declare is taken for a slip, as `create` does."""
    outcome = machine.run("schedule", verb, "nots")
    assert outcome.code == machine.run("create", "nots").code == 2
    assert "Did you mean 'notes'?" in outcome.err


def test_an_app_that_is_no_longer_declared(machine: World) -> None:
    """Its timer is still shown and removed; a broken configuration keeps nothing from either."""
    assert machine.run("schedule", "install", "notes", "--no-run").code == 0
    text = machine.config.read_text()
    machine.config.write_text(text.replace("apps.notes", "apps.other"))
    assert machine.run("schedule", "show", "notes").code == 0
    assert machine.run("schedule", "remove", "notes").code == 0
    assert crontab(machine).read_text() == MINE
    machine.config.write_text("[")
    assert machine.run("schedule", "remove", "notes").code == 0
    assert machine.run("schedule", "show", "notes").code == 10


@pytest.mark.parametrize(
    ("every", "more", "said"),
    [
        ("weekly", "", "every 7d only, which is longer than the `interval` of notes (1d)"),
        ("weekly", 'interval = "7d"', ""),
        ("daily", "", ""),
        ("daily", 'interval = "90m"', "notes (1h 30m)"),
    ],
)
def test_one_timer_that_asks_too_seldom(machine: World, every: str, more: str, said: str) -> None:
    """Whose `interval` one timer for all cannot keep is named; a timer of its own always does."""
    machine.config.write_text(f"{machine.config.read_text()}{more}\n")
    outcome = machine.run("schedule", "install", "--every", every, "--no-run")
    assert outcome.code == 0 and said in outcome.err
    assert ("`interval`" in outcome.err) == bool(said)
    outcome = machine.run("schedule", "install", "notes", "--every", "weekly", "--no-run")
    assert outcome.code == 0 and "`interval`" not in outcome.err
    outcome = machine.run("schedule", "install", "--every", every, "--no-run")
    assert outcome.code == 0 and "`interval`" not in outcome.err


def test_the_result_on_stdout(machine: World) -> None:
    """What was written is printed where it is files, and what a run pruned is told."""
    program(machine.directory / "bin", "systemctl", "")
    policy = "[apps.notes.retention]\ncount = 1\n"
    machine.config.write_text(machine.config.read_text() + policy)
    outcome = machine.run("schedule", "install", "notes", "--no-run")
    units = machine.home / "config" / "systemd" / "user"
    assert outcome.out.split() == sorted(map(str, units.iterdir()))
    assert machine.run("schedule", "install", "notes", "--kind", "cron").code == 0
    (first,) = (machine.directory / "out-notes").glob("*.age")
    said, second = "", first
    while second.name.split("-")[1] == first.name.split("-")[1]:  # within one second chance decides
        outcome = machine.run("schedule", "run-now", "notes")
        assert outcome.code == 0, outcome.err
        said, second = said + outcome.err, Path(outcome.out.strip())
    assert "Pruned: " in said and first.stem in said
    (second,) = (machine.directory / "out-notes").glob("*.age")
    assert outcome.out == f"{second}\n"
