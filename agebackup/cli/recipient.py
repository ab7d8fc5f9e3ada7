"""agebackup recipient"""

from typing import Any

import click

from agebackup.cli.console import console
from agebackup.cli.reading import identities, key_options
from agebackup.cli.settings import current, global_options


@click.command("recipient", short_help="Print an identity's recipients.")
@key_options
@global_options
def command(**options: Any) -> int:
    """Print the recipients (public keys) of an identity file.

    One line for each key in it, as age-keygen -y does: give them to create with -r.
    """
    to = console(current(), "recipient")
    recipients = identities(to, options).recipients()
    to.output.result("\n".join(recipients), recipients=list(recipients))
    return 0
