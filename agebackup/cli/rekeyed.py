"""agebackup ledger rekeyed"""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agebackup.cli.console import Console, console
from agebackup.cli.locking import lock_apps
from agebackup.cli.output import described
from agebackup.cli.reading import FILE
from agebackup.cli.scope import now, required_ledger
from agebackup.cli.settings import current, global_options
from agebackup.errors import NotFoundError, UsageError, VerificationError, counted, printable

if TYPE_CHECKING:
    from agebackup.model.rekeyreport import RekeyedFile
    from agebackup.operations.rekeylearning import Learned

_WORDS = {
    "learned": "has new keys, as the ledger knows now",
    "known": "has new keys, as the ledger knew",
    "not-yet": "still is the old file",
    "differs": "is not what the report says",
}


@click.command("rekeyed")
@click.argument("reports", nargs=-1, required=True, type=FILE, metavar="REPORT...")
@global_options
def rekeyed_command(reports: tuple[Path, ...]) -> int:
    """Let the ledger learn of a rekey on another machine, from its report.

    REPORT is what `agebackup rekey --json` wrote there. No private key is needed: an archive's new
    hash is taken over where the ledger knows the old one and the folder holds the new file. Exit
    code 4: a folder still holds an old file, or another one; 10: the ledger knows none of them.
    """
    from agebackup.operations.rekeylearning import learn, rows_of

    to = console(current(), "ledger-rekeyed")
    lines = [line for path in reports for line in _read(path)]
    with required_ledger() as ledger, ExitStack() as locks:
        lock_apps((row.app for row in rows_of(lines, ledger).values()), locks, to)
        rows = rows_of(lines, ledger)
        if not rows:
            raise NotFoundError(
                "The ledger knows none of these archives.",
                hint="Run this on the machine that makes the backups.",
            )
        learned = []
        for one in learn(rows.items(), ledger, now(), to.progress):
            learned.append(one)
            _tell(one, to)
    return _report(learned, len(lines) - len(rows), to)


def _read(path: Path) -> "tuple[RekeyedFile, ...]":
    from agebackup.model.rekeyreport import LIMIT, parse_report

    shown = printable(str(path))
    try:
        with path.open("rb") as file:
            text = file.read(LIMIT + 1)
    except OSError as error:
        raise UsageError(f"The report {shown} cannot be read: {error.strerror}.") from None
    try:
        return parse_report(text)
    except UsageError as error:
        error.message = f"{shown}: {printable(error.message)}"
        raise


def _tell(one: "Learned", to: Console) -> None:
    to.output.say(f"{printable(one.path.name)} {_WORDS[one.outcome]}. {one.why}".rstrip())


def _report(learned: "list[Learned]", unknown: int, to: Console) -> int:
    wrong = [one for one in learned if one.outcome in ("not-yet", "differs")]
    if unknown:
        to.output.warn(f"Of {counted(unknown, 'archive')} the ledger knows nothing.")
    fields: dict[str, Any] = {
        "archives": [
            {"archive": one.path.name, "path": str(one.path), "outcome": one.outcome}
            for one in learned
        ],
        "unknown": unknown,
    }
    error = VerificationError(
        f"{counted(len(wrong), 'archive')} in the folder cannot be what the report says.",
        hint="Wait until the cloud client has brought the new files, then try again; or see "
        "agebackup audit.",
        details=[f"{one.path.name}: {one.why}" for one in wrong],
    )
    if wrong and not to.settings.json:
        raise error
    if wrong:
        fields |= {"status": "failed", "exit": error.code, "error": described(error)}
    to.output.result(f"{len(learned) - len(wrong)} of {len(learned)} known", **fields)
    return error.code if wrong else 0
