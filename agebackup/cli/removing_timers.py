"""Removing a timer, wherever it was installed, and its note."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agebackup.cli.console import Console
from agebackup.cli.noted import known_at_best, note
from agebackup.cli.timing import timers_for, timers_here, timers_where

if TYPE_CHECKING:
    from agebackup.scheduling.job import Task, Timers


@dataclass(frozen=True)
class Removal:
    """Whether there was such a timer, and whether one was noted."""

    removed: bool
    noted: bool


def remove_timer(name: str, task: "Task", options: Mapping[str, Any], out: Console) -> Removal:
    """Remove the timer that starts `task` for `name`, if there is one, and its note.

    `options` may name the `kind` to look for, or `system`.
    """
    known = dict(known_at_best(out, task))
    noted = name in known
    here: Sequence[Timers]
    if options["kind"] or options["system"]:
        here = [timers_for(options["kind"], out, system=options["system"], task=task)]
    elif name in known:
        here = [timers_where(known[name], out)]
    else:
        among = timers_here(out, system=False, task=task)
        here = [one for one in among if not one.trouble()]
    removed = any([timers.remove(name) for timers in here])
    if name in known and known[name].kind in {timers.kind for timers in here}:
        del known[name]
        note(known, task)
    return Removal(removed, noted)
