"""Hooks: who is told how a run ended is told the truth, in time, and never fails the backup."""

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from conftest import Keys, World
from nights import declare, events, everything_said, keeping, last_run, script, told
from sample_app import SampleApp, command
from system_faults import OWN_MOUNTS
from web import SECRET, answering, server

HOOKS = "[apps.notes.hooks]\n"


def test_success_is_told(world: World, app: SampleApp, keys: Keys) -> None:
    """After a success only on_success runs, with last-run.json's own content on its stdin."""
    good, bad = keeping(world, "good"), keeping(world, "bad")
    declare(world, app, keys, f"{HOOKS}on_success = {good}\non_failure = {bad}")
    outcome = world.run("create", "notes")
    assert outcome.code == 0, outcome.err
    report = told(world, "good")
    assert report == last_run(world) and told(world, "bad") is None
    assert report["schema"] == "agebackup/last-run/v1"
    assert (report["outcome"], report["exit"], report["app"]) == ("ok", 0, "notes")
    archive = Path(outcome.out.strip())
    assert report["path"] == str(archive) and report["size"] == archive.stat().st_size
    assert report["last_success"]["archive"] == report["archive"] == archive.name


def test_failure_is_told(world: World, app: SampleApp, keys: Keys) -> None:
    """After a failure only on_failure runs, with the reason and what the last success was."""
    good, bad = keeping(world, "good"), keeping(world, "bad")
    out = declare(world, app, keys, f"{HOOKS}on_success = {good}\non_failure = {bad}")
    assert world.run("create", "notes").code == 0
    (first,) = out.glob("notes-*")
    (world.directory / "good.json").unlink()
    app.ledger.write_bytes(b"no database")
    outcome = world.run("create", "notes")
    assert outcome.code == 1
    report = told(world, "bad")
    assert report is not None and told(world, "good") is None
    assert (report["outcome"], report["exit"]) == ("failed", 1)
    assert report["message"] and report["message"].split(".")[0] in outcome.err
    assert report["archive"] is None and report["last_success"]["archive"] == first.name


def test_an_incomplete_archive_is_told_as_failure(world: World, app: SampleApp, keys: Keys) -> None:
    """An archive that lacks something is published with exit code 3, and on_failure runs."""
    good, bad = keeping(world, "good"), keeping(world, "bad")
    finish = script(world, "finish", "raise SystemExit(9)")
    more = f"finish = {finish}\n{HOOKS}on_success = {good}\non_failure = {bad}"
    declare(world, app, keys, more)
    assert world.run("create", "notes").code == 3
    report = told(world, "bad")
    assert report is not None and told(world, "good") is None
    assert report["outcome"] == "incomplete" and report["archive"] and "finish" in report["message"]
    assert report["last_success"] is None


def test_failures_before_the_archive_are_told(world: World, app: SampleApp, keys: Keys) -> None:
    """A destination that is away, or a key that is none, is told like any failure."""
    out = declare(world, app, keys, f"{HOOKS}on_failure = {keeping(world, 'bad')}")
    out.rmdir()
    assert world.run("create", "notes").code == 10
    report = told(world, "bad")
    assert report is not None and report["exit"] == 10 and str(out) in report["message"]
    assert world.run("create", "notes", "--to", world.directory, "-r", "age1nonsense").code == 2
    report = told(world, "bad")
    assert report is not None and report["exit"] == 2


@pytest.mark.parametrize("words", [("create", "notes"), ("run", "--now")])
def test_an_impossible_state_directory_is_told(
    world: World, app: SampleApp, keys: Keys, words: tuple[str, ...]
) -> None:
    """Where nothing can be recorded (who else's is the directory?), the hooks hear of it at least.

    A file in its place stands for a directory of root's, left by a backup under sudo.
    """
    more = f"enabled = true\n{HOOKS}on_failure = {keeping(world, 'bad')}"
    out = declare(world, app, keys, more)
    world.state.parent.mkdir()
    world.state.write_text("")
    outcome = world.run(*words)
    assert outcome.code == 1 and str(world.state) in outcome.err and not list(out.glob("*.age"))
    report = told(world, "bad")
    assert report is not None and report["exit"] == 1 and str(world.state) in report["message"]
    assert world.state.read_text() == ""


FULL_STATE = """
mount -t tmpfs -o size=1m none "$XDG_STATE_HOME" && "$@" || exit 9
dd if=/dev/zero of="$XDG_STATE_HOME/fill" bs=4096 2>&1 | grep -c "No space"
"$@"; echo "exit $?"; ls "$XDG_STATE_HOME/agebackup/claims"; rm "$XDG_STATE_HOME/fill"
"$@"; echo "exit $?"
"""


