"""agebackup tag"""

import click

from agebackup.cli.choosing import to_option
from agebackup.cli.labelling import labelled, require_word
from agebackup.cli.settings import global_options


@click.command("tag", short_help="Give an archive a tag.")
@click.argument("archive")
@click.argument("word")
@to_option
@global_options
def command(archive: str, word: str, to: str | None) -> int:
    """Give an archive the tag WORD, in place of the one it has.

    In the ledger alone: the file stays as it is. A tag does not keep an archive, unless a rule of
    retention (keep_tags) names it; `keep` does.
    """
    return labelled("tag", archive, to, tag=require_word(word))
