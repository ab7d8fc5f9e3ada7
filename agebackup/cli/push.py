"""agebackup push"""

import os
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from agebackup.cli.console import Console, console
from agebackup.cli.outcomes import Outcomes
from agebackup.cli.output import described
from agebackup.cli.pushing import limited, push_order, push_places, tell_report
from agebackup.cli.scope import known_ledger, required_ledger
from agebackup.cli.settings import current, global_options
from agebackup.errors import (
    AgebackupError,
    StoppedError,
    UsageError,
    VerificationError,
    counted,
    printable,
    worst,
)
from agebackup.model.bandwidth import require_bandwidth

if TYPE_CHECKING:
    from agebackup.model.profile import Config, Profile
    from agebackup.model.pushing import PushPlan
    from agebackup.model.whereabouts import Whereabouts
    from agebackup.operations.push import PushReport
    from agebackup.operations.pusheverywhere import Pushing


@click.command("push", short_help="Carry copies of archives to the other destinations.")
@click.argument("app", required=False)
@click.option("--to", metavar="REMOTE", help="Only there, as the configuration names it.")
@click.option("--bwlimit", metavar="RATE", help="At most so much a second, as 500K or 2M; or off.")
@click.option("--dry-run", is_flag=True, help="Look there, and say what would be carried and why.")
@global_options
def command(app: str | None, to: str | None, bwlimit: str | None, *, dry_run: bool) -> int:
    """Carry the archives of APP, or of every app, to its further destinations.

    What is there already is not carried again; afterwards the app's retention is applied there.
    `create` and `run` do so by themselves: this is for what they could not carry. Exit code 3 where
    something is owed still, 4 where an archive here is damaged: that one is not carried.
    """
    out = console(current(), "push")
    if bwlimit is not None:
        require_bandwidth(bwlimit)
    outcomes = Outcomes(out)
    for profile, places in _chosen(app, to, out):
        asked = limited(places, bwlimit)
        work = partial(_planned if dry_run else _pushed, profile, asked, out)
        if not outcomes.add(profile.name, work):
            break
    return outcomes.report()


def _chosen(
    app: str | None, to: str | None, out: Console
) -> "list[tuple[Profile, tuple[Whereabouts, ...]]]":
    from agebackup.cli.directories import config_path
    from agebackup.config import load_config

    config = load_config(config_path(out.settings), out.settings.variables)
    profiles = [config.app(app)] if app is not None else list(config.apps)
    found = [(one, places) for one in profiles if (places := _meant(one, to))]
    if not found:
        raise _nowhere(app, to, profiles, config)
    return found


def _meant(profile: "Profile", to: str | None) -> "tuple[Whereabouts, ...]":
    """Return the further destinations of `profile`, or that which `to` names."""
    from agebackup.model.whereabouts import parse_whereabouts

    if to is None:
        return profile.remotes
    asked = parse_whereabouts(to)
    text = os.path.abspath(asked.place) if asked.is_folder else asked.text
    return tuple(place for place in profile.remotes if place.text == text)


def _nowhere(
    app: str | None, to: str | None, profiles: "list[Profile]", config: "Config"
) -> UsageError:
    known = list(dict.fromkeys(place.text for one in profiles for place in one.remotes))
    whose = printable(app) if app is not None else "any app"
    if to is not None and known:
        return UsageError(
            f"{printable(to)!r} is no further destination of {whose}.",
            hint=f"Declared are: {', '.join(map(printable, known))}.",
        )
    return UsageError(
        f"{printable(str(config.file))} declares no further destination of {whose}.",
        hint='Name several: destination = ["/a/directory", "rclone:REMOTE:PATH"].',
    )


def _pushed(
    profile: "Profile", places: "tuple[Whereabouts, ...]", out: Console
) -> tuple[int, dict[str, Any]]:
    from agebackup.cli.supervising import journal
    from agebackup.operations.pusheverywhere import push_everywhere

    log = journal(out)

    def note(event: str, **fields: Any) -> None:
        if problem := log.event(event, profile.name, **fields):
            out.output.warn_once(problem)

    with required_ledger() as ledger:
        done = push_everywhere(
            push_order(profile, out), push_places(profile, places, out), ledger, out.progress, note
        )
    if done.busy:
        raise done.busy
    out.output.say(f"{profile.name}:")
    for report in done.reports:
        tell_report(report, out)
        for left in report.left:
            out.output.say(f"  {left.name} stays here alone: {left.why}")
        if not out.settings.json:
            for sent in report.sent:
                out.output.line(sent.name)
    return _told(profile, done, out)


