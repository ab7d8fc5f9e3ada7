"""agebackup drill"""

import random
from typing import TYPE_CHECKING, Any

import click

from agebackup.cli.choosing import to_option
from agebackup.cli.console import Console, console
from agebackup.cli.outcomes import Outcomes
from agebackup.cli.reading import FILE, reading, reading_options, workspace_option
from agebackup.cli.scope import known_config, places
from agebackup.cli.settings import current, global_options
from agebackup.errors import UsageError

if TYPE_CHECKING:
    from agebackup.cli.drilling import Drill


@click.command("drill", short_help="Restore an archive for the sake of proof.")
@click.argument("apps", nargs=-1, metavar="[APP]...")
@click.option("--all", "every", is_flag=True, help="One archive of every app.")
@click.option("--archive", metavar="ARCHIVE", help="This archive, not one drawn by chance.")
@to_option
@reading_options
@workspace_option
@click.option("--signing-key", type=FILE, help="Sign the receipts with this SSH key.")
@click.option("--report", is_flag=True, help="Show the drills that were made; needs no key.")
@global_options
def command(apps: tuple[str, ...], **options: Any) -> int:
    """Restore an archive for the sake of proof, try the copy, and remove it.

    Takes one archive of each APP by chance, ten times as likely one that was never drilled, or
    the one that --archive names. It is restored into a private directory with every check of
    `restore`; then the app's `assertions` of the configuration are tried on the copy. A receipt
    says what was restored, how long that took, how old it was, and what was found. Exits as
    `restore` does, and with 4 where an assertion does not hold. --report shows all receipts.
    """
    to = console(current(), "drill")
    _require_sense(apps, options)
    if options["report"]:
        from agebackup.cli.drill_report import report

        return report(apps, to)
    outcomes = Outcomes(to)
    drills = _drills(_apps(to) if options["every"] else apps, to, options)
    for drill in drills:
        goes_on = outcomes.add(drill.named, drill.run)
        outcomes.results[-1].update(drill.fields)
        if not goes_on:
            break
    return outcomes.report()


def _require_sense(apps: tuple[str, ...], options: dict[str, Any]) -> None:
    every, archive = options["every"], options["archive"]
    if every and (apps or archive is not None or options["to"] is not None):
        raise UsageError("--all goes with no APP, no --archive and no --to.", hint="Name the apps.")
    if archive is not None and (len(apps) > 1 or options["report"]):
        raise UsageError(
            "--archive names one archive, so there can be one app at most, and no --report.",
            hint="Drill one archive after the other.",
        )
    if not (apps or every or options["report"]) and archive is None:
        raise UsageError(
            "Nothing says what to drill.", hint="Name an app, or --all, or an --archive."
        )


def _apps(to: Console) -> list[str]:
    return list(dict.fromkeys(place.app for place in places(None, None, to) if place.app))


def _drills(
    apps: "list[str] | tuple[str, ...]", to: Console, options: dict[str, Any]
) -> "list[Drill]":
    """Return what is to be drilled; the keys are read, and what dead runs left is swept."""
    from agebackup.cli import directories
    from agebackup.cli.drilling import Drill, Ground
    from agebackup.model.names import require_app
    from agebackup.snapshot.signatures import Bench, SigningKey

    named: list[str | None] = [require_app(app) for app in dict.fromkeys(apps)]
    config = known_config(to)
    ground = Ground(
        to,
        reading(to, options),
        directories.workspace(options["workspace"]),
        directories.claims(),
        {profile.name: profile for profile in config.apps} if config else {},
        options["to"],
        SigningKey(key, to.settings.environment) if (key := options["signing_key"]) else None,
    )
    for line in ground.claims.sweep():
        to.output.warn(line)
    if ground.signing is not None:
        ground.signing.try_out(Bench(ground.workspace, ground.claims, to.progress))
    return [Drill(ground, app, options["archive"], random.random) for app in named or [None]]
