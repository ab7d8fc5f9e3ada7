"""What is known of one app's backups in one destination, before anything is judged."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from agebackup.model.afar import Afar
from agebackup.model.keychecks import Custody
from agebackup.model.records import ArchiveRecord, DrillRecord, RunRecord
from agebackup.model.timer import Timer
from agebackup.model.watch import Watch

State = Literal["fresh", "at-risk", "stale", "never", "disabled", "known", "unknown"]
"""at-risk: young enough, but something else is an error; known: nothing says how old the newest
archive may be; unknown: nothing is known at all."""


@dataclass(frozen=True)
class Look:
    """What was seen of a destination. `problem` is why nothing was, "" where something was.

    `free` in bytes; `sizes` of the files by name, in bytes; `evicted` are the names of those whose
    content is only in the cloud.
    """

    problem: str = ""
    free: int | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    evicted: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Facts:
    """All that is known of one app in one destination.

    `watch` None: the configuration does not declare it. `timer` is the one that takes it, or, where
    the configuration does not declare it, the one that should; `max_age` what the person asked for
    now. `archives` (undeleted) and `runs` come newest first. `look` None: the destination did not
    answer. `running`: the last run is still at work. `heard` and `success` are what last-run.json
    tells: when the last run ended, and when the last one that ended well began. `custody` is what
    is known of the app's keys, `drill` the last drill, `drill_timer` what starts drills of the app,
    `copies` what is known of each further destination.
    """

    app: str
    destination: str
    watch: Watch | None = None
    timer: Timer | None = None
    max_age: float | None = None
    archives: tuple[ArchiveRecord, ...] = ()
    runs: tuple[RunRecord, ...] = ()
    look: Look | None = None
    running: bool = False
    heard: datetime | None = None
    success: datetime | None = None
    custody: Custody = field(default_factory=Custody)
    drill: DrillRecord | None = None
    drill_timer: Timer | None = None
    copies: tuple[Afar, ...] = ()
