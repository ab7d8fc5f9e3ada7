"""Simulate a year of nights: a real application, a real folder, real runs, and a faked clock.

In some nights the run is killed or terminated at a random moment, the disk is full from some write
on, the destination is away, the clock is wrong, the machine sleeps, or a sync client leaves a
conflict copy. After each night the folder is compared with what was seen in it before: no archive
may be lost that the retention keeps, none may change, and each new one must come out whole with
stock age, tar and sha256sum. At the end audit, status and a restore must agree. Linux only.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from faultsweep.evidence import content_of

from nights.events import Night, nights
from nights.machine import KILL, TERMINATE, Ended, Machine
from nights.truth import Truth

RUN = ("run", "notes")
BY_HAND = ("create", "notes", "--manual")
_GOOD = {0}
_FAILED = {1, 10, 11}
EXPECTED = {
    "killed": _GOOD | {-9},
    "terminated": _GOOD | {143, -15},
    "disk full": _GOOD | _FAILED,
    "destination away": {10},
    "clock ahead": _GOOD,
    "clock behind": _GOOD,
}
"""The exit codes that an event may lead to; any other night ends with 0."""
CAUSED = {"future-dated"}
"""What an audit may find because a night's clock was ahead."""


class Soak:
    """One year: what is to happen, what happened, and the laws that were broken."""

    def __init__(self, directory: Path) -> None:
        self.machine = Machine.build(directory)
        self.truth = Truth(self.machine)
        self.ends: Counter[tuple[str, int]] = Counter()
        self.broken: list[str] = []
        self.usual_seconds = 1.0
        self.unrecorded = False

    def live_through(self, night: Night) -> None:
        """Let one night pass and look at what it left."""
        self.machine.live(3)
        for ended in self._ends(night):
            self.ends[night.event, ended.code] += 1
            self.unrecorded |= "ledger rebuild" in ended.err
            allowed = EXPECTED.get(night.event, _GOOD)
            if ended.code not in allowed or "Traceback" in ended.err:
                self._broke(night, f"it ended with {ended.code}: {ended.err.strip()[-300:]}")
        for sentence in self.truth.after(night.clock + timedelta(hours=12)):
            self._broke(night, sentence)

    def finish(self, night: Night) -> None:
        """After the last, quiet night everything must agree."""
        clock = night.time + timedelta(hours=1)
        for sentence in (*self.truth.changed(), *self.truth.too_many(clock)):
            self._broke(night, sentence)
        for words in (("prune", "notes"), ("status", "notes")):
            self._expect(night, self.machine.run(clock, *words), words)
        self._audit(night, clock)
        for sentence in self.truth.after(clock):
            self._broke(night, sentence)
        self._restore(night, clock)
        for path in self.machine.directory.rglob(".~agebackup-*"):
            self._broke(night, f"{path.name} was left behind")

    def _ends(self, night: Night) -> list[Ended]:
        machine, clock = self.machine, night.clock
        if night.event == "killed":
            return [machine.interrupted(clock, RUN, night.chance * self.usual_seconds, KILL)]
        if night.event == "terminated":
            return [machine.interrupted(clock, RUN, night.chance * self.usual_seconds, TERMINATE)]
        if night.event == "disk full":
            return [machine.full_disk(clock, RUN, int(night.chance * 300_000))]
        if night.event == "asleep":
            return []
        if night.event == "by hand":
            return [machine.run(clock, *RUN), machine.run(clock + timedelta(hours=9), *BY_HAND)]
        if night.event == "burst":
            times = (clock + timedelta(minutes=one) for one in range(8))
            return [machine.run(clock, *RUN), *(machine.run(one, *BY_HAND) for one in times)]
        if night.event == "pruned by hand":
            return [machine.run(clock, *RUN), machine.run(clock, "prune", "notes")]
        if night.event == "conflict copy":
            self._conflict(night)
        if night.event == "destination away":
            return self._away(clock)
        begun = time.monotonic()
        ended = machine.run(clock, *RUN)
        self.usual_seconds = time.monotonic() - begun
        return [ended]

    def _away(self, clock: datetime) -> list[Ended]:
        elsewhere = self.machine.backups.with_name("unmounted")
        self.machine.backups.rename(elsewhere)
        try:
            return [self.machine.run(clock, *RUN)]
        finally:
            elsewhere.rename(self.machine.backups)

    def _conflict(self, night: Night) -> None:
        for name in sorted(self.truth.there)[-1:]:
            stem = name.removesuffix(".tar.age")
            copy = f"{stem}.tar (laptop's conflicted copy {night.time:%Y-%m-%d}).age"
            shutil.copy(self.machine.backups / name, self.machine.backups / copy)

    def _restore(self, night: Night, clock: datetime) -> None:
        target = self.machine.directory / "restored"
        ended = self.machine.run(
            clock,
            *("restore", "notes:latest", "-i", str(self.machine.identity), "--target", str(target)),
        )
        if ended.code:
            self._broke(night, f"the restore ended with {ended.code}: {ended.err.strip()}")
        elif content_of(target) != self.machine.state():
            self._broke(night, "what was restored is not the application's state")

    def _audit(self, night: Night, clock: datetime) -> None:
        """Audit everything; what the nights themselves did to the folder may be found."""
        if self.unrecorded:
            words = ("ledger", "rebuild", str(self.machine.backups), "--mine")
            self._expect(night, self.machine.run(clock, *words), words)
        ended = self.machine.run(clock, "--json", "audit", "notes", "--full")
        for one in json.loads(ended.out)["findings"]:
            if one["severity"] != "note" and one["code"] not in CAUSED:
                self._broke(night, f"audit: {one['subject']}: {one['fact']} [{one['code']}]")

    def _expect(self, night: Night, ended: Ended, words: Sequence[str]) -> None:
        if ended.code:
            self._broke(night, f"{words[0]} ended with {ended.code}: {ended.out}{ended.err}")

    def _broke(self, night: Night, sentence: str) -> None:
        line = f"night {night.number} ({night.event}, {night.clock:%Y-%m-%d %H:%M}): {sentence}"
        self.broken.append(line)
        print(f"BROKEN: {line}", flush=True)


