"""Throw made-up input at every reader: age headers and files, bags, manifests, names, keys, config.

Each input may be refused, but raise nothing else, hang, grow, or write outside its directory; what
is accepted must be accepted by a second reader. Guided by coverage where atheris is installed (it
is, after `pip install atheris`), else by what is said of each input. With --databases: hostile
databases in archives whose hashes are in order go through verify and restore instead. Linux only.
"""

import argparse
import importlib.util
import json
import math
import shutil
import sys
import tempfile
import time
from pathlib import Path

from fuzzing.hostile_databases import Verdicts, prove
from fuzzing.sessions import Report, fuzz
from fuzzing.targets import TARGETS


def main() -> int:
    """Fuzz as asked; return 0 without, 1 with a finding."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, help="in all; 60 by default")
    parser.add_argument("--seed", type=int, help="0 to 2^31-1; another one each time by default")
    parser.add_argument("--target", action="append", choices=TARGETS, help="only this reader")
    parser.add_argument("--plain", action="store_true", help="without coverage, even if it can")
    parser.add_argument("--inputs", type=int, metavar="N", help="with --plain: so many per reader")
    parser.add_argument(
        "--databases",
        type=int,
        metavar="N",
        help="N hostile databases instead, or as many as SECONDS allow",
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where to keep what is found")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the counts to FILE")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = int(time.time()) % (1 << 31)
    print(f"seed {options.seed}", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="agebackup-fuzz-")).resolve()
    try:
        if options.databases:
            return _databases(options, directory)
        return _inputs(options, directory)
    finally:
        shutil.rmtree(directory)


def _inputs(options: argparse.Namespace, directory: Path) -> int:
    begun, seconds = time.monotonic(), options.seconds or 60
    plain = options.plain or options.inputs or not importlib.util.find_spec("atheris")
    names = options.target or list(TARGETS)
    reports = fuzz(
        names, directory, options.seed, seconds=seconds, inputs=options.inputs, plain=plain
    )
    counts = {
        "seed": options.seed,
        "engine": "plain" if plain else "atheris",
        "seconds": round(time.monotonic() - begun),
        "inputs": sum(one.runs for one in reports),
        "readers": {one.name: {"inputs": one.runs, "refused": one.refused} for one in reports},
        "findings": sum(len(one.findings) for one in reports),
    }
    _tell(options, counts)
    for report in reports:
        for number, (sentence, data) in enumerate(report.findings.items()):
            print(f"FOUND: {report.name}: {sentence}", flush=True)
            _keep(options, f"{report.name}-{number}.input", data)
    starved = [one.name for one in reports if not one.runs]
    for name in starved:
        print(f"NOTHING RAN: {name}")
    return 1 if counts["findings"] or starved else 0


def _databases(options: argparse.Namespace, directory: Path) -> int:
    begun = time.monotonic()
    seconds = options.seconds or math.inf
    verdicts: Verdicts = prove(directory, options.databases, options.seed, seconds=seconds)
    counts = {
        "seed": options.seed,
        "seconds": round(time.monotonic() - begun),
        **dict(sorted(verdicts.counts.items())),
        "slowest": round(verdicts.slowest, 1),
        "broken laws": len(verdicts.broken),
    }
    _tell(options, counts)
    for number, (law, mutant) in enumerate(verdicts.broken):
        print(f"BROKEN: {mutant.base}, {', '.join(mutant.done)}: {law}", flush=True)
        _keep(options, f"{mutant.base}-{number}.db", mutant.content)
    return 1 if verdicts.broken else 0


def _tell(options: argparse.Namespace, counts: dict[str, object]) -> None:
    print(json.dumps(counts, indent=1), flush=True)
    if options.json:
        options.json.write_text(json.dumps(counts, indent=1))


def _keep(options: argparse.Namespace, name: str, data: bytes) -> None:
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
        (options.keep / name).write_bytes(data)


__all__ = ["Report", "main"]

if __name__ == "__main__":
    sys.exit(main())
