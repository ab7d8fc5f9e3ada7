"""agebackup recipient"""

from typing import Any

import click

from agebackup.cli.console import console
from agebackup.cli.reading import identities, key_options
from agebackup.cli.settings import current, global_options
from agebackup.errors import UsageError


@click.command("recipient", short_help="Print an identity's recipients.")
@click.argument("words", nargs=-1, metavar="")
@key_options
@global_options
def command(words: tuple[str, ...], **options: Any) -> int:
    """Print the recipients (public keys) of an identity file.

    One line for each key in it, as age-keygen -y does: give them to create with -r.
    """
    to = console(current(), "recipient")
    if words:
        raise UsageError("The identity file is named with -i.", hint="agebackup recipient -i FILE")
    recipients = identities(to, options).recipients()
    to.output.result("\n".join(recipients), recipients=list(recipients))
    return 0
