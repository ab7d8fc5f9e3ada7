"""Commands of others: run without a shell, within a time limit, ended with all they started."""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agebackup.errors import FailedError, printable
from agebackup.system import outcome
from agebackup.system.clock import Deadline
from agebackup.system.conversation import OUTPUT_LIMIT, Conversation
from agebackup.system.progress import Progress

_GRACE, _GRACE_WHEN_STOPPED = 2.0, 0.3
"""Seconds between SIGTERM and SIGKILL for a command that took too long, or at a stop."""


@dataclass(frozen=True)
class CommandResult:
    """How a command ended. `stdout` and `stderr` hold at most their last 1 MiB each."""

    code: int
    stdout: str
    stderr: str


class NotStartedError(FailedError):
    """A command that could not even be started."""


class CommandError(FailedError):
    """A command that ended with another code than 0, or not in time; `result` is how."""

    def __init__(self, message: str, result: CommandResult) -> None:
        super().__init__(message, hint="Run it by hand to see why.")
        self.result = result


def run_command(
    argv: Sequence[str],
    *,
    seconds: float,
    progress: Progress,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> CommandResult:
    """Run `argv`, without a shell, in a process group of its own, for at most `seconds`.

    Raises `NotStartedError` where it cannot be started, `CommandError`, with the last line that it
    wrote to stderr, where it ends with another code than 0 or is not done in time; `StoppedError`
    when a stop is asked for. In the last two cases the whole group got SIGTERM, then SIGKILL.
    """
    return _talk(argv, (b"", Deadline(seconds)), progress, Surroundings(cwd, environment))


def tell_command(
    argv: Sequence[str], said: bytes, *, seconds: float, progress: Progress, cwd: Path | None
) -> CommandResult:
    """Run `argv` as `run_command` does, with `said` on its stdin, which it need not read."""
    return _talk(argv, (said, Deadline(seconds)), progress, Surroundings(cwd))


def ask_command(
    argv: Sequence[str],
    said: bytes,
    *,
    seconds: float,
    progress: Progress,
    environment: Mapping[str, str] | None = None,
) -> CommandResult:
    """Run `argv` as `tell_command` does, without a terminal: it cannot ask anybody anything."""
    around = Surroundings(None, environment, alone=True)
    return _talk(argv, (said, Deadline(seconds)), progress, around)


@dataclass(frozen=True)
class Listener:
    """Who follows a command: `heard` gets each line of its stderr as it comes.

    It may renew `deadline`, at which the command is ended. `limit` is how many bytes are kept of
    the end of each output.
    """

    deadline: Deadline
    heard: Callable[[str], None]
    limit: int = OUTPUT_LIMIT


def follow_command(
    argv: Sequence[str],
    listener: Listener,
    *,
    progress: Progress,
    environment: Mapping[str, str] | None = None,
) -> CommandResult:
    """Run `argv` as `ask_command` does, for as long as `listener` lets it; nothing is on stdin.

    What `listener.heard` raises ends the command, and is raised.
    """
    around = Surroundings(None, environment, alone=True, listener=listener)
    return _talk(argv, (b"", listener.deadline), progress, around)


@dataclass(frozen=True)
class Surroundings:
    """Where a command runs. `alone`: without a terminal. `listener` follows it, if there is one."""

    cwd: Path | None = None
    environment: Mapping[str, str] | None = None
    alone: bool = False
    listener: Listener | None = None

    def conversation(self, child: "subprocess.Popen[bytes]", said: bytes) -> Conversation:
        """Return what talks with `child` over its pipes."""
        assert child.stdout and child.stderr
        outputs, listener = (child.stdout, child.stderr), self.listener
        if listener is None:
            return Conversation(child.stdin, outputs, said)
        return Conversation(child.stdin, outputs, said, listener.limit, listener.heard)


def _talk(
    argv: Sequence[str],
    given: tuple[bytes, Deadline],
    progress: Progress,
    around: Surroundings,
) -> CommandResult:
    shown, (said, deadline) = printable(argv[0]), given
    child = launch(argv, around, stdin=subprocess.PIPE if said else subprocess.DEVNULL)
    with child:
        pipes = around.conversation(child, said)
        try:
            in_time = pipes.follow(deadline, progress, ended=lambda: child.poll() is not None)
        except BaseException:
            end_group(child, _GRACE_WHEN_STOPPED)
            raise
        if not in_time:
            end_group(child, _GRACE)
    result = CommandResult(child.returncode, pipes.text(0), pipes.text(1))
    if not in_time:
        raise _command_failed(shown, f"was not done in {deadline.seconds:g} seconds", result)
    if result.code:
        raise _command_failed(shown, outcome.ended(result.code), result)
    return result


def launch(argv: Sequence[str], around: Surroundings, *, stdin: int) -> "subprocess.Popen[bytes]":
    """Start `argv`, without a shell, as the leader of a process group, with pipes for its outputs.

    `stdin` is what `subprocess` has for it. Raises `NotStartedError`.
    """
    try:
        return subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=around.cwd,
            env=around.environment,
            process_group=None if around.alone else 0,
            start_new_session=around.alone,
            bufsize=0,
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise NotStartedError(
            f"The command {printable(argv[0])} cannot be started: {why}.",
            hint="Check that it is installed, and give its whole path, or see to PATH.",
        ) from None


def end_group(child: "subprocess.Popen[bytes]", grace_seconds: float) -> None:
    """End `child` and its group, which it may have left."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        child.wait(grace_seconds)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.kill()


def _command_failed(shown: str, what: str, result: CommandResult) -> CommandError:
    lines = result.stderr.split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    said = f" It said last: {printable(last[:500])}" if last else ""
    return CommandError(f"The command {shown} {what}.{said}", result)
