"""Telling how a run ended: whoever does not listen is not waited for."""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from web import SECRET, listening

from agebackup.model.command import Command
from agebackup.model.lastrun import LastRun
from agebackup.model.records import RunRecord
from agebackup.model.watch import Hooks
from agebackup.operations.hooks import Patience, Telling
from agebackup.system.clock import Stopwatch
from agebackup.system.progress import Progress, Stop

NOW = datetime(2026, 11, 21, 2, 15, tzinfo=UTC)
RUN = RunRecord("5f" * 16, "notes", "auto", NOW, outcome="ok", exit_code=0, ended=NOW)
SLEEPS = Command((sys.executable, "-S", "-c", "import time; time.sleep(60)"), 60)


def stopped() -> Progress:
    """Return a progress whose stop was asked for."""
    stop = Stop()
    stop.request(15)
    return Progress(stop)


def test_a_server_that_never_answers() -> None:
    """A dead monitoring server costs seconds, and each ping that it did not hear is said."""
    with listening(lambda connection: None) as address:
        hooks = Hooks(healthcheck_url=address)
        telling = Telling(hooks, RUN.id, patience=Patience(start=0.3, end=0.4))
        watch = Stopwatch()
        telling.begin()
        problems = telling.end(LastRun(RUN), Progress())
        assert watch.seconds < 15
    assert [problem.split(" of the run")[0] for problem in problems] == [
        "The ping at the start",
        "The ping at the end",
    ]
    assert all("was not heard" in problem for problem in problems) and SECRET not in str(problems)


def test_the_usual_patience() -> None:
    """All that may be waited for after a stop is over before launchd kills."""
    usual = Patience()
    assert 0 < usual.start < 10
    assert usual.end + usual.stopped + usual.desktop < 15


def test_a_stopped_run_does_not_wait_for_a_hook() -> None:
    """What hangs in on_failure is ended after a few seconds when the run itself was stopped."""
    last = LastRun(replace(RUN, outcome="stopped", exit_code=143))
    telling = Telling(Hooks(on_failure=SLEEPS), RUN.id, patience=Patience(stopped=0.3))
    watch = Stopwatch()
    (problem,) = telling.end(last, stopped())
    assert "on_failure" in problem and "not done in 0.3 seconds" in problem
    assert watch.seconds < 30


def test_a_stopped_run_still_tells(tmp_path: Path) -> None:
    """A stop that was asked for does not keep on_failure from hearing of it."""
    body = "import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())"
    words = (sys.executable, "-S", "-c", body, str(tmp_path / "told"))
    last = LastRun(replace(RUN, outcome="stopped", exit_code=143))
    assert Telling(Hooks(on_failure=Command(words, 60)), RUN.id).end(last, stopped()) == []
    assert json.loads((tmp_path / "told").read_text()) == last.fields()


@pytest.mark.parametrize("outcome", ["ok", "failed"])
def test_a_stop_cuts_off_the_hook_of_a_run_that_had_ended(outcome: str) -> None:
    """Who stops agebackup while a hook works after a run does not wait for the hook."""
    run = replace(RUN, outcome=outcome)  # type: ignore[arg-type]
    hooks = Hooks(on_success=SLEEPS, on_failure=SLEEPS)
    (problem,) = Telling(hooks, RUN.id).end(LastRun(run), stopped())
    assert "cut off" in problem
