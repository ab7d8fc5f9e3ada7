"""The words of a recovery sheet, the same on every kind of page."""

from collections.abc import Sequence

from agebackup.errors import printable
from agebackup.model.keychecks import brief
from agebackup.model.keygroups import GROUPS, PREFIX
from agebackup.model.sheet import MARK, Sheet

TITLE = MARK
WARNING = (
    "This page IS the key. Whoever reads or photographs it can read every backup made for it. "
    "Keep it like a passport: on paper, in a place that you will find again, not in a cloud."
)
_OPENS = (
    "It opens backups made by agebackup: files such as APP-20261120T021500Z-1f2e3d4c.tar.age. "
    "Each is complete in itself; date and time in the name are UTC; the newest is enough."
)
_PROTECTED = (
    "The key on this page is protected: to use it one needs its passphrase too, which is NOT on "
    "this page. Without the passphrase it opens nothing."
)
COMMANDS = (
    (
        "Debian, Ubuntu",
        (
            "sudo apt install age",
            "umask 077",
            "age -d -i key.txt -o backup.tar ARCHIVE.tar.age",
            "tar xf backup.tar",
        ),
    ),
    (
        "macOS",
        (
            "brew install age",
            "umask 077",
            "age -d -i key.txt -o backup.tar ARCHIVE.tar.age",
            "tar xf backup.tar",
        ),
    ),
    (
        "Windows (PowerShell)",
        (
            "winget install FiloSottile.age",
            "age -d -i key.txt -o backup.tar ARCHIVE.tar.age",
            "tar xf backup.tar",
        ),
    ),
)
"""What to type on each system, in the folder that holds key.txt and the archive."""
AFTERWARDS = (
    "If a command fails, stop: what came out is not to be trusted. The files are then in APP/data; "
    "APP/RECOVER.md says how to check them and put them back. Delete backup.tar and key.txt "
    "afterwards. If the name ends in .tar.zst.age: -o backup.tar.zst, then zstd -d backup.tar.zst."
)
PLACES, APPS = 3, 12
"""So many destinations and apps have room on the page."""
_BLANK = "______________________________________"


def about(sheet: Sheet) -> tuple[str, ...]:
    """Return what this is, in sentences."""
    more = (_PROTECTED,) if sheet.key.kind == "protected" else ()
    return (_OPENS, *more)


def facts(sheet: Sheet) -> tuple[tuple[str, str], ...]:
    """Return what stands where: each a word and what is to be said, or room to write."""
    made = " on ".join(filter(None, (sheet.made, printable(sheet.host))))
    return (
        ("Backups of", ", ".join(_some(sheet.apps, APPS)) or _BLANK),
        *(("They lie in", place) for place in _some(sheet.places, PLACES) or (_BLANK,)),
        ("Further copies", _BLANK),
        *((("Public key", printable(brief(sheet.key.recipient))),) if sheet.key.recipient else ()),
        ("Printed", made),
    )


def _some(names: Sequence[str], count: int) -> list[str]:
    more = len(names) - count
    return [*map(printable, names[:count]), *([f"and {more} more"] if more > 0 else [])]


def typing(sheet: Sheet, *, scannable: bool) -> Sequence[str]:
    """Return how the printed key becomes a file again; `scannable` where there is a QR code."""
    how = "Scan the code, or type" if scannable else "Type"
    if sheet.key.kind == "age":
        return (
            f"{how}: into a text file key.txt, in one line without blanks, "
            f"{PREFIX} and then the {GROUPS} groups. The letters O, I and B and the digit 1 are in "
            "no group: what looks like them is 0, L or 8.",
            "The check line is not part of the key. With agebackup, type groups and check line "
            "after `agebackup recovery-sheet --check -o key.txt`: it says which group is mistyped, "
            "and writes the file.",
        )
    return (
        f"{how}: into a text file key.txt, the two lines with hyphens and between "
        "them the lines as they are, without numbers and codes. Capitals and small letters differ.",
        "The last four characters of a line are its check code. With agebackup, type the lines "
        "with their codes after `agebackup recovery-sheet --check -o key.txt`: it says which line "
        "is mistyped, and writes the file.",
    )
