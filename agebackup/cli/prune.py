"""agebackup prune"""

from contextlib import ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from agebackup.cli.choosing import to_option
from agebackup.cli.console import Console, console
from agebackup.cli.locking import lock_apps
from agebackup.cli.outcomes import Outcomes
from agebackup.cli.remotes import destination_at
from agebackup.cli.scope import Place, known_ledger, now, places, required_ledger
from agebackup.cli.settings import current, global_options
from agebackup.errors import UsageError, printable

if TYPE_CHECKING:
    from agebackup.ledger import Ledger
    from agebackup.model.retention import Policy
    from agebackup.operations.prune import PruneOrder, PruneReport

_TIERS = ("last", "hourly", "daily", "weekly", "monthly", "yearly", "manual")
_COUNT = click.IntRange(min=-1)


@click.command("prune", short_help="Remove what the retention no longer keeps.")
@click.argument("app", required=False)
@to_option
@click.option("--dry-run", is_flag=True, help="Say what would go, and why the rest stays.")
@click.option("--keep-last", "last", type=_COUNT, metavar="N", help="The last N; -1: all.")
@click.option("--keep-hourly", "hourly", type=_COUNT, metavar="N", help="One of each of N hours.")
@click.option("--keep-daily", "daily", type=_COUNT, metavar="N", help="One of each of N days.")
@click.option("--keep-weekly", "weekly", type=_COUNT, metavar="N", help="One of each of N weeks.")
@click.option("--keep-monthly", "monthly", type=_COUNT, metavar="N", help="Of each of N months.")
@click.option("--keep-yearly", "yearly", type=_COUNT, metavar="N", help="One of each of N years.")
@click.option("--keep-within", "within", metavar="30d", help="All this much older than the newest.")
@click.option("--keep-tag", "tags", multiple=True, metavar="WORD", help="All with this tag.")
@click.option("--keep-manual", "manual", type=_COUNT, metavar="N", help="The last N by hand.")
@global_options
def command(app: str | None, to: str | None, **options: Any) -> int:
    """Remove the archives of APP, or of every app, that its retention no longer keeps.

    The rules are the configuration's; with --keep- flags, these alone. An app without rules is
    never pruned. Remotes are pruned by push, and here where --to names one. Only archives that this
    machine made are looked at. More than half of them (or
    max_prune) at once go only with --yes; else exit code 13, and nothing went.
    """
    out = console(current(), "prune")
    outcomes = Outcomes(out)
    pruned = False
    for place in places(app, to, out):
        policy = _policy(place, options)
        if place.app is not None and policy is not None:
            pruned = True
            dry_run = options["dry_run"]
            if not outcomes.add(place.app, partial(_one, place, policy, out, dry_run=dry_run)):
                break
    if not pruned:
        raise UsageError(
            f"Nothing says what to keep{f' of {app}' if app else ''}, so nothing is pruned.",
            hint="Declare [apps.NAME.retention] in the configuration, or name an app and give "
            "rules such as --keep-last 10.",
        )
    return outcomes.report()


def _policy(place: Place, options: dict[str, Any]) -> "Policy | None":
    """Return the rules of the flags, where there are any, else those of the configuration."""
    from agebackup.model.durations import parse_duration
    from agebackup.model.retention import Policy

    declared = place.profile.retention if place.profile else None
    given = {name: options[name] for name in _TIERS if options[name] is not None}
    if options["within"] is not None:
        given["within"] = parse_duration(options["within"])
    if options["tags"]:
        given["tags"] = options["tags"]
    if not given:
        return declared
    kept = declared or Policy()
    return replace(
        Policy(timezone=kept.timezone, shared=kept.shared, max_prune=kept.max_prune), **given
    )


def _one(
    place: Place, policy: "Policy", out: Console, *, dry_run: bool
) -> tuple[int, dict[str, Any]]:
    report, finished = (_planned if dry_run else _pruned)(place, policy, out)
    if not out.settings.json:
        _tell(report, out, dry_run=dry_run)
    if dry_run and not out.settings.json:
        out.output.result("\n".join((*finished, *report.deleted)))
    return 0, _fields(report, finished, dry_run=dry_run)


def _planned(place: Place, policy: "Policy", out: Console) -> "tuple[PruneReport, tuple[str, ...]]":
    from agebackup.operations.prune import prospect

    folder = destination_at(place.to, out)
    with known_ledger(out) or nullcontext() as ledger:
        report = prospect(_order(place, policy, folder.key, ledger, out), folder, ledger)
    return report, report.unfinished


def _pruned(place: Place, policy: "Policy", out: Console) -> "tuple[PruneReport, tuple[str, ...]]":
    from agebackup.cli.supervising import journal
    from agebackup.operations.prune import prune
    from agebackup.operations.removal import FINISHED, finish_deletions

    assert place.app is not None
    app, folder, log = place.app, destination_at(place.to, out), journal(out)

    def told(name: str, why: str) -> None:
        log.event("pruned", app, archive=name, message=why)
        if not out.settings.json:
            out.output.line(name)

    finished: list[str] = []
    with required_ledger() as ledger, ExitStack() as locks:
        lock_apps([app], locks, out)
        for name in finish_deletions(app, folder, ledger, now(), out.progress):
            finished.append(name)
            told(name, FINISHED)
        order = _order(place, policy, folder.key, ledger, out)
        return prune(order, folder, ledger, out.progress, told), tuple(finished)


def _order(
    place: Place, policy: "Policy", destination: str, ledger: "Ledger | None", out: Console
) -> "PruneOrder":
    from agebackup.operations.prune import PruneOrder, shrinkage

    assert place.app is not None
    order = PruneOrder(place.app, policy, now(), out.settings.yes)
    if ledger is not None and place.profile and place.profile.watch.shrink == "refuse":
        return replace(order, held_back=shrinkage(order, destination, ledger))
    return order


def _tell(report: "PruneReport", out: Console, *, dry_run: bool) -> None:
    where = printable(report.destination)
    verb = "would go" if dry_run else "went"
    out.output.say(
        f"{report.app} in {where}: {len(report.plan.kept):,} kept, {len(report.deleted):,} {verb} "
        f"({report.freed:,} bytes)."
    )
    if dry_run:
        for one in report.plan.kept:
            out.output.say(
                f"  stays  {one.candidate.name}  {', '.join(map(printable, one.reasons))}"
            )
    for one in report.plan.aside:
        out.output.say(f"  aside  {one.candidate.name}  {', '.join(one.reasons)}")
    if report.uncovered:
        out.output.say(
            f"  {len(report.uncovered):,} more are not known as this machine's: no rule looks at "
            "them (see agebackup ledger rebuild --mine)."
        )
    if dry_run and report.refusal:
        out.output.say(f"  Without --yes nothing would go. {report.refusal.message}")


def _fields(report: "PruneReport", finished: tuple[str, ...], *, dry_run: bool) -> dict[str, Any]:
    parts = {"kept": report.plan.kept, "pruned": report.plan.pruned, "aside": report.plan.aside}
    return {
        "app": report.app,
        "status": "planned" if dry_run else "ok",
        "destination": report.destination,
        **{
            name: [{"name": str(one.candidate.name), "reasons": list(one.reasons)} for one in part]
            for name, part in parts.items()
        },
        "deleted": [] if dry_run else list(report.deleted),
        "finished": list(finished),
        "uncovered": list(report.uncovered),
        "freed": report.freed,
        "refusal": report.refusal.message if report.refusal else None,
    }
