"""agebackup ledger"""

from typing import TYPE_CHECKING, Any

import click

from agebackup.cli import directories
from agebackup.cli.console import Console, console
from agebackup.cli.origin import refuse_signers
from agebackup.cli.output import described
from agebackup.cli.reading import reading, reading_options, workspace_option
from agebackup.cli.rekeyed import rekeyed_command
from agebackup.cli.remotes import is_folder
from agebackup.cli.settings import IDENTITY_VARIABLE, Group, current, global_options
from agebackup.errors import UsageError, VerificationError, counted, printable, worst

if TYPE_CHECKING:
    from agebackup.operations.rebuild import RebuildOrder, RebuildReport, Rebuilt


@click.group(
    "ledger", cls=Group, short_help="Check this machine's record of archives, or make it again."
)
@global_options
def command() -> None:
    """Check this machine's record of archives, or make it again.

    The ledger records every run and every archive's name, size, hash and number. Archives do not
    depend on it; lists, pruning and audit do.
    """


command.add_command(rekeyed_command)


@command.command("path")
@global_options
def path() -> int:
    """Print where the ledger lies."""
    to = console(current(), "ledger-path")
    file = directories.ledger_file()
    to.output.result(printable(str(file)), path=str(file), exists=file.exists())
    return 0


@command.command("check")
@global_options
def check() -> int:
    """Read the whole ledger and say whether it is sound.

    Exit code 4 for a damaged one, 10 where there is none yet, 11 where another process holds it,
    13 where a newer agebackup wrote it.
    """
    from agebackup.ledger import LedgerError, open_ledger

    to = console(current(), "ledger-check")
    file = directories.ledger_file()
    try:
        with open_ledger(file, make=False) as ledger:
            problems = ledger.problems()
            counts = {
                "runs": len(ledger.runs(limit=-1)),
                "archives": len(ledger.archives(deleted=True, pending=True)),
                "destinations": len(ledger.destinations()),
            }
            series = ledger.series
    except LedgerError as error:
        if not error.damaged:
            raise
        raise VerificationError(error.message, hint=error.hint) from error
    if problems:
        raise VerificationError(
            f"The ledger {printable(str(file))} is damaged.",
            hint="Make a new one: agebackup ledger rebuild DEST...",
            details=problems,
        )
    names = ("run", "archive", "destination")
    said = ", ".join(counted(counts[f"{name}s"], name) for name in names)
    to.output.result(
        f"{printable(str(file))}: sound ({said})", path=str(file), **counts, series=series
    )
    return 0


@command.command("rebuild")
@click.argument("destinations", nargs=-1, required=True, metavar="DEST...")
@click.option("--read", is_flag=True, help="Read the archives and record their hashes.")
@click.option("--mine", is_flag=True, help="This machine made what lies there, and may prune it.")
@reading_options
@workspace_option
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="Wait this long for a run or another rebuild that is at work.",
)
@global_options
def rebuild_command(destinations: tuple[str, ...], **options: Any) -> int:
    """Make the ledger again from the archives in the directories DEST.

    Names, times and sizes are taken from there; --read adds hashes; a private key (-i) adds all
    that only the archives say, after verifying each. What a readable ledger knows is kept. A
    damaged one is set aside, never deleted, and what can be read of it is carried over.

    What is adopted counts as another machine's, which is never pruned, until --mine is given, here
    or in a later run. Sequence numbers begin anew where something was lost or is adopted. What is
    only in the cloud is not downloaded. Exit code 4 says that an archive is damaged or does not
    fit, the others are adopted; 10 that no archive lies in a DEST and none is known there.
    """
    from agebackup.cli.wiring import folder_at
    from agebackup.operations.rebuild import rebuild

    to = console(current(), "ledger-rebuild")
    if not all(destinations):
        raise UsageError("DEST is empty.", hint="Name the directory that holds the archives.")
    beyond = [one for one in destinations if not is_folder(one)]
    for one in beyond:
        raise UsageError(
            f"{printable(one)} is no folder, and a ledger is rebuilt from files.",
            hint="Fetch its archives into a directory first: agebackup get.",
        )
    named = {folder.key: folder for folder in map(folder_at, destinations)}
    report = rebuild(_order(to, options), tuple(named.values()), to.progress)
    return _Telling(to, report, mine=options["mine"]).told()


