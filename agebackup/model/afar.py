"""What the ledger knows of the copies of an app's archives in another place, and what is wrong."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agebackup.errors import counted
from agebackup.model.durations import span_text
from agebackup.model.findings import Finding
from agebackup.model.pushing import Stock, held_of, push_plan
from agebackup.model.records import ArchiveRecord, PushRecord
from agebackup.model.retention import Policy

NOT_PUSHED = "Not pushed to"
"""How the message of a run begins that failed at nothing but carrying its archive away."""


@dataclass(frozen=True)
class Afar:
    """The copies in one place. `newest` is the newest that is known to have arrived.

    `owed`, oldest first, are archives that are still to be carried there; `last` is the last push.
    """

    destination: str
    newest: ArchiveRecord | None = None
    owed: tuple[ArchiveRecord, ...] = ()
    last: PushRecord | None = None


def seen_afar(
    rows: Sequence[ArchiveRecord], keys: tuple[str, str], policy: Policy | None, now: datetime
) -> Afar:
    """Return what `rows` of one app say of the second of `keys`, where copies of what lies in the
    first are to be; deleted and pending rows count too."""
    local, key = keys
    there = [row for row in rows if row.destination == key]
    stock = Stock(held_of([row for row in rows if row.destination == local]), tuple(there))
    arrived = [
        row for row in there if row.deleted is None and not (row.pending or row.bad or row.foreign)
    ]
    return Afar(
        key,
        max(arrived, key=lambda row: (row.time, row.name), default=None),
        tuple(load.record for load in reversed(push_plan(stock, key, policy, now).loads)),
    )


def complaints_afar(
    app: str, copies: Iterable[Afar], limit: float | None, now: datetime
) -> Iterator[Finding]:
    """Yield what is wrong with the `copies`; they may be `limit` seconds old as archives may.

    A place that nothing was carried to yet is as old as the oldest archive that it is owed.
    """
    for one in copies:
        first = one.newest or next(iter(one.owed), None)
        late = limit is not None and first and now - first.time > timedelta(seconds=limit)
        failed = one.last is not None and one.last.outcome == "failed"
        said = f" {one.last.message}" if failed and one.last else ""
        remedy = f"See why, and try again: agebackup push {app}"
        if one.owed and late and first:
            what = (
                f"The newest copy of {app} in {one.destination} is {span_text(now - first.time)} "
                "old."
                if one.newest
                else f"No archive of {app} was ever carried to {one.destination}."
            )
            yield Finding("error", "not-pushed", one.destination, f"{what}{said}", remedy)
        elif failed and one.last:
            when = f"{one.last.begun:%Y-%m-%d %H:%M} UTC"
            fact = f"The last push of {app} to {one.destination}, at {when}, failed:{said}"
            yield Finding("warning", "push-failed", one.destination, fact, remedy)
        elif one.owed:
            fact = f"{counted(len(one.owed), 'archive')} of {app} are not in {one.destination} yet."
            yield Finding("note", "push-owed", one.destination, fact, f"agebackup push {app}")


def made_good(message: str, copies: Sequence[Afar]) -> bool:
    """Return whether a run failed at nothing but what is not owed any more."""
    return message.startswith(NOT_PUSHED) and bool(copies) and not any(o.owed for o in copies)
