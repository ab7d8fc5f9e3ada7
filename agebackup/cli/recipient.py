"""agebackup recipient"""

from pathlib import Path

import click

from agebackup.cli.reading import console, identity_option, passphrase_option, reading
from agebackup.cli.settings import current, global_options


@click.command("recipient", short_help="Print an identity's recipients.")
@identity_option
@passphrase_option
@global_options
def command(identities: tuple[Path, ...], passphrase_fd: int | None) -> int:
    """Print the recipients (public keys) of an identity file.

    One line for each key in it, as age-keygen -y does: give them to create with -r.
    """
    to = console(current(), "recipient")
    recipients = reading(to, identities, passphrase_fd, {}).identities.recipients()
    to.output.result("\n".join(recipients), recipients=list(recipients))
    return 0
