"""Agents of launchd, for macOS. Source: launchd.plist(5), launchctl(1)."""

import os
import plistlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from agebackup.errors import FailedError
from agebackup.model.calendar import Every, rhythm_of
from agebackup.scheduling.files import put, take_away
from agebackup.scheduling.job import LONGEST_RUN, Job, Person, Task, Timers, apps_of, timer_name
from agebackup.system.claims import Claims
from agebackup.system.clock import Deadline, pause
from agebackup.system.process import CommandResult
from agebackup.system.progress import Progress

_PID, _STATUS = re.compile(r'"PID" = \d+;'), re.compile(r'"LastExitStatus" = (\d+);')
_STEP = 0.2
_GUARDED = ("Documents", "Desktop", "Downloads", "Library/Mobile Documents", "Library/CloudStorage")


class Launchd(Timers):
    """An agent `org.agebackup.NAME.plist` of the person."""

    kind = "launchd"

    def __init__(
        self, person: Person, progress: Progress, claims: Claims, *, task: Task = "backup"
    ) -> None:
        super().__init__(person, progress, task=task)
        self.claims = claims
        self._domain = f"gui/{person.uid}"

    def trouble(self) -> str:
        if not self.found("launchctl"):
            return "There is no launchctl: launchd is a part of macOS."
        if self.ask("launchctl", "print", self._domain).code:
            return "You are not logged in to the desktop, where launchd starts agents."
        return ""

    def render(self, job: Job) -> Mapping[str, str]:
        agent = _agent(job, self._label(job.app))
        return {str(self._file(job.app)): plistlib.dumps(agent).decode()}

    def present(self, app: str) -> Mapping[str, str]:
        file = self._file(app)
        return {str(file): file.read_text(errors="replace")} if file.is_file() else {}

    def apps(self) -> Sequence[str]:
        files = self._file("").parent.glob("org.agebackup*.plist")
        return apps_of((file.stem for file in files), self.task)

    def rhythm(self, app: str) -> Every | None:
        try:
            agent = plistlib.loads("".join(self.present(app).values()).encode())
            said = agent["StartCalendarInterval"]
        except (ValueError, KeyError, TypeError, ExpatError):
            return None
        return rhythm_of(said, moments)

    def install(self, job: Job) -> None:
        file = self._file(job.app)
        self.ask("launchctl", "bootout", f"{self._domain}/{self._label(job.app)}")
        put(file, self.render(job)[str(file)], self.claims)
        self.do("launchctl", "bootstrap", self._domain, str(file))

    def remove(self, app: str) -> bool:
        there = bool(self.present(app))
        if there:
            self.ask("launchctl", "bootout", f"{self._domain}/{self._label(app)}")
            take_away(self._file(app))
        return there

    def run(self, job: Job) -> CommandResult:
        # started by launchd itself: run from here, it would have the terminal's permissions
        self.do("launchctl", "kickstart", f"{self._domain}/{self._label(job.app)}")
        deadline = Deadline(LONGEST_RUN)
        while True:
            self.progress.stop.check()
            listed = self.do("launchctl", "list", self._label(job.app)).stdout
            if not _PID.search(listed):
                break
            if deadline.expired:
                raise FailedError(
                    f"{self._label(job.app)} is still running.", hint="See agebackup log."
                )
            pause(_STEP)
        status = _STATUS.search(listed)
        code = os.waitstatus_to_exitcode(int(status[1])) if status else 1
        return CommandResult(code, "", "")

    def doubts(self, job: Job) -> Sequence[str]:
        guarded = [self.person.home / place for place in _GUARDED]
        found = [p for p in job.writable if any(p.is_relative_to(place) for place in guarded)]
        if not found:
            return ()
        return (
            f"macOS guards {found[0]}: if runs fail with 'Operation not permitted', give "
            f"{job.command[0]} Full Disk Access (System Settings, Privacy & Security).",
        )

    def _label(self, app: str) -> str:
        return label(app, self.task)

    def _file(self, app: str) -> Path:
        return self.person.home / "Library" / "LaunchAgents" / f"{self._label(app)}.plist"


def label(app: str, task: Task = "backup") -> str:
    """Return the label of the agent of `app`."""
    name = timer_name("", task)
    return f"org.{name}.{app}" if app else f"org.{name}"


def _agent(job: Job, name: str) -> dict[str, Any]:
    return {
        "Label": name,
        "ProgramArguments": list(job.command),
        "EnvironmentVariables": dict(job.environment),
        "StartCalendarInterval": moments(job.every),
        "ProcessType": "Background",
        "LowPriorityIO": True,
        "Nice": 19,
        "RunAtLoad": False,
        "Umask": 0o077,
        "StandardOutPath": "/dev/null",
        "StandardErrorPath": "/dev/null",
    }


def moments(every: Every) -> list[dict[str, int]]:
    """Return when `every` fires as StartCalendarInterval has it; missed ones are made up for."""
    if every.minutes:
        return [{"Minute": minute} for minute in range(0, 60, every.minutes)]
    if every.hours:
        return [{"Hour": hour, "Minute": 0} for hour in range(0, 24, every.hours)]
    hour, minute = every.clock
    day = {"Weekday": 0} if every.weekly else {}
    day = {"Day": 1} if every.monthly else day
    return [{**day, "Hour": hour, "Minute": minute}]
