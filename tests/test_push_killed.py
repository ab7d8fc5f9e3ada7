"""A push that is slow, stopped, killed or overtaken: real processes, and a remote that waits."""

import json
import os
import signal
import sqlite3
import subprocess
from contextlib import closing, suppress
from pathlib import Path

import pytest
from conftest import Keys, World
from sample_app import SampleApp
from test_cli_push import archives, declare, result

pytestmark = pytest.mark.linux


@pytest.fixture
def slow(world: World, app: SampleApp, keys: Keys) -> World:
    """An app whose second folder is behind a program that holds every file up until it is let go.

    The folder is a remote of rclone; rclone itself is wrapped, to wait for a file called `go`.
    """
    real = subprocess.run(["which", "rclone"], capture_output=True, text=True, check=True).stdout
    programs = world.directory / "bin"
    programs.mkdir()
    os.mkfifo(world.directory / "gate")
    wrapped = programs / "rclone"
    wrapped.write_text(
        "#!/bin/sh\n"
        'case "$*" in *copyto*)\n'
        f"  : > {world.directory}/began\n"
        f"  [ -e {world.directory}/go ] || read _ < {world.directory}/gate;;\n"
        "esac\n"
        f'exec {real.strip()} "$@"\n'
    )
    wrapped.chmod(0o755)
    config = world.directory / "rclone.conf"
    config.write_text(f"[box]\ntype = alias\nremote = {world.directory}/cloud\n")
    declare(world, app, keys, "rclone:box:notes")
    more = {"RCLONE_CONFIG": str(config), "PATH": f"{programs}:{world.env['PATH']}"}
    return World(world.directory, world.home, {**world.env, **more})


def began(world: World, process: "subprocess.Popen[str]") -> None:
    """Wait until a transfer has begun."""
    while not (world.directory / "began").exists():
        with suppress(subprocess.TimeoutExpired):
            raise AssertionError(process.wait(0.02), process.communicate())


def let_go(world: World) -> None:
    """Let every transfer go on, the one that waits too."""
    (world.directory / "go").touch()
    with suppress(OSError):  # nobody waits
        os.close(os.open(world.directory / "gate", os.O_WRONLY | os.O_NONBLOCK))


def runs(world: World) -> list[tuple[str, int]]:
    """Return outcome and exit code of every run, oldest first."""
    with closing(sqlite3.connect(world.state / "ledger.db")) as connection:
        query = "SELECT outcome, exit_code FROM runs ORDER BY begun"
        return connection.execute(query).fetchall()


def test_a_slow_push_keeps_no_other_run_waiting(slow: World) -> None:
    """The next run publishes while the first still carries, leaves its copy to it, and both end
    well; nobody takes the first one for dead. `push` says that another one is at work."""
    with slow.start("create", "notes", "--json") as first:
        began(slow, first)
        second = slow.run("create", "notes", "--json")
        assert second.code == 0, second.err
        assert "never ended" not in second.err
        assert result(second.out)["pushes"][0]["status"] == "left"
        assert slow.run("push", "notes").code == 11
        assert len(archives(slow, "here")) == 2
        let_go(slow)
        out, err = first.communicate(timeout=60)
    assert first.returncode == 0, err
    assert len(result(out)["pushes"][0]["pushed"]) == 2, "what came meanwhile was left to it"
    assert archives(slow, "cloud/notes") == archives(slow, "here")
    assert runs(slow) == [("ok", 0), ("ok", 0)]
    assert slow.leftovers() == ()


def test_a_stop_in_the_midst_of_a_push_keeps_the_archive(slow: World) -> None:
    """SIGTERM: exit code 143, the archive is published and known, and the next run is not due but
    carries what is owed."""
    with slow.start("run", "--json") as process:
        began(slow, process)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    made = result(out)
    assert made["status"] == "incomplete" and Path(made["path"]).exists()
    assert runs(slow) == [("incomplete", 143)]
    told = json.loads((slow.state / "apps" / "notes.last-run.json").read_text())
    assert told["outcome"] == "incomplete" and told["exit"] == 143
    assert told["pushes"][0]["status"] == "stopped"
    assert slow.leftovers() == ()
    let_go(slow)
    late = slow.run("run", "--json")
    assert late.code == 0, late.err
    assert result(late.out)["status"] == "not-due"
    assert archives(slow, "cloud/notes") == archives(slow, "here")


def test_a_killed_push_is_gone_on_with(slow: World) -> None:
    """After SIGKILL the row says that it may have arrived; the next push looks, and settles it."""
    with slow.start("create", "notes") as process:
        began(slow, process)
        process.kill()
        process.communicate(timeout=60)
    status = json.loads(slow.run("status", "--json").out)["apps"][0]
    assert len(status["copies"][0]["owed"]) == 1
    assert status["copies"][0]["last_push"]["outcome"] == "running"
    let_go(slow)
    assert slow.run("push").code == 0
    assert archives(slow, "cloud/notes") == archives(slow, "here")
    assert not list((slow.state / "claims").iterdir())


def test_hooks_hear_once_how_it_ended_elsewhere_too(
    world: World, app: SampleApp, keys: Keys
) -> None:
    """A copy that is owed is told as a failure, once, after the push; with 3 and the reason."""
    heard = world.directory / "heard"
    script = world.directory / "hook"
    script.write_text(f"#!/bin/sh\ncat >> {heard}\n")
    script.chmod(0o755)
    hooks = f'[apps.notes.hooks]\non_success = ["{script}"]\non_failure = ["{script}"]\n'
    declare(world, app, keys, str(world.directory / "there"), extra=hooks)
    assert world.run("create", "notes").code == 3
    told = json.loads(heard.read_text())
    assert told["exit"] == 3 and told["message"].startswith("Not pushed to")
    heard.unlink()
    (world.directory / "there").mkdir()
    assert world.run("create", "notes").code == 0
    told = json.loads(heard.read_text())
    assert told["exit"] == 0 and len(told["pushes"][0]["pushed"]) == 2


def test_one_app_whose_copy_is_owed_keeps_no_other_from_its_turn(
    world: World, app: SampleApp, keys: Keys, tmp_path: Path
) -> None:
    """Of several apps each is backed up and carried; the gravest exit code counts."""
    (world.directory / "there").mkdir()
    declare(world, app, keys, str(world.directory / "nowhere"))
    world.config.write_text(
        world.config.read_text()
        + f'[apps.other]\nenabled = true\ndestination = ["{world.directory}/here", '
        f'"{world.directory}/there"]\nrecipients = ["{keys.recipient}"]\n'
        f'databases = {{"events.db" = "{app.events}"}}\n'
    )
    done = world.run("run", "--json")
    assert done.code == 3, done.err
    assert [one["status"] for one in json.loads(done.out)["results"]] == ["incomplete", "ok"]
    assert len(archives(world, "there")) == 1 and len(archives(world, "here")) == 2
