"""agebackup restore --in-place: an archive into the application's own places."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agebackup.cli import directories
from agebackup.cli.asking import require_yes
from agebackup.cli.choosing import Chosen, chosen
from agebackup.cli.console import Console
from agebackup.cli.fetching import at_hand
from agebackup.cli.inplace_telling import EXITS, note, tell, tell_plan
from agebackup.cli.looking import looked_at
from agebackup.cli.pointing import checked_pointers
from agebackup.cli.reading import reading
from agebackup.cli.scope import known_config, now
from agebackup.errors import AgebackupError, UsageError, printable

if TYPE_CHECKING:
    from agebackup.model.inplace import InPlaceReport
    from agebackup.model.landing import Landing
    from agebackup.model.profile import Profile
    from agebackup.operations.inplace_order import InPlaceOrder
    from agebackup.operations.pointers import Restored
    from agebackup.operations.stage import Wanted


_STAGING = ".~agebackup-inplace-*"
"""What is staged beside a database that lies in a tree is not a part of that tree."""


def inplace_options(command: Any) -> Any:
    """Add the options of a restore into the application's own places."""
    for option in reversed(
        (
            click.option(
                "--in-place",
                is_flag=True,
                help="Restore APP into the places that the configuration declares; the state "
                "before is kept beside them.",
            ),
            click.option(
                "--at",
                metavar="ARCHIVE|TIME",
                help="With --in-place: which archive: a name, an id, latest (the default), or a "
                "day or moment: the newest until then.",
            ),
            click.option(
                "--plan", is_flag=True, help="With --in-place: print every step and take none."
            ),
            click.option(
                "--no-safety",
                is_flag=True,
                help="With --in-place: make no archive of the present state first.",
            ),
            click.option(
                "--rollback-on-failure",
                is_flag=True,
                help="With --in-place: bring the state before back if resume or a check fails.",
            ),
            click.option(
                "--from-log",
                is_flag=True,
                help="With --in-place: rebuild the state from the restored event log.",
            ),
            click.option(
                "--leave-others",
                is_flag=True,
                help="With --in-place: let databases and attachments stay that the archive lacks.",
            ),
            click.option(
                "--ignore-gate",
                multiple=True,
                metavar="NAME",
                help="With --in-place: let the archive pass this gate; repeatable.",
            ),
        )
    ):
        command = option(command)
    return command


def restored_in_place(app: str, wanted: "Wanted", options: dict[str, Any], to: Console) -> int:
    """Restore into `app`, `wanted` being all that is asked for but its archive; return the code."""
    from agebackup.operations.inplace_order import InPlaceOrder

    profile = _profile(app, to)
    found = chosen(_words(app, options["at"]), options["to"], to)
    order = InPlaceOrder(
        wanted=replace(wanted, archive=Path(found.called)),
        profile=profile,
        source=_declared(profile),
        time=now().replace(microsecond=0),
        environment=to.settings.environment,
        from_log=options["from_log"],
        rollback=options["rollback_on_failure"],
        leave_others=options["leave_others"],
        ignored=frozenset(options["ignore_gate"]),
    )
    if options["plan"]:
        return _planned(order, found, options, to)
    return _restored(order, found, options, to)


def _profile(app: str, to: Console) -> "Profile":
    config = known_config(to)
    if config is None:
        raise UsageError(
            "There is no configuration, so no application's own places are known.",
            hint="Declare the app (agebackup config init), or restore to a --target.",
        )
    return config.app(app)


def _declared(profile: "Profile") -> Any:
    """Return all that `profile` declares, config and tokens too, whatever of it is there now."""
    from agebackup.config import resolve

    lenient = tuple(replace(entry, minimum=0) for entry in profile.databases)
    return resolve(
        replace(profile, databases=lenient),
        include_config=bool(profile.config),
        include_tokens=bool(profile.tokens),
    )


def _words(app: str, at: str | None) -> str:
    """Return which archive `at` means, in the words that every command understands."""
    from agebackup.model.addressing import parse_wanted

    if at is None or at in ("latest", "latest-manual"):
        return f"{app}:{at or 'latest'}"
    if "/" in at or os.path.lexists(at) or parse_wanted(at) is not None:
        return at
    return f"{app}@{at}"


def _planned(order: "InPlaceOrder", found: Chosen, options: dict[str, Any], to: Console) -> int:
    from agebackup.operations.inplace_plan import plan_in_place

    destination = None if options["no_safety"] else order.profile.destination
    how = reading(to, options)
    with at_hand(found, to) as path:
        plan = plan_in_place(_of(order, path), how, str(destination) if destination else None)
    tell_plan(replace(plan, archive=found.called), to)
    return 0


def _of(order: "InPlaceOrder", path: Path) -> "InPlaceOrder":
    return replace(order, wanted=replace(order.wanted, archive=path))


