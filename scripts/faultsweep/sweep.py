"""One trial per fault: a fresh world, the run with the fault, the verdict, a run without, again."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import sample_app

from faultsweep import evidence, tracing
from faultsweep.audit import audit
from faultsweep.calls import read_calls, struck
from faultsweep.points import Point, choose, sample
from faultsweep.scenarios import Create, Scenario, Template, Verdict

SECONDS = 90
"""After this long a run counts as hung."""
_DOCUMENTED = {0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 129, 130, 143}
_KILLED = 137
HISTORY = 5
"""How many archives there are for `prune`, `delete` and `rekey`."""


class BaselineError(Exception):
    """Without any fault it does not work as it should, so that no trial would mean anything."""


@dataclass(frozen=True)
class Trial:
    """What one fault led to. `violations` are broken promises; `struck` is whether it happened.

    `swept` counts what the faulty run had to leave and the following run took away.
    """

    scenario: str
    point: Point
    code: int
    struck: bool
    violations: tuple[str, ...]
    swept: int
    seconds: float
    said: str


@dataclass(frozen=True)
class Baseline:
    """A scenario without faults: every point at which one could strike, and the audit's finds."""

    scenario: Scenario
    points: tuple[Point, ...]
    audit: tuple[str, ...]


def make_template(directory: Path) -> Template:
    """Make the world of every trial under `directory`: a live application, an earlier archive."""
    world, outside = directory / "template", directory / "outside"
    outside.mkdir(parents=True)
    app = _living_app(world / "app", directory / "draft")
    identity = outside / "key.txt"
    _stock("age-keygen", "-o", str(identity))
    recipient = _stock("age-keygen", "-y", str(identity)).strip()
    new_identity = outside / "new-key.txt"
    _stock("age-keygen", "-o", str(new_identity))
    old = sample_app.build(outside / "old-state", entries=3, attachments=2)
    template = Template(
        world,
        recipient,
        identity,
        archive="",
        state=evidence.content_of(app.root),
        old_state_directory=old.root,
        old_state=evidence.content_of(old.root),
        history_directory=directory,
        history=(),
        new_recipient=_stock("age-keygen", "-y", str(new_identity)).strip(),
        new_identity=new_identity,
    )
    return _with_archive(template, directory / "first")


def _living_app(root: Path, draft: Path) -> sample_app.SampleApp:
    # one database as after a crash, with live content in its -wal; the other one at rest
    app = sample_app.build(draft, entries=20, attachments=5)
    with closing(sample_app.connect(app)) as connection:
        sample_app.write_pair(connection)
        shutil.copytree(draft, root)
    for suffix in ("-wal", "-shm"):
        (root / f"{app.events.name}{suffix}").unlink()
    shutil.copy(app.events, root / app.events.name)
    return sample_app.SampleApp.at(root)


def _with_archive(template: Template, first: Path) -> Template:
    """Return `template` with an archive in its folder, and a history of several aside."""
    destination = template.directory / "backups"
    destination.mkdir()
    scenario = Create(template)
    scenario.prepare(first)
    made = [_made(scenario, first)]
    for path in (first / "backups").iterdir():
        shutil.copy(path, destination)
    made += [_made(scenario, first) for _ in range(HISTORY - 1)]
    return replace(template, archive=made[0], history_directory=first, history=tuple(made))


def _made(scenario: Scenario, trial: Path) -> str:
    time.sleep(1 - time.time() % 1)  # the next name has the next second in it
    ended = tracing.plain(_run(scenario, trial))
    archives = sorted(path.name for path in (trial / "backups").iterdir() if path.suffix == ".age")
    if ended.code or not archives:
        raise BaselineError(f"create ended with {ended.code}: {ended.err.strip()}")
    return archives[-1]


