"""agebackup keygen"""

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from agebackup.cli.output import Output, write_out
from agebackup.cli.settings import current, global_options
from agebackup.errors import RefusedError, UsageError, printable

CARE = """\
The private key is in {path}. Without it nobody gets anything back, you included. Now, before the
first backup:
  1. Copy the file to two places that are not this machine (a password manager, a USB stick).
  2. Print it (agebackup recovery-sheet -i {path} -o sheet.html), or write its last line down, and
     keep the paper where you keep your passport.
  3. Then remove it from this machine: making backups needs only the recipient.
Whoever has the file can read every backup."""


@click.command("keygen", short_help="Make a key pair.")
@click.option(
    "-o",
    "--output",
    "target",
    required=True,
    help="File for the private key, made 0600 and never overwritten; - for standard output.",
)
@global_options
def command(target: str) -> int:
    """Make a key pair: the private key into a file, the recipient to stdout.

    The file is in age's own format: age and age-keygen read it. With `-o -` the private key goes
    to standard output and the recipient to standard error.
    """
    from agebackup.snapshot.keys import generate_identity
    from agebackup.system.secrecy import forbid_core_dumps

    forbid_core_dumps()
    settings = current()
    output = Output(settings, "keygen")
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text, recipient = generate_identity(created)
    if target == "-":
        write_out((text,), sys.stdout)
        print(recipient, file=sys.stderr)
        return 0
    path = Path(target)
    if not target or path.is_dir():
        raise UsageError(
            f"{printable(target)!r} is not a file's name.", hint="Name a new file, such as key.txt."
        )
    _write_key(path, text)
    output.say(CARE.format(path=path))
    output.result_of_work(recipient, recipient=recipient, path=str(path))
    return 0


def _write_key(path: Path, text: str) -> None:
    import os

    from agebackup.cli.directories import claims
    from agebackup.system.durable import write_durably

    if os.path.lexists(path):
        raise RefusedError(
            f"{printable(str(path))} exists; a private key is never overwritten.",
            hint="Archives may depend on it. Choose another name.",
        )
    write_durably(Path(os.path.abspath(path)), text.encode(), claims(), replace=False)
