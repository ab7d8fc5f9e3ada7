"""What was installed, in a small file of the state directory: read by `run` and `status`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from agebackup.errors import FailedError, UsageError, printable
from agebackup.model.calendar import Every
from agebackup.model.names import require_app
from agebackup.scheduling.job import KINDS, Task
from agebackup.system.claims import Claims
from agebackup.system.durable import write_durably
from agebackup.system.regular import content

_LONGEST = 1 << 20
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True)
class Installed:
    """A timer that was installed: for one app, or for all of them (""); `system`: the machine's.

    `identities` are the files, by their absolute paths, with which drills are made.
    """

    app: str
    every: Every
    kind: str
    since: datetime
    system: bool = False
    task: Task = "backup"
    identities: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """The time from one firing to the next."""
        return float(self.every.seconds)


def installed(file: Path, task: Task = "backup") -> Mapping[str, Installed]:
    """Return the timers of `task` that `file` notes, by app; none where there is no such file.

    Raises `FailedError` where the file cannot be read or understood.
    """
    try:
        raw = json.loads(content(file, _LONGEST))["timers"]
        return {app: _understood(app, one, task) for app, one in raw.items()}
    except FileNotFoundError:
        return {}
    except (OSError, *_DAMAGE, UsageError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise FailedError(
            f"{printable(str(file))} does not say which timers are installed: {printable(said)}.",
            hint="Install one of them again (agebackup schedule install): all that are still there "
            "are noted again.",
        ) from None


def _understood(app: str, raw: Mapping[str, Any], task: Task) -> Installed:
    if app:
        require_app(app)
    kind, since = raw["kind"], datetime.fromisoformat(raw["since"])
    if kind not in KINDS or since.tzinfo is None:
        raise ValueError(f"{kind} is no kind, or {since} no moment")
    system, identities = raw.get("system") is True, tuple(map(str, raw.get("identities", ())))
    return Installed(app, Every.parse(raw["every"]), kind, since, system, task, identities)


def remember(file: Path, timers: Mapping[str, Installed], claims: Claims) -> None:
    """Write `timers` to `file`, durably, in place of what it said."""
    listed = {
        app: {
            "every": one.every.text,
            "kind": one.kind,
            "system": one.system,
            "since": one.since.isoformat(),
            **({"identities": list(one.identities)} if one.identities else {}),
        }
        for app, one in timers.items()
    }
    text = json.dumps({"schema": "agebackup/timers/v1", "timers": listed}, indent=1) + "\n"
    write_durably(file, text.encode(), claims, replace=True)
