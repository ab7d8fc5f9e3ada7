"""Running rclone: with the person's own configuration, never asking anybody, followed as it goes.

Its own retries are few, for `attempts` makes the others. No transfer has a time limit as a whole;
one is ended where no byte has moved for long.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agebackup.destinations.attempts import PAUSES
from agebackup.destinations.interface import Means, OutOfReachError, StoodStillError
from agebackup.destinations.rclone_errors import Complaint, bytes_done, complaint
from agebackup.errors import (
    AgebackupError,
    FailedError,
    NotFoundError,
    VerificationError,
    printable,
)
from agebackup.system.clock import Deadline
from agebackup.system.process import CommandError, Listener, follow_command
from agebackup.system.progress import Progress

_LISTING_LIMIT = 1 << 27
"""Bytes of a listing: some 700,000 files."""
_SLOWEST = 10_000_000
"""Bytes a second at which any server hashes or puts together what it has received whole."""
_TALK = frozenset(
    f"RCLONE_{name}"
    for name in (
        *("VERBOSE", "QUIET", "PROGRESS", "PROGRESS_TERMINAL_TITLE", "INTERACTIVE", "DUMP"),
        *("LOG_FILE", "LOG_LEVEL", "LOG_FORMAT", "LOG_SYSTEMD", "SYSLOG", "USE_JSON_LOG"),
        *("STATS", "STATS_ONE_LINE", "STATS_LOG_LEVEL", "HUMAN_READABLE"),
    )
)
"""What a person may have set for their own eyes; all other RCLONE_ variables are kept."""


class NotAllowedError(FailedError):
    """The place keeps what it has, or takes nothing: permissions, append-only, object lock."""


@dataclass(frozen=True)
class Pace:
    """How patient one is with a remote, in seconds.

    `pauses` lie between attempts. `idle` is how long nothing may move before a run is ended, and
    `connect` how long the server has to answer at all. `retries` is how often rclone itself tries
    a single request, such as one part of a large file.
    """

    pauses: Sequence[float] = PAUSES
    idle: float = 900.0
    connect: float = 20.0
    retries: int = 3


PATIENT = Pace()


@dataclass(frozen=True)
class Program:
    """The rclone that is found in the environment of `means`. `shown` is the place in messages."""

    means: Means
    shown: str
    pace: Pace = PATIENT

    def ask(self, *words: str) -> str:
        """Return what `rclone WORDS…` writes to stdout; raises as `failure` tells."""
        return self._run(words, Listener(Deadline(self.pace.idle), _ignore, _LISTING_LIMIT))

    def ask_json(self, *words: str) -> Any:
        """Return what `rclone WORDS…` writes, which is JSON."""
        said = self.ask(*words)
        try:
            return json.loads(said)
        except (ValueError, RecursionError):
            raise FailedError(
                f"What rclone says of {self.shown} is no JSON.",
                hint="Look what rclone lsjson says there; rclone 1.60 or later is needed.",
            ) from None

    def carry(self, source: str, target: str, size: int, *, compare: bool) -> None:
        """Copy one file of `size` bytes from `source` to `target`, whatever lies there.

        With `compare` rclone reads and hashes both ends afterwards, where both have a hash.
        """
        self.means.progress.phase("copying", size)
        words = () if compare else ("--ignore-checksum",)
        meter = self._meter(size)
        self._copy((*words, "--", source, target), meter, meter.hear)

    def fetch(self, source: str, output: Path, size: int) -> None:
        """Copy the file `source` of `size` bytes to `output`, as `carry` does with `compare`.

        Raises `VerificationError` as soon as more comes: rclone itself would go on until the disk
        is full.
        """
        self.means.progress.phase("fetching", size)
        meter = self._meter(size)

        def hear(line: str) -> None:
            if _length(output) > size:
                raise VerificationError(
                    f"{self.shown}: more came of {printable(output.name)} than the {size:,} bytes "
                    "that were listed.",
                    hint="Another program replaced it, or the server lies; look again: agebackup "
                    "list.",
                )
            meter.hear(line)

        self._copy(("--", source, str(output)), meter, hear)

    def _meter(self, size: int) -> "_Meter":
        return _Meter(self.means.progress, size, Deadline(self.pace.idle + size / _SLOWEST))

    def _copy(self, words: Sequence[str], meter: "_Meter", hear: Callable[[str], None]) -> None:
        limit = ("--bwlimit", self.means.bandwidth) if self.means.bandwidth else ()
        self._run(("copyto", "--ignore-times", *limit, *words), Listener(meter.deadline, hear))
        meter.finish()

    def _run(self, words: Sequence[str], listener: Listener) -> str:
        means = self.means
        program = shutil.which("rclone", path=means.environment.get("PATH"))
        if program is None:
            raise FailedError(
                f"There is no rclone program, which reaches {self.shown}.",
                hint="Install it (Debian, Homebrew: rclone), or see to the PATH of this job.",
            )
        argv = (program, *self._flags, *words)
        environment = _environment(means.environment)
        try:
            return follow_command(
                argv, listener, progress=means.progress, environment=environment
            ).stdout
        except CommandError as error:
            if listener.deadline.expired:
                raise StoodStillError(
                    f"{self.shown}: nothing moved for {listener.deadline.seconds:,.0f} seconds.",
                    hint="See whether the server answers: rclone lsd; then push again.",
                ) from None
            result = error.result
            raise failure(complaint(result.code, result.stderr), self.shown) from None

    @property
    def _flags(self) -> Sequence[str]:
        pace = self.pace
        return (
            *("--ask-password=false", "--use-json-log", "--log-level", "NOTICE"),
            *("--stats", "500ms", "--stats-log-level", "NOTICE"),
            *("--retries", "1", "--low-level-retries", str(pace.retries)),
            *("--contimeout", f"{pace.connect:g}s", "--timeout", f"{min(300, pace.idle):g}s"),
        )


class _Meter:
    """Tells `progress` of the bytes in rclone's log, and renews `deadline` while they move."""

    def __init__(self, progress: Progress, size: int, deadline: Deadline) -> None:
        self.deadline = deadline
        self._progress, self._size = progress, size
        self._raw = self._told = 0

    def hear(self, line: str) -> None:
        done = bytes_done(line)
        if done is not None and done > self._raw:
            self._raw = done
            self.deadline.renew()
            self.reach(done)

    def finish(self) -> None:
        self.reach(self._size)

    def reach(self, done: int) -> None:
        done = min(done, self._size)  # what a remote encrypts or splits is counted with its frame
        if done > self._told:
            told, self._told = self._told, done
            self._progress.advance(done - told)


