"""Walk a tree of files through directory descriptors, never leaving it.

Every directory is opened by its name in the descriptor of the one above it, without following a
symlink, so that whoever swaps a directory for a link meanwhile leads the walk nowhere. The walk
holds a bounded number of descriptors at any depth, and of a directory's files their names alone.
"""

import errno
import os
import stat
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from agebackup.errors import FailedError, printable
from agebackup.model.names import uncarriable
from agebackup.model.source import Skipped, TreeSource
from agebackup.snapshot.links import (
    CHILD_DIRECTORY,
    DIRECTORY,
    LOOP,
    OUTSIDE,
    OutsideError,
    kind,
    opened_parent,
    target_inside,
    unfollowed,
    unreadable,
)
from agebackup.snapshot.listing import LOOK, Listing, list_directory
from agebackup.snapshot.scanrules import Bounds, Identity, ScanRules
from agebackup.system.progress import Progress

HELD_LEVELS = 64
"""How many directories above the present one stay open; deeper ones are opened again."""


class Candidate(NamedTuple):
    """What was listed as a file: its place in the bag, its name in the descriptor `directory`."""

    place: str
    name: str
    directory: int


@dataclass(frozen=True, slots=True)
class EmptyDirectory:
    """A directory of which nothing is carried but itself."""

    place: str


Item = Candidate | EmptyDirectory | Skipped


@dataclass(slots=True)
class _Level:
    """A directory on the way down: `relative` ends with "/", or is "" for the tree itself.

    `real` is the same without the symlink that was followed on the way, if one was. `kept` counts
    what is carried of it, `pending` are the directories still to be entered, and `links` those of
    them that are symlinks.
    """

    relative: str
    descriptor: int
    identity: Identity
    real: str
    kept: int = 0
    pending: list[str] = field(default_factory=list)
    links: set[str] = field(default_factory=set)

    @property
    def linked(self) -> bool:
        """Whether it lies at or below a symlink that was followed."""
        return self.real != self.relative


