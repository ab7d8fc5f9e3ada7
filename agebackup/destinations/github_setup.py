"""What `doctor` asks of GitHub and does there: versions, a new repository, its first commit."""

import base64
import re
from contextlib import suppress

from agebackup.destinations.github import GitHub
from agebackup.destinations.github_faults import shown
from agebackup.errors import FailedError
from agebackup.model.recovery import RECOVERY_NOTE, recovery_note

OLDEST = (2, 4)
"""The first gh whose `api` command has all that is used here, in what Debian and Ubuntu had."""
_VERSION = re.compile(r"gh version (\d{1,4})\.(\d{1,4})")


def gh_version(remote: GitHub) -> tuple[int, int]:
    """Return which gh there is; raise `FailedError` where there is none."""
    said = remote.calls.version()
    match = _VERSION.search(said)
    if match is None:
        raise FailedError(
            f"The command gh is not GitHub's: it says {shown(said)!r}.",
            hint="Install gh (cli.github.com), or put it first in PATH.",
        )
    return int(match[1]), int(match[2])


def make_repository(remote: GitHub) -> None:
    """Make the repository, private, with a first commit; raises `AgebackupError`."""
    owner, _, name = remote.place.place.partition("/")
    login = str((remote.calls.ask("GET", "user") or {}).get("login", ""))
    path = "user/repos" if login.lower() == owner else f"orgs/{owner}/repos"
    body = {
        "name": name,
        "private": True,
        "description": "Encrypted backups, made by agebackup",
        "has_issues": False,
        "has_wiki": False,
        "has_projects": False,
    }
    remote.calls.ask("POST", path, body)
    make_first_commit(remote)


def make_first_commit(remote: GitHub) -> None:
    """Put the recipe for getting backups back into the empty repository, as its first commit."""
    content = base64.b64encode(_readme(remote.place.place).encode()).decode()
    body = {"message": "Say how these backups are got back", "content": content}
    remote.calls.ask("PUT", f"repos/{remote.place.place}/contents/README.md", body)


def _readme(place: str) -> str:
    note = recovery_note()
    with suppress(ValueError):
        note = note[note.index("You need the private key.") :]
    indented = "\n".join(f"    {line}".rstrip() for line in note.splitlines())
    return f"""\
# Backups

Each release of this repository is one encrypted backup, made by agebackup. Its tag is the backup's
name, with date and time in UTC; each one is complete in itself: the newest is enough. A backup over
2 GB lies there in parts, and its release says how they are joined.

With agebackup:

    agebackup restore latest --from github:{place} -i key.txt --target restored

Without it: download the files of a release (not its source code), then do what follows. It is what
`{RECOVERY_NOTE}` says beside backups in a folder.

{indented}
"""