def _stock(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _run(scenario: Scenario, trial: Path) -> tracing.Run:
    environment = sample_app.environment(trial / "home") | {
        "TMPDIR": str(trial / "tmp"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
    }
    return tracing.Run(scenario.arguments(trial), environment, trial, SECONDS)


def take_baseline(scenario: Scenario, directory: Path, faults: Iterable[str]) -> Baseline:
    """Run `scenario` without a fault; raise `BaselineError` unless it is as it should be."""
    trial = directory / f"{scenario.name}-baseline"
    scenario.prepare(trial)
    run = _run(scenario, trial)
    ended = tracing.recorded(run)
    found = _judged(scenario, trial, ended)
    found += evidence.leftovers(trial, plaintext_at_home=scenario.plaintext_at_home(trial))
    if ended.code or found:
        raise BaselineError(
            f"{scenario.name} without a fault ended with {ended.code}: "
            + "; ".join([*found, ended.err.strip()])
        )
    calls = read_calls(run.log("strace"))
    points = choose(calls, str(trial), faults)
    return Baseline(scenario, tuple(points), tuple(audit(calls, str(trial))))


def run_trials(
    baselines: Sequence[Baseline], directory: Path, *, count: int | None, jobs: int
) -> Iterable[Trial]:
    """Run every point of every baseline, or `count` of them spread evenly; yield the outcomes."""
    work: list[tuple[Scenario, Point]] = []
    for place, baseline in enumerate(baselines):
        share, name = len(baseline.points), baseline.scenario.name
        if count is not None:
            share = count * (place + 1) // len(baselines) - count * place // len(baselines)
        work += [(baseline.scenario, point) for point in sample(baseline.points, share, salt=name)]
    places = [directory / f"trial-{number:06}" for number in range(len(work))]
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(_trial, *zip(*work, strict=True), places)


def _trial(scenario: Scenario, point: Point, trial: Path) -> Trial:
    scenario.prepare(trial)
    run = _run(scenario, trial)
    ended = tracing.injected(run, point)
    did_strike = struck(run.log("strace"))
    found = _judged(scenario, trial, ended)
    left = evidence.leftovers(trial, plaintext_at_home=scenario.plaintext_at_home(trial))
    if point.fault == "SIGTERM":
        found += [f"after a stop, {sentence}" for sentence in left]
        if ended.code not in (0, 143):
            found.append(f"terminated, it ended with {ended.code}")
    found += [f"then, without a fault: {sentence}" for sentence in _again(scenario, trial)]
    result = Trial(
        scenario.name,
        point,
        ended.code,
        did_strike,
        tuple(found),
        len(left),
        ended.seconds,
        ended.err.strip()[-600:],
    )
    if not found:
        shutil.rmtree(trial)
        for name in ("strace", "out", "err", "stopped"):
            run.log(name).unlink(missing_ok=True)
    return result


def _judged(scenario: Scenario, trial: Path, ended: tracing.Ended) -> list[str]:
    verdict = Verdict(ended.code, killed=ended.code == _KILLED)
    found = scenario.judge(trial, verdict)
    found += evidence.changed_sources(
        trial / "app", scenario.template.directory / "app", names=False
    )
    if ended.hung:
        found.append(f"it did not end within {SECONDS} seconds")
    elif not verdict.killed and ended.code not in _DOCUMENTED:
        found.append(f"it ended with {ended.code}, which is not documented")
    if "Traceback" in ended.err:
        found.append("it showed a traceback")
    return found


def _again(scenario: Scenario, trial: Path) -> list[str]:
    if any(trial.glob("restored.*")):  # the name of a kept state has its second in it
        time.sleep(1 - time.time() % 1)
    ended = tracing.plain(_run(scenario, trial))
    found = _judged(scenario, trial, ended)
    if ended.code:
        found.append(f"it ended with {ended.code}: {ended.err.strip()[-300:]}")
    found += evidence.leftovers(trial, plaintext_at_home=scenario.plaintext_at_home(trial))
    found += evidence.unsettled(trial)
    found += evidence.changed_sources(
        trial / "app", scenario.template.directory / "app", names=True
    )
    return found


def usable_cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0))