@pytest.mark.linux
def test_a_full_state_disk_is_told(world: World, app: SampleApp, keys: Keys) -> None:
    """With no room to note what a kill would leave behind, nothing is made, and hooks hear why."""
    more = f"{HOOKS}on_failure = {keeping(world, 'bad')}"
    out = declare(world, app, keys, more)
    Path(world.env["XDG_STATE_HOME"]).mkdir()
    words = [*OWN_MOUNTS, "sh", "-c", FULL_STATE, "sh", *command(), "create", "notes", "-q"]
    done = subprocess.run(
        words, cwd=world.directory, env=dict(world.env), capture_output=True, text=True, check=False
    )
    first, full, failed, published, ended = done.stdout.splitlines()
    assert (full, failed, ended) == ("1", "exit 1", "exit 0"), done
    assert {Path(first), Path(published)} == set(out.glob("*.age"))
    report = told(world, "bad")
    assert report is not None and "claims is full. Nothing temporary" in report["message"]
    assert report["last_success"]["archive"] == Path(first).name
    assert report["message"] in done.stderr and "XDG_STATE_HOME" in done.stderr


BROKEN_HOOKS = {
    "fails": "raise SystemExit(3)",
    "hangs": "import time; time.sleep(60)",
    "closes stdin": "import os; os.close(0); raise SystemExit(1)",
    "floods": "print('x' * 3_000_000); raise SystemExit(1)",
    "leaves a child": "import os, time\nif os.fork() == 0: time.sleep(60)\nraise SystemExit(1)",
}


@pytest.mark.parametrize("body", BROKEN_HOOKS.values(), ids=BROKEN_HOOKS.keys())
def test_a_hook_that_misbehaves(world: World, app: SampleApp, keys: Keys, body: str) -> None:
    """A hook that fails or hangs is a warning: the archive is there and the exit code is 0."""
    hook = f"{{argv = {script(world, 'hook', body)}, seconds = 0.3}}"
    out = declare(world, app, keys, f"{HOOKS}on_success = {hook}")
    outcome = world.run("create", "notes", seconds=20)
    assert outcome.code == 0, outcome.err
    assert "warning: The hook on_success failed" in outcome.err
    assert len(list(out.glob("notes-*"))) == 1
    assert [one["event"] for one in events(world)] == ["run-ended", "not-told"]


@pytest.mark.parametrize("words", ['["/nowhere/at/all"]', '["no-such-program-5f1d", "x"]'])
def test_a_hook_that_is_not_there(world: World, app: SampleApp, keys: Keys, words: str) -> None:
    """A hook that cannot be started is a warning too, after a failure as after a success."""
    declare(world, app, keys, f"{HOOKS}on_success = {words}\non_failure = {words}")
    outcome = world.run("create", "notes")
    assert outcome.code == 0 and "on_success failed" in outcome.err
    app.ledger.unlink()
    outcome = world.run("create", "notes")
    assert outcome.code == 1 and "on_failure failed" in outcome.err


def test_a_hook_has_no_shell(world: World, app: SampleApp, keys: Keys) -> None:
    """Whatever a hook's words hold, no shell acts on it, and it works where the app lies."""
    body = "import os, sys\nopen('told', 'w').write(os.getcwd() + ' ' + sys.argv[1])"
    words = json.loads(script(world, "hook", body))
    more = json.dumps([*words, "$(touch pwned); `id` && echo *"])
    declare(world, app, keys, f"root = '{app.root}'\n{HOOKS}on_success = {more}")
    assert world.run("create", "notes").code == 0
    assert (app.root / "told").read_text() == f"{app.root} $(touch pwned); `id` && echo *"


def test_an_ad_hoc_run_has_no_hooks(world: World, app: SampleApp, keys: Keys) -> None:
    """Hooks belong to declared apps: flags alone call none, even for a name that is declared."""
    out = declare(world, app, keys, f"{HOOKS}on_success = {keeping(world, 'good')}")
    words = ("--db", app.ledger, "--app", "notes", "--to", out, "-r", keys.recipient)
    assert world.run("create", *words).code == 0
    assert told(world, "good") is None and last_run(world)["outcome"] == "ok"


def test_pings(world: World, app: SampleApp, keys: Keys) -> None:
    """A success is pinged at start and end, a failure at /fail, with one run id for each pair."""
    with server(answering(200)) as served:
        declare(world, app, keys, f'{HOOKS}healthcheck_url = "{served.address}"')
        assert world.run("create", "notes").code == 0
        app.ledger.write_bytes(b"no database")
        assert world.run("create", "notes").code == 1
    paths = [path.split("?rid=") for _, path, _ in served.seen]
    assert [path for path, _ in paths] == [
        f"/{SECRET}/start",
        f"/{SECRET}",
        f"/{SECRET}/start",
        f"/{SECRET}/fail",
    ]
    ids = [run for _, run in paths]
    assert ids[0] == ids[1] != ids[2] == ids[3] and len(ids[0].split("-")) == 5
    assert b"notes: ok" in served.seen[1][2] and b"no database" not in served.seen[3][2]
    assert b"exit 1" in served.seen[3][2] and len(served.seen[3][2]) <= 10_000


