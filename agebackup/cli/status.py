"""agebackup status"""

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agebackup.cli.console import console
from agebackup.cli.findings import fields, told
from agebackup.cli.scope import known_config, known_ledger, now, places
from agebackup.cli.settings import current, global_options
from agebackup.cli.timers import all_timers, last_told
from agebackup.errors import STALE, NotFoundError, printable, worst
from agebackup.model.durations import span_text
from agebackup.model.names import folder_of

if TYPE_CHECKING:
    from datetime import datetime

    from agebackup.cli.console import Console
    from agebackup.cli.scope import Place
    from agebackup.model.afar import Afar
    from agebackup.model.freshness import AppStatus
    from agebackup.model.records import ArchiveRecord
    from agebackup.model.timer import Timer
    from agebackup.operations.status import Watched


@click.command("status", short_help="Say whether backups are fresh.")
@click.argument("app", required=False)
@click.option("--max-age", metavar="26h", help="The oldest that the newest archive may be.")
@click.option("--watch", is_flag=True, help="On a terminal: look again and again, until a key.")
@click.option("--interval", metavar="5s", help="How often to look with --watch; 5s.")
@global_options
def command(app: str | None, max_age: str | None, *, watch: bool, interval: str | None) -> int:
    """Say of each app whether its backups are fresh: a line per app, and what is wrong.

    Exit code 5 where the newest archive is older than --max-age (else max_age, else the interval
    with its jitter and two hours), missing, cut short or from the future, or where there is none,
    and where an installed timer is gone, or the configuration no longer declares its app. Looks at
    names and sizes only, and waits for no destination that hangs.

    With --watch it is drawn anew every few seconds, until a key is pressed; then the exit code is
    that of the last look. After Ctrl-C it is 130, as after any command.
    """
    from agebackup.cli.watching import require_screen, span, watched
    from agebackup.model.durations import parse_duration

    out = console(current(), "status")
    limit = parse_duration(max_age).total_seconds() if max_age is not None else None
    every = span(interval, watch=watch)
    if watch:
        require_screen(out)
        return watched(lambda to: _told(app, limit, to), every, out)
    moment = now()
    judged = judgement(app, limit, out, moment)
    code = _code(judged, out)
    if out.settings.json:
        stale = any(one.stale for one in judged)
        out.output.result(
            "",
            status="stale" if stale else "failed" if code else "ok",
            exit=code,
            apps=[_fields(one, moment) for one in judged],
        )
    else:
        out.output.result("\n".join(line for one in judged for line in _lines(one, moment)))
    return code


def _told(app: str | None, limit: float | None, out: "Console") -> tuple[int, list[str]]:
    """Return the exit code and the lines of one look."""
    moment = now()
    judged = judgement(app, limit, out, moment)
    return _code(judged, out), [line for one in judged for line in _lines(one, moment)]


def _code(judged: "Iterable[AppStatus]", out: "Console") -> int:
    stale = any(one.stale for one in judged)
    return worst((STALE if stale else 0, *(one.get("exit", 0) for one in out.settings.settled)))


def judgement(
    app: str | None, limit: float | None, out: "Console", moment: "datetime"
) -> "tuple[AppStatus, ...]":
    """Return how `app` (None: every app) stands at `moment`, its timers included.

    `limit` is how old the newest archive may be, in seconds; None: as it is configured.
    """
    from agebackup.operations.status import status

    installed, drills = all_timers(out)
    found = _places(app, installed, out)
    watched = list(_watched(found, limit, _takes(installed, out), drills))
    return (
        *status(watched, known_ledger(out), moment, out.progress),
        *_astray(app, found, installed, moment),
    )


def _places(
    app: str | None, installed: "Mapping[str, Timer]", out: "Console"
) -> "tuple[Place, ...]":
    """Return the places; none where only a timer knows of the app."""
    try:
        return places(app, None, out)
    except NotFoundError:
        if not any(one and app in (None, one) for one in installed):
            raise
        return ()


def _takes(installed: "Mapping[str, Timer]", out: "Console") -> "Callable[[Place], Timer | None]":
    """Return what tells the timer that backs up a place's app, or that should."""
    config = known_config(out)
    none_declared = config is None or not config.apps

    def timer(place: "Place") -> "Timer | None":
        profile = place.profile
        asked = profile.watch.enabled is not False if profile else none_declared
        return installed.get(place.app or "") or (installed.get("") if asked else None)

    return timer


def _watched(
    found: "Iterable[Place]",
    limit: float | None,
    timer: "Callable[[Place], Timer | None]",
    drills: "Mapping[str, Timer]",
) -> "Iterable[Watched]":
    from agebackup.cli import directories
    from agebackup.operations.status import Watched

    for place in found:
        assert place.app is not None
        path = Path(os.path.abspath(place.to))
        heard, success = last_told(place.app)
        yield Watched(
            place.app,
            folder_of(path),
            directories.lock_file(place.app),
            place.profile.watch if place.profile else None,
            timer(place),
            limit,
            heard,
            success,
            drill_timer=drills.get(place.app) or drills.get(""),
            recipients=place.profile.recipients if place.profile else (),
            recipients_files=place.profile.recipients_files if place.profile else (),
            remotes=place.profile.remotes if place.profile else (),
            retention=place.profile.retention if place.profile else None,
        )


