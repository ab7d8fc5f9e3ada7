"""--env-file: variables for the configuration's paths, which go nowhere else."""

import json
import subprocess
from pathlib import Path

import pytest
from conftest import Keys, World
from live_app import script, toml
from sample_app import SampleApp, command

SECRET = "hunter2-4711"
NAMES = ("NOTES_ROOT", "NOTES_OUT", "API_TOKEN")


@pytest.fixture
def declared(world: World, app: SampleApp, keys: Keys) -> Path:
    """An app whose paths are variables, commands that write down what they got, and the file."""
    dump = script(world.directory, "dump", f"env >> {world.directory / 'env.txt'}")
    world.config.parent.mkdir(parents=True)
    world.config.write_text(
        "[apps.notes]\n"
        'root = "${NOTES_ROOT}"\nattachments = ["blobs"]\ndestination = "$NOTES_OUT/daily"\n'
        f'recipients = ["{keys.recipient}"]\nversion = {toml(dump)}\nprepare = {toml(dump)}\n'
        f"finish = {toml(dump)}\npointer_check = {toml(dump)}\n"
        'databases.ledger = "ledger.db"\n'
        'pointers.x = {database = "ledger", sql = "SELECT 1 || 2"}\n'
        f"[apps.notes.hooks]\non_success = {toml(dump)}\n"
        f"[apps.notes.restore]\npause = {toml(dump)}\nresume = {toml(dump)}\ncheck = {toml(dump)}\n"
    )
    (world.directory / "out" / "daily").mkdir(parents=True)
    file = world.directory / "paths.env"
    file.write_text(f"NOTES_ROOT={app.root}\nNOTES_OUT='out of here'\nAPI_TOKEN={SECRET}\n")
    return file


def everything(world: World) -> bytes:
    """Return all that agebackup and the commands it ran wrote down anywhere."""
    places = (world.home, world.directory / "restored", world.directory / "env.txt")
    files = [one for place in places for one in (place, *place.rglob("*")) if one.is_file()]
    return b"\n".join(one.read_bytes() for one in files if one != world.config)


def test_it_reaches_paths_and_nothing_else(
    world: World, declared: Path, app: SampleApp, keys: Keys
) -> None:
    """create, run and both restores find their places by it; no command that they run gets one of
    its variables, and no manifest, ledger, log, report or message has what stands in it."""
    out = world.directory / "out"
    declared.write_text(declared.read_text().replace("'out of here'", f'"{out}"'))
    flag, key = ("--env-file", declared), ("-i", keys.identity)
    said = []
    for words in (
        ("config", "check", *flag),
        ("create", "notes", *flag),
        (*flag, "run", "notes", "--now"),
        ("list", *flag),
        ("doctor", *flag),
        ("restore", "notes:latest", *flag, *key, "--target", "restored", "--keep-bag"),
        ("restore", "notes", "--in-place", "--yes", *flag, *key),
        ("status", *flag),
        ("log", *flag),
        ("create", "notes", *flag, "--json"),
        ("inspect", "notes:latest", "--json", *flag, *key),
    ):
        done = world.run(*words)
        assert done.code in (0, 4 if "doctor" in words else 0), done.err
        said.append(done.out + done.err)
    assert len([*(out / "daily").glob("*.age")]) == 4
    env = (world.directory / "env.txt").read_text()
    assert env.count("\nHOME=") > 10
    written = everything(world) + "\n".join(said).encode()
    for word in (SECRET, *NAMES):
        assert word.encode() not in written.replace(b"$NOTES_OUT", b""), word
        assert word not in env


def test_the_flag_outranks_the_environment_and_that_the_key(
    world: World, declared: Path, app: SampleApp
) -> None:
    """As everywhere: flag, environment, configuration."""
    text = world.config.read_text()
    world.config.write_text(f'env_file = "{declared}"\n{text}')
    other = world.directory / "other.env"
    other.write_text("NOTES_OUT=/by-flag\n")

    def destination(*words: object, **more: str) -> str:
        done = world.run("config", "check", *words, env={**world.env, **more})
        return done.out.split("destination  ")[1].split("\n")[0]

    assert destination().endswith("/out of here/daily")
    assert destination(NOTES_OUT="/by-env") == "/by-env/daily"
    assert destination("--env-file", other, NOTES_OUT="/by-env") == "/by-flag/daily"


def test_a_timer_gets_the_path_of_the_file(world: World, declared: Path) -> None:
    """What is installed names the file, as it stands where the flag was given, and no value."""
    out = world.directory / "out"
    declared.write_text(declared.read_text().replace("'out of here'", f'"{out}"'))
    words = ("schedule", "install", "notes", "--kind", "cron", "--print")
    done = world.run(*words, "--env-file", "paths.env")
    assert done.code == 0, done.err
    assert f"--env-file {declared}" in done.out and SECRET not in done.out
    done = world.run(*words)
    assert done.code == 2 and "NOTES_ROOT is not set" in done.err


BAD = (
    (None, "There is no file of variables"),
    (b"\xff", "line 1: it is not UTF-8 text"),
    (f"A=1\nB {SECRET}\n".encode(), "line 2: this is no NAME=VALUE"),
    (f"A=1\n{SECRET}\n".encode(), "line 2: this gives a name no value"),
)


@pytest.mark.parametrize("words", [("run", "--now"), ("create", "notes"), ("config", "check")])
def test_a_bad_file(world: World, declared: Path, words: tuple[str, ...]) -> None:
    """A file that cannot be used ends with 2 and is named, with the line, but never echoed; a run
    that it prevented is in the log."""
    for content, said in BAD:
        declared.unlink(missing_ok=True)
        if content is not None:
            declared.write_bytes(content)
        done = world.run("--json", *words, "--env-file", "paths.env")
        error = json.loads(done.out)["error"]
        assert done.code == 2 and said in error["message"] and "paths.env" in error["message"]
        assert SECRET not in done.out + done.err
    assert SECRET.encode() not in everything(world)
    assert ("nothing can be run" in world.run("log").out) == (words[0] in ("run", "create"))


@pytest.mark.linux
def test_a_file_that_may_not_be_read(world: World, declared: Path) -> None:
    """So is one that this user may not read."""
    declared.chmod(0)
    powerless = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--", *command())
    done = subprocess.run(
        [*powerless, "config", "check", "--env-file", declared],
        cwd=world.directory,
        env=dict(world.env),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "paths.env: it cannot be read: Permission" in done.stderr


def test_a_run_of_flags_alone_has_no_use_for_it(
    world: World, declared: Path, app: SampleApp, keys: Keys
) -> None:
    """Where no configuration is read, the flag would do nothing, and is refused."""
    words = ("create", "--db", app.ledger, "--to", "out", "-r", keys.recipient)
    done = world.run(*words, "--env-file", declared)
    assert done.code == 2 and "--env-file is for paths of the configuration" in done.err


def test_dotenv_is_only_loaded_for_a_file(world: World, declared: Path) -> None:
    """Whoever does not use such files does not pay for them."""
    env = {**world.env, "PYTHONPROFILEIMPORTTIME": "1", "NOTES_ROOT": "/r", "NOTES_OUT": "/o"}
    assert "dotenv" not in world.run("config", "check", env=env).err
    assert "dotenv" in world.run("config", "check", "--env-file", declared, env=env).err
