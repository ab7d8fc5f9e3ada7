"""Private keys where none should be: beside the archives, inside them, on a machine that backs up.

The search is bounded: it goes by small files, not by names alone, and ends after so many.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agebackup.model.findings import Finding
from agebackup.model.sheet import MARK
from agebackup.system.eviction import is_evicted
from agebackup.system.progress import Stop

ENTRIES = 5_000
"""How many names are looked at in one place."""
DEPTH = 3
_SMALL = 1 << 15
"""Bytes; no file of keys is larger."""
_AGE_KEY = re.compile(rb"AGE-SECRET-KEY-(?:PQ-)?1[AC-HJ-NP-Z02-9]{20}", re.IGNORECASE)
_SSH_KEY = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )?PRIVATE KEY-----")
_SHEET = MARK.encode()
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True)
class Place:
    """Where keys are looked for: a destination, what is backed up, or this machine's own files."""

    path: Path
    kind: str
    depth: int = DEPTH
    """How many directories deep; 1: the files of `path` itself."""


_MEANING = {
    "destination": (
        "error",
        "identity-in-destination",
        "It is a private key beside the archives: whoever gets hold of the folder opens them all.",
        "Move it off this machine and out of the cloud's history and trash. If others could read "
        "the folder, make a new pair (agebackup keygen) and new archives.",
    ),
    "source": (
        "warning",
        "identity-in-source",
        "It is a private key among what is backed up: locked into the very archives it opens, and "
        "on a machine that needs none.",
        "Keep it elsewhere, twice, and once on paper; exclude it here.",
    ),
    "machine": (
        "warning",
        "identity-on-machine",
        "It is a private key on the machine that makes the backups, which needs none.",
        "Copy it off this machine, twice, and once on paper, then remove it here.",
    ),
}


def of_places(places: Iterable[Place], stop: Stop) -> tuple[Finding, ...]:
    """Return each file with an age identity, and each recovery sheet, in `places`.

    In destinations SSH private keys too. Reads small regular files only, and follows no link. May
    raise `StoppedError`.
    """
    found: dict[str, Finding] = {}
    for place in places:
        for path in _small_files(place, stop):
            if str(path) not in found and _is_key(path, ssh=place.kind == "destination"):
                severity, code, fact, remedy = _MEANING[place.kind]
                found[str(path)] = Finding(severity, code, str(path), fact, remedy)  # type: ignore[arg-type]
    return tuple(found.values())


def _small_files(place: Place, stop: Stop) -> Iterator[Path]:
    """Yield the small regular files at or below `place`, nearest first, within the bounds."""
    if _is_small(place.path):
        yield place.path
        return
    pending, seen = [(place.path, 1)], 0
    while pending:
        directory, depth = pending.pop(0)
        try:
            entries = os.scandir(directory)
        except OSError:
            continue  # whoever needs the directory says what is wrong with it
        with entries:
            for entry in entries:
                stop.check()
                seen += 1
                if seen > ENTRIES:
                    return
                if depth < place.depth and entry.is_dir(follow_symlinks=False):
                    pending.append((Path(entry.path), depth + 1))
                elif _is_small(Path(entry.path)):
                    yield Path(entry.path)


def _is_small(path: Path) -> bool:
    """Return whether `path` is a regular file of a key's size."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and 0 < status.st_size <= _SMALL


def _is_key(path: Path, *, ssh: bool) -> bool:
    try:
        descriptor = os.open(path, _READ)
        try:
            away = is_evicted(descriptor, os.fstat(descriptor))
            content = b"" if away else os.read(descriptor, _SMALL)
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return bool(_SHEET in content or _AGE_KEY.search(content) or (ssh and _SSH_KEY.search(content)))