def main() -> int:
    """Soak as asked; return 0 without, 1 with a broken law."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--nights", type=int, default=365, help="how many; 365 by default")
    parser.add_argument("--seed", type=int, default=1, help="another seed is another year")
    parser.add_argument("--dir", type=Path, help="where to make the world")
    parser.add_argument("--keep", action="store_true", help="keep the world")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the counts to FILE")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="agebackup-soak-", dir=options.dir)).resolve()
    try:
        return _soak(options, directory)
    finally:
        if options.keep:
            kept = directory.with_name(f"{directory.name}-kept")
            shutil.copytree(directory, kept)  # the small disk goes with this process
            print(f"kept: {kept}")
        subprocess.run(["umount", directory / "disk"], check=False)
        shutil.rmtree(directory)


def _soak(options: argparse.Namespace, directory: Path) -> int:
    begun = time.monotonic()
    soak = Soak(directory)
    night = None
    for night in nights(options.nights, options.seed):
        soak.live_through(night)
        if night.number % 50 == 49:
            print(f"{night.number + 1} nights, {len(soak.truth.there)} archives", flush=True)
    if night is not None:
        soak.finish(night)
    seconds = time.monotonic() - begun
    counts = {
        "nights": options.nights,
        "seed": options.seed,
        "seconds": round(seconds),
        "archives made": len(soak.truth.hashes),
        "archives pruned": len(soak.truth.gone),
        "archives left": len(soak.truth.there),
        "broken laws": len(soak.broken),
        "ends": {f"{event}: {code}": n for (event, code), n in sorted(soak.ends.items())},
    }
    print(json.dumps(counts, indent=1))
    if options.json:
        options.json.write_text(json.dumps(counts | {"broken": soak.broken}, indent=1))
    return 1 if soak.broken else 0


if __name__ == "__main__":
    sys.exit(main())