class Walk:
    """One walk through `tree` under `rules`: a directory's files by name, then its directories."""

    def __init__(self, tree: TreeSource, rules: ScanRules, progress: Progress) -> None:
        self.bounds = Bounds.of(tree, rules)
        self._tree = tree
        self._follow_links = rules.follow_symlinks
        self._progress = progress
        self._real = os.path.realpath(tree.path)
        self._top = -1
        self._levels: list[_Level] = []
        self._above: set[Identity] = set()

    def items(self) -> Generator[Item, None, None]:
        """Yield what is there; a candidate's descriptor is open until the iteration goes on.

        Raises `FailedError` where attachments cannot be read at all, or the system is out of
        descriptors or memory. Close the iterator when leaving it early.
        """
        try:
            yield from self._begin()
            while self._levels:
                level = self._levels[-1]
                if level.pending:
                    yield from self._descend(level, level.pending.pop())
                else:
                    yield from self._leave(level)
        finally:
            for descriptor in (self._top, *(level.descriptor for level in self._levels)):
                if descriptor >= 0:
                    os.close(descriptor)

    def missed(self) -> None:
        """Take back the last candidate: nothing of it is carried."""
        if self._levels:
            self._levels[-1].kept -= 1

    def _begin(self) -> Iterator[Item]:
        tree = self._tree
        try:
            mode = os.stat(tree.path).st_mode
            single = stat.S_ISREG(mode) and tree.role != "attachments"
            self._top = os.open(os.path.dirname(self._real) if single else tree.path, DIRECTORY)
            start = -1 if single else os.dup(self._top)
        except OSError as error:
            yield _without_tree(tree, error)
            return
        if single:
            yield Candidate(tree.place, os.path.basename(self._real), self._top)
        else:
            yield from self._enter("", start, "")

    def _enter(self, relative: str, descriptor: int, real: str) -> Iterator[Item]:
        """Take over `descriptor` and go through the directory behind it."""
        status = os.fstat(descriptor)
        identity = status.st_dev, status.st_ino
        place = self._place(relative)
        reason = self.bounds.barred.get(identity)
        if identity in self._above:
            reason = LOOP if real != relative else "the same directory as one above it"
        if reason:
            os.close(descriptor)
            yield Skipped(place, reason)
            return
        if self._levels:
            self._levels[-1].kept += 1
        level = _Level(relative, descriptor, identity, real)
        self._levels.append(level)
        self._above.add(identity)
        try:
            listing = list_directory(level.descriptor, self.bounds, self._progress)
        except OSError as error:
            yield unreadable(place, error) if relative else _without_tree(self._tree, error)
            return
        yield from self._files(level, listing)
        yield from self._others(level, listing)

    def _leave(self, level: _Level) -> Iterator[Item]:
        self._levels.pop()
        self._above.discard(level.identity)
        if level.descriptor >= 0:
            os.close(level.descriptor)
        place = self._place(level.relative)
        if level.kept or place in self.bounds.occupied:
            return
        reason = uncarriable(place)
        yield Skipped(place, reason, lost=True) if reason else EmptyDirectory(place)

    def _files(self, level: _Level, listing: Listing) -> Iterator[Item]:
        files, left_out, refusal = listing.files, listing.left_out, self.bounds.refusal
        base, descriptor = self._place(level.relative) + "/", level.descriptor
        while files:
            name = files.pop()
            place = base + name
            if name in left_out:
                yield Skipped(place, left_out[name])
            elif refused := refusal(place):
                yield from _said(refused)
            elif reason := self._hidden(level, name):
                yield Skipped(place, reason)
            else:
                level.kept += 1
                yield Candidate(place, name, descriptor)
            if not len(files) & LOOK:
                self._progress.advance(0)

    def _others(self, level: _Level, listing: Listing) -> Iterator[Item]:
        base = self._place(level.relative) + "/"
        for name in sorted(listing.directories):
            if refused := self.bounds.refusal(base + name, directory=True):
                yield from _said(refused)
            elif reason := self._hidden(level, name, directory=True):
                yield Skipped(base + name, reason)
            else:
                level.pending.append(name)
        for names, followed in ((listing.others, False), (listing.links, self._follow_links)):
            for name in sorted(names):
                refused = self.bounds.refusal(base + name)
                if refused and (followed or not refused.lost):
                    yield from _said(refused)
                elif name in listing.left_out:
                    yield Skipped(base + name, listing.left_out[name])
                elif followed:
                    yield from self._follow(level, name)
                else:
                    yield self._skipped_kind(level, name)
        level.pending.sort(reverse=True)

    def _hidden(self, level: _Level, name: str, *, directory: bool = False) -> str | None:
        """Return why `name` is left out where it really lies, when a symlink led there.

        By its path, because what was withheld may have been replaced meanwhile.
        """
        if not level.linked:
            return None
        return self.bounds.hides_path(level.real + name, directory=directory)

    def _skipped_kind(self, level: _Level, name: str) -> Skipped:
        place = self._place(level.relative + name + "/")
        try:
            mode = os.stat(name, dir_fd=level.descriptor, follow_symlinks=False).st_mode
        except OSError as error:
            return unreadable(place, error)
        reason = kind(mode)
        return Skipped(place, reason or "changed its kind", lost=reason is None)

    def _follow(self, level: _Level, name: str) -> Iterator[Item]:
        place = self._place(level.relative + name + "/")
        try:
            target = target_inside(self._real, level.relative + name)
            with opened_parent(self._top, target) as (directory, last):
                status = os.stat(last or ".", dir_fd=directory, follow_symlinks=False)
                if reason := self.bounds.hides(target, status):
                    yield Skipped(place, reason)
                elif stat.S_ISREG(status.st_mode):
                    level.kept += 1
                    yield Candidate(place, last, directory)
                elif not stat.S_ISDIR(status.st_mode):
                    yield Skipped(place, f"a symlink to {kind(status.st_mode)}")
                elif level.linked:
                    yield Skipped(place, "a symlink to a directory, below another one")
                else:
                    level.pending.append(name)
                    level.links.add(name)
        except OutsideError:
            yield Skipped(place, OUTSIDE)
        except OSError as error:
            yield unfollowed(place, error)

    def _descend(self, level: _Level, name: str) -> Iterator[Item]:
        real = f"{level.real}{name}/"
        relative = f"{level.relative}{name}/"
        try:
            self._reopen(level)
            if name in level.links:
                target = target_inside(self._real, relative[:-1])
                real = target and f"{target}/"
                with opened_parent(self._top, target) as (directory, last):
                    child = os.open(last or ".", CHILD_DIRECTORY, dir_fd=directory)
            else:
                child = os.open(name, CHILD_DIRECTORY, dir_fd=level.descriptor)
        except OutsideError:
            yield Skipped(self._place(relative), OUTSIDE)
            return
        except OSError as error:
            yield unreadable(self._place(relative), error)
            return
        if not level.pending or len(self._levels) > HELD_LEVELS:
            os.close(level.descriptor)
            level.descriptor = -1
        yield from self._enter(relative, child, real)

    def _reopen(self, level: _Level) -> None:
        if level.descriptor >= 0:
            return
        # Links on the way are followed here; the identity tells whether it is still the one.
        level.descriptor = os.open(level.relative, DIRECTORY, dir_fd=self._top)
        status = os.fstat(level.descriptor)
        if (status.st_dev, status.st_ino) != level.identity:
            os.close(level.descriptor)
            level.descriptor = -1
            raise OSError(errno.EBUSY, "the directory above it was replaced")

    def _place(self, relative: str) -> str:
        """Return the place of a directory, whose `relative` ends with "/" or is ""."""
        return f"{self.bounds.place}/{relative}"[:-1]


def _said(refused: Skipped) -> Iterator[Skipped]:
    if refused.reason:
        yield refused


def _without_tree(tree: TreeSource, error: OSError) -> Skipped:
    """Return what becomes of a tree that cannot be read; attachments are too much to lose."""
    if tree.role != "attachments":
        return Skipped(tree.place, f"cannot be read: {error.strerror}", lost=True)
    raise FailedError(
        f"The attachments {printable(str(tree.path))} cannot be read: {error.strerror}.",
        hint="Check the path and its permissions, and that its disk is mounted.",
    ) from None
