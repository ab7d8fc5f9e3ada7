"""Where archives are kept besides the first folder: how such a place is written and what it is.

`github:OWNER/REPO` are the releases of a repository, `rclone:REMOTE:PATH` is whatever rclone
reaches; everything else is a folder's path. A folder whose name looks like one of these is
written `./github:…`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from agebackup.errors import UsageError, printable

Kind = Literal["folder", "github", "rclone"]
CARRIERS: Mapping[Kind, str] = {"github": "gh", "rclone": "rclone"}
"""The programs that carry archives to the kinds that need one."""

_OWNER = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,37}[A-Za-z0-9])?"
_GITHUB = re.compile(rf"(?P<owner>{_OWNER})/(?P<repository>[A-Za-z0-9._-]{{1,100}})", re.ASCII)
_RCLONE = re.compile(r"(?P<remote>[\w.+@][\w.+@ -]*):(?P<path>[^\0]*)")
"""Sources: GitHub's rules for names; rclone.org/docs, "Valid remote names"."""


@dataclass(frozen=True)
class Whereabouts:
    """A place that keeps archives. `place` is what follows the kind, a folder's whole path.

    `allow_public`: archives may go there although anybody can read them. `bandwidth` is the limit
    of a transfer as rclone's `--bwlimit` has it, "" for none.
    """

    kind: Kind
    place: str
    allow_public: bool = False
    bandwidth: str = ""

    @property
    def is_folder(self) -> bool:
        """Whether it is a directory of this machine, or mounted on it."""
        return self.kind == "folder"

    @property
    def text(self) -> str:
        """It as a person writes it."""
        return self.place if self.is_folder else f"{self.kind}:{self.place}"


def parse_whereabouts(text: str) -> Whereabouts:
    """Return what `text` names; raise `UsageError` for what can be no place of its kind."""
    kind, colon, place = text.partition(":")
    if colon and kind == "github":
        return Whereabouts("github", _repository(place))
    if colon and kind == "rclone":
        return Whereabouts("rclone", _remote(place))
    if not text or "\0" in text:
        raise UsageError("A destination is empty.", hint="Name a directory.")
    return Whereabouts("folder", text)


def is_folder_key(key: str) -> bool:
    """Return whether `key`, which the ledger has of a destination, is a folder's real path."""
    return key.startswith("/")


def _repository(place: str) -> str:
    match = _GITHUB.fullmatch(place)
    if match is None or match["repository"] in (".", ".."):
        raise UsageError(
            f"{printable(f'github:{place}')!r} names no repository.",
            hint="Write github:OWNER/REPO, for example github:ada/backups.",
        )
    return place.lower()  # GitHub does not tell letters apart, and the ledger needs one name


def _remote(place: str) -> str:
    match = _RCLONE.fullmatch(place)
    if match is None:
        raise UsageError(
            f"{printable(f'rclone:{place}')!r} names no remote of rclone.",
            hint="Write rclone:REMOTE:PATH with a remote that rclone listremotes shows. Remotes "
            "that are defined on the spot would put their secrets into messages and the ledger.",
        )
    parts = [part for part in match["path"].split("/") if part not in ("", ".")]
    if ".." in parts:
        raise UsageError(
            f"{printable(f'rclone:{place}')!r} has a '..' in it, which remotes take differently.",
            hint="Write the path from the remote's beginning.",
        )
    root = "/" if match["path"].startswith("/") else ""
    return f"{match['remote']}:{root}{'/'.join(parts)}"
