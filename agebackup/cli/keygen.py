"""agebackup keygen"""

import os
import platform
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from agebackup.cli.output import Output, write_out
from agebackup.cli.settings import current, global_options
from agebackup.errors import NotFoundError, RefusedError, UsageError, printable

CARE = """\
The private key is in {path}. Without it nobody gets anything back, you included. Now, before the
first backup:
  1. Copy the file to two places that are not this machine (a password manager, a USB stick).
  2. Print it (agebackup recovery-sheet -i {path} -o sheet.html), or write its last line down, and
     keep the paper where you keep your passport.
  3. Then remove it from this machine: making backups needs only the recipient.
Whoever has the file can read every backup."""

SIGNING_CARE = """\
The signing key is in {path}, its public half in {path}.pub. It opens no archive. Name it
where the backups are made, in [apps.NAME] of the configuration: signing_key = "{path}"
The line above goes into a file of signers where archives are opened: agebackup restore --signers
FILE, or trusted_signers in the configuration there. Keep a copy of that file with your private key,
never beside the archives only."""


@click.command("keygen", short_help="Make a key pair.")
@click.option(
    "-o",
    "--output",
    "target",
    required=True,
    help="File for the private key, made 0600 and never overwritten; - for standard output.",
)
@click.option(
    "--signing",
    is_flag=True,
    help="Make an SSH key to sign archives with, which opens none; prints its line for --signers.",
)
@global_options
def command(target: str, *, signing: bool) -> int:
    """Make a key pair: the private key into a file, the recipient to stdout.

    The file is in age's own format: age and age-keygen read it. With `-o -` the private key goes
    to standard output and the recipient to standard error.

    With --signing it is an SSH key pair, FILE and FILE.pub, made by ssh-keygen: the one that
    create signs archives with. It has no passphrase, so that nightly jobs can use it.
    """
    from agebackup.snapshot.keys import generate_identity
    from agebackup.system.secrecy import forbid_core_dumps

    forbid_core_dumps()
    settings = current()
    output = Output(settings, "keygen")
    if signing:
        return _signing_key(target, output)
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text, recipient = generate_identity(created)
    if target == "-":
        write_out((text,), sys.stdout)
        print(recipient, file=sys.stderr)
        return 0
    path = _named(target)
    _write_key(path, text)
    output.say(CARE.format(path=path))
    output.result_of_work(recipient, recipient=recipient, path=str(path))
    return 0


def _named(target: str) -> Path:
    path = Path(target)
    if not target or path.is_dir():
        raise UsageError(
            f"{printable(target)!r} is not a file's name.", hint="Name a new file, such as key.txt."
        )
    return path


def _write_key(path: Path, text: str) -> None:
    from agebackup.cli.directories import claims
    from agebackup.system.durable import write_durably

    _require_new(path)
    write_durably(Path(os.path.abspath(path)), text.encode(), claims(), replace=False)


def _require_new(path: Path) -> None:
    if os.path.lexists(path):
        raise RefusedError(
            f"{printable(str(path))} exists; a private key is never overwritten.",
            hint="Archives may depend on it. Choose another name.",
        )


def _signing_key(target: str, output: Output) -> int:
    """Make an SSH key pair in a private directory beside its place, then give it its names."""
    from agebackup.cli.directories import claims
    from agebackup.snapshot.signatures import allowed_line, new_key
    from agebackup.system.durable import write_durably
    from agebackup.system.progress import Progress
    from agebackup.system.workspace import private_directory

    if target == "-":
        raise UsageError(
            "A signing key is a pair of files, which standard output cannot be.",
            hint="Name a new file: agebackup keygen --signing -o signing",
        )
    path = Path(os.path.abspath(_named(target)))
    public = path.with_name(f"{path.name}.pub")
    for file in (path, public):
        _require_new(file)
    if not path.parent.is_dir():
        raise NotFoundError(
            f"The directory {printable(str(path.parent))} does not exist.", hint="Make it first."
        )
    name = _signer_name()
    with private_directory(path.parent, claims(), prefix="keygen") as private:
        secret, line = new_key(private, name, Progress(output.settings.stop))
    write_durably(path, secret, claims(), replace=False)
    write_durably(public, f"{line}\n".encode(), claims(), replace=False)
    allowed = allowed_line(name, line)
    output.result_of_work(allowed, signer=allowed, path=str(path), public=str(public))
    output.say(SIGNING_CARE.format(path=printable(str(path))))
    return 0


def _signer_name() -> str:
    """Return a name for the signer, of characters that a file of signers takes for themselves."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", platform.node()).strip("-.")
    return f"agebackup@{host or 'localhost'}"
