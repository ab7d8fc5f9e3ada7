"""agebackup keep"""

import click

from agebackup.cli.choosing import to_option
from agebackup.cli.labelling import labelled
from agebackup.cli.settings import global_options


@click.command("keep", short_help="Keep an archive whatever the rules say.")
@click.argument("archive")
@to_option
@global_options
def command(archive: str, to: str | None) -> int:
    """Mark an archive as kept: it is never pruned, and not deleted before `unkeep`."""
    return labelled("keep", archive, to, kept=True)
