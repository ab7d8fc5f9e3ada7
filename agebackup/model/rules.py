"""What the configuration says of a restore into the application's own places."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from agebackup.model.command import Command

DatabaseRole = Literal["state", "eventlog", "auxiliary"]
Comparison = Literal["equal", "not-newer"]
INSTALLED = "installed"
"""As `max_app_version`: the version that the application says of itself now."""


@dataclass(frozen=True)
class Tolerance:
    """How many rows may go missing: so many `rows`, or so many `percent` of those recorded."""

    rows: int = 0
    percent: float = 0.0

    def allows(self, lost: int, recorded: int) -> bool:
        """Return whether `lost` rows of `recorded` ones may be missing."""
        return lost <= self.rows or lost * 100 <= self.percent * recorded


@dataclass(frozen=True)
class Gate:
    """A value that is recorded in each archive, and compared when it is restored in place.

    Either `command` prints it, or `sql` selects it from `database`.
    """

    name: str
    compare: Comparison
    command: Command | None = None
    database: str = ""
    sql: str = ""


@dataclass(frozen=True)
class DatabaseRules:
    """Of one declared database, or of all that its glob finds.

    `heads` is SQL whose rows are recorded and must come back; `schemas` are the SHA-256 of the
    schemas that the application understands, any of them without one; `tolerances` are by table.
    """

    role: DatabaseRole | None = None
    heads: str = ""
    schemas: tuple[str, ...] = ()
    tolerances: Mapping[str, Tolerance] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class RestoreRules:
    """How one app is restored in place. `running` ends with 0 while the application runs.

    `pause`, `resume`, `running` and `check` run in the app's base, `migrate` and `rebuild` in the
    directory in which the restored state is built, laid out as the archive is below `data/`.
    """

    pause: Command | None = None
    resume: Command | None = None
    running: Command | None = None
    min_app_version: str = ""
    max_app_version: str = ""
    gates: tuple[Gate, ...] = ()
    databases: Mapping[str, DatabaseRules] = field(default_factory=dict, hash=False)
    migrate: tuple[Command, ...] = ()
    rebuild: tuple[Command, ...] = ()
    check: tuple[Command, ...] = ()
    tolerance: Tolerance = Tolerance()
