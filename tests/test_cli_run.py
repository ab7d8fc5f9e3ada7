"""`agebackup run`, as a timer calls it: what is due is backed up, once, and nothing is silent."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import Keys, World
from nights import declare, events, keeping, last_run, script, told
from sample_app import SampleApp

from agebackup.ledger import open_ledger
from agebackup.model.records import RunRecord

ENABLED = "enabled = true\nretries = 0\n"


def runs(world: World, app: str = "notes") -> tuple[RunRecord, ...]:
    """Return what the ledger knows of the app's runs, newest first."""
    with open_ledger(world.state / "ledger.db", make=False) as ledger:
        return ledger.runs(app)


def rewrite(world: World, run: RunRecord, **changes: object) -> None:
    """Change what the ledger knows of a run: a test cannot wait for days."""
    with open_ledger(world.state / "ledger.db", make=False) as ledger:
        ledger.put(replace(run, **changes))  # type: ignore[arg-type]


def age(world: World, **span: float) -> None:
    """Let the last run of `notes` be so long ago."""
    run, *_ = runs(world)
    rewrite(world, run, begun=datetime.now(UTC) - timedelta(**span))


def archives(out: Path) -> list[str]:
    return sorted(path.name for path in out.glob("*.age"))


def until(process: "subprocess.Popen[str]", there: Path) -> None:
    """Wait until the process has made `there`."""
    while not there.exists():
        assert process.poll() is None, process.communicate()


@contextmanager
def at_work(
    world: World, app: SampleApp, keys: Keys, more: str = ""
) -> Iterator["subprocess.Popen[str]"]:
    """Have a run of `notes` at work until the file `go` is there, or the body ends."""
    started, go = world.directory / "started", world.directory / "go"
    body = (
        f"import os, time; open({str(started)!r}, 'w').close()\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.01)"
    )
    declare(world, app, keys, f"prepare = {script(world, 'prepare', body)}\n{more}")
    with world.start("run", "notes", "--now") as process:
        try:
            until(process, started)
            yield process
        finally:
            go.touch()
            process.communicate()


def test_what_is_due_is_backed_up_once(world: World, app: SampleApp, keys: Keys) -> None:
    """The first call makes an archive, the next one says that none is due, --now makes one."""
    out = declare(world, app, keys, ENABLED)
    outcome = world.run("run")
    assert outcome.code == 0, outcome.err
    assert outcome.out.strip() == str(out / archives(out)[0])
    outcome = world.run("run")
    assert (outcome.code, outcome.out) == (0, "") and "notes: not due" in outcome.err
    assert len(archives(out)) == 1
    assert world.run("run", "--now").code == 0
    assert len(archives(out)) == 2
    for run in runs(world):
        rewrite(world, run, begun=datetime.now(UTC) - timedelta(hours=23))
    assert world.run("run").code == 0
    assert len(archives(out)) == 3
    assert [one["event"] for one in events(world)] == ["run-ended", "not-run", *["run-ended"] * 2]


def test_only_what_is_enabled(world: World, app: SampleApp, keys: Keys) -> None:
    """What nobody enabled is left alone, also when named; named with --now it is backed up."""
    outs = [declare(world, app, keys, "", "one"), declare(world, app, keys, ENABLED, "two")]
    outs.append(declare(world, app, keys, "enabled = false", "three"))
    assert world.run("run").code == 0
    outcome = world.run("run", "one", "three")
    assert outcome.code == 0 and outcome.err.count("not enabled") == 2
    assert "one: not enabled: neither" in outcome.err and "says enabled = false" in outcome.err
    assert world.run("run", "--now").code == 0
    assert [len(archives(out)) for out in outs] == [0, 2, 0]
    assert world.run("run", "--now", "one", "three").code == 0
    assert [len(archives(out)) for out in outs] == [1, 2, 1]


