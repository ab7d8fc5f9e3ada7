"""Strange surroundings: no HOME, LANG=C, closed or full stdout, a clock that is wrong, signals."""

import os
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Keys, World
from sample_app import SampleApp, command
from waiting import until_locked


@pytest.fixture
def arguments(world: World, app: SampleApp, keys: Keys) -> tuple[object, ...]:
    """A create that works."""
    (world.directory / "out").mkdir()
    return ("create", "--db", app.ledger, "--to", "out", "-r", keys.recipient)


def archives(world: World) -> list[Path]:
    return sorted((world.directory / "out").glob("*.tar.age"))


def test_plain_c_locale(world: World, keys: Keys) -> None:
    """A nightly job with LANG=C takes names of every script, and shows them safely."""
    app = world.directory / "größe\u202e"
    app.mkdir()
    (app / "blobs").mkdir()
    (app / "blobs" / "Ω名前.bin").write_text("x")
    with closing(sqlite3.connect(app / "größe.db")) as made:
        made.execute("CREATE TABLE t (x)")
    env = {**world.env, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    (world.directory / "out").mkdir()
    outcome = world.run(
        *("create", "--db", app / "größe.db", "--attachments", app / "blobs"),
        *("--to", "out", "-r", keys.recipient),
        env=env,
    )
    assert outcome.code == 0, outcome.err
    outcome = world.run("ls", outcome.out.strip(), "-i", keys.identity, env=env)
    assert outcome.code == 0, outcome.err
    outcome = world.run(
        *("restore", archives(world)[0], "-i", keys.identity, "--target", app / "back"), env=env
    )
    assert outcome.code == 0, outcome.err
    assert "\u202e" not in outcome.err + outcome.out
    assert (app / "back" / "attachments" / "Ω名前.bin").read_text() == "x"


def test_no_home(world: World, arguments: tuple[object, ...]) -> None:
    """A job without HOME works, where the XDG directories are set."""
    env = {"PATH": world.env["PATH"], "PYTHONPATH": world.env["PYTHONPATH"]}
    env |= {name: value for name, value in world.env.items() if name.startswith("XDG_")}
    outcome = world.run(*arguments, env=env)
    assert outcome.code == 0, outcome.err


def test_closed_standard_output(world: World, arguments: tuple[object, ...]) -> None:
    """With stdout closed the archive is whole, and no message is written into it."""
    shell = 'exec "$@" >&-'
    done = subprocess.run(
        ["sh", "-c", shell, "sh", *command(), *map(str, arguments)],
        cwd=world.directory,
        env=dict(world.env),
        stderr=subprocess.PIPE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"standard output" in done.stderr
    (archive,) = archives(world)
    assert archive.read_bytes().startswith(b"age-encryption.org/v1\n")
    assert world.run("verify", "--quick", archive).code == 0


@pytest.mark.linux
def test_full_standard_output(world: World, arguments: tuple[object, ...], keys: Keys) -> None:
    """With stdout full create has done its work; a command whose work is its output fails."""
    with open("/dev/full", "w") as full:
        outcome = world.run(*arguments, stdout=full)
        assert outcome.code == 0 and "standard output" in outcome.err
        (archive,) = archives(world)
        outcome = world.run("ls", archive, "-i", keys.identity, stdout=full)
        assert outcome.code == 1 and "standard output" in outcome.err
        outcome = world.run("cat", archive, "ledger.db", "-i", keys.identity, stdout=full)
        assert outcome.code == 1 and "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signals(
    world: World, arguments: tuple[object, ...], app: SampleApp, number: int, code: int
) -> None:
    """A signal ends a run with its own exit code, publishes nothing and leaves nothing."""
    with closing(sqlite3.connect(app.events)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with world.start(*arguments, "--db", app.events) as process:
            until_locked(world, process)
            process.send_signal(number)
            process.send_signal(number)
            process.communicate()
    assert process.returncode == code
    assert not archives(world)
    assert not world.leftovers()


def test_ignored_signal_stays_ignored(
    world: World, arguments: tuple[object, ...], app: SampleApp
) -> None:
    """Under nohup a run goes on when the terminal closes."""
    with closing(sqlite3.connect(app.events)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        words = [*command(), *map(str, arguments), "--db", str(app.events)]
        process = subprocess.Popen(
            ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *words],
            cwd=world.directory,
            env=dict(world.env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with process:
            until_locked(world, process)
            process.send_signal(signal.SIGHUP)
            holder.rollback()
            process.communicate()
    assert process.returncode == 0
    assert len(archives(world)) == 1


def test_killed_run_is_cleaned_up_by_the_next(
    world: World, arguments: tuple[object, ...], app: SampleApp
) -> None:
    """After SIGKILL no half archive has a name, and the next run removes what was left."""
    with closing(sqlite3.connect(app.events)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with world.start(*arguments, "--db", app.events) as process:
            while not list((world.directory / "out").iterdir()):
                assert process.poll() is None
            process.kill()
            process.communicate()
        assert not archives(world)
    outcome = world.run(*arguments)
    assert outcome.code == 0, outcome.err
    assert not world.leftovers()


@pytest.mark.parametrize("words", [("log",), ("status",), ("ledger", "path"), ("create", "notes")])
def test_what_is_made_is_the_persons_alone(world: World, words: tuple[str, ...]) -> None:
    """Whichever command is the first, nobody else may look into the state directory."""
    world.run(*words)
    assert world.state.stat().st_mode & 0o777 == 0o700


def test_help_stands_alone(world: World) -> None:
    """Every command explains itself without opening a file or needing a home."""
    from agebackup.cli.main import COMMANDS

    for name in COMMANDS:
        outcome = world.run(name, "--help", env={"PATH": os.environ["PATH"]} | _python(world))
        assert outcome.code == 0 and "Usage:" in outcome.out


def _python(world: World) -> dict[str, str]:
    return {"PYTHONPATH": world.env["PYTHONPATH"]}


@pytest.mark.parametrize("word", ["nonsense", "--nonsense"])
def test_misspelt_command(world: World, word: str) -> None:
    """A misspelt command or option is said as that: exit code 2, in JSON too."""
    outcome = world.run(word)
    assert outcome.code == 2 and "nonsense" in outcome.err
    outcome = world.run("--json", word)
    assert outcome.code == 2 and '"exit": 2' in outcome.out