def test_the_address_of_pings_is_a_secret(world: World, app: SampleApp, keys: Keys) -> None:
    """Whatever a ping meets, its address is in no message, log, report, ledger or JSON."""
    with server(answering(404)) as served:
        hook = keeping(world, "good")
        more = f'{HOOKS}healthcheck_url = "{served.address}"\non_success = {hook}'
        declare(world, app, keys, more)
        said = [world.run("create", "notes"), world.run("--json", "-v", "create", "notes")]
        said += [world.run("config", "check"), world.run("--json", "config", "check")]
    assert said[0].code == 0 and "404" in said[0].err
    texts = [one.out + one.err for one in said] + [everything_said(world)]
    assert "404" in texts[-1]
    assert not [text for text in texts if SECRET in text]


def test_a_broken_address_is_not_said(world: World, app: SampleApp, keys: Keys) -> None:
    """A configuration is refused for an address that is none, without repeating it."""
    declare(world, app, keys, f'{HOOKS}healthcheck_url = "ftp://{SECRET}"')
    outcome = world.run("-v", "create", "notes")
    assert outcome.code == 2 and "healthcheck_url" in outcome.err
    assert SECRET not in outcome.err + everything_said(world)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stopped_run_is_told(world: World, app: SampleApp, keys: Keys, number: int) -> None:
    """Terminated in the middle, a run still tells its hooks and the monitoring, quickly."""
    started = world.directory / "started"
    body = f"import time; open({str(started)!r}, 'w').close(); time.sleep(60)"
    with server(answering(200)) as served:
        more = f"prepare = {script(world, 'prepare', body)}\n{HOOKS}"
        more += f'on_failure = {keeping(world, "bad")}\nhealthcheck_url = "{served.address}"'
        declare(world, app, keys, more)
        with world.start("create", "notes") as process:
            while not started.exists():
                assert process.poll() is None, process.communicate()
            begun = time.monotonic()
            os.kill(process.pid, number)
            process.communicate()
            assert time.monotonic() - begun < 10
    assert process.returncode == 128 + number
    report = told(world, "bad")
    assert report is not None and report == last_run(world)
    assert (report["outcome"], report["exit"]) == ("stopped", 128 + number)
    assert served.seen[-1][1].startswith(f"/{SECRET}/fail?")
    assert not world.leftovers()


def test_systemd_is_told(world: World, app: SampleApp, keys: Keys) -> None:
    """Under systemd the status says what goes on, and commands of the app do not speak there."""
    address = world.directory / "notify"
    body = "import os\nopen('environment', 'w').write(str(os.environ))"
    declare(
        world, app, keys, f"root = '{app.root}'\n{HOOKS}on_success = {script(world, 'e', body)}"
    )
    for name in (str(address), f"@agebackup-test-{os.getpid()}"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(name.replace("@", "\0"))
            environment = {**world.env, "NOTIFY_SOCKET": name}
            outcome = world.run("run", "notes", "--now", env=environment)
            assert outcome.code == 0, outcome.err
            manager.settimeout(0)
            said = []
            try:
                while True:
                    said.append(manager.recv(1000).decode())
            except BlockingIOError:
                pass
        assert said[0] == "READY=1" and said[-1] == "STOPPING=1"
        assert "STATUS=notes: writing the archive" in said
        assert "NOTIFY_SOCKET" not in (app.root / "environment").read_text()


def test_no_service_manager_listens(world: World, app: SampleApp, keys: Keys) -> None:
    """A socket that is not there, or is nonsense, changes nothing."""
    declare(world, app, keys)
    for name in ("/nowhere/at/all", "@", "nonsense", "/" + "x" * 300):
        outcome = world.run("create", "notes", env={**world.env, "NOTIFY_SOCKET": name})
        assert outcome.code == 0 and not outcome.err.count("warning"), outcome.err


@pytest.mark.linux
def test_the_desktop_is_told_of_failures(world: World, app: SampleApp, keys: Keys) -> None:
    """With desktop = true a failure is shown; its text is an argument, and never markup."""
    bin_directory = world.directory / "bin"
    bin_directory.mkdir()
    shown = world.directory / "shown"
    program = bin_directory / "notify-send"
    program.write_text(f'#!/bin/sh\nfor word in "$@"; do echo "$word"; done > {shown}\n')
    program.chmod(0o755)
    out = declare(world, app, keys, f"{HOOKS}desktop = true")
    environment = {**world.env, "PATH": f"{bin_directory}:{world.env['PATH']}"}
    assert world.run("create", "notes", env=environment).code == 0
    assert not shown.exists()
    target = out / "<b>$(id)</b>"
    assert world.run("create", "notes", "--to", target, env=environment).code == 10
    lines = shown.read_text().splitlines()
    assert "--" in lines and lines[-2] == "agebackup: notes failed"
    assert "&lt;b&gt;$(id)&lt;/b&gt;" in lines[-1]


def test_no_desktop_is_there(world: World, app: SampleApp, keys: Keys) -> None:
    """Where nothing can be shown, that is a warning."""
    python = subprocess.list2cmdline(["true"])
    declare(world, app, keys, f"{HOOKS}desktop = true\non_success = [{json.dumps(python)}]")
    empty = world.directory / "empty"
    empty.mkdir()
    outcome = world.run(
        "create", "notes", "--to", "/nowhere", env={**world.env, "PATH": str(empty)}
    )
    assert outcome.code == 10 and "The hook desktop failed" in outcome.err
