"""agebackup get"""

import os
from pathlib import Path

import click

from agebackup.cli.choosing import chosen, recorded, to_option
from agebackup.cli.console import console
from agebackup.cli.fetching import at_hand
from agebackup.cli.settings import current, global_options
from agebackup.errors import NotFoundError, UsageError, printable


@click.command("get", short_help="Copy an archive out of its destination.")
@click.argument("archive")
@click.option("-o", "--output", required=True, metavar="PATH", help="New file, or a directory.")
@to_option
@global_options
def command(archive: str, output: str, to: str | None) -> int:
    """Copy an archive out of its destination, and compare the copy with the ledger's hash.

    Where the ledger knows none, with the form and exact size that an age file must have. Nothing is
    overwritten. Exit code 4: the archive is not what was published; then there is no copy.
    """
    from agebackup.cli import directories
    from agebackup.operations.get import get, require_free

    out = console(current(), "get")
    require_place(output)
    found = chosen(archive, to, out)
    target = Path(output, found.name) if os.path.isdir(output) else Path(output)
    require_free(target)
    claims = directories.claims()
    claims.sweep()
    record = recorded(found, out)
    with at_hand(found, out, record=record) as path:
        got = get(path, record, target, claims, out.progress)
    how = "its hash is the ledger's" if got.compared else "the ledger knows no hash to compare with"
    out.output.say(f"Copied {got.size:,} bytes; {how}.")
    out.output.result_of_work(
        printable(str(got.path)),
        path=str(got.path),
        archive=found.name,
        size=got.size,
        sha256=got.sha256,
        compared=got.compared,
    )
    return 0


def require_place(output: str) -> None:
    """Raise `UsageError` for what can be no copy, `NotFoundError` for a directory that is none."""
    if not output:
        raise UsageError("-o is empty.", hint="Name the copy, or a directory for it.")
    if output == "-":
        raise UsageError(
            "A copy is checked before it has a name, so it cannot go to standard output.",
            hint="Name a file, or a directory. A file that is called - is ./- here.",
        )
    if os.path.basename(output) in ("", ".", "..") and not os.path.isdir(output):
        raise NotFoundError(
            f"There is no directory {printable(output)}.", hint="Make it first, or name a file."
        )