def _told(profile: "Profile", done: "Pushing", out: Console) -> tuple[int, dict[str, Any]]:
    damaged = VerificationError.exit_code if done.damaged else 0
    code = worst((damaged, done.code))
    if done.stopped:
        if not out.settings.json:
            out.output.failure(done.stopped)
        code = done.code
    return code, {
        "app": profile.name,
        "status": "incomplete" if code else "ok",
        "destinations": [_fields(report) for report in done.reports],
    }


def _fields(report: "PushReport") -> dict[str, Any]:
    return {
        "destination": report.destination,
        "status": "ok" if report.complete else "failed",
        "pushed": [{"name": one.name, "size": one.size, "why": one.why} for one in report.sent],
        "confirmed": list(report.confirmed),
        "left": [{"name": one.name, "why": one.why} for one in report.left],
        "owed": list(report.owed),
        "pruned": list(report.pruning.pruned),
        "pruning": {"status": report.pruning.status, "message": report.pruning.message},
        "failures": [
            {"archive": one.archive or None, "message": one.error.message, "hint": one.error.hint}
            for one in report.failures
        ],
    }


def _planned(
    profile: "Profile", places: "tuple[Whereabouts, ...]", out: Console
) -> tuple[int, dict[str, Any]]:
    """Say what would be carried; a place that cannot be looked into is said, and stops no other."""
    from contextlib import nullcontext

    from agebackup.operations.push import prospect

    there = push_places(profile, places, out)
    told: list[dict[str, Any]] = []
    errors: list[AgebackupError] = []
    with known_ledger(out) or nullcontext() as ledger:
        for text, reach in there.remotes.items():
            try:
                plan = prospect(push_order(profile, out), there.local, reach(), ledger)
            except StoppedError:
                raise
            except AgebackupError as error:
                errors.append(error)
                told.append(_unseen(text, error))
                _tell_unseen(profile, text, error, out)
            else:
                told.append(_tell_plan(profile, text, plan, out))
    if not out.settings.json:
        out.output.result("\n".join(one["name"] for place in told for one in place["pushed"]))
    code = worst(error.code for error in errors)
    failed = {"error": described(next(one for one in errors if one.code == code))} if code else {}
    status = "failed" if code else "planned"
    return code, {"app": profile.name, "status": status, "destinations": told, **failed}


def _unseen(text: str, error: AgebackupError) -> dict[str, Any]:
    failure = {"archive": None, "message": error.message, "hint": error.hint}
    empty: dict[str, Any] = {"pushed": [], "confirmed": [], "left": []}
    return {"destination": text, "status": "failed", **empty, "failures": [failure]}


def _tell_unseen(profile: "Profile", text: str, error: AgebackupError, out: Console) -> None:
    where = printable(text)
    said = error.message.removeprefix(f"{where}: ")
    out.output.warn(f"{profile.name} to {where}: {said}")
    if error.hint:
        out.output.say(f"  {error.hint}")


def _tell_plan(profile: "Profile", text: str, plan: "PushPlan", out: Console) -> dict[str, Any]:
    """Say what `plan` would do at the place `text`; return its JSON fields."""
    size = sum(load.held.entry.size for load in plan.loads)
    out.output.say(
        f"{profile.name} to {printable(text)}: {counted(len(plan.loads), 'archive')} would be "
        f"carried ({size:,} bytes)."
    )
    for load in plan.loads:
        out.output.say(f"  {load.record.name}  {load.why}")
    for left in plan.left:
        out.output.say(f"  {left.name} stays here alone: {left.why}")
    return {
        "destination": text,
        "status": "ok",
        "pushed": [
            {"name": one.record.name, "size": one.held.entry.size, "why": one.why}
            for one in plan.loads
        ],
        "confirmed": [row.name for row in plan.confirmed],
        "left": [{"name": one.name, "why": one.why} for one in plan.left],
        "failures": [],
    }
