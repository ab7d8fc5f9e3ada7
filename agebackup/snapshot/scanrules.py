"""What a scan leaves out of a tree: excluded, withheld, declared databases, trees of their own."""

import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agebackup.model.globs import compile_globs, covers
from agebackup.model.layout import SQLITE_COMPANIONS
from agebackup.model.names import uncarriable
from agebackup.model.source import Skipped, Source, TreeSource

Identity = tuple[int, int]
"""Device and inode."""

EXCLUDED = "excluded by a pattern"
WITHHELD = "declared as config or tokens, and not asked for"
DATABASE = "belongs to a declared database, which is archived as a copy"

_NUMBERLESS = (0, 0xFFFFFFFF)
"""What file systems (FUSE among them) list where they keep a file's inode number to themselves."""


@dataclass(frozen=True)
class ScanRules:
    """What the scans of one snapshot leave out.

    `excluded` are globs (see `model.globs`); `inodes` are those of declared databases and their
    companions; `withheld` are absolute paths. `trees` and `databases` are all the sources of the
    snapshot: a tree inside another is carried once, by itself, and a directory that holds a
    source is never an empty one.
    """

    excluded: tuple[str, ...] = ()
    inodes: frozenset[Identity] = frozenset()
    withheld: tuple[Path, ...] = ()
    follow_symlinks: bool = False
    trees: tuple[Path, ...] = ()
    places: frozenset[str] = frozenset()
    database_names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, source: Source, inodes: Iterable[Identity]) -> "ScanRules":
        """Return the rules for `source`, whose databases' files are `inodes`."""
        places = [database.place for database in source.databases]
        places += [tree.place for tree in source.trees]
        return cls(
            excluded=(*source.derived, *source.excluded),
            inodes=frozenset(inodes),
            withheld=source.withheld,
            follow_symlinks=source.follow_symlinks,
            trees=tuple(tree.path for tree in source.trees),
            places=frozenset(places),
            database_names=frozenset(database.path.name for database in source.databases),
        )


@dataclass(frozen=True)
class Bounds:
    """The rules as they apply to one tree at the moment when its scan begins.

    `barred` gives reasons by identity, `pruned` by path inside the tree; an empty reason means
    that there is nothing to say, because another tree carries it. `numbers` and `names` pick the
    few entries of a listing that are worth a closer look *before* they are opened: closing a
    database's file would drop the locks that this process holds on it (FACTS: POSIX locks).
    """

    place: str
    below_root: str
    excluded: re.Pattern[str] | None
    barred: dict[Identity, str]
    pruned: dict[str, str]
    numbers: frozenset[int]
    names: frozenset[str]
    occupied: frozenset[str]

    @classmethod
    def of(cls, tree: TreeSource, rules: ScanRules) -> "Bounds":
        """Look at what `rules` name and return what they mean for `tree`."""
        barred = {identity: WITHHELD for path in rules.withheld for identity in _identities(path)}
        barred |= dict.fromkeys(rules.inodes, DATABASE)
        apart = [path for path in rules.trees if path != tree.path]
        pruned = {inside: "" for path in apart for inside in _inside(tree.path, path)}
        for path in rules.withheld:
            pruned |= dict.fromkeys(_inside(tree.path, path), WITHHELD)
        numbers = {number for _, number in barred}
        return cls(
            place=tree.place,
            below_root=tree.below_root,
            excluded=compile_globs(rules.excluded) if rules.excluded else None,
            barred=barred,
            pruned=pruned,
            numbers=frozenset(numbers.union(_NUMBERLESS) if numbers else ()),
            names=rules.database_names if rules.inodes else frozenset(),
            occupied=frozenset({"data"}.union(*map(_parents, rules.places))),
        )

    def refusal(self, place: str, *, directory: bool = False) -> Skipped | None:
        """Return why what goes to `place` is left out, as far as its path says; else None.

        A directory whose name a bag cannot carry is refused as a whole, and so is one that is so
        deep that no path below it fits.
        """
        if self.pruned or self.excluded:
            relative = place[len(self.place) + 1 :]
            if relative in self.pruned:
                return Skipped(place, self.pruned[relative])
            end = "/" if directory else ""
            if self.excluded and self.excluded.fullmatch(f"{self.below_root}{relative}{end}"):
                return Skipped(place, EXCLUDED)
        reason = uncarriable(place + "/-" if directory else place)
        return Skipped(place, reason, lost=True) if reason else None

    def hides(self, relative: str, status: os.stat_result) -> str | None:
        """Return why a link may not lead to `relative`: it, or what it lies in, is left out."""
        directory = stat.S_ISDIR(status.st_mode)
        reason = self.hides_path(relative, directory=directory)
        return reason or self.barred.get((status.st_dev, status.st_ino))

    def hides_path(self, relative: str, *, directory: bool) -> str | None:
        """Return what `hides` says for the path alone, whatever lies there by now."""
        for path in (*_parents(relative), relative):
            if self.pruned.get(path):
                return self.pruned[path]
        end = "/" if directory else ""
        if self.excluded and covers(self.excluded, f"{self.below_root}{relative}{end}"):
            return EXCLUDED
        return None

    def closer_look(self, directory: int, suspects: Collection[str]) -> dict[str, str]:
        """Return the reasons to leave out any of `suspects`, names in the open `directory`."""
        reasons: dict[str, str] = {}
        for name in suspects:
            try:
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except OSError:
                continue
            reason = self.barred.get((status.st_dev, status.st_ino))
            if reason:
                reasons[name] = reason
            if reason == DATABASE:
                # A companion may be newer than the identities: the app makes and deletes them.
                reasons |= {name + suffix: DATABASE for suffix in SQLITE_COMPANIONS}
        return reasons


def _identities(path: Path) -> Iterator[Identity]:
    """Yield the identity of `path` and of everything in it, so that no hard link leads round."""
    try:
        status = os.stat(path)
    except OSError:
        return
    yield status.st_dev, status.st_ino
    waiting = [os.fspath(path)]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    yield status.st_dev, status.st_ino
                    if stat.S_ISDIR(status.st_mode):
                        waiting.append(entry.path)


def _inside(tree: Path, path: Path) -> set[str]:
    """Return how `path` reads from inside `tree`, as written and as it really is."""
    trees = {os.path.abspath(tree), os.path.realpath(tree)}
    paths = {os.path.abspath(path), os.path.realpath(path)}
    paths.add(os.path.join(os.path.realpath(path.parent), path.name))
    return {p.removeprefix(t + "/") for p in paths for t in trees if p.startswith(t + "/")}


def _parents(place: str) -> Iterator[str]:
    """Yield the directories above `place`, the topmost first."""
    for index, character in enumerate(place):
        if character == "/":
            yield place[:index]
