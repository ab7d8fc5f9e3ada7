"""Where known applications usually keep their state: looked at for existence only, never opened."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from agebackup.config.expansion import expand
from agebackup.config.matching import NAME_MARK, literal, matches
from agebackup.config.tables import Where
from agebackup.errors import FailedError, UsageError
from agebackup.model.knownapp import KnownApp


def usual_roots(known: KnownApp, system: str, environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the roots of `known` that are there on this machine, likeliest first.

    A place that names a variable which is not set, or that cannot be searched, is none.
    """
    found: dict[Path, None] = {}
    for text in known.roots.get(system, ()):
        try:
            place = expand(text, Where(Path(known.name)), environment)
            for root in _roots(os.path.normpath(place), known) if os.path.isabs(place) else ():
                if os.path.isdir(root) and not absent(root, known.marks):
                    found[root] = None
        except (UsageError, FailedError):
            continue
    return tuple(found)


def _roots(place: str, known: KnownApp) -> Iterator[Path]:
    """Yield the directories that `place` stands for: itself, or all that fit its `{name}`."""
    parent, last = os.path.split(place)
    if NAME_MARK not in last:
        yield Path(place)
        return
    mark = known.marks[0] if NAME_MARK in known.marks[0] else literal(known.marks[0])
    for _, path in matches(Path(parent), f"{last}/{mark}"):
        yield Path(parent, path.relative_to(parent).parts[0])


def absent(root: Path, marks: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of `marks`, paths or globs below `root`, that no file there is."""
    return tuple(mark for mark in marks if not _is_there(root, mark))


def _is_there(root: Path, mark: str) -> bool:
    if NAME_MARK not in mark:
        return os.path.isfile(root / mark)
    try:
        return bool(matches(root, mark))
    except UsageError:  # two files of one name: whoever copies them says so
        return True
    except FailedError:
        return False
