"""Measure create, verify and restore against what a good engineer would type, on the same data.

Making a backup is compared with `sqlite3 … "VACUUM INTO"`, then `tar c | age -r`, then `sync`;
reading one with `age -d | tar x`, then `sha256sum -c`, synced; a push with `rclone copyto` and
`gh release upload` of the same file. Ratios are of medians of one run.
"""

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import FrameType

from benchmark import contenders, report
from benchmark.contenders import Contender, Keys
from benchmark.measure import Bench, CommandError, compare, median
from benchmark.report import Growth, Line, Results
from benchmark.workloads import MB, WORKLOADS, Goals, Workload, build

SMALL_FACTOR = 20
SMALL_FILES = (1000, 3000, 10_000)
LARGE_FILES = (100_000, 300_000, 1_000_000)
START_UP_GOAL = 2.0
PUSHED_BYTES = 500 * MB
_SPARE_BYTES = 500 * MB


def main() -> int:
    """Measure as asked; return 1 where something could not be measured."""
    options = _parser().parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        with tempfile.TemporaryDirectory(prefix="agebackup-bench-", dir=options.dir) as made:
            return _measure(options, Path(made).resolve())
    except CommandError as error:
        print(f"scripts/bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _stop(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    names = [workload.name for workload in WORKLOADS]
    parser.add_argument("--small", action="store_true", help="a twentieth of it: about a minute")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="runs of each (5)")
    parser.add_argument("--workload", action="append", choices=names, help="only this one")
    parser.add_argument("--large", action="store_true", help="only: up to 1,000,000 files")
    parser.add_argument("--push", action="store_true", help="only: pushes, to the loopback")
    parser.add_argument(
        "--others",
        action=argparse.BooleanOptionalAction,
        help="restic and borg too, where they are installed (not with --small)",
    )
    parser.add_argument("--drop-caches", action="store_true", help="cold caches; needs root")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to FILE")
    parser.add_argument("--dir", type=Path, metavar="DIR", help="the disk to measure on")
    return parser


def _measure(options: argparse.Namespace, directory: Path) -> int:
    results = Results(options.small, options.rounds)
    bench = Bench(directory, drop_caches=options.drop_caches)
    keys = Keys.make(directory / "key.txt")
    print(report.heading(results), flush=True)
    if options.large:
        _grow(bench, keys, results, SMALL_FILES if options.small else LARGE_FILES)
    elif options.push:
        _push(bench, keys, results)
    else:
        with_others = options.others if options.others is not None else not options.small
        _start_up(bench, results)
        for workload in WORKLOADS:
            if not options.workload or workload.name in options.workload:
                sized = workload.shrunk(SMALL_FACTOR) if options.small else workload
                _workload(bench, keys, results, sized, with_others=with_others)
    if options.json:
        options.json.write_text(results.as_json())
    return 0


def _start_up(bench: Bench, results: Results) -> None:
    entrants = contenders.starters(sys.executable)
    taken = compare(bench, entrants, max(results.rounds, 15))
    goals = {entrants[1].name: START_UP_GOAL}
    _add(results, "start-up", taken, goals=goals, peaks={})


def _workload(
    bench: Bench, keys: Keys, results: Results, workload: Workload, *, with_others: bool
) -> None:
    _require_space(bench.directory, workload)
    data = build(workload, bench.directory / "data")
    try:
        makers = contenders.writers(data, keys)
        entrants = [*makers, *(contenders.others(data) if with_others else ())]
        taken = compare(bench, entrants, results.rounds)
        goals = _goals(workload.goals)
        _add(results, workload.name, taken, goals=goals, peaks=_peaks(bench, makers[1:]))
        archive = _one_archive(bench, makers[-1])
        readers = contenders.readers(archive, keys)
        taken = compare(bench, readers, results.rounds)
        _add(results, workload.name, taken, goals=goals, peaks=_peaks(bench, readers[1:]))
    finally:
        shutil.rmtree(data.directory, ignore_errors=True)
        shutil.rmtree(bench.directory / "kept", ignore_errors=True)


def _push(bench: Bench, keys: Keys, results: Results) -> None:
    from benchmark import carrying  # its servers need rclone and gh, which nothing else does

    size, data = PUSHED_BYTES // (SMALL_FACTOR if results.small else 1), bench.directory / "data"
    for name, ready in (
        ("push to webdav", partial(carrying.to_rclone, remote="webdav")),
        ("push to sftp", partial(carrying.to_rclone, remote="sftp")),
        ("push to GitHub", carrying.to_github),
    ):
        with ready(data, size, keys) as entrants:
            taken = compare(bench, entrants, results.rounds)
        _add(results, name, taken, goals={}, peaks={})


def _goals(goals: Goals) -> Mapping[str, float]:
    return {
        "create --no-proof": goals.create,
        "create": goals.create_with_proof,
        "verify": goals.verify,
        "restore": goals.restore,
    }


def _peaks(bench: Bench, entrants: Sequence[Contender]) -> dict[str, int | None]:
    return {contender.name: bench.peak_bytes(contender) for contender in entrants}


def _one_archive(bench: Bench, create: Contender) -> Path:
    kept = bench.directory / "kept"
    bench.seconds(create, keep=kept)
    return next((kept / "backups").glob("*.age"))


def _add(
    results: Results,
    workload: str,
    taken: Mapping[str, Sequence[float]],
    *,
    goals: Mapping[str, float],
    peaks: Mapping[str, int | None],
) -> None:
    """Turn the seconds of contenders, the yardstick first, into lines and show them."""
    against = next(iter(taken))
    lines = [
        Line(
            workload,
            name,
            against,
            median(seconds),
            median(seconds) / median(taken[against]),
            None if results.small else goals.get(name),
            tuple(seconds),
            peaks.get(name),
        )
        for name, seconds in taken.items()
    ]
    results.lines.extend(lines)
    print(f"\n{workload}, against {against}\n\n{report.table(lines)}", flush=True)


def _grow(bench: Bench, keys: Keys, results: Results, counts: Sequence[int]) -> None:
    for count in counts:
        workload = Workload("growth", 0, 0, count, 256, WORKLOADS[-1].goals)
        _require_space(bench.directory, workload)
        data = build(workload, bench.directory / "data")
        try:
            create = contenders.writers(data, keys)[-1]
            runs = [bench.seconds(create) for _ in range(results.rounds)]
            results.growth.append(Growth(count, median(runs), bench.peak_bytes(create)))
        finally:
            shutil.rmtree(data.directory, ignore_errors=True)
    print(f"\ncreate by number of files\n\n{report.growth_table(results.growth)}", flush=True)


def _require_space(directory: Path, workload: Workload) -> None:
    needed, free = workload.disk_bytes + _SPARE_BYTES, shutil.disk_usage(directory).free
    if free < needed:
        raise CommandError(
            f"{workload.name} needs {needed / 1e9:.1f} GB on {directory.parent}, which has "
            f"{free / 1e9:.1f} GB free (--dir chooses another disk)."
        )


if __name__ == "__main__":
    sys.exit(main())
