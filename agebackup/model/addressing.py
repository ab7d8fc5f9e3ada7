"""How a person names an archive without typing its whole name.

`NAME` (its whole name), `1f2e` (the beginning of its id), `latest`, `APP:latest`,
`APP:latest-manual`, or `APP@2026-11-01`: the newest at or before the end of that day;
`APP@2026-11-01T03:30`: at or before that moment.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from agebackup.errors import (
    AgebackupError,
    NotFoundError,
    UsageError,
    counted,
    printable,
    shortened,
)
from agebackup.model.inventory import Held, Inventory, grade
from agebackup.model.names import ArchiveName, is_app, require_app

ID = re.compile(r"[0-9a-f]{4,8}", re.IGNORECASE)
_SHORT = re.compile(r"[0-9a-f]{1,3}", re.IGNORECASE)
PRE_RESTORE = "pre-restore"
"""The tag of an archive that a restore in place made of the state that it replaced."""
_REPLACED = "it holds the state that a restore replaced"
_STRANGE = "the ledger does not know it: another machine made it, or somebody put it there"
_LATEST = re.compile(r"(?:(?P<app>[^:@/]+):)?latest(?P<manual>-manual)?")
_DATED = re.compile(r"(?P<app>[^:@/]+)@(?P<day>.+)")


@dataclass(frozen=True)
class Wanted:
    """What the person's words mean; exactly one of `name`, `id` and the rest is given.

    `app` None: of whichever app there is. `until` is a day, or a moment (without a time zone in
    that of the app's policy); None: the newest of all.
    """

    text: str
    name: str = ""
    id: str = ""
    app: str | None = None
    manual: bool = False
    until: date | datetime | None = None


def parse_wanted(text: str) -> Wanted | None:
    """Return what `text` means, None where it is none of these forms, so perhaps a path.

    Raises `UsageError` for what is nearly one, an impossible app or day, and for nothing at all.
    """
    if not text:
        raise UsageError("The archive's name is empty.", hint="See agebackup list.")
    if text.endswith(".age"):
        return Wanted(text, name=text) if ArchiveName.parse(text) else None
    if latest := _LATEST.fullmatch(text):
        app = latest["app"]
        return Wanted(text, app=app and require_app(app), manual=bool(latest["manual"]))
    if dated := _DATED.fullmatch(text):
        return Wanted(text, app=require_app(dated["app"]), until=_day(text, dated["day"]))
    if ID.fullmatch(text):
        return Wanted(text, id=text.lower())
    return None


def unknown(text: str) -> NotFoundError:
    """Return what to say of `text`, which is no form of these, where no such path exists either."""
    hint = "See agebackup list."
    if _SHORT.fullmatch(text):
        hint = f"If it begins an id: at least four characters of an id are needed. {hint}"
    elif is_app(text):
        hint = f"If it is an app, {text}:latest is its newest archive. {hint}"
    elif ":" in text:
        hint = f"After APP: comes latest or latest-manual. {hint}"
    return NotFoundError(f"There is no archive {printable(text)}.", hint=hint)


def _day(text: str, day: str) -> date | datetime:
    try:
        return date.fromisoformat(day)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(day)
    except ValueError:
        raise UsageError(
            f"{printable(text)!r} names no archive: {printable(day)!r} is no day.",
            hint="Write it as APP@2026-11-01, or with a time: APP@2026-11-01T03:30.",
        ) from None


@dataclass(frozen=True)
class Pick:
    """The archive that was meant, where it lies, and what the person should know about it."""

    held: Held
    inventory: Inventory
    remarks: tuple[str, ...] = ()


def choose(wanted: Wanted, inventories: Sequence[Inventory], zones: Mapping[str, tzinfo]) -> Pick:
    """Return the one archive in `inventories` that `wanted` means.

    `zones` are the time zones of the apps' policies; UTC without. By name or id any archive can be
    meant. The newest is never one that is known to be bad, evicted or from the future, nor one that
    the ledger does not know where it knows others: anybody who can write to the folder can put the
    newest there; nor one of a state that a restore replaced, where there are others. Where a newer
    one was passed over, a remark says so. Raises `UsageError` with the
    candidates where several are meant, and `NotFoundError` where none is.
    """
    if wanted.name or wanted.id:
        return _named(wanted, inventories)
    return _newest(wanted, inventories, zones)


def _named(wanted: Wanted, inventories: Sequence[Inventory]) -> Pick:
    found = [
        Pick(held, inventory)
        for inventory in inventories
        for held in inventory.nameable
        if str(held.name) == wanted.name or (wanted.id and held.name.id.startswith(wanted.id))
    ]
    if len({pick.held.name for pick in found}) > 1:
        raise ambiguous(wanted.text, [str(pick.held.name) for pick in found])
    if not found:
        raise _none(wanted, inventories)
    best, *more = found
    elsewhere = dict.fromkeys(pick.inventory.destination for pick in more)
    remarks = tuple(f"{best.held.name} lies in {printable(place)} too." for place in elsewhere)
    return Pick(best.held, best.inventory, remarks)


def _newest(wanted: Wanted, inventories: Sequence[Inventory], zones: Mapping[str, tzinfo]) -> Pick:
    end = _end(wanted, zones)

    def fits(name: ArchiveName) -> bool:
        app_fits = wanted.app in (None, name.app) and (name.manual or not wanted.manual)
        return app_fits and (end is None or name.time < end)

    fitting = [
        Pick(held, inventory)
        for inventory in inventories
        for held in inventory.archives
        if fits(held.name)
    ]
    apps = sorted({pick.held.name.app for pick in fitting})
    if len(apps) > 1:
        raise ambiguous(wanted.text, [f"{app}:{wanted.text}" for app in apps])
    unfit = [one for one in _unfit(inventories) if fits(one.name)]
    whole = [pick for pick in fitting if grade(pick.held) != "bad"]
    if recorded_any(inventories, wanted.app):
        strange = [pick.held.name for pick in whole if pick.held.record is None]
        unfit += [_Unfit(name, str(name), _STRANGE) for name in strange]
        whole = [pick for pick in whole if pick.held.record is not None]
    if not whole:
        raise _none(wanted, inventories, [f"{one.shown}: {one.why}" for one in unfit])
    replaced = [pick for pick in whole if pick.held.record and pick.held.record.tag == PRE_RESTORE]
    if len(replaced) < len(whole):  # or a second try would bring back what was to be left behind
        unfit += [_Unfit(one.held.name, str(one.held.name), _REPLACED) for one in replaced]
        whole = [pick for pick in whole if pick not in replaced]
    best = max(whole, key=lambda pick: (pick.held.name.time, str(pick.held.name)))
    return Pick(best.held, best.inventory, tuple(_remarks(best.held, unfit)))


@dataclass(frozen=True)
class _Unfit:
    """What is never picked by itself, though by its name it could be meant."""

    name: ArchiveName
    shown: str
    why: str


def _unfit(inventories: Sequence[Inventory]) -> Iterator[_Unfit]:
    for inventory in inventories:
        for held in inventory.archives:
            if grade(held) == "bad":
                yield _Unfit(held.name, str(held.name), "it is damaged")
        for other in inventory.others:
            if name := ArchiveName.parse(other.resembles):
                yield _Unfit(name, printable(other.entry.name), other.reason)
        for row in inventory.missing:
            if name := ArchiveName.parse(row.name):
                yield _Unfit(name, printable(row.file_name), "it is gone from the folder")


def recorded_any(inventories: Sequence[Inventory], app: str | None) -> bool:
    """Return whether the ledger knows archives of `app` in any of these folders, gone or there."""
    rows = [row for inventory in inventories for row in inventory.missing]
    for inventory in inventories:
        rows += [held.record for held in inventory.archives if held.record]
        rows += [other.record for other in inventory.others if other.record]
    return any(app in (None, row.app) for row in rows)


def _remarks(best: Held, unfit: Sequence[_Unfit]) -> Iterator[str]:
    newer = (
        one for one in unfit if one.name.app == best.name.app and one.name.time > best.name.time
    )
    yield from shortened([f"{one.shown} is newer, but {one.why}." for one in newer])


def _end(wanted: Wanted, zones: Mapping[str, tzinfo]) -> datetime | None:
    """Return the moment at which the day that was meant is over; None where none was named.

    Of a moment it is the next second, for names tell no less.
    """
    if wanted.until is None:
        return None
    zone = zones.get(wanted.app or "", UTC)
    try:
        if isinstance(wanted.until, datetime):
            moment = wanted.until if wanted.until.tzinfo else wanted.until.replace(tzinfo=zone)
            return moment.astimezone(UTC) + timedelta(seconds=1)
        return datetime.combine(wanted.until + timedelta(days=1), time(), zone).astimezone(UTC)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def ambiguous(text: str, candidates: Sequence[str]) -> UsageError:
    """Return the refusal of words that could mean any of `candidates`."""
    return UsageError(
        f"{printable(text)!r} could be any of these:",
        hint="Name one of them.",
        details=shortened(sorted(set(candidates))),
    )


def _none(
    wanted: Wanted, inventories: Sequence[Inventory], unfit: Sequence[str] = ()
) -> AgebackupError:
    names = [str(held.name) for one in inventories for held in one.archives]
    where = ", ".join(printable(one.destination) for one in inventories) or "no destination"
    there = counted(len(names), "archive")
    hint = f"What lies there: {there}; see agebackup list." if names else ""
    return NotFoundError(
        f"No archive in {where} is {printable(wanted.text)!r}.",
        hint=hint,
        details=shortened(unfit),
    )
