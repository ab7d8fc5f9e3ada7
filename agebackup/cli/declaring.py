"""`config init NAME`: the flags of `create`, turned into a section of the configuration."""

import os
from pathlib import Path
from typing import Any

from agebackup.cli import directories
from agebackup.cli.adhoc import adhoc_source
from agebackup.cli.flags import CreateFlags
from agebackup.cli.settings import Settings
from agebackup.cli.wiring import open_folder
from agebackup.config import Declaration, declare
from agebackup.errors import UsageError, printable
from agebackup.snapshot.keys import read_recipients


def declare_app(app: str, file: Path, settings: Settings, options: dict[str, Any]) -> None:
    """Declare `app` in the config file `file` as `options` say.

    Looks at everything first: the sources are there, the recipients are keys, the destination is a
    directory (or is made, with --mkdir). Raises what `create` would raise for them.
    """
    flags = CreateFlags.of(app=app, **options)
    source = adhoc_source(flags)
    for database in source.databases:
        if not database.path.is_file():
            raise UsageError(
                f"There is no database file {printable(str(database.path))}.",
                hint="Check the path: what --db names must be there already.",
            )
    declaration = Declaration(source, **delivery(app, flags))
    declare(declaration, file, settings.variables, directories.claims())


def delivery(app: str, flags: CreateFlags) -> dict[str, Any]:
    """Return what `flags` say of destination and recipients, by the fields of a declaration.

    The recipients are parsed, the destination is looked at, or made. Raises what `create` would
    raise for them, and `UsageError` where there is no recipient.
    """
    if not flags.recipients and not flags.recipients_files:
        raise UsageError(
            f"No recipient was named for {app}.",
            hint="Give a public key with -r age1..., as `agebackup keygen` prints it.",
        )
    read_recipients(flags.recipients, flags.recipients_files)
    keys = [text for text in flags.recipients if not os.path.exists(text)]
    files = [Path(text) for text in flags.recipients if os.path.exists(text)]
    if flags.to:
        open_folder(flags.to, make=flags.mkdir, overwrite=False).prepare()
    return {
        "destination": Path(os.path.abspath(os.path.expanduser(flags.to))) if flags.to else None,
        "recipients": [text.strip() for text in keys],
        "recipients_files": [
            Path(os.path.abspath(one)) for one in (*files, *flags.recipients_files)
        ],
        "signing_key": Path(os.path.abspath(flags.signing_key)) if flags.signing_key else None,
    }