def _restored(order: "InPlaceOrder", found: Chosen, options: dict[str, Any], to: Console) -> int:
    from agebackup.cli.supervising import journal
    from agebackup.operations.inplace import restore_in_place
    from agebackup.operations.inplace_order import Means
    from agebackup.operations.pointers import Restored
    from agebackup.operations.settling import settle
    from agebackup.system.lock import exclusive

    app = order.profile.name
    require_yes(_question(order), to, otherwise="Nothing was changed.")
    how = reading(to, options)
    log = journal(to)  # what is loaded now cannot fail once everything is in place
    claims, records = directories.claims(), directories.swap_records(app)
    lock = exclusive(
        directories.lock_file(app),
        wait_seconds=0,
        what=f"another run of {app}",
        progress=to.progress,
    )
    with (
        looked_at(found, "restore", to) as looking,
        at_hand(found, to, record=looking.record) as path,  # no run waits for a network
        lock,
    ):
        for line in (*(one.words for one in settle(records)), *claims.sweep()):
            to.output.warn(line)
        safety = None if options["no_safety"] else _safety(order, to)
        means = Means(claims, records, looking.told(how), safety)
        now_in_place = replace(_of(order, path), time=records.moment(order.time))
        report = replace(restore_in_place(now_in_place, means), archive=found.called)
        looking.made_as = report.manifest.archive
        restored = Restored(report.manifest, report.archive)
        report = _with_pointers_checked(report, restored, order.profile, to)
    tell(report, to)
    note(report, log, to)
    return EXITS[report.outcome]


def _with_pointers_checked(
    report: "InPlaceReport", restored: "Restored", profile: "Profile", to: Console
) -> "InPlaceReport":
    """Return `report` with what the app's own check of the pointers says; it never goes back."""
    if report.outcome == "rolled-back":
        return report
    found = checked_pointers(restored, profile, to)
    if not found:
        return report
    return replace(report, outcome="check-failed", problems=(*report.problems, *found))


def _stages_in_a_tree(order: "InPlaceOrder", landing: "Landing") -> bool:
    trees = {tree.path for tree in order.source.trees}
    return any(trees & {*part.target.parents} for part in landing.placed)


def _question(order: "InPlaceOrder") -> str:
    from agebackup.operations.inplace_guards import wanted_targets

    places = ", ".join(printable(str(one.path)) for one in wanted_targets(order))
    return (
        f"Put {printable(order.wanted.archive.name)} into {order.profile.name} in place? What is "
        f"there now is replaced, and kept beside it: {places}."
    )


def _safety(order: "InPlaceOrder", to: Console) -> Any:
    """Return what makes an archive of the present state, as `create` does but for the app's own
    prepare and finish: it stands still already, and is not to be started."""

    def safety(landing: "Landing") -> str:
        from agebackup.cli.books import run_ledger
        from agebackup.cli.flags import CreateFlags
        from agebackup.cli.wiring import Job
        from agebackup.model.addressing import PRE_RESTORE
        from agebackup.operations.bookkeeping import Bookkeeping
        from agebackup.operations.create import create

        profile = order.profile
        roles = {part.role for part in landing.parts}
        flags = CreateFlags.of(
            apps=(profile.name,),
            manual=True,
            tag=PRE_RESTORE,
            note=f"Before the restore of {printable(order.wanted.archive.name)}",
            include_config="config" in roles,
            include_tokens="tokens" in roles,
            excluded=(_STAGING,) if _stages_in_a_tree(order, landing) else (),
        )
        job = Job(profile.name, flags, to, profile)
        ledger, losses = run_ledger(profile.name)
        with ledger or nullcontext():
            site = replace(job.site(), books=Bookkeeping(ledger, losses))
            still = replace(job.order(), prepare=None, finish=None)
            report = create(still, site, to.progress)
        for text in (*report.warnings, *report.problems):
            to.output.warn(text)
        return report.path

    return safety


@contextmanager
def at_rest(app: str, to: Console) -> Iterator[tuple[Path, ...]]:
    """Keep `app` still as the configuration says, where one declares it, during the body.

    Gives the body the real paths of the app's databases, as far as they are declared.
    """
    from agebackup.operations.inplace_guards import live_databases
    from agebackup.operations.standstill import Standstill, require_not_running

    try:
        config = known_config(to)
    except AgebackupError as error:  # no reason to keep anybody from the way back
        to.output.warn(f"The application is neither paused nor resumed: {error.message}")
        config = None
    profile = next((one for one in config.apps if one.name == app), None) if config else None
    if profile is None:
        yield ()
        return
    databases: tuple[Path, ...] = ()
    with suppress(AgebackupError):  # the way back does not depend on a sound configuration
        databases = live_databases(_declared(profile))
    with Standstill(profile, to.progress) as still:
        require_not_running(profile, to.progress)
        yield databases
    if still.problem:
        to.output.warn(still.problem)