def _length(output: Path) -> int:
    """Return how long the file `output`, or what is to become it, is by now."""
    longest = 0
    for path in output.parent.iterdir():
        if path.name.startswith(output.name):
            with suppress(FileNotFoundError):
                longest = max(longest, path.lstat().st_size)
    return longest


def _ignore(line: str) -> None:
    pass


def _environment(given: Mapping[str, str]) -> Mapping[str, str]:
    """Return `given` without what would take the log away from us; see `_TALK`.

    Ours are temporary names already, so what is under way needs no second one (`RCLONE_INPLACE`,
    rclone 1.63 or later).
    """
    kept = {name: value for name, value in given.items() if name not in _TALK}
    return {"RCLONE_INPLACE": "true", **kept}


def failure(found: Complaint, shown: str) -> AgebackupError:
    """Return the error for a complaint of rclone's about the place that messages call `shown`.

    `NotFoundError` where the remote or what was asked for does not exist, `OutOfReachError` where
    another attempt may do, `NotAllowedError` where the place refused, else `FailedError`.
    """
    kind, what, hint = _MEANINGS[found.trouble]
    said = f" rclone said: {found.said}" if found.said else ""
    return kind(f"{printable(shown)}: {what}.{said}", hint=hint)


_MEANINGS: Mapping[str, tuple[type[AgebackupError], str, str]] = {
    "undefined": (
        NotFoundError,
        "rclone knows no remote of that name",
        "rclone listremotes shows those it knows, rclone config defines one. A job may have "
        "another HOME, and thereby another configuration: see RCLONE_CONFIG.",
    ),
    "locked": (
        FailedError,
        "rclone's configuration is encrypted, and nobody can be asked for its password",
        "Put RCLONE_CONFIG_PASS into the job's environment, or a command that prints the password: "
        "RCLONE_PASSWORD_COMMAND (rclone's --password-command).",
    ),
    "busy": (
        OutOfReachError,
        "the server wants fewer requests for now",
        "Push again later; a client ID of your own helps with Google Drive (rclone.org/drive).",
    ),
    "full": (FailedError, "there is no space left", "Make space there, or prune."),
    "login": (
        FailedError,
        "the server does not accept the login",
        "rclone config reconnect REMOTE: renews a token, rclone config corrects a password.",
    ),
    "refused": (
        NotAllowedError,
        "the server does not allow it",
        "See to the permissions of the login there, and to object lock or append-only settings.",
    ),
    "absent": (NotFoundError, "it is not there", "Look what is: agebackup list."),
    "unreachable": (
        OutOfReachError,
        "the server cannot be reached, or failed",
        "Check the network and that the server runs; the next push tries again.",
    ),
    "failed": (FailedError, "rclone failed", "Run the same by hand to see more: rclone lsf."),
}
