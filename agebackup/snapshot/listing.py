"""List one open directory: names by kind, and what must not even be opened."""

import errno
import os
from dataclasses import dataclass, field

from agebackup.snapshot.scanrules import Bounds
from agebackup.system.progress import Progress

LOOK = 0xFF
"""How many entries pass between two looks at the wish to stop, less one."""


@dataclass(slots=True)
class Listing:
    """The names in a directory; `left_out` has reasons for some of them. Files come last first.

    Names alone, because of a directory with a million files each byte per entry counts.
    """

    files: list[str] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def list_directory(descriptor: int, bounds: Bounds, progress: Progress) -> Listing:
    """Return what the directory open as `descriptor` holds; raises OSError where it is unreadable.

    Costs no system call per entry, except for those that `bounds` wants to see more closely and
    on file systems that do not tell kinds.
    """
    listing = Listing()
    suspects: list[str] = []
    numbers, names = bounds.numbers, bounds.names
    with os.scandir(descriptor) as entries:
        for count, entry in enumerate(entries):
            name = entry.name
            if entry.is_file(follow_symlinks=False):
                listing.files.append(name)
            elif entry.is_dir(follow_symlinks=False):
                listing.directories.append(name)
            else:
                (listing.links if entry.is_symlink() else listing.others).append(name)
            if numbers and (entry.inode() in numbers or name in names):
                suspects.append(name)
            if not count & LOOK:
                progress.advance(0)
    if not os.fstat(
        descriptor
    ).st_nlink:  # the C library takes a removed directory for an empty one
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    listing.left_out = bounds.closer_look(descriptor, suspects)
    listing.files.sort(reverse=True)
    return listing
