"""agebackup audit"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from agebackup.cli.choosing import to_option
from agebackup.cli.console import Console, console
from agebackup.cli.findings import fields, told
from agebackup.cli.remotes import destination_at, is_folder
from agebackup.cli.scope import Place, now, places, remote_places
from agebackup.cli.settings import current, global_options
from agebackup.cli.terminal import human_bytes
from agebackup.errors import UsageError, counted, printable

if TYPE_CHECKING:
    from agebackup.model.budget import Budget
    from agebackup.model.findings import Finding
    from agebackup.operations.audit import AuditOrder, AuditReport
    from agebackup.operations.remoteaudit import RemoteOrder

FOUND = 4
"""The exit code where an audit found a problem."""


@click.command("audit", short_help="Say without a key what is wrong with archives.")
@click.argument("app", required=False)
@to_option
@click.option("--no-remotes", is_flag=True, help="Only folders: contact no remote.")
@click.option("--full", is_flag=True, help="Read every archive whole, however long that takes.")
@click.option(
    "--budget",
    metavar="SIZE|TIME",
    help="How much to read whole: 500M, 2G, or 10m, 1h; 0 for nothing. By default 1G.",
)
@global_options
def command(app: str | None, to: str | None, **options: Any) -> int:
    """Say without a key what is wrong with archives.

    Compares each destination with the ledger: archives that are gone, changed, exchanged, or older
    than they should be, other recipients, conflict copies, foreign names, a drive that is not
    there. Reads the beginning of each archive, and of some the whole, by turns, so that each is
    read some time. Nothing in the folder is changed. Remotes that the configuration names
    are judged by their listing, nothing is fetched; --no-remotes leaves them out. Exit code 4 for
    any error or warning, a remote out of reach among them; a note is only a fact.
    """
    from agebackup.cli import directories
    from agebackup.operations.audit import audit, ledger_or_finding
    from agebackup.operations.remoteaudit import audit_remote

    out = console(current(), "audit")
    amount = _budget(options["budget"], full=options["full"])
    found = places(app, to, out)
    further = remote_places(app, out) if to is None and not options["no_remotes"] else ()
    every = (*found, *further)
    folders = [place for place in every if is_folder(place.to)]
    remotes = [place for place in every if not is_folder(place.to)]
    ledger, finding = ledger_or_finding(directories.ledger_file())
    try:
        tasks = orders(folders, amount, app, declared=to is None)
        reports = [audit(order, ledger, out.progress) for order in tasks]
        reports += [audit_remote(order, ledger) for order in _remote_orders(remotes, app, out)]
    finally:
        if ledger is not None:
            ledger.close()
    return _report(reports, finding, out)


def _budget(text: str | None, *, full: bool) -> "Budget":
    from agebackup.model.budget import UNLIMITED, USUAL, parse_budget

    if full and text is not None:
        raise UsageError(
            "--full and --budget contradict each other.",
            hint="--full reads every archive; --budget says where to stop.",
        )
    if full:
        return UNLIMITED
    return USUAL if text is None else parse_budget(text)


def orders(
    found: Iterable[Place], amount: "Budget", app: str | None, *, declared: bool
) -> "list[AuditOrder]":
    """Return one order for each folder, by whatever names it goes."""
    from agebackup.cli.wiring import folder_at
    from agebackup.operations.audit import AuditOrder

    found = tuple(found)
    folders = {folder.key: folder for folder in (folder_at(place.to) for place in found)}
    shared = _shared(found)
    apps = None if app is None else frozenset({app})
    return [
        AuditOrder(folder, now(), apps, shared, amount, declared=declared)
        for folder in folders.values()
    ]


def _remote_orders(remotes: Sequence[Place], app: str | None, out: Console) -> "list[RemoteOrder]":
    """Return one order for each remote, by whatever names it goes."""
    from agebackup.operations.remoteaudit import RemoteOrder

    found = {remote.key: remote for remote in (destination_at(place.to, out) for place in remotes)}
    apps = None if app is None else frozenset({app})
    return [RemoteOrder(remote, now(), apps, _shared(remotes)) for remote in found.values()]


def _shared(found: Iterable[Place]) -> frozenset[str]:
    profiles = [place.profile for place in found if place.profile is not None]
    return frozenset(
        one.name for one in profiles if one.retention is not None and one.retention.shared
    )


def _report(reports: "Sequence[AuditReport]", ledger: "Finding | None", out: Console) -> int:
    from dataclasses import replace

    from agebackup.model.auditing import PROBLEMS

    if ledger is not None and ledger.code == "ledger-absent" and not _anything(reports):
        ledger = replace(ledger, severity="note")
    general = [ledger] if ledger is not None else []
    everything = [*general, *(one for report in reports for one in report.findings)]
    problems = sum(1 for one in everything if one.severity in PROBLEMS)
    code = FOUND if problems else 0
    if out.settings.json:
        listed = fields(general, destination=None)
        for report in reports:
            listed += fields(report.findings, destination=report.destination)
        out.output.result(
            "",
            status="failed" if problems else "ok",
            exit=code,
            problems=problems,
            destinations=[_fields(report) for report in reports],
            findings=listed,
        )
        return code
    lines = told(general)
    for report in reports:
        lines += [_line(report), *told(report.findings)]
    out.output.result("\n".join(lines))
    return code


def _anything(reports: "Iterable[AuditReport]") -> bool:
    return any(report.archives for report in reports)


def _line(report: "AuditReport") -> str:
    parts = [counted(report.archives, "archive")]
    if report.hashed:
        parts.append(
            f"{counted(report.hashed, 'file')} read whole ({human_bytes(report.read_bytes)})"
        )
    turns = report.turns
    if turns.recorded:
        since = f", the longest ago on {turns.oldest:%Y-%m-%d}" if turns.oldest else ""
        whose = f"{turns.read:,} of {counted(turns.recorded, 'file')} with a known hash"
        parts.append(f"{whose} had a turn so far{since}")
    if not report.findings:
        parts.append("nothing wrong")
    return f"{printable(report.destination)}: {'; '.join(parts)}"


def _fields(report: "AuditReport") -> dict[str, Any]:
    turns = report.turns
    return {
        "destination": report.destination,
        "archives": report.archives,
        "hashed": report.hashed,
        "read_bytes": report.read_bytes,
        "recorded": turns.recorded,
        "turns": turns.read,
        "oldest_turn": turns.oldest.isoformat() if turns.oldest else None,
    }
