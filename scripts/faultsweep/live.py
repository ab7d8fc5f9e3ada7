"""Restores into a live application: wholly the old state or wholly the new one, byte for byte."""

import re
import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import live_parts
from live_parts import State, after_swap, after_undo

from agebackup.errors import NotFoundError
from agebackup.operations.undo import undoable
from faultsweep.scenarios import Scenario, Template, Verdict

_TIMES = {
    re.compile(r"\.pre_restore_\d{8}T\d{6}Z"): f".pre_restore_{live_parts.ID}",
    re.compile(r"\.undone_\d{8}T\d{6}Z"): f".undone_{live_parts.UNDO_ID}",
}
_NEXT = ("clean",)
"""The next command: it settles what it finds, and removes what was staged."""


class Live(Scenario):
    """A command that exchanges the parts of a live application, and then the next command."""

    def __init__(self, template: Template) -> None:
        super().__init__(template)
        self.world = template.directory.with_name(f"{self.name}-world")
        self.old = live_parts.state(live_parts.build(self.world))
        self.new = live_parts.staged_state(self.world)

    def prepare(self, trial: Path) -> None:
        super().prepare(trial)
        shutil.copytree(self.world / "live", trial / "live")
        self.begin(trial)

    def begin(self, trial: Path) -> None:
        """Bring the application into the state that the command meets."""

    def arguments(self, trial: Path) -> Sequence[str]:
        runs = trial / "runs"  # the second one is the next command
        runs.write_text(runs.read_text() + "." if runs.exists() else ".")
        return self.command(trial) if self.is_first(trial) else self.following()

    def is_first(self, trial: Path) -> bool:
        """Return whether the run is, or was, the one that a fault may strike."""
        return (trial / "runs").read_text() == "."

    def command(self, trial: Path) -> Sequence[str]:
        """Return the command line of the first run."""
        return _NEXT

    def following(self) -> Sequence[str]:
        """Return the command line of the next one."""
        return _NEXT

    def states(self) -> tuple[State, State]:
        """Return what the application is before, and after a success."""
        return self.old, after_swap(self.old, self.new)

    def judge(self, trial: Path, verdict: Verdict) -> list[str]:
        if verdict.killed:
            return []
        now = _normal(live_parts.state(trial / "live"))
        before, after = self.states()
        found = []
        if any(one.stage != "swapped" for one in live_parts.records(trial).open()):
            found.append(f"it ended with {verdict.code}, yet left work to the next command")
        if live_parts.records(trial).open() and not self.is_first(trial):
            found.append("the next command left it unsettled")
        if now not in (before, after):
            found.append(f"the application is a mixture: {_difference(now, before)}")
        if verdict.failed and now != before:
            found.append(f"it ended with {verdict.code}, yet the application changed")
        if verdict.succeeded and now != after and self.is_first(trial):
            found.append("it ended with 0, yet the application is as before")
        return found

    def plaintext_at_home(self, trial: Path) -> Sequence[Path]:
        return (trial / "live", trial / "app")


class Swap(Live):
    """What restore --in-place does once everything is staged."""

    name = "swap"

    def command(self, trial: Path) -> Sequence[str]:
        return (live_parts.__file__, str(trial))


class Undo(Live):
    """restore --undo."""

    name = "undo"

    def begin(self, trial: Path) -> None:
        live_parts.swapped(trial)

    def command(self, trial: Path) -> Sequence[str]:
        return ("restore", "--undo", "live", "--yes")

    def states(self) -> tuple[State, State]:
        return after_swap(self.old, self.new), after_undo(self.old, self.new)


class Settle(Live):
    """The next command after a swap that was killed in its midst, struck itself."""

    name = "settle"

    def begin(self, trial: Path) -> None:
        live_parts.half_swapped(trial)

    def judge(self, trial: Path, verdict: Verdict) -> list[str]:
        if self.is_first(trial) and live_parts.records(trial).open():
            return []  # a warning said so, and the command had its own work
        return super().judge(trial, verdict)

    def states(self) -> tuple[State, State]:
        return self.old, self.old


class SettleUndo(Settle):
    """The same after an undo."""

    name = "settle-undo"

    def begin(self, trial: Path) -> None:
        live_parts.half_undone(trial)

    def states(self) -> tuple[State, State]:
        after = after_swap(self.old, self.new)
        return after, after


class CleanKept(Live):
    """clean, where what a restore put aside was kept long enough."""

    name = "clean-kept"

    def begin(self, trial: Path) -> None:
        live_parts.swapped(trial, live_parts.TIME - timedelta(days=60))

    def command(self, trial: Path) -> Sequence[str]:
        return ("clean",)

    def following(self) -> Sequence[str]:
        return ("clean",)

    def states(self) -> tuple[State, State]:
        return after_swap(self.old, self.new), self.new

    def judge(self, trial: Path, verdict: Verdict) -> list[str]:
        now = _normal(live_parts.state(trial / "live"))
        before, after = self.states()
        found = []
        if {name: now.get(name) for name in after} != after:
            found.append(f"the application changed: {_difference(now, after)}")
        if now != before and _can_be_undone(trial):
            found.append("what is left of a removed state could be brought back")
        if not self.is_first(trial) and now != after:
            found.append(f"it is not all removed: {_difference(now, after)}")
        return found


def _can_be_undone(trial: Path) -> bool:
    try:
        undoable(live_parts.records(trial))
    except NotFoundError:
        return False
    return True


def _normal(state: State) -> State:
    """Return `state` with the names that the tests expect, whatever the moment in them.

    Without the staging directory: what of it could not be removed is claimed, and so looked for.
    """
    named = {}
    for name, content in state.items():
        if name.startswith(".~agebackup-inplace-"):
            continue
        for moment, usual in _TIMES.items():
            name = moment.sub(usual, name)
        named[name] = content
    return dict(sorted(named.items()))


def _difference(now: State, wanted: State) -> str:
    names = [name for name in now.keys() | wanted.keys() if now.get(name) != wanted.get(name)]
    return ", ".join(sorted(names)) or "nothing"


LIVE: tuple[type[Live], ...] = (Swap, Undo, Settle, SettleUndo, CleanKept)
