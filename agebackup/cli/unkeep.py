"""agebackup unkeep"""

import click

from agebackup.cli.choosing import to_option
from agebackup.cli.labelling import labelled
from agebackup.cli.settings import global_options


@click.command("unkeep", short_help="Let the rules decide about an archive again.")
@click.argument("archive")
@to_option
@global_options
def command(archive: str, to: str | None) -> int:
    """Take the mark away that `keep` set: the rules of retention decide again."""
    return labelled("unkeep", archive, to, kept=False)
