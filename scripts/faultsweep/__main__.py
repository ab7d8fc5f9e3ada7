"""Inject a fault at every system call of the commands that write, and check every promise after it.

Each call of a fault-free run that touches its files or pipes is failed in turn (EIO, ENOSPC,
EINTR), or the process is killed or terminated there. After each of these trials, and again after
a run without a fault, stock age, tar, sha256sum and sqlite3 must find: ended with 0, everything
recoverable; otherwise the old state intact; nothing plaintext or temporary left; never fewer
archives than the plan keeps, and a ledger that says what the folder holds. Linux only.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from faultsweep.inplace import InPlace
from faultsweep.live import LIVE
from faultsweep.points import FAULTS
from faultsweep.pushes import PUSHES
from faultsweep.rekeys import REKEYS
from faultsweep.scenarios import SCENARIOS, Scenario
from faultsweep.sweep import (
    Baseline,
    BaselineError,
    Trial,
    make_template,
    run_trials,
    take_baseline,
    usable_cores,
)

SWEPT: tuple[type[Scenario], ...] = (*SCENARIOS, *REKEYS, *PUSHES, *LIVE, InPlace)


def main(arguments: Sequence[str] | None = None) -> int:
    """Sweep as asked; return 0 without, 1 with a broken promise, 2 where nothing can be tried."""
    options = _parser().parse_args(arguments)
    directory = Path(tempfile.mkdtemp(prefix="agebackup-sweep-", dir=options.dir)).resolve()
    try:
        return _sweep(options, directory)
    except BaselineError as error:
        print(f"scripts/sweep: {error}", file=sys.stderr)
        return 2
    finally:
        if options.keep:
            print(f"kept: {directory}")
        else:
            shutil.rmtree(directory)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/sweep", description=__doc__)
    names = [scenario.name for scenario in SWEPT]
    parser.add_argument("--scenario", action="append", choices=names, help="only this one")
    parser.add_argument("--fault", action="append", choices=list(FAULTS), help="only this one")
    parser.add_argument("--sample", type=int, metavar="N", help="N trials in all, always the same")
    parser.add_argument("--jobs", type=int, default=usable_cores(), help="trials at a time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to FILE")
    parser.add_argument("--dir", type=Path, help="where to make the worlds of the trials")
    parser.add_argument("--keep", action="store_true", help="keep the world of a broken promise")
    return parser


def _sweep(options: argparse.Namespace, directory: Path) -> int:
    begun = time.monotonic()
    template = make_template(directory)
    wanted = [s for s in SWEPT if not options.scenario or s.name in options.scenario]
    faults = options.fault or list(FAULTS)
    baselines = [take_baseline(scenario(template), directory, faults) for scenario in wanted]
    for baseline in baselines:
        print(f"{baseline.scenario.name}: {len(baseline.points)} points", flush=True)
        for sentence in baseline.audit:
            print(f"  NOT DURABLE: {sentence}")
    trials = []
    for trial in run_trials(baselines, directory, count=options.sample, jobs=options.jobs):
        trials.append(trial)
        _show(trial, len(trials))
    seconds = time.monotonic() - begun
    _summarise(trials, seconds)
    if options.json:
        options.json.write_text(json.dumps(_report(baselines, trials, seconds), indent=1))
    broken = any(trial.violations for trial in trials) or any(b.audit for b in baselines)
    return 1 if broken else 0


def _show(trial: Trial, number: int) -> None:
    for sentence in trial.violations:
        print(f"BROKEN: {trial.scenario}, {trial.point}: {sentence}")
        print(f"        {trial.point.what}\n        it said: {trial.said or 'nothing'}")
    if number % 100 == 0:
        print(f"{number} trials", flush=True)


def _summarise(trials: Sequence[Trial], seconds: float) -> None:
    broken = sum(bool(trial.violations) for trial in trials)
    missed = sum(not trial.struck for trial in trials)
    swept = sum(trial.swept > 0 for trial in trials)
    print(
        f"{len(trials)} trials in {seconds:.0f} s: {broken} with a broken promise, "
        f"{missed} whose fault never struck, {swept} that left something for the next run"
    )
    for (fault, code), count in sorted(Counter((t.point.fault, t.code) for t in trials).items()):
        print(f"  {fault}: ended with {code}: {count}")


def _report(
    baselines: Sequence[Baseline], trials: Sequence[Trial], seconds: float
) -> dict[str, object]:
    return {
        "seconds": round(seconds, 1),
        "scenarios": [
            {"name": b.scenario.name, "points": len(b.points), "audit": b.audit} for b in baselines
        ],
        "trials": [asdict(trial) for trial in trials],
    }


if __name__ == "__main__":
    sys.exit(main())