def timer(world: World, **every: str) -> None:
    """Let timers be installed, as `schedule install` notes them."""
    since = "2026-11-01T00:00:00+00:00"
    timers = {
        app.strip("_"): {"every": text, "kind": "cron", "since": since}
        for app, text in every.items()
    }
    (world.state / "schedule.json").write_text(json.dumps({"timers": timers}))


def test_an_installed_timer_enables(world: World, app: SampleApp, keys: Keys) -> None:
    """An app is taken when a timer of its own, or one for all, is installed; a no stays a no."""
    out = declare(world, app, keys, "retries = 0")
    no = declare(world, app, keys, "enabled = false", "no")
    world.state.mkdir(parents=True)
    timer(world, other="daily")
    assert world.run("run").code == 0 and not archives(out)
    timer(world, notes="1h")
    assert world.run("run").code == 0 and len(archives(out)) == 1
    age(world, hours=1)
    assert world.run("run").code == 0 and len(archives(out)) == 2
    timer(world, _="1h")
    for run in runs(world):
        rewrite(world, run, begun=datetime.now(UTC) - timedelta(hours=2))
    assert world.run("run").code == 0 and len(archives(out)) == 2
    for run in runs(world):
        rewrite(world, run, begun=datetime.now(UTC) - timedelta(hours=24))
    assert world.run("run").code == 0 and len(archives(out)) == 3
    assert not archives(no)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"timers": {"notes": {"every": "never"}}}'])
def test_damaged_notes_of_timers(world: World, app: SampleApp, keys: Keys, content: str) -> None:
    """Where nobody knows which timers there are, rather too much is backed up than nothing."""
    out, no = declare(world, app, keys), declare(world, app, keys, "enabled = false", "no")
    world.state.mkdir(parents=True)
    (world.state / "schedule.json").write_text(content)
    outcome = world.run("run")
    assert outcome.code == 0 and "warning" in outcome.err and "schedule install" in outcome.err
    assert len(archives(out)) == 1 and not archives(no)


def test_the_worst_counts(world: World, app: SampleApp, keys: Keys) -> None:
    """One app that fails keeps no other from its backup, and its exit code is the command's."""
    first, broken = declare(world, app, keys, ENABLED, "a"), declare(world, app, keys, ENABLED, "b")
    last = declare(world, app, keys, ENABLED, "c")
    broken.rmdir()
    outcome = world.run("run", "--json")
    content = json.loads(outcome.out)
    assert outcome.code == content["exit"] == 10 and content["schema"] == "agebackup/run/v1"
    assert [one["status"] for one in content["results"]] == ["ok", "failed", "ok"]
    assert len(archives(first)) == len(archives(last)) == 1
    assert content["results"][0]["run"] == runs(world, "a")[0].id
    assert last_run(world, "b")["exit"] == 10
    content = json.loads(world.run("run", "--json", "a").out)
    assert content["results"][0]["status"] == "not-due" and content["results"][0]["why"]


def test_what_may_pass_is_tried_again(world: World, app: SampleApp, keys: Keys) -> None:
    """A destination that comes back is found by the next try: one run, told once, as a success."""
    good, bad = keeping(world, "good"), keeping(world, "bad")
    more = 'enabled = true\nretries = 5\nretry_after = "1s"\n[apps.notes.hooks]\n'
    out = declare(world, app, keys, f"{more}on_success = {good}\non_failure = {bad}")
    out.rmdir()
    with world.start("run") as process:
        until(process, world.state / "log" / "agebackup.log")
        out.mkdir()
        _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert "Another try follows in 1s" in stderr and len(archives(out)) == 1
    assert [one["event"] for one in events(world)] == ["run-retried", "run-ended"]
    (run,) = runs(world)
    assert run.outcome == "ok" and last_run(world)["tries"] == 2
    assert told(world, "good") == last_run(world) and told(world, "bad") is None


