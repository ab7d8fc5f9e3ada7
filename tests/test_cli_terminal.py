"""At a terminal: progress while there is work, then nothing but what was said, and the prompt."""

import fcntl
import json
import os
import signal
import sqlite3
import subprocess
import termios
from array import array
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Keys, World
from pseudo_terminal import CLEARED, Shown, on_terminal, protected
from sample_app import SampleApp, build, environment
from waiting import until_locked

PASSPHRASE = "correct horse battery"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Path:
    """One good archive for all tests of this file, which only read it."""
    directory = tmp_path_factory.mktemp("terminal")
    home = directory / "home"
    home.mkdir()
    (directory / "out").mkdir()
    app = build(directory / "app")
    outcome = World(directory, home, environment(home)).run(
        *("create", *app.create_arguments, "--to", "out", "-r", keys.recipient)
    )
    assert outcome.code == 0, outcome.err
    return Path(outcome.out.strip())


@pytest.fixture(scope="module")
def locked_key(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Path:
    """The private key, protected by the passphrase."""
    return protected(keys.identity, PASSPHRASE, tmp_path_factory.mktemp("key") / "locked.txt")


def assert_drawn(shown: Shown, *phases: str) -> None:
    """Each phase was drawn, and taken off the screen again."""
    for phase in phases:
        assert f"{CLEARED}{phase}" in shown.raw
        assert not any(line.startswith(phase) for line in shown.screen), shown.screen


def test_verify_shows_progress_and_then_its_result(
    world: World, pristine: Path, keys: Keys
) -> None:
    """While an archive is read a line says how far it is; in the end only the result stands."""
    shown = on_terminal(world, "verify", pristine, "-i", keys.identity).finish()
    assert shown.code == 0, shown.raw
    assert_drawn(shown, "reading")
    result, checked, _origin = shown.screen
    assert result == f"{pristine}: sound" and checked.startswith("  checked: ")
    assert f"{CLEARED}{result}\r\n" in shown.raw


def test_create_shows_its_phases_and_then_its_words(
    world: World, app: SampleApp, keys: Keys
) -> None:
    """create draws what it is at, and leaves whole lines of words and the path behind."""
    words = ("create", *app.create_arguments, "--to", "out", "--mkdir", "-r", keys.recipient)
    shown = on_terminal(world, *words).finish()
    assert shown.code == 0, shown.raw
    assert_drawn(shown, "proving")
    published, *rest, path = shown.screen
    assert published.startswith("Published ") and Path(path).is_file()
    assert all(line.startswith("  ") for line in rest), rest


def test_the_line_goes_even_where_the_result_goes_elsewhere(
    world: World, pristine: Path, keys: Keys
) -> None:
    """With results in a pipe the terminal keeps no remnant of the progress line."""
    words = ("ls", pristine, "-i", keys.identity)
    shown = on_terminal(world, *words, stdout=subprocess.PIPE).finish()
    assert shown.code == 0 and "ledger.db" in shown.out
    assert "\x1b" not in shown.out
    assert_drawn(shown, "reading")
    assert shown.screen == []


def test_a_failure_stands_on_a_line_of_its_own(world: World, pristine: Path, keys: Keys) -> None:
    """A complaint about an archive is not written behind what was left of the progress line."""
    damaged = world.directory / "damaged.tar.age"
    damaged.write_bytes(pristine.read_bytes()[:-1])
    words = ("restore", damaged, "-i", keys.identity, "--target", "restored")
    shown = on_terminal(world, *words).finish()
    assert shown.code == 4
    assert_drawn(shown, "reading")
    assert shown.screen[0].startswith(f"agebackup: {damaged}: ")
    shown = on_terminal(world, "verify", damaged, pristine, "-i", keys.identity).finish()
    assert shown.code == 4
    failure, _hint, result, _checked, _origin = shown.screen
    assert failure.startswith("agebackup: ") and result == f"{pristine}: sound"


def test_a_warning_stands_on_a_line_of_its_own(world: World, pristine: Path, keys: Keys) -> None:
    """A warning, at whatever point of the work it comes, is not mixed with the progress line."""
    renamed = world.directory / "other-20200101T000000Z-00000000.tar.age"
    renamed.write_bytes(pristine.read_bytes())
    shown = on_terminal(world, "verify", renamed, "-i", keys.identity).finish()
    assert shown.code == 0
    assert_drawn(shown, "reading")
    warning, result, _checked, _origin = shown.screen
    assert warning.startswith("agebackup: warning: The file is called ")
    assert result == f"{renamed}: sound"


def test_a_warning_amid_the_work(world: World, app: SampleApp, keys: Keys) -> None:
    """A warning amid the work stands on its own line, once, and the progress goes on below it."""
    (world.directory / "out").mkdir()
    world.config.parent.mkdir(parents=True)
    world.config.write_text(
        f'[apps.notes]\nroot = "{app.root}"\ndatabases = {{ledger = "ledger.db"}}\n'
        f'recipients = ["{keys.recipient}"]\ndestination = "{world.directory / "out"}"\n'
        'version = ["false"]\nfinish = ["false"]\n'
    )
    shown = on_terminal(world, "create", "notes").finish()
    assert shown.code == 3, shown.raw
    assert_drawn(shown, "looking", "proving")
    version, finish, published, *rest = shown.screen
    assert version.startswith("agebackup: warning: The app's version is not recorded: ")
    assert finish.startswith("agebackup: warning: finish failed: ")
    assert published.startswith("Published ")
    assert not any(line.startswith("agebackup: warning") for line in rest)
    assert shown.raw.index("looking") < shown.raw.index(version) < shown.raw.index("proving")


def test_control_c(world: World, app: SampleApp, keys: Keys) -> None:
    """Ctrl-C ends a run with 130, says so on a line of its own, and publishes nothing."""
    (world.directory / "out").mkdir()
    words = ("create", *app.create_arguments, "--to", "out", "-r", keys.recipient)
    with closing(sqlite3.connect(app.events)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        terminal = on_terminal(world, *words)
        until_locked(world, terminal.process)
        terminal.type("\x03")
        shown = terminal.finish()
    assert shown.code == 128 + signal.SIGINT, shown.raw
    assert shown.screen[-1].removeprefix("^C").startswith("agebackup: The run was interrupted")
    assert not list((world.directory / "out").iterdir())
    assert not world.leftovers()


@pytest.mark.parametrize("flag", ["-q", "--no-progress", "--json"])
def test_no_progress_where_it_is_not_wanted(
    world: World, pristine: Path, keys: Keys, flag: str
) -> None:
    """-q, --no-progress and --json draw nothing on a terminal; what they do say stays."""
    words = ("verify", pristine, "-i", keys.identity, flag)
    shown = on_terminal(world, *words, stdout=subprocess.PIPE).finish()
    assert shown.code == 0, shown.raw
    assert "\x1b" not in shown.raw and "reading" not in shown.raw
    if flag == "--json":
        assert json.loads(shown.out)["status"] == "ok"
    else:
        assert shown.out == f"{pristine}: sound\n"
    assert shown.raw.startswith("  checked: ") if flag == "--no-progress" else shown.raw == ""


def test_no_progress_into_a_file(world: World, pristine: Path, keys: Keys) -> None:
    """Where stderr is no terminal nothing is drawn into it, nor on the terminal that stdout is."""
    log = world.directory / "log"
    with log.open("w") as file:
        words = ("verify", pristine, "-i", keys.identity)
        shown = on_terminal(world, *words, stderr=file).finish()
    assert shown.code == 0
    assert shown.raw == f"{pristine}: sound\r\n"
    assert log.read_text().startswith("  checked: ")


def test_the_passphrase_is_asked_for_and_not_shown(
    world: World, pristine: Path, locked_key: Path
) -> None:
    """At a terminal the passphrase of a protected key is asked for, and not echoed."""
    answers = [("Passphrase", f"{PASSPHRASE}\n")]
    shown = on_terminal(world, "verify", pristine, "-i", locked_key).finish(answers)
    assert shown.code == 0, shown.raw
    assert PASSPHRASE not in shown.raw
    assert shown.screen[0].startswith(f"Passphrase for {locked_key}")
    assert shown.screen[1] == f"{pristine}: sound"


def test_control_c_at_the_prompt(world: World, pristine: Path, locked_key: Path) -> None:
    """Ctrl-C instead of a passphrase ends the command with 130."""
    terminal = on_terminal(world, "verify", pristine, "-i", locked_key)
    shown = terminal.finish([("Passphrase", "\x03")])
    assert shown.code == 128 + signal.SIGINT, shown.raw
    assert "Traceback" not in shown.raw


def test_a_signal_while_a_descriptor_is_waited_for(
    world: World, pristine: Path, locked_key: Path
) -> None:
    """A passphrase that never comes through its descriptor is not waited for against a SIGTERM."""
    read, write = os.pipe()
    words = ("verify", pristine, "-i", locked_key, "--passphrase-fd", read)
    with open(read, "rb") as taken, open(write, "wb", buffering=0) as given:
        process = world.start(*words, pass_fds=(read,))
        given.write(b"the first half")
        while array("i", fcntl.ioctl(taken, termios.FIONREAD, bytes(4)))[0]:
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM and "terminated" in said, said
