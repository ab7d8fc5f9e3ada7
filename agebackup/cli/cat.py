"""agebackup cat"""

import os
import sys
from pathlib import Path
from typing import Any

import click

from agebackup.cli.output import write_out
from agebackup.cli.reading import (
    FILE,
    console,
    identity_option,
    limit_options,
    passphrase_option,
    reading,
    workspace_option,
)
from agebackup.cli.settings import current, global_options


@click.command("cat", short_help="Write one file of an archive to stdout.")
@click.argument("archive", type=FILE)
@click.argument("path")
@identity_option
@passphrase_option
@workspace_option
@limit_options
@global_options
def command(
    archive: Path,
    path: str,
    identities: tuple[Path, ...],
    passphrase_fd: int | None,
    workspace: Path | None,
    **raised: Any,
) -> int:
    """Write one file of an archive to stdout, as PATH in ls names it.

    Nothing is written before the archive was read to its end and the hashes were found right;
    until then the file lies in the workspace, without a name.
    """
    from agebackup.cli import places
    from agebackup.operations.contents import one_file

    to = console(current(), "cat")
    how = reading(to, identities, passphrase_fd, raised)
    claims = places.claims()
    claims.sweep()
    with one_file(archive, path, places.workspace(workspace), claims, how) as descriptor:
        pieces = iter(lambda: os.read(descriptor, 1 << 20), b"")
        write_out(pieces, sys.stdout.buffer if sys.stdout is not None else None)
    return 0
