"""agebackup clean"""

from functools import partial
from typing import TYPE_CHECKING

import click

from agebackup.cli.choosing import opened, to_option
from agebackup.cli.console import Console, console
from agebackup.cli.findings import fields, told
from agebackup.cli.reading import workspace_option
from agebackup.cli.scope import known_config, now
from agebackup.cli.settings import current, global_options
from agebackup.errors import NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    from agebackup.cli.wiring import Folder
    from agebackup.ledger import Ledger
    from agebackup.model.records import ArchiveRecord
    from agebackup.operations.kept import Keeping


@click.command("clean", short_help="Clean up after dead runs.")
@click.argument("app", required=False)
@to_option
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
@click.option("--forget", is_flag=True, help="Take note that archives without a file are gone.")
@workspace_option
@global_options
def command(
    app: str | None, to: str | None, workspace: "Path | None", *, dry_run: bool, forget: bool
) -> int:
    """Clean up after runs that died, and list what ledger and folder disagree about.

    Removes temporaries and private copies that no living run knows of, and what a restore
    --in-place put aside longer than keep_pre_restore (30d) ago. Archives are never removed.
    With --forget the ledger takes note that archives whose file is gone are gone: audit no longer
    misses them. Without it they are only listed. A folder that looks like an unmounted drive's is
    refused (13) without --yes.
    """
    from agebackup.cli import directories
    from agebackup.operations.clean import CleanOrder, clean

    out = console(current(), "clean")
    folders: dict[str, Folder] = {}
    ledger: Ledger | None = None
    try:
        for _, folder, ledger in opened(app, to, out):  # noqa: B007  (the last one is any one)
            folders.setdefault(folder.key, folder)
            if to is not None:
                folder.entries()  # one that was named must be there
    except NotFoundError:
        if app is not None or to is not None:
            raise  # without a destination there is still the workspace
    order = CleanOrder(
        tuple(folders.values()),
        (directories.workspace(workspace),),
        now(),
        forget=forget,
        astray_too=out.settings.yes,
        dry_run=dry_run,
        kept=_keepings(app, out),
    )
    report = clean(order, ledger, directories.claims(), partial(_logged, out))
    if out.settings.json:
        status = "planned" if dry_run else "ok"
        out.output.result(
            "", status=status, done=list(report.done), findings=fields(report.findings)
        )
    else:
        lines = [*report.done, *told(report.findings)]
        out.output.result("\n".join(lines or ["There is nothing to clean."]))
    return 0


def _keepings(app: str | None, out: Console) -> "tuple[Keeping, ...]":
    """Return how long what restores put aside is kept, of each app of which there is any."""
    from agebackup.cli import directories
    from agebackup.cli.settling import journalled
    from agebackup.operations.kept import DEFAULT_KEEP, Keeping

    config = known_config(out)
    declared = {one.name: one.keep_pre_restore for one in config.apps} if config else {}
    return tuple(
        Keeping(
            directories.swap_records(name),
            directories.lock_file(name),
            DEFAULT_KEEP if (keep := declared.get(name)) is None else keep,
        )
        for name in journalled()
        if app in (None, name)
    )


def _logged(out: Console, record: "ArchiveRecord") -> None:
    from agebackup.cli.supervising import journal

    why = record.deleted_why
    if problem := journal(out).event("forgotten", record.app, archive=record.name, message=why):
        out.output.warn_once(problem)