def test_tries_end(world: World, app: SampleApp, keys: Keys) -> None:
    """After the last try the run has failed; what cannot pass is not tried again at all."""
    out = declare(world, app, keys, 'enabled = true\nretries = 1\nretry_after = "1s"')
    out.rmdir()
    outcome = world.run("run")
    assert outcome.code == 10 and last_run(world)["tries"] == 2
    out.mkdir()
    app.ledger.write_bytes(b"no database")
    assert world.run("run").code == 1 and last_run(world)["tries"] == 1


def test_no_app_waits_for_another_ones_tries(world: World, app: SampleApp, keys: Keys) -> None:
    """While one app waits for its next try the others are backed up; it has failed meanwhile."""
    hook = f"[apps.notes.hooks]\non_failure = {keeping(world, 'bad')}"
    away = declare(world, app, keys, f'enabled = true\nretry_after = "1h"\n{hook}')
    others = [declare(world, app, keys, ENABLED, name) for name in ("a", "b")]
    away.rmdir()
    with world.start("run", "--json") as process:
        for name in ("a", "b"):
            until(process, world.state / "apps" / f"{name}.last-run.json")
        (run,) = runs(world)
        assert (run.outcome, run.exit_code) == ("failed", 10) and str(away) in run.message
        assert not told(world, "bad")
        process.terminate()
        stdout, _ = process.communicate()
    assert process.returncode == 143 and all(archives(out) for out in others)
    results = [(one["app"], one["exit"]) for one in json.loads(stdout)["results"]]
    assert results == [("a", 0), ("b", 0), ("notes", 143)]
    report = told(world, "bad")
    assert report is not None and report == last_run(world) and report["outcome"] == "stopped"
    assert [run.outcome for run in runs(world)] == ["stopped"]


def test_a_run_that_waits_is_not_taken_for_dead(world: World, app: SampleApp, keys: Keys) -> None:
    """A run that failed and waits for its next try is not running, for another run neither."""
    out, other = world.directory / "out-notes", world.directory / "other"
    body = f"import os\nif os.path.isdir({str(out)!r}): os.rmdir({str(out)!r})"
    more = f'enabled = true\nretry_after = "1h"\nprepare = {script(world, "prepare", body)}'
    declare(world, app, keys, more)
    other.mkdir()
    with world.start("run") as process:
        until(process, world.state / "log" / "agebackup.log")
        outcome = world.run("create", "notes", "--to", other)
        assert outcome.code == 0 and "never ended" not in outcome.err
        process.terminate()
        process.communicate()
    assert [run.outcome for run in runs(world)] == ["ok", "stopped"]
    assert "run-cut-off" not in [one["event"] for one in events(world)]


def test_a_library_that_cannot_be_loaded(world: World, app: SampleApp, keys: Keys) -> None:
    """An upgrade that broke agebackup itself is told like any failure, to the hooks too."""
    hook = f"[apps.notes.hooks]\non_failure = {keeping(world, 'bad')}"
    declare(world, app, keys, f"{ENABLED}{hook}")
    (world.directory / "pyrage.py").write_text("raise ImportError('libc.so.7: not found')")
    path = f"{world.directory}:{world.env['PYTHONPATH']}"
    outcome = world.run("run", env={**world.env, "PYTHONPATH": path})
    assert outcome.code == 1 and "libc.so.7" in outcome.err and "Traceback" not in outcome.err
    report = told(world, "bad")
    assert report is not None and report["exit"] == 1 and "libc.so.7" in report["message"]
    assert runs(world)[0].outcome == "failed" and last_run(world) == report


@pytest.mark.parametrize("more", ['retries = 9\nretry_after = "1h"', 'jitter = "4w"'])
def test_waiting_ends_at_a_signal(world: World, app: SampleApp, keys: Keys, more: str) -> None:
    """Who waits for another try, or by chance before the first, ends at once when terminated."""
    out = declare(world, app, keys, f"enabled = true\n{more}")
    other = declare(world, app, keys, 'enabled = true\njitter = "4w"', "other")
    out.rmdir()
    with world.start("run") as process:
        until(process, world.state / "ledger.db")
        begun = time.monotonic()
        process.terminate()
        process.communicate()
        assert time.monotonic() - begun < 5
    assert process.returncode == 143 and not archives(other)
    assert not world.leftovers()


