"""Trying an installed job out: by day, by the very timer that will start it at night."""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agebackup.cli import directories
from agebackup.cli.console import Console
from agebackup.cli.scope import known_ledger, now
from agebackup.errors import printable

if TYPE_CHECKING:
    from agebackup.scheduling.job import Job, Timers
    from agebackup.system.process import CommandResult


@dataclass(frozen=True)
class Tried:
    """How the job ended: its exit code, the archives it made (paths), those it pruned (names).

    `drilled` are the names of those that it restored for the sake of proof.
    """

    code: int
    archives: tuple[str, ...] = ()
    pruned: tuple[str, ...] = ()
    drilled: tuple[str, ...] = ()


def tried_out(timers: "Timers", job: "Job", out: Console) -> Tried:
    """Try the installed job out, and tell how that was; 1 where it did not do what it should."""
    if job.task == "drill":
        return _drilled(timers, job, out)
    from agebackup.operations.wish import leave_wish, take_wish

    out.output.say("Running it once, as the timer will.")
    wish, begun = directories.wish_file(job.app), now()
    leave_wish(wish, begun, directories.claims())
    try:
        done = timers.run(job)
    finally:
        unheard = take_wish(wish, begun)
    if unheard and not done.code:
        return _elsewhere("at night it will not know what is due", out)
    made = [*_made(job.app, begun)]
    archives = tuple(path for path, _ in made)
    pruned = tuple(name for _, names in made for name in names)
    if pruned:
        out.output.say(f"Pruned: {', '.join(map(printable, pruned))}")
    return Tried(_told(done, _why(job.app, begun), out), archives, pruned)


def _drilled(timers: "Timers", job: "Job", out: Console) -> Tried:
    """Try a job of drills out: it must leave a receipt for what it drilled."""
    out.output.say("Drilling once, as the timer will.")
    begun = now()
    done = timers.run(job)
    ledger = known_ledger(out)
    with ledger or nullcontext():
        records = ledger.drills(job.app or None) if ledger else ()
    fresh = [one for one in records if one.begun >= begun]
    if not fresh and not done.code:
        return _elsewhere("nobody will know of its drills", out)
    why = next((one.message for one in fresh if one.outcome == "failed"), "")
    drilled = tuple(one.archive for one in reversed(fresh))
    return Tried(_told(done, why, out), drilled=drilled)


def _elsewhere(so: str, out: Console) -> Tried:
    out.output.warn(
        "The job ended well, but did not look into this user's state directory "
        f"({printable(str(directories.state_directory()))}): {so}."
    )
    return Tried(1)


def _told(done: "CommandResult", why: str, out: Console) -> int:
    """Tell how the job ended, which itself said `why` where it failed; return the exit code."""
    why = why or _last_word(done.stderr)
    if done.code:
        out.output.warn(
            f"The job ran and ended with {done.code}{': ' if why else ''}{why.rstrip('.')}. The "
            "timer stays installed, but nothing reliable will happen at night. See agebackup log."
        )
    else:
        out.output.say("The job ran well. See: agebackup status")
    return done.code if done.code >= 0 else 1


def _made(app: str, begun: datetime) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield path and pruned archives of each run since `begun`, as last-run.json has them."""
    from agebackup.model.lastrun import made_in

    for file in _last_runs(app):
        try:
            made = made_in(file.read_bytes(), begun)
        except OSError:
            continue
        if made is not None:
            yield made


def _last_runs(app: str) -> list[Path]:
    every = directories.last_run_file(app)
    return [every] if app else sorted(every.parent.glob(f"?*{every.name}"))


def _why(app: str, begun: datetime) -> str:
    """Return what the run of `app` that began after `begun` said of its end, as it left word."""
    from agebackup.model.lastrun import complaint_in

    try:
        return complaint_in(directories.last_run_file(app).read_bytes(), begun) if app else ""
    except OSError:
        return ""


def _last_word(stderr: str) -> str:
    """Return the last message in `stderr`; hints and details are indented."""
    lines = [line for line in stderr.splitlines() if line.strip() and not line.startswith(" ")]
    return printable(lines[-1].removeprefix("agebackup: ")) if lines else ""
