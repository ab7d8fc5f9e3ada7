"""What is wrong with an app's backups, and what to do about it, one sentence for each."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from agebackup.model.afar import made_good
from agebackup.model.changes import lost, shrunk, sudden
from agebackup.model.durations import span_text
from agebackup.model.findings import Finding, Severity
from agebackup.model.inventory import is_future
from agebackup.model.keychecks import reminder
from agebackup.model.names import ArchiveName
from agebackup.model.observed import Facts, Look, State
from agebackup.model.records import ArchiveRecord
from agebackup.model.timer import missed, not_firing, silent, undeclared

ROOM = 5
"""For how many more archives there should be room."""


def complaints(
    facts: Facts, newest: ArchiveRecord | None, state: State, now: datetime
) -> Iterator[Finding]:
    """Yield what is to be said of `facts`, whose `newest` archive is as old as `state` says."""
    yield from _age(facts, newest, state, now)
    yield from _origin(newest)
    yield from _timer(facts, state, now)
    yield from _runs(facts)
    yield from _place(facts, newest)
    yield from _contents(facts)
    yield from _drill(facts, now)
    if facts.watch is not None and state != "disabled":
        yield from reminder(facts.app, facts.custody, facts.watch.keycheck_every, now)


def _age(
    facts: Facts, newest: ArchiveRecord | None, state: State, now: datetime
) -> Iterator[Finding]:
    app = facts.app
    ahead = next((one for one in facts.archives if is_future(one.time, now)), None)
    if ahead is not None:
        yield Finding(
            "error" if ahead is newest else "warning",
            "clock-back",
            app,
            f"An archive of {app} is from {ahead.time:%Y-%m-%d %H:%M} UTC, which has not come yet.",
            "Set this machine's clock: it went back, or was ahead when the archive was made.",
        )
    if state == "stale" and newest is not None and newest is not ahead:
        age = span_text(now - newest.time)
        yield Finding(
            "error",
            "stale",
            app,
            f"The newest archive of {app} is {age} old.",
            f"Make one: agebackup create {app}"
            if silence(facts, now) is not None
            else "See agebackup log, and make one: agebackup create.",
        )
    if state in ("never", "unknown"):
        yield from _never(facts)


def _never(facts: Facts) -> Iterator[Finding]:
    app, there = facts.app, (*facts.look.sizes, *facts.look.evicted) if facts.look else ()
    names = [name for name in map(ArchiveName.parse, there) if name and name.app == app]
    fact, remedy = f"No archive of {app} is known.", "See agebackup log."
    if names:
        fact = f"The ledger knows no archive of {app}, and its folder holds {len(names):,}."
        remedy = "If this machine made them: agebackup ledger rebuild DEST --mine."
    yield Finding("error", "never", app, fact, remedy)


def _origin(newest: ArchiveRecord | None) -> Iterator[Finding]:
    if newest is not None and newest.foreign:
        yield Finding(
            "warning",
            "newest-foreign",
            newest.file_name,
            f"The newest archive {newest.file_name} is known from the folder alone: nothing here "
            "says that this machine made it.",
            "If it did: agebackup ledger rebuild DEST --mine. Else make one: agebackup create.",
        )


def _timer(facts: Facts, state: State, now: datetime) -> Iterator[Finding]:
    app, watch, timer = facts.app, facts.watch, facts.timer
    if state == "disabled":
        yield Finding(
            "note",
            "disabled",
            app,
            f"{app} is disabled in the configuration, so nothing backs it up by itself.",
            "Set enabled = true, or leave the key out and install a timer.",
        )
    elif timer is not None and watch is None:
        yield undeclared(timer, app)
    elif timer is not None:
        yield from not_firing(timer)
        quiet = None if timer.gone or facts.running else silence(facts, now)
        # who said how old the newest may be may have switched the machine off
        late: Severity = "error" if state in ("stale", "never") else "warning"
        if quiet is not None:
            yield replace(silent(timer, app, quiet), severity=late)
    elif watch is not None and watch.enabled is None:
        yield Finding(
            "note",
            "no-timer",
            app,
            f"No timer backs {app} up by itself.",
            f"Install one: agebackup schedule install {app}",
        )


def silence(facts: Facts, now: datetime) -> timedelta | None:
    """Return for how long nothing was heard of the timer, None where it is not to be expected."""
    timer, watch = facts.timer, facts.watch
    if timer is None or watch is None:
        return None
    begun = facts.runs[0].begun if facts.runs else None
    heard = max(moment for moment in (timer.since, facts.heard, begun) if moment is not None)
    return missed(timer.expected(watch.interval), heard, now)


def _runs(facts: Facts) -> Iterator[Finding]:
    last = facts.runs[0] if facts.runs else None
    if last is None:
        return
    when = f"{last.begun:%Y-%m-%d %H:%M} UTC"
    if facts.running:
        fact = f"{facts.app} is being backed up now, since {when}."
        yield Finding("note", "running", facts.app, fact)
    elif last.outcome == "running":
        yield Finding(
            "warning",
            "cut-off",
            facts.app,
            f"The run of {facts.app} that began at {when} was cut off.",
            "The next run cleans up after it; see agebackup log.",
        )
    elif last.outcome in ("failed", "stopped"):
        yield Finding(
            "warning",
            "last-run-failed",
            facts.app,
            f"The last run of {facts.app}, at {when}, failed: {last.message}",
            "See agebackup log.",
        )
    elif last.outcome == "incomplete" and not made_good(last.message, facts.copies):
        yield Finding(
            "warning",
            "incomplete",
            facts.app,
            f"The last run of {facts.app}, at {when}, was not complete: {last.message}",
            "See agebackup log.",
        )


def _place(facts: Facts, newest: ArchiveRecord | None) -> Iterator[Finding]:
    shown, look = facts.destination, facts.look
    if look is None:
        yield Finding(
            "warning",
            "destination-stuck",
            shown,
            f"The destination {shown} does not answer.",
            "It is probably a network drive whose other side is gone: unmount or reconnect it.",
        )
        return
    if look.problem:
        yield Finding(
            "warning",
            "destination-away",
            shown,
            f"The destination {shown} cannot be reached: {look.problem}.",
            "Connect or mount it.",
        )
        return
    if newest is not None:
        yield from _whole(newest, look)
    sizes = [one.size for one in facts.archives[:ROOM] if one.size]
    if look.free is not None and sizes and look.free < ROOM * max(sizes):
        left = look.free // max(sizes)
        yield Finding(
            "warning",
            "little-space",
            shown,
            f"{shown} has {look.free:,} bytes left: room for {left} more archives.",
            "Free some space, or let the retention keep fewer.",
        )


def _whole(newest: ArchiveRecord, look: Look) -> Iterator[Finding]:
    name, size = newest.file_name, look.sizes.get(newest.file_name)
    if size is not None and newest.size not in (None, size):
        fact = f"The newest archive {name} has {size:,} bytes instead of {newest.size:,}."
        yield Finding("error", "newest-cut", name, fact, "See agebackup audit; make another one.")
    elif name in look.evicted:
        fact = f"The content of the newest archive {name} is only in the cloud."
        yield Finding("note", "newest-evicted", name, fact, "Keep the folder on this machine.")
    elif size is None:
        fact = f"The newest archive {name} is not in its folder."
        yield Finding("error", "newest-gone", name, fact, "See agebackup audit; make another one.")


def _contents(facts: Facts) -> Iterator[Finding]:
    known = [one for one in facts.archives if one.figures is not None]
    figures = [one.figures for one in known if one.figures is not None][:2]
    found = sudden(figures[1], figures[0]) if len(figures) == 2 else ()
    yield from found
    if known and not shrunk(found):
        earlier = lost(known[0], known[1:])  # or an hourly archive would hide it within the hour
        yield from earlier[1] if earlier else ()


def _drill(facts: Facts, now: datetime) -> Iterator[Finding]:
    app, drill, timer = facts.app, facts.drill, facts.drill_timer
    if drill is not None and drill.outcome == "failed":
        yield Finding(
            "error",
            "drill-failed",
            app,
            f"The last drill of {app}, at {drill.begun:%Y-%m-%d %H:%M} UTC, failed with "
            f"{drill.archive}: {drill.message}",
            f"Mend the cause, then: agebackup drill {app} -i KEY",
        )
    if timer is None:
        return
    yield from not_firing(timer)
    heard = max(timer.since, drill.begun) if drill is not None else timer.since
    quiet = None if timer.gone else missed(timer.seconds, heard, now)
    if quiet is not None:
        yield Finding(
            "warning",
            "drill-overdue",
            app,
            f"No drill of {app} was made for {span_text(quiet)}, although a timer is installed.",
            "See whether the machine sleeps then; try: "
            + f"agebackup schedule run-now --drill {timer.app}".rstrip(),
        )
