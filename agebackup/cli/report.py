"""agebackup report"""

import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agebackup import __version__
from agebackup.cli import directories
from agebackup.cli.console import Console, console
from agebackup.cli.output import write_out
from agebackup.cli.scope import known_config, now
from agebackup.cli.settings import current, global_options
from agebackup.cli.status import judgement
from agebackup.errors import RefusedError, UsageError, counted, printable

if TYPE_CHECKING:
    from agebackup.ledger import Ledger
    from agebackup.model.overview import AppOverview, Overview

ENDINGS = (".html", ".htm")


@click.command("report", short_help="Write one page to look at.")
@click.argument("app", required=False)
@click.option("-o", "--output", "target", help="The page: FILE.html, 0600; - for standard output.")
@click.option(
    "--no-audit",
    "audited",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Leave the audit out: open no archive, look at names and sizes only.",
)
@click.option("--overwrite", is_flag=True, help="Replace a file that is no report.")
@global_options
def command(app: str | None, target: str | None, *, audited: bool, overwrite: bool) -> int:
    """Write one page of HTML that shows how the backups of APP, or of every app, stand.

    For each app: whether it is fresh, and what is wrong; its archives by age, with the rule that
    keeps each; sizes and growth; runs and failures; drills with their recovery time; destinations;
    and what an audit finds that reads the beginning of each archive. The page is one file that
    loads nothing and runs no script. It holds names, sizes and times, and no key.

    A report of that name is replaced, any other file only with --overwrite (13). Waits half a
    minute at most for what hangs. The exit code is 0 once the page is written, however the backups
    are: ask `status` (5) and `audit` (4) for that.
    """
    out = console(current(), "report")
    path = _path(target, overwrite=overwrite)
    overview = _overview(app, out, audited=audited)
    from agebackup.reporting.report_page import as_page

    page = as_page(overview)
    if path is None:
        write_out((page,), sys.stdout)
        return 0
    content = page.encode()
    _write(path, content, overwrite=overwrite)
    stale = [one.app for one in overview.apps if any(each.stale for each in one.judged)]
    said = f"; not well: {', '.join(map(printable, stale))}" if stale else ""
    out.output.say(f"{counted(len(overview.apps), 'app')}{said}")
    out.output.result_of_work(
        printable(str(path)),
        path=str(path),
        bytes=len(content),
        audit=audited,
        apps=[_fields(one) for one in overview.apps],
    )
    return 0


def _path(target: str | None, *, overwrite: bool) -> Path | None:
    """Return the file that is wanted, None for standard output; refused before any work is done."""
    if not target:
        raise UsageError("No file was named for the page.", hint="For example: -o report.html")
    if target == "-":
        return None
    path = Path(os.path.abspath(target))
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(
            f"{printable(target)}: a report is a .html file.",
            hint="For a PDF, write report.html, open it in a browser, and print it to PDF.",
        )
    _guard(path, overwrite=overwrite)
    return path


def _guard(path: Path, *, overwrite: bool) -> None:
    """Raise `RefusedError` where `path` is something that is not to be replaced."""
    from agebackup.reporting.report_page import MARK_WITHIN, is_page
    from agebackup.system.regular import content

    shown = printable(str(path))
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_file():
        raise RefusedError(f"{shown} is no regular file.", hint="Choose another name.")
    if overwrite:
        return
    try:
        mine = is_page(content(path, MARK_WITHIN))
    except OSError:
        mine = False
    if not mine:
        raise RefusedError(
            f"{shown} exists already and is no report: it is not replaced.",
            hint="Choose another name, or --overwrite to replace it.",
        )


def _write(path: Path, page: bytes, *, overwrite: bool) -> None:
    from agebackup.system.durable import write_durably

    _guard(path, overwrite=overwrite)  # for what came meanwhile
    held = directories.claims()
    held.sweep()
    write_durably(path, page, held, replace=True)


def _overview(app: str | None, out: Console, *, audited: bool) -> "Overview":
    from agebackup.model.overview import Overview
    from agebackup.operations.report import ReportOrder, report

    moment = now()
    trouble: list[str] = []
    judged = judgement(app, None, out, moment)
    config = known_config(out)
    policies = {one.name: one.retention for one in config.apps if one.retention} if config else {}
    order = ReportOrder(judged, policies, moment, directories.ledger_file() if audited else None)
    ledger = _ledger(trouble)
    return Overview(
        moment,
        platform.node(),
        __version__,
        report(order, ledger, out.progress),
        audited,
        tuple(trouble),
    )


def _ledger(trouble: list[str]) -> "Ledger | None":
    """Return the opened ledger, or None, having said in `trouble` why, where there is one."""
    from agebackup.ledger import LedgerError, open_ledger

    try:
        return open_ledger(directories.ledger_file(), make=False)
    except LedgerError as error:
        absent = "There is none: runs, drills and hashes are not known."
        trouble.append(absent if error.absent else f"{error.message} {error.hint}")
        return None


def _fields(one: "AppOverview") -> dict[str, Any]:
    return {
        "app": one.app,
        "states": [each.state for each in one.judged],
        "stale": any(each.stale for each in one.judged),
        "destinations": [
            {
                "destination": shelf.destination,
                "archives": len(shelf.present),
                "bytes": shelf.bytes,
                "newest": shelf.present[0].name if shelf.present else None,
                "seen": shelf.seen,
                "owed": shelf.owed,
            }
            for shelf in one.shelves
        ],
        "runs": None if one.runs is None else len(one.runs),
        "drills": None if one.drills is None else len(one.drills),
        "complaints": sum(len(each.findings) for each in one.judged),
        "audited": [
            {
                "destination": each.destination,
                "problem": each.problem,
                "findings": len(each.findings),
            }
            for each in one.audited
        ],
    }