def test_chance_puts_off_one_app_only(world: World, app: SampleApp, keys: Keys) -> None:
    """While apps wait by chance (`jitter`) the others are backed up: no delay adds to another."""
    late = [declare(world, app, keys, 'enabled = true\njitter = "4w"', name) for name in "ab"]
    soon = declare(world, app, keys, ENABLED, "soon")
    with world.start("run") as process:
        until(process, world.state / "apps" / "soon.last-run.json")
        process.terminate()
        process.communicate()
    assert process.returncode == 143 and len(archives(soon)) == 1
    assert not any(archives(out) for out in late) and not world.leftovers()


def test_it_does_not_overlap_itself(world: World, app: SampleApp, keys: Keys) -> None:
    """While a run of the app is at work another call makes none, and that is no failure."""
    hook = f"[apps.notes.hooks]\non_failure = {keeping(world, 'bad')}"
    with at_work(world, app, keys, f"{ENABLED}{hook}") as process:
        outcome = world.run("run")
        assert outcome.code == 0 and "another run is at work" in outcome.err
        assert world.run("create", "notes").code == 11
        assert not (world.state / "apps" / "notes.last-run.json").exists()
    assert process.returncode == 0 and last_run(world)["outcome"] == "ok"
    assert [run.outcome for run in runs(world)] == ["ok"] and told(world, "bad") is None


def test_who_waited_for_another_run_does_not_repeat_it(
    world: World, app: SampleApp, keys: Keys
) -> None:
    """A call that had to wait looks again whether anything is due: there is one archive."""
    more = 'enabled = true\nretries = 20\nretry_after = "1s"'
    with at_work(world, app, keys, more), world.start("run") as second:
        log = world.state / "log" / "agebackup.log"
        while not log.exists() or "run-retried" not in log.read_text():
            assert second.poll() is None, second.communicate()
        (world.directory / "go").touch()
        _, stderr = second.communicate()
    assert second.returncode == 0 and "another run was faster" in stderr
    assert len(archives(world.directory / "out-notes")) == 1


def test_a_run_that_hangs_is_loud(world: World, app: SampleApp, keys: Keys) -> None:
    """A run at work for longer than its interval is told as a failure, to the hooks too."""
    hook = f"[apps.notes.hooks]\non_failure = {keeping(world, 'bad')}"
    with at_work(world, app, keys, f"{ENABLED}{hook}"):
        age(world, days=2)
        outcome = world.run("run")
        assert outcome.code == 11 and "for 2d" in outcome.err and "hang" in outcome.err
        report = told(world, "bad")
        assert report is not None and report["exit"] == 11 and "for 2d" in report["message"]


def test_a_killed_run_is_found(world: World, app: SampleApp, keys: Keys) -> None:
    """A run that was killed stays `running` in the ledger until the next one says what it was."""
    with at_work(world, app, keys, ENABLED) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        (run,) = runs(world)
        assert run.outcome == "running" and run.ended is None
        (world.directory / "go").touch()
        outcome = world.run("run")
    assert outcome.code == 0 and "never ended" in outcome.err
    new, old = runs(world)
    assert (new.outcome, old.outcome) == ("ok", "stopped") and "cut off" in old.message
    assert [one["event"] for one in events(world)] == ["run-cut-off", "run-ended"]
    assert not world.leftovers()


def test_a_clock_that_went_back(world: World, app: SampleApp, keys: Keys) -> None:
    """Runs from the future do not keep an app from being backed up, once."""
    out = declare(world, app, keys, ENABLED)
    assert world.run("run").code == 0
    age(world, days=-400)
    assert world.run("run").code == 0 and len(archives(out)) == 2
    assert world.run("run").code == 0 and len(archives(out)) == 2


