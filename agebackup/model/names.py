"""Names: of apps, of archives, of files inside a bag; and how a name is shown to a person."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from agebackup.errors import UsageError
from agebackup.errors import printable as printable

_APP = r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?"
_APP_NAME = re.compile(_APP)
_ARCHIVE_NAME = re.compile(
    rf"(?P<app>{_APP})-(?P<time>\d{{8}}T\d{{6}}Z)-(?P<id>[0-9a-f]{{8}})"
    r"(?P<manual>-manual)?\.tar(?P<zstd>\.zst)?\.age",
    re.ASCII,
)
_TIME = "%Y%m%dT%H%M%SZ"
_FIRST_YEAR = 1970
"""No clock says less; and before the year 1000 strftime(3) would not give the same name again."""
_PERCENT_NEWLINE = re.compile(r"%0[adAD]")
MAX_PATH_BYTES = 4096 - 1 - 41
"""A path's limit inside a bag: Linux's PATH_MAX, less a NUL and the longest top folder with "/",
so that any tar can extract it."""


def is_app(name: str) -> bool:
    """Return whether `name` may be an app's name."""
    return _APP_NAME.fullmatch(name) is not None


def require_app(name: str) -> str:
    """Return `name` if it may be an app's name; raise `UsageError` otherwise."""
    if not is_app(name):
        raise UsageError(
            f"{printable(name)!r} cannot be an app's name.",
            hint="Use 1 to 40 of a-z, 0-9 and '-', with a letter or digit at both ends.",
        )
    return name


def app_slug(text: str) -> str:
    """Turn a database's stem into an app's name: lower case, other characters to single hyphens.

    Returns "" where nothing is left; the caller then asks the person for a name.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-")


@dataclass(frozen=True)
class ArchiveName:
    """The parts of an archive's name, the only place where its time is read from."""

    app: str
    time: datetime
    id: str
    manual: bool = False
    compressed: bool = False

    def __str__(self) -> str:
        manual = "-manual" if self.manual else ""
        suffix = ".tar.zst.age" if self.compressed else ".tar.age"
        return f"{self.app}-{self.time.astimezone(UTC).strftime(_TIME)}-{self.id}{manual}{suffix}"

    @classmethod
    def parse(cls, name: str) -> "ArchiveName | None":
        """Return the parts of `name`, or None where it is not exactly an archive's name.

        A conflict copy, a half written file or a foreign one is therefore never an archive.
        """
        match = _ARCHIVE_NAME.fullmatch(name)
        if not match:
            return None
        try:
            time = datetime.strptime(match["time"], _TIME).replace(tzinfo=UTC)
        except ValueError:
            return None
        if time.year < _FIRST_YEAR:
            return None
        return cls(match["app"], time, match["id"], bool(match["manual"]), bool(match["zstd"]))


def clash_key(path: str) -> str:
    """Return what a file system that folds case and Unicode forms would make of `path`."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def uncarriable(path: str) -> str | None:
    """Return why a bag cannot carry a file called `path`, or None where it can.

    `path` is what follows the bag's top folder, decoded with surrogateescape. The rules are those
    names that `sha256sum -c` or the Library of Congress validator take for something else: it
    strips lines, splits them at every Unicode line end, and decodes %0A and %0D.
    """
    plain = path.isascii() and path.isprintable() and "%" not in path
    if plain and len(path) <= MAX_PATH_BYTES:
        return "its name ends in a blank" if path.endswith(" ") else None
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        return "its name is not valid UTF-8"
    if len(encoded) > MAX_PATH_BYTES:
        return f"its path is longer than {MAX_PATH_BYTES} bytes"
    if any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in path):
        return "its name holds a control character or a line break"
    if path != path.rstrip():
        return "its name ends in a blank"
    if _PERCENT_NEWLINE.search(path):
        return "its name holds %0A or %0D, which bag readers take for a line break"
    return None


def named_digest(relative: str, length: int) -> str | None:
    """Return the hash of `length` hex digits that a file carries as its name, or None.

    It is the name up to its first dot, or, where the first digits became directories
    (`ab/cd/ef01….jpg`), the last digits of the joined path.
    """
    *directories, name = relative.split("/")
    stem = name.split(".", 1)[0].lower()
    digits = "0123456789abcdef"
    if not stem or stem.strip(digits):
        return None
    joined = stem
    for directory in reversed(directories):
        if len(joined) >= length:
            break
        joined = directory.lower() + joined
    return joined if len(joined) == length and not joined.strip(digits) else None


def folder_of(destination: Path) -> Path:
    """Return the folder of the archives that go to `destination`: a FILE.age's parent, or itself.

    Whether it names a file is told by the ending alone: a look might wait for a dead mount.
    """
    return destination.parent if destination.name.endswith(".age") else destination