def _order(to: Console, options: dict[str, Any]) -> "RebuildOrder":
    from agebackup.cli.scope import now
    from agebackup.operations.adoption import Depth
    from agebackup.operations.rebuild import RebuildOrder

    keyed = options["identities"] or to.settings.variable(IDENTITY_VARIABLE)
    if not keyed:
        refuse_signers(options)
    depth = Depth(
        now=now(),
        claims=directories.claims(),
        mine=options["mine"],
        read=options["read"],
        reading=reading(to, options) if keyed else None,
        workspace=directories.workspace(options["workspace"]) if keyed else None,
    )
    depth.claims.sweep()
    file = directories.ledger_file()
    return RebuildOrder(file, directories.lock_file("any").parent, depth, options["wait"])


class _Telling:
    """Tells what became of the ledger and of each destination, and decides the exit code."""

    def __init__(self, to: Console, report: "RebuildReport", *, mine: bool) -> None:
        self._mine = mine
        self._to = to
        self._report = report
        rebuilt = report.destinations
        self._failures = [(one.destination, one.failure) for one in rebuilt if one.failure]
        self._looked = [one for one in rebuilt if not one.failure]

    def told(self) -> int:
        """Write everything; return the exit code."""
        code = worst(
            [error.code for _, error in self._failures]
            + [VerificationError.exit_code for one in self._looked if one.findings]
        )
        if self._to.settings.json:
            self._tell_object(code)
        else:
            self._tell_words()
        return code

    def _tell_words(self) -> None:
        from agebackup.cli.findings import tell

        output, report = self._to.output, self._report
        if report.changed:
            for line in _about_ledger(report):
                output.say(line)
        for one in self._looked:
            tell(one.findings, self._to)
            output.result_of_work(_summary(one))
        for _, error in self._failures:
            output.failure(error)
        if any(one.adopted for one in self._looked) and not self._mine:
            names = " ".join(printable(one.destination) for one in self._looked if one.adopted)
            output.say(
                "What was adopted counts as another machine's and is never pruned. If this machine "
                f"made it: agebackup ledger rebuild --mine {names}"
            )

    def _tell_object(self, code: int) -> None:
        from agebackup.cli.findings import fields

        report, failures = self._report, self._failures
        told: dict[str, Any] = {
            "exit": code,
            "ledger": report.ledger,
            "changed": report.changed,
            "made": report.made,
            "damage": report.damage,
            "set_aside": report.aside or None,
            "saved": {"runs": report.runs, "archives": report.archives},
            "series": report.series or None,
        }
        told["destinations"] = [
            _counts(one) | {"findings": fields(one.findings)} for one in self._looked
        ]
        told["destinations"] += [
            {"destination": name, "exit": error.code, "error": described(error)}
            for name, error in failures
        ]
        if failures:
            told["error"] = described(min(failures, key=lambda one: one[1].code != code)[1])
        status = "ok" if not code else "failed" if failures else "problems"
        self._to.output.result_of_work("", status=status, **told)


_NUMBERS = ("adopted", "known", "taken", "evicted", "hashed", "verified", "others")


def _counts(one: "Rebuilt") -> dict[str, Any]:
    return {"destination": one.destination, **{name: getattr(one, name) for name in _NUMBERS}}


def _summary(one: "Rebuilt") -> str:
    words = {
        "adopted": "adopted",
        "known": "known before",
        "taken": "of them now this machine's",
        "evicted": "only in the cloud",
        "hashed": "hashed",
        "verified": "verified",
        "others": "other names left alone",
    }
    counts = _counts(one)
    said = [
        f"{counts[name]:,} {words[name]}" for name in _NUMBERS if counts[name] or name == "adopted"
    ]
    if not one.adopted + one.known:
        said.insert(0, "no archive lies there, though the ledger knows of some")
    return f"{printable(one.destination)}: {', '.join(said)}"


def _about_ledger(report: "RebuildReport") -> list[str]:
    lines = []
    if report.aside:
        lines.append(f"The old ledger was damaged: {printable(report.damage)}")
        lines.append(f"It was set aside as {printable(report.aside)}.")
        lines.append(
            f"Carried over from it: {counted(report.runs, 'run')} and "
            f"{counted(report.archives, 'archive')}."
        )
    if report.made:
        lines.append(f"A new ledger was made: {printable(report.ledger)}")
    if report.series:
        lines.append("Sequence numbers begin anew.")
    return lines
