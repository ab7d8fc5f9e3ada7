"""A machine with years of varied history, made in no time: for pages and lists to look at."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pyrage
from pyrage import x25519

from agebackup.ledger import Ledger, open_ledger
from agebackup.model.assertions import Asserted
from agebackup.model.drills import Receipt, encode_receipt
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord, DrillRecord, RunRecord
from agebackup.model.retaining import plan
from agebackup.model.retention import Candidate, Policy

POLICY = Policy(hourly=24, daily=7, weekly=4, monthly=12, yearly=-1, manual=5)
RETENTION = """
[apps.{app}.retention]
keep_hourly = 24
keep_daily = 7
keep_weekly = 4
keep_monthly = 12
keep_yearly = -1
keep_manual = 5
"""


@dataclass
class Machine:
    """Where its things lie: `state` is agebackup's own directory, `places` the destinations'."""

    state: Path
    config: Path
    places: Path
    now: datetime
    chance: random.Random

    @property
    def recipient(self) -> x25519.Recipient:
        if not hasattr(self, "_recipient"):
            self._recipient = x25519.Identity.generate().to_public()
        return self._recipient

    def ledger(self) -> Ledger:
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        return open_ledger(self.state / "ledger.db")

    def declare(self, app: str, *more: str) -> Path:
        """Add `app` to the configuration; return its destination, made."""
        out, source = self.places / app, self.places / f"{app}.db"
        out.mkdir(parents=True)
        source.touch()
        self.config.parent.mkdir(parents=True, exist_ok=True)
        with self.config.open("a") as file:
            file.write(
                f"[apps.{app}]\ndatabases = {{main = {json.dumps(str(source))}}}\n"
                f"destination = {json.dumps(str(out))}\n"
                f'recipients = ["{self.recipient}"]\n' + "\n".join(more) + "\n"
            )
        return out.resolve()


def lived(machine: Machine) -> None:
    """Let `machine` have been used for years: an app that is well, and three that are not."""
    _well(machine, machine.declare("notes", 'interval = "1h"', RETENTION.format(app="notes")))
    _neglected(machine, machine.declare("photos-of-the-whole-family-since-1998"))
    machine.declare("never-yet")
    _remote(machine, machine.declare("mail", RETENTION.format(app="mail")))


def _well(machine: Machine, out: Path) -> None:
    now = machine.now.replace(minute=3, second=11, microsecond=0)
    times = [now - timedelta(hours=hour) for hour in range(60)]
    times += [now.replace(hour=3) - timedelta(days=day) for day in range(3, 1100)]
    manual = [now - timedelta(days=days, hours=5) for days in (2, 45, 400)]
    _archives(machine, out, "notes", (times, manual))
    with machine.ledger() as ledger:
        for index, record in enumerate(ledger.archives("notes", destination=str(out))):
            if index in (3, 30):
                ledger.amend(record, check="verify", checked=record.time + timedelta(minutes=9))
            if index == 12:
                ledger.amend(record, proved=False)
            if index == 9:
                ledger.amend(record, tag="before-upgrade", note="before 2.4", kept=True)
        ledger.put(*_runs(machine, "notes", times), *_drills(machine, "notes", times))


def _neglected(machine: Machine, out: Path) -> None:
    app = out.name
    times = [machine.now - timedelta(days=day, hours=2) for day in range(12, 90)]
    _archives(machine, out, app, (times, []), policy=None)
    with machine.ledger() as ledger:
        newest, gone, cut, *_ = ledger.archives(app, destination=str(out))
        ledger.amend(newest, complete=False)
        (out / gone.name).unlink()
        (out / cut.name).write_bytes((out / cut.name).read_bytes()[:-7])
        copy = (
            out / f"{cut.name.removesuffix('.tar.age')} (HOST's conflicted copy 2026-11-20).tar.age"
        )
        copy.write_bytes(b"age-encryption.org/v1\n")
        why = "The destination /media/a-drive/with-a-rather-long-name/backups does not exist."
        runs = [machine.now - timedelta(days=day, hours=2) for day in range(12)]
        ledger.put(*(_run(machine, app, time, "failed", why) for time in runs))
        ledger.put(*_runs(machine, app, times))
        failed = _drill(machine, app, times[3], f"{gone.name} does not exist.")
        ledger.put(failed)


def _remote(machine: Machine, out: Path) -> None:
    times = [machine.now - timedelta(days=day, minutes=40) for day in range(200)]
    _archives(machine, out, "mail", (times, []))
    with machine.ledger() as ledger:
        here = ledger.archives("mail", destination=str(out))
        for place, some in (
            ("github:somebody/backups-of-my-mail", here[1:]),
            ("rclone:drive:backups/of/all/my/machines/and-a-very-long-folder-name", here[5:]),
        ):
            ledger.put(*(replace(one, destination=place) for one in some))
        ledger.put(*_runs(machine, "mail", times))


def _archives(
    machine: Machine,
    out: Path,
    app: str,
    times: tuple[list[datetime], list[datetime]],
    policy: Policy | None = POLICY,
) -> None:
    names = [
        ArchiveName(app, time, f"{machine.chance.getrandbits(32):08x}", manual=by_hand)
        for by_hand, ones in enumerate(times)
        for time in ones
    ]
    kept = plan(map(Candidate, names), policy, machine.now).kept if policy else ()
    stay = {one.candidate.name for one in kept} if policy else set(names)
    rows = []
    for name in sorted(names, key=lambda one: one.time):
        age = (machine.now - name.time) / timedelta(days=1)
        records = int(28 / (1 + age / 500) + machine.chance.random() * 3)
        size = records * 10_240  # tar writes whole records
        if name in stay:
            content = pyrage.encrypt(machine.chance.randbytes(size), [machine.recipient])
            (out / str(name)).write_bytes(content)
            size = len(content)
        row = replace(
            ArchiveRecord.of(name, str(out)), size=size, proved=True, sha256=f"{len(rows):064x}"
        )
        gone = {} if name in stay else {"deleted": machine.now, "deleted_why": "pruned"}
        rows.append(replace(row, **gone))
    with machine.ledger() as ledger:
        ledger.put(*rows)


def _runs(machine: Machine, app: str, times: list[datetime]) -> Iterator[RunRecord]:
    for time in times:
        if machine.chance.random() < 0.03:
            why = "database is locked: main.db stayed locked for 30 seconds by another process."
            yield _run(machine, app, time, "failed", why)
        elif machine.chance.random() < 0.01:
            yield _run(machine, app, time, "incomplete", "1 attachment is missing.")
        elif machine.chance.random() < 0.97:
            yield _run(machine, app, time, "ok")


def _run(machine: Machine, app: str, time: datetime, outcome: str, message: str = "") -> RunRecord:
    return RunRecord(
        f"{machine.chance.getrandbits(128):032x}",
        app,
        "auto",
        time,
        "done",
        outcome,  # type: ignore[arg-type]
        ended=time,
        message=message,
        seconds=1.5 + machine.chance.random() + 2 * (machine.chance.random() < 0.1),
    )


def _drills(machine: Machine, app: str, times: list[datetime]) -> Iterator[DrillRecord]:
    for days in range(5, 500, 30):
        time = machine.now - timedelta(days=days)
        why = "1 of 2 assertions do not hold." if days == 125 else ""
        yield _drill(machine, app, time, why)


def _drill(machine: Machine, app: str, time: datetime, message: str = "") -> DrillRecord:
    name = ArchiveName(app, time - timedelta(days=2), f"{machine.chance.getrandbits(32):08x}")
    asserted = tuple(
        Asserted(word, "SELECT 1", 1, 1, ok=not message or word == "enough")
        for word in ("enough", "opens")
    )
    receipt = Receipt(
        id=f"{machine.chance.getrandbits(128):032x}",
        app=app,
        archive=str(name),
        destination="",
        begun=time.isoformat(timespec="seconds"),
        outcome="failed" if message else "ok",
        message=message,
        seconds=20 + 15 * machine.chance.random(),
        newest_age=int(3600 * (1 + machine.chance.random() * 12)),
        assertions=asserted,
    )
    return DrillRecord(
        receipt.id, app, str(name), time, receipt.seconds, receipt.outcome, message,
        encode_receipt(receipt),
    )  # fmt: skip
