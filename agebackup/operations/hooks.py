"""Who is told that a run begins and how it ended; whoever cannot be told is a warning, no more."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from agebackup.errors import AgebackupError, StoppedError
from agebackup.model.command import Command
from agebackup.model.healthcheck import Signal, ping_address, ping_body
from agebackup.model.lastrun import LastRun
from agebackup.model.watch import Hooks
from agebackup.system.http import Ping
from agebackup.system.notify import desktop_command
from agebackup.system.process import tell_command
from agebackup.system.progress import Progress


@dataclass(frozen=True)
class Patience:
    """Seconds that each gets at most: the pings at start and end, the desktop, a hook after a stop.

    launchd kills 20 seconds after its SIGTERM.
    """

    start: float = 3.0
    end: float = 4.0
    desktop: float = 3.0
    stopped: float = 5.0


@dataclass
class Telling:
    """Tells of one run. `directory` is where the commands work; `proxies` are by scheme."""

    hooks: Hooks
    run: str
    directory: Path | None = None
    proxies: Mapping[str, str] = field(default_factory=dict)
    patience: Patience = Patience()
    _start: Ping | None = None

    def begin(self) -> None:
        """Ping that the run begins, beside the run itself."""
        if self._start is None:
            self._start = self._ping("start", self.patience.start, b"")

    def end(self, last: LastRun, progress: Progress) -> list[str]:
        """Tell everybody how the run ended; return a sentence for each who could not be told.

        An incomplete archive is told as a failure. A stop that was asked for does not keep anyone
        from being told, but they get less time for it.
        """
        stopped = last.stopped
        problems = [self._end_start(stopped=stopped)]
        good = last.run.outcome == "ok"
        ping = self._ping("success" if good else "fail", self.patience.end, ping_body(last))
        try:
            problems += self._commands(last, Progress() if stopped else progress, good=good)
        finally:
            if ping is not None:
                problems.append(_unheard("end", ping.end()))
        return [problem for problem in problems if problem]

    def withdraw(self, text: str) -> list[str]:
        """End what `begin` began, where the run turned out not to be needed.

        With a `text` the ping says that all is well, because another run made the archive; without
        one that run is still at work, and will itself say how it ended. No hook is called.
        """
        if self._start is None:
            return []
        problems = [self._end_start(stopped=not text)]
        self._start = None
        if text:
            ping = self._ping("success", self.patience.end, text.encode(errors="replace"))
            problems.append(_unheard("end", ping.end() if ping else ""))
        return [problem for problem in problems if problem]

    def _commands(self, last: LastRun, progress: Progress, *, good: bool) -> list[str]:
        name = "on_success" if good else "on_failure"
        command = self.hooks.on_success if good else self.hooks.on_failure
        most = self.patience.stopped if last.stopped else float("inf")
        problems = [self._run(name, command, last, most, progress)] if command else []
        if self.hooks.desktop and not good:
            title = f"agebackup: {last.run.app} {last.run.outcome}"
            shown = Command(desktop_command(title, last.run.message), self.patience.desktop)
            problems.append(self._run("desktop", shown, last, self.patience.desktop, Progress()))
        return problems

    def _run(
        self, name: str, command: Command, last: LastRun, most: float, progress: Progress
    ) -> str:
        said = last.text() if name != "desktop" else b""
        bounded = replace(command, seconds=min(command.seconds, most))
        return call_hook(name, bounded, said, progress, self.directory)

    def _ping(self, signal: Signal, seconds: float, body: bytes) -> Ping | None:
        if not self.hooks.healthcheck_url:
            return None
        address = ping_address(self.hooks.healthcheck_url, signal, self.run)
        return Ping(address, seconds, body, self.proxies)

    def _end_start(self, *, stopped: bool) -> str:
        """See the first ping off before the last one goes: the order in which they come counts."""
        if self._start is None:
            return ""
        if stopped:
            self._start.abandon()
            return ""
        return _unheard("start", self._start.end())


def call_hook(
    name: str, command: Command, said: bytes, progress: Progress, directory: Path | None
) -> str:
    """Run the hook `name`, with `said` on its stdin; return why that failed, "" if it did not."""
    seconds = command.seconds
    try:
        tell_command(command.argv, said, seconds=seconds, progress=progress, cwd=directory)
    except StoppedError:
        return f"The hook {name} was cut off, because a stop was asked for."
    except (AgebackupError, OSError) as error:
        return f"The hook {name} failed: {getattr(error, 'message', None) or error}"
    return ""


def _unheard(which: str, problem: str) -> str:
    return f"The ping at the {which} of the run was not heard: {problem}." if problem else ""