def test_what_was_taken_by_hand_does_not_count(world: World, app: SampleApp, keys: Keys) -> None:
    """An archive taken by hand does not take the night's place."""
    out = declare(world, app, keys, ENABLED)
    assert world.run("create", "notes", "--manual").code == 0
    assert world.run("run").code == 0 and len(archives(out)) == 2
    assert world.run("create", "notes").code == 0
    assert world.run("run").code == 0 and len(archives(out)) == 3


def test_without_the_ledger(world: World, app: SampleApp, keys: Keys) -> None:
    """Where the ledger is lost, last-run.json knows when the last archive was made."""
    out = declare(world, app, keys, ENABLED)
    assert world.run("run").code == 0
    for file in world.state.glob("ledger.db*"):
        file.unlink()
    assert world.run("run").code == 0 and len(archives(out)) == 1
    (world.state / "apps" / "notes.last-run.json").write_text("{")
    assert world.run("run").code == 0 and len(archives(out)) == 2


def test_a_damaged_ledger(world: World, app: SampleApp, keys: Keys) -> None:
    """A ledger that cannot be read costs no backup and no exit code, only a warning."""
    out = declare(world, app, keys, ENABLED)
    world.state.mkdir(parents=True)
    (world.state / "ledger.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    outcome = world.run("run")
    assert outcome.code == 0 and "ledger" in outcome.err and len(archives(out)) == 1
    assert last_run(world)["outcome"] == "ok" and "ledger" in " ".join(last_run(world)["warnings"])


def test_a_broken_configuration_is_loud(world: World, app: SampleApp, keys: Keys) -> None:
    """When the configuration breaks, log and last-run.json say so for every app that ever ran."""
    declare(world, app, keys, ENABLED, "one")
    declare(world, app, keys, ENABLED, "two")
    assert world.run("run").code == 0
    success = last_run(world, "one")["last_success"]
    world.config.write_text(world.config.read_text() + "\nnonsense = 1\n[")
    outcome = world.run("run")
    assert outcome.code == 2 and "config.toml" in outcome.err
    for name in ("one", "two"):
        report = last_run(world, name)
        assert (report["outcome"], report["exit"]) == ("failed", 2)
        assert "config.toml" in report["message"]
    assert last_run(world, "one")["last_success"] == success
    assert "cannot-run" in [one["event"] for one in events(world)]
    assert json.loads(world.run("run", "--json").out)["error"]["message"]
    last = last_run(world, "two")["run"]
    assert world.run("create", "one").code == world.run("create", "two", "--dry-run").code == 2
    assert last_run(world, "one")["outcome"] == "failed" and last_run(world, "two")["run"] == last


def test_an_unknown_app(world: World, app: SampleApp, keys: Keys) -> None:
    """An app that nobody declared is refused by name; none is recorded."""
    declare(world, app, keys, ENABLED)
    outcome = world.run("run", "note")
    assert outcome.code == 2 and "notes" in outcome.err
    assert not (world.state / "apps" / "note.last-run.json").exists()
    assert world.run("run", "../../x").code == 2


def test_nothing_is_declared(world: World) -> None:
    """Without a configuration, or with an empty one, there is a sentence and nothing else."""
    outcome = world.run("run")
    assert outcome.code == 2 and "config init" in outcome.err
    world.config.parent.mkdir(parents=True)
    world.config.write_text("")
    outcome = world.run("run")
    assert outcome.code == 0 and "No app" in outcome.err


def test_an_incomplete_archive_is_not_repeated(world: World, app: SampleApp, keys: Keys) -> None:
    """An archive that lacks something exits with 3, and is not made again at every call."""
    finish = script(world, "finish", "raise SystemExit(9)")
    out = declare(world, app, keys, f"{ENABLED}finish = {finish}")
    assert world.run("run").code == 3
    assert world.run("run").code == 0 and len(archives(out)) == 1
