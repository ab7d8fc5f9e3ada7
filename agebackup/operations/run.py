"""What `run` asks of the ledger: when an app was last backed up, and whether a run hangs."""

from datetime import datetime, timedelta
from pathlib import Path

from agebackup.errors import BusyError
from agebackup.ledger import Ledger, LedgerError
from agebackup.model.due import Rhythm, Verdict, judge
from agebackup.model.durations import span_text
from agebackup.model.lastrun import published_in
from agebackup.model.records import RunRecord

LOOKED_AT = 200
"""How many runs back an archive is looked for; an app without one among so many is due."""


def due(app: str, beat: Rhythm, ledger: Ledger | None, last_run: Path, now: datetime) -> Verdict:
    """Return whether `app` is due, from the ledger's runs and from its last-run.json.

    What was taken by hand does not count: it does not take the place of a regular archive. The file
    is asked where the ledger knows of no run. Where neither knows anything the app is due.
    """
    known = _runs(app, ledger)
    made = [
        run.begun for run in known if run.kind == "auto" and run.outcome in ("ok", "incomplete")
    ]
    return judge(beat, made if known else _remembered(last_run), now)


def require_alive(app: str, beat: Rhythm, ledger: Ledger | None, now: datetime) -> None:
    """Raise `BusyError` if the run of `app` that is at work has been so for over an interval."""
    for run in _runs(app, ledger):
        if run.outcome == "running":
            age = now - run.begun
            if age > timedelta(seconds=beat.interval):
                raise BusyError(
                    f"Another run of {app} has been at work for {span_text(age)}"
                    + (f", at last {run.phase}." if run.phase else "."),
                    hint="It may hang, on a dead mount for example: end it, and look why.",
                )
            return


def _runs(app: str, ledger: Ledger | None) -> tuple[RunRecord, ...]:
    if ledger is None:
        return ()
    try:
        return ledger.runs(app, limit=LOOKED_AT)
    except LedgerError:  # whoever opened it has said so, or will
        return ()


def _remembered(last_run: Path) -> list[datetime]:
    try:
        moment = published_in(last_run.read_bytes())
    except OSError:
        return []
    return [moment] if moment else []
