"""agebackup cat"""

import os
import sys
from pathlib import Path
from typing import Any

import click

from agebackup.cli.console import console
from agebackup.cli.output import write_out
from agebackup.cli.reading import FILE, reading, reading_options, workspace_option
from agebackup.cli.settings import current, global_options
from agebackup.cli.signals import raising


@click.command("cat", short_help="Write one file of an archive to stdout.")
@click.argument("archive", type=FILE)
@click.argument("path")
@reading_options
@workspace_option
@global_options
def command(archive: Path, path: str, workspace: Path | None, **options: Any) -> int:
    """Write one file of an archive to stdout, as PATH in ls names it.

    Nothing is written before the archive was read to its end and the hashes were found right;
    until then the file lies in the workspace, without a name.
    """
    from agebackup.cli import directories
    from agebackup.operations.contents import one_file

    to = console(current(), "cat")
    how = reading(to, options)
    claims = directories.claims()
    claims.sweep()
    with one_file(archive, path, directories.workspace(workspace), claims, how) as descriptor:
        pieces = iter(lambda: os.read(descriptor, 1 << 20), b"")
        to.settings.clear_line()
        with raising():
            write_out(pieces, sys.stdout.buffer if sys.stdout is not None else None)
    return 0
