"""What a timer is to start, and what every kind of timer can do with it."""

import re
import shutil
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agebackup.errors import RefusedError, UsageError, printable
from agebackup.model.calendar import Every
from agebackup.model.names import require_app
from agebackup.system.process import CommandError, CommandResult, run_command, tell_command
from agebackup.system.progress import Progress

KINDS = ("systemd", "launchd", "cron")
Task = Literal["backup", "drill"]
"""What a timer starts: `agebackup run`, or `agebackup drill`."""
LONGEST_RUN = 43_200.0
"""Seconds that a run may take before its timer ends it."""
_LOOK = 20.0
_STEMS = {"backup": "agebackup", "drill": "agebackup_drill"}
"""How the names of timers begin: no app has a `_` in its name."""
_LONGEST_DELAY, _SHARE = 300, 12
_UNWRITABLE = ("Cc", "Cs")
"""Categories of characters that no crontab, unit file or plist can hold: line ends, lone halves."""


@dataclass(frozen=True)
class Job:
    """A command for the timer of one app, or of all ("").

    `command` begins with an absolute path. `environment` holds no secret. `writable` are the
    directories that it writes to. Raises `UsageError` for a text that no timer can hold.
    """

    app: str
    every: Every
    command: tuple[str, ...]
    environment: Mapping[str, str]
    writable: tuple[Path, ...]
    task: Task = "backup"

    def __post_init__(self) -> None:
        for text in (*self.command, *self.environment.values(), *map(str, self.writable)):
            if any(unicodedata.category(one) in _UNWRITABLE for one in text):
                raise UsageError(
                    f"No timer can name '{printable(text)}': it holds a line end or another "
                    "character that cannot be written.",
                    hint="Give it a plain name.",
                )

    @property
    def delay(self) -> int:
        """The most that a start is put off at random, in seconds: so little that none is missed."""
        return min(_LONGEST_DELAY, self.every.seconds // _SHARE)

    @property
    def name(self) -> str:
        """What the timer is called wherever it is installed."""
        return timer_name(self.app, self.task)

    @property
    def purpose(self) -> str:
        """What it is for, in words."""
        what = self.app or "every app"
        return f"back up {what}" if self.task == "backup" else f"drill {what}"


def timer_name(app: str, task: Task = "backup") -> str:
    """Return what the timer of `app` ("": of all apps) is called."""
    return f"{_STEMS[task]}-{app}" if app else _STEMS[task]


def apps_of(names: Iterable[str], task: Task = "backup") -> list[str]:
    """Return the apps whose timers of `task` are called by one of `names`; others are left out."""
    name = re.compile(rf"(?:org\.)?{_STEMS[task]}(?:[-.](.*))?")
    found = set()
    for match in filter(None, map(name.fullmatch, names)):
        with suppress(UsageError):
            found.add(require_app(match[1]) if match[1] else "")
    return sorted(found)


@dataclass(frozen=True)
class Person:
    """Whose timers: home, where its configuration lies, numeric id, login name, search path."""

    home: Path
    config_home: Path
    uid: int
    login: str
    search_path: str


class Timers(ABC):
    """One kind of timer, of one task. Nothing but `install` and `remove` changes anything."""

    kind: str

    def __init__(self, person: Person, progress: Progress, *, task: Task = "backup") -> None:
        self.person = person
        self.progress = progress
        self.task: Task = task

    @abstractmethod
    def trouble(self) -> str:
        """Return, as a sentence, why this kind does not work here; "" where it does."""

    @abstractmethod
    def render(self, job: Job) -> Mapping[str, str]:
        """Return what would be installed: text by the name of the place it goes to."""

    @abstractmethod
    def present(self, app: str) -> Mapping[str, str]:
        """Return what is installed for `app`, as `render` has it; empty where nothing is."""

    @abstractmethod
    def install(self, job: Job) -> None:
        """Install the timer, in place of what was installed for the app; raises `FailedError`."""

    @abstractmethod
    def remove(self, app: str) -> bool:
        """Remove the timer of `app`; return whether there was one."""

    @abstractmethod
    def run(self, job: Job) -> CommandResult:
        """Run the installed job now, in its own environment, to its end; return how that was."""

    @abstractmethod
    def doubts(self, job: Job) -> Sequence[str]:
        """Return sentences about what may fail at night only."""

    @abstractmethod
    def apps(self) -> Sequence[str]:
        """Return whose timers are there ("": one of all apps), whether anybody noted them or not.

        Raises `FailedError` where that cannot be read.
        """

    @abstractmethod
    def rhythm(self, app: str) -> Every | None:
        """Return how often the installed timer of `app` fires; None for times that are not ours."""

    def outdated(self, job: Job) -> bool:
        """Return whether what is installed would hinder `job`, as it would be installed now."""
        return False

    def require(self) -> None:
        """Raise `RefusedError` where this kind does not work; nothing was changed then."""
        if trouble := self.trouble():
            raise RefusedError(
                trouble,
                hint="Let whatever starts jobs on this machine run: agebackup run. "
                "--kind KIND --print shows what would be installed.",
            )

    def found(self, program: str) -> bool:
        """Return whether the person's search path has `program`."""
        return shutil.which(program, path=self.person.search_path) is not None

    def ask(self, *argv: str, seconds: float = _LOOK) -> CommandResult:
        """Run a command and return how it ended, with another code than 0 too."""
        try:
            return run_command(argv, seconds=seconds, progress=self.progress)
        except CommandError as error:
            return error.result

    def do(self, *argv: str, said: bytes = b"", seconds: float = _LOOK) -> CommandResult:
        """Run a command that must succeed, with `said` on its stdin; raises `FailedError`."""
        return tell_command(argv, said, seconds=seconds, progress=self.progress, cwd=None)
