"""Where a swap stands that was cut off: which state each part has, and which way the whole goes.

Pure: decided from the journal and from what was seen at its paths. A thing is known by its inode,
wherever it lies now. What is none of the two states' is somebody else's and is never touched;
while any such thing stands in the way of a part that was begun, nothing of the whole is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agebackup.model.swap import (
    COMPANIONS,
    PRECIOUS,
    Move,
    SwapRecord,
    Thing,
    belongings,
    companion,
)

Seen = Mapping[str, Thing | None]
"""What is at each path that a journal names; None: nothing."""


@dataclass(frozen=True)
class Obstacle:
    """Why a swap cannot be settled: what is wrong with `path`, a clause, and what to do."""

    path: str
    why: str
    remedy: str


@dataclass(frozen=True)
class Standing:
    """One part: "old" (nothing of it has moved, or everything is back), "new", or "between"."""

    state: Literal["old", "new", "between"]
    obstacles: tuple[Obstacle, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """Which way a swap goes: "nothing" (it is done), "finish", "roll-back", or "refuse"."""

    way: Literal["nothing", "finish", "roll-back", "refuse"]
    obstacles: tuple[Obstacle, ...] = ()


def paths(move: Move) -> tuple[str, ...]:
    """Return every path that tells where `move` stands."""
    mains = (move.target, move.incoming, move.outgoing)
    of = [str(path) for main in mains for path in belongings(Path(main), move.kind)]
    return (move.ground, *of)


def decide(record: SwapRecord, seen: Seen) -> Verdict:
    """Return what is to be done about `record`, whose parts were `seen` so.

    Until the journal says "swapped" the old state comes back, afterwards the new one stays.
    """
    if not record.open:
        return Verdict("nothing")
    if record.stage == "swapped":
        return Verdict("finish")
    if record.stage == "rolled-back":
        return Verdict("roll-back")
    obstacles = tuple(one for move in record.moves for one in standing(move, seen).obstacles)
    return Verdict("refuse", obstacles) if obstacles else Verdict("roll-back")


def standing(move: Move, seen: Seen) -> Standing:
    """Return where `move` stands, and what bars its way back."""
    look = _Look(move, seen)
    ground = seen[move.ground]
    if ground is None or ground.inode != move.ground_inode:
        return Standing("between", (_away(move),))
    if not look.begun:
        return Standing("old")
    return Standing("new" if look.complete else "between", tuple(look.obstacles()))


@dataclass(frozen=True)
class _Look:
    """One part and what was seen of it."""

    move: Move
    seen: Seen

    def at(self, path: str, suffix: str = "") -> Thing | None:
        return self.seen[str(companion(Path(path), suffix))]

    def holds(self, path: str, thing: Thing | None, suffix: str = "") -> bool:
        """Whether `thing` is what is at `path`, changed or not."""
        found = self.at(path, suffix)
        return thing is not None and found is not None and found.inode == thing.inode

    @property
    def begun(self) -> bool:
        """Whether anything has left or come to its place.

        Otherwise whatever stands there is the application's own, and its own business.
        """
        move = self.move
        return (
            self.holds(move.target, move.new.main)
            or self.holds(move.outgoing, move.old.main)
            or self.holds(move.incoming, move.old.main)
            or any(self.holds(move.outgoing, it, x) for x, it in move.old.companions.items())
            or any(self.holds(move.target, it, x) for x, it in move.new.companions.items())
        )

    @property
    def complete(self) -> bool:
        """Whether both states are where they belong after the swap."""
        move = self.move
        return (
            self._is(move.target, move.new.main)
            and self._is(move.outgoing, move.old.main)
            and all(
                self._is(move.target, move.new.companions.get(x), x)
                and self._is(move.outgoing, move.old.companions.get(x), x)
                for x in self._suffixes
            )
        )

    @property
    def _suffixes(self) -> tuple[str, ...]:
        """The companions that are content; a cache may come and go."""
        return PRECIOUS if self.move.kind == "database" else ()

    def _is(self, path: str, thing: Thing | None, suffix: str = "") -> bool:
        if thing is None:
            return self.at(path, suffix) is None
        return self.holds(path, thing, suffix)

    def obstacles(self) -> Iterator[Obstacle]:
        """Yield what bars the way back of a part that was begun."""
        move = self.move
        old, new = move.old.main, move.new.main
        allowed = {move.target: (old, new), move.incoming: (old, new), move.outgoing: (old,)}
        for path, things in allowed.items():
            if self.at(path) is not None and not any(self.holds(path, it) for it in things):
                yield _foreign(path)
        changed = self.holds(move.target, new) and self.at(move.target) != new
        if changed and (move.disposable or move.new.precious):
            yield written(move.target, replaceable=move.disposable)
        yield from self._lost(old, tuple(allowed))
        if not move.disposable:
            yield from self._lost(new, (move.target, move.incoming))
        yield from self._companions()
        if move.old.precious:
            for path in allowed:
                if self.holds(path, old) and self.at(path) != old:
                    yield written(path, replaceable=False)

    def _companions(self) -> Iterator[Obstacle]:
        move = self.move
        if move.kind != "database":
            return
        for suffix in COMPANIONS:
            old, new = move.old.companions.get(suffix), move.new.companions.get(suffix)
            allowed = {move.target: (old, new), move.outgoing: (old,), move.incoming: (new,)}
            for path, things in allowed.items():
                if self.at(path, suffix) and not any(self.holds(path, i, suffix) for i in things):
                    yield _foreign(path + suffix)
            if suffix in PRECIOUS:
                yield from self._lost(old, (move.target, move.outgoing), suffix)
                yield from self._lost(new, (move.target, move.incoming), suffix)

    def _lost(
        self, thing: Thing | None, places: tuple[str, ...], suffix: str = ""
    ) -> Iterator[Obstacle]:
        if thing is not None and not any(self.holds(path, thing, suffix) for path in places):
            shown = " nor ".join(path + suffix for path in places[1:])
            yield Obstacle(
                places[0] + suffix,
                f"is not what was there, and neither is {shown}",
                "Bring it back from where it was moved to; then run this command again.",
            )


def _away(move: Move) -> Obstacle:
    return Obstacle(
        move.ground,
        "is not there, or is another directory than before",
        "Mount its drive; then run this command again.",
    )


def _foreign(path: str) -> Obstacle:
    return Obstacle(
        path,
        "is neither what was there before nor what was restored",
        "Stop the application and move it elsewhere; then run this command again.",
    )


def written(path: str, *, replaceable: bool = True) -> Obstacle:
    """Return the obstacle that `path` is; `replaceable`: an archive has its content."""
    remedy = "Look at it and at what lies beside it; agebackup touches neither."
    if replaceable:
        remedy = "Stop the application and move it elsewhere; then run this command again."
    return Obstacle(path, "was written to after the swap was cut off", remedy)
