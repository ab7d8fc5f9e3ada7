"""Drills: which archive is to be tried, and the receipt that says how it went."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Literal

import msgspec

from agebackup.errors import NotFoundError, UsageError
from agebackup.model.addressing import Wanted, choose, recorded_any
from agebackup.model.assertions import Asserted
from agebackup.model.inventory import Inventory, grade, leaving, returned
from agebackup.model.names import ArchiveName
from agebackup.model.records import DrillRecord

SCHEMA: Literal["agebackup/drill-receipt/v1"] = "agebackup/drill-receipt/v1"
NEVER_DRILLED = 10
"""How many times as likely an archive that was never drilled is drawn as one that was."""


@dataclass(frozen=True)
class Candidate:
    """An archive that could be drilled, and how often it was."""

    path: Path
    drilled: int = 0

    @property
    def weight(self) -> int:
        """How likely it is drawn, compared with the others."""
        return 1 if self.drilled else NEVER_DRILLED


def candidates(
    app: str, inventories: Sequence[Inventory], drills: Iterable[DrillRecord]
) -> tuple[Candidate, ...]:
    """Return the archives of `app` that could be drilled, newest first.

    What is damaged, only in the cloud, on its way out or brought back is none, nor is what the
    ledger does not know where it knows others: whoever can write to the folder can put it there.
    """
    known = recorded_any(inventories, app)
    tried = Counter(drill.archive for drill in drills)
    return tuple(
        Candidate(Path(inventory.destination, str(held.name)), tried[str(held.name)])
        for inventory in inventories
        for held in inventory.of(app)
        if grade(held) != "bad"
        and not (leaving(held) or returned(held))
        and (held.record is not None or not known)
    )


def drawn(among: Sequence[Candidate], chance: float) -> Candidate:
    """Return one of `among`, which is not empty, by `chance`, a number from 0 to below 1."""
    sums = list(accumulate(one.weight for one in among))
    point = chance * sums[-1]
    return next(one for one, end in zip(among, sums, strict=True) if point < end)


def newest(app: str, inventories: Sequence[Inventory]) -> ArchiveName | None:
    """Return the newest archive that `APP:latest` would take: what is lost after it, is lost."""
    try:
        return choose(Wanted(f"{app}:latest", app=app), inventories, {}).held.name
    except (NotFoundError, UsageError):
        return None


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What was drilled, when, and what came of it. Times are RFC 3339 in UTC, sizes bytes.

    `archive` is what the file is called, `made` its time, `sha256` what the ledger knows of it and
    the file was found to have ("" where it knows nothing). `seconds` is how long it took until all
    was restored and checked (the recovery time), None where that did not come to its end. `age` is
    how old the archive was, `newest_age` how old the newest good one (the recovery point).
    """

    schema: Literal["agebackup/drill-receipt/v1"] = SCHEMA
    id: str
    app: str
    archive: str
    destination: str
    sha256: str = ""
    made: str | None = None
    begun: str
    host: str = ""
    agebackup: str = ""
    outcome: Literal["ok", "failed"] = "ok"
    exit_code: int = 0
    message: str = ""
    details: tuple[str, ...] = ()
    seconds: float | None = None
    files: int | None = None
    bytes: int | None = None
    age: int | None = None
    newest: str = ""
    newest_age: int | None = None
    checked: tuple[str, ...] = ()
    assertions: tuple[Asserted, ...] = ()
    warnings: tuple[str, ...] = ()


def encode_receipt(receipt: Receipt) -> str:
    """Return `receipt` as indented JSON with a final newline: the text that is kept and signed."""
    return msgspec.json.format(msgspec.json.encode(receipt), indent=2).decode() + "\n"


def decode_receipt(text: str) -> Receipt | None:
    """Return the receipt that `text` is; None where it is none, or one of a later form."""
    try:
        return msgspec.json.decode(text, type=Receipt)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def seconds_between(then: datetime | None, now: datetime) -> int | None:
    """Return the whole seconds from `then` to `now`, None where there is no `then`."""
    return None if then is None else (now - then) // timedelta(seconds=1)
