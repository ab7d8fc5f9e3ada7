"""agebackup cat"""

import os
import sys
from typing import Any

import click

from agebackup.cli.choosing import chosen, recorded, to_option
from agebackup.cli.console import console
from agebackup.cli.fetching import at_hand
from agebackup.cli.looking import Looking
from agebackup.cli.output import write_out
from agebackup.cli.reading import reading, reading_options, workspace_option
from agebackup.cli.settings import current, global_options
from agebackup.cli.signals import raising


@click.command("cat", short_help="Write one file of an archive to stdout.")
@click.argument("archive")
@click.argument("path")
@to_option
@reading_options
@workspace_option
@global_options
def command(archive: str, path: str, **options: Any) -> int:
    """Write one file of an archive to stdout, as PATH in ls names it.

    Nothing is written before the archive was read to its end and the hashes were found right;
    until then the file lies in the workspace, without a name.
    """
    from agebackup.cli import directories
    from agebackup.operations.contents import one_file

    tell = console(current(), "cat")
    found = chosen(archive, options["to"], tell)
    record = recorded(found, tell)
    how = Looking(record).told(reading(tell, options))
    claims = directories.claims()
    claims.sweep()
    workspace = directories.workspace(options["workspace"])
    with (
        at_hand(found, tell, record=record, workspace=options["workspace"]) as file,
        one_file(file, path, workspace, claims, how) as descriptor,
    ):
        pieces = iter(lambda: os.read(descriptor, 1 << 20), b"")
        tell.settings.clear_line()
        with raising():
            write_out(pieces, sys.stdout.buffer if sys.stdout is not None else None)
    return 0
