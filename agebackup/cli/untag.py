"""agebackup untag"""

import click

from agebackup.cli.choosing import to_option
from agebackup.cli.labelling import labelled
from agebackup.cli.settings import global_options


@click.command("untag", short_help="Take an archive's tag away.")
@click.argument("archive")
@to_option
@global_options
def command(archive: str, to: str | None) -> int:
    """Take an archive's tag away."""
    return labelled("untag", archive, to, tag="")