def _astray(
    app: str | None,
    found: "Iterable[Place]",
    installed: "Mapping[str, Timer]",
    moment: "datetime",
) -> "Iterable[AppStatus]":
    """Return the judgement of apps of which there is nothing but a timer."""
    from agebackup.model.freshness import judge
    from agebackup.model.observed import Facts, Look

    known = {place.app for place in found}
    for name, timer in installed.items():
        if name and name not in known and app in (None, name):
            yield judge(Facts(name, "", timer=timer, look=Look()), moment)


def _lines(one: "AppStatus", moment: "datetime") -> list[str]:
    parts = [f"{printable(one.app)}: {_WORDS[one.state]}"]
    if one.newest is not None:
        size = f", {one.newest.size:,} bytes" if one.newest.size is not None else ""
        parts.append(f"newest {_when(one.newest.time, moment)}{size}")
        parts += _checks(one, moment)
    if one.limit is not None and one.state != "disabled":
        parts.append(f"stale after {span_text(timedelta(seconds=one.limit))}")
    if one.next_run is not None:
        parts.append(f"next run {one.next_run.astimezone():%Y-%m-%d %H:%M %Z}")
    parts += _drilled(one, moment)
    parts += [printable(one.destination)] if one.destination else []
    lines = ["; ".join(parts), *_copies(one, moment), *told(one.findings)]
    said = any(finding.code == "last-run-failed" for finding in one.findings)
    if one.last_failure is not None and one.failing and not said:
        why, when = printable(one.last_failure.message), _when(one.last_failure.begun, moment)
        lines.append(f"  last failure {when}: {why}")
    return lines


def _copies(one: "AppStatus", moment: "datetime") -> "Iterable[str]":
    for copy in one.copies:
        newest = f"newest {_when(copy.newest.time, moment)}" if copy.newest else "nothing yet"
        owed = f"{len(copy.owed):,} owed" if copy.owed else "nothing owed"
        yield f"  {printable(copy.destination)}: {newest}, {owed}"


def _when(then: "datetime", moment: "datetime") -> str:
    age = span_text(moment - then)
    return f"{age} ago" if then <= moment else f"{age} ahead of the clock"


_WORDS = {
    "fresh": "fresh",
    "at-risk": "AT RISK",
    "stale": "STALE",
    "never": "NEVER BACKED UP",
    "disabled": "disabled",
    "known": "known",
    "unknown": "NOTHING KNOWN",
}


def _checks(one: "AppStatus", moment: "datetime") -> list[str]:
    """Return how far anybody has seen that an archive can be read back."""
    tried = {"verified": one.verified, "restored": one.restored}
    said = [
        f"last {how} {_when(record.checked, moment)}"
        for how, record in tried.items()
        if record is not None and record.checked is not None
    ]
    if one.newest is not None and one.newest not in tried.values():
        said.insert(0, "proved" if one.newest.proved else "not proved")
    return said


def _drilled(one: "AppStatus", moment: "datetime") -> list[str]:
    drill = one.drill
    if drill is None:
        return []
    took = f", {drill.seconds:,.1f} s" if drill.seconds is not None else ""
    result = f"ok{took}" if drill.outcome == "ok" else "FAILED"
    return [f"last drill {_when(drill.begun, moment)} ({result})"]


def _fields(one: "AppStatus", moment: "datetime") -> dict[str, Any]:
    newest, failure, drill = one.newest, one.last_failure, one.drill
    return {
        "app": one.app,
        "destination": one.destination,
        "state": one.state,
        "stale": one.stale,
        "newest": newest.name if newest else None,
        "size": newest.size if newest else None,
        "age": int((moment - newest.time).total_seconds()) if newest else None,
        "limit": one.limit,
        "last_success": one.last_success.isoformat() if one.last_success else None,
        "last_failure": {"time": failure.begun.isoformat(), "message": failure.message}
        if failure
        else None,
        "proved": newest.proved if newest else None,
        "last_verified": _checked(one.verified),
        "last_restored": _checked(one.restored),
        "last_drill": {
            "time": drill.begun.isoformat(),
            "name": drill.archive,
            "outcome": drill.outcome,
            "seconds": drill.seconds,
            "message": drill.message,
        }
        if drill
        else None,
        "copies": [_copy(copy, moment) for copy in one.copies],
        "next_run": one.next_run.isoformat() if one.next_run else None,
        "running": one.running,
        "findings": fields(one.findings),
    }


def _checked(record: "ArchiveRecord | None") -> dict[str, Any] | None:
    if record is None or record.checked is None:
        return None
    return {"time": record.checked.isoformat(), "name": record.name}


def _copy(copy: "Afar", moment: "datetime") -> dict[str, Any]:
    newest, last = copy.newest, copy.last
    return {
        "destination": copy.destination,
        "newest": newest.name if newest else None,
        "age": int((moment - newest.time).total_seconds()) if newest else None,
        "owed": [row.name for row in copy.owed],
        "owed_since": copy.owed[0].time.isoformat() if copy.owed else None,
        "last_push": {
            "time": last.begun.isoformat(),
            "outcome": last.outcome,
            "message": last.message,
            "pushed": last.pushed,
            "bytes": last.bytes,
        }
        if last
        else None,
    }
