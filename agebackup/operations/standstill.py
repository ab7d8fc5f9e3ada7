"""Keep the application still while its state is exchanged, and let it go on whatever happens."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from agebackup.errors import SHOWN, AgebackupError, FailedError, RefusedError, printable
from agebackup.model.command import Command
from agebackup.model.profile import Profile
from agebackup.operations.provenance import first_line
from agebackup.system.clock import Stopwatch
from agebackup.system.process import CommandError, run_command
from agebackup.system.progress import Progress


def run(
    command: Command,
    directory: Path,
    progress: Progress,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run `command` in `directory`, by default with this process's variables; return its stdout.

    Raises what `run_command` raises; a `CommandError` has the last lines of all that it said.
    """
    try:
        return run_command(
            command.argv,
            seconds=command.seconds,
            cwd=directory,
            progress=progress,
            environment=environment,
        ).stdout
    except CommandError as error:
        error.details = last_lines(error)
        raise


def last_lines(error: CommandError) -> tuple[str, ...]:
    """Return the last lines of all that a command said which failed, fit to be shown."""
    said = f"{error.result.stdout}\n{error.result.stderr}".split("\n")
    lines = [printable(line.rstrip()[:500]) for line in said if line.strip()]
    return tuple(lines[-SHOWN:])


def first_word(command: Command, directory: Path, progress: Progress) -> str:
    """Run `command` and return the first line that it prints."""
    return first_line(run(command, directory, progress))


@dataclass
class Standstill:
    """A context: `pause` before it, `resume` exactly once after it, after a failure or stop too.

    A `pause` that fails is followed by `resume` as well, and raises. Where `resume` fails,
    `problem` says so. `seconds` is how long it took in all.
    """

    profile: Profile
    progress: Progress
    problem: str = ""
    _watch: Stopwatch = field(default_factory=Stopwatch)
    seconds: float = 0.0

    def __enter__(self) -> "Standstill":
        self._watch = Stopwatch()
        pause = self.profile.restore.pause
        try:
            if pause is not None:
                run(pause, self.profile.base, self.progress)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()
        if error is not None and self.problem:
            self.progress.warn(self.problem)

    def _end(self) -> None:
        resume = self.profile.restore.resume
        try:
            if resume is not None:
                run(resume, self.profile.base, Progress())  # a stop is no reason to leave it still
        except (AgebackupError, OSError) as error:
            self.problem = f"resume failed: {getattr(error, 'message', None) or error}"
        self.seconds = self._watch.seconds


def require_not_running(profile: Profile, progress: Progress) -> None:
    """Raise `RefusedError` where the app's own check says that it runs, or nothing at all."""
    running = profile.restore.running
    if running is None:
        return
    shown = printable(running.argv[0])
    try:
        run(running, profile.base, progress)
    except CommandError as error:
        if error.result.code > 0:
            return
        raise RefusedError(
            f"Whether {profile.name} runs cannot be found out: {error.message}",
            hint="Its command restore.running ends with 0 while it runs, else with another code.",
        ) from None
    except FailedError as error:
        raise RefusedError(
            f"Whether {profile.name} runs cannot be found out: {error.message}", hint=error.hint
        ) from None
    raise RefusedError(
        f"{profile.name} is still running: {shown} says so.",
        hint="Stop it, or declare restore.pause and restore.resume for it.",
    )
