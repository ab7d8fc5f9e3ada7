"""agebackup ls"""

from datetime import UTC, datetime
from typing import Any

import click

from agebackup.cli.choosing import chosen, to_option
from agebackup.cli.console import console
from agebackup.cli.fetching import at_hand
from agebackup.cli.reading import reading, reading_options
from agebackup.cli.settings import current, global_options
from agebackup.errors import printable


@click.command("ls", short_help="List an archive's files.")
@click.argument("archive")
@to_option
@reading_options
@global_options
def command(archive: str, to: str | None, **options: Any) -> int:
    """List the files in an archive: size, time, and path as cat and restore --only take it.

    The list is shown after every hash in the archive was checked.
    """
    from agebackup.operations.contents import list_files

    tell = console(current(), "ls")
    with at_hand(chosen(archive, to, tell), tell) as path:
        files = list_files(path, reading(tell, options))
    if tell.settings.json:
        tell.output.result(
            "", files=[{"path": f.path, "size": f.size, "mtime": f.mtime} for f in files]
        )
        return 0
    tell.output.result(
        "\n".join(
            f"{file.size:>14,}  {_time(file.mtime)}  {printable(file.path)}" for file in files
        )
    )
    return 0


def _time(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{seconds:>20}"
