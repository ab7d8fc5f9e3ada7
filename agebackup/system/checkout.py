"""Ask git what is checked out in a directory, without letting the repository run anything.

What a repository's own configuration names is run by git as its user (git-config(1)): a monitor of
the file system, hooks, filters that files pass through before they are compared, transports for
objects that are missing. Whoever can write into a checkout must not run programs in a backup.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agebackup.errors import FailedError, printable
from agebackup.system.clock import Deadline
from agebackup.system.commands import CommandError, run_command
from agebackup.system.progress import Progress

PROGRAM = "git"
_SAFELY = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "--no-pager")
_VARIABLES = {
    "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",  # the index is left as it is, so that no hook is called for it
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_LAZY_FETCH": "1",
}
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LONGEST = 200
_ITS_OWN = {"local", "worktree"}


@dataclass(frozen=True)
class CheckedOut:
    """What is checked out: the `commit`, the `branch` ("" for none), and whether it is `dirty`.

    `dirty` counts changes of files under version control alone; None where git would have run a
    program of the repository's to find out.
    """

    commit: str
    branch: str
    dirty: bool | None


def checked_out(
    directory: Path, *, seconds: float, environment: Mapping[str, str], progress: Progress
) -> CheckedOut:
    """Return what is checked out in `directory`, or in the one above it that holds a checkout.

    git gets `environment` and may take so many `seconds` in all. Raises `FailedError` where there
    is no git, no checkout or no commit, where git refuses or is too slow; `StoppedError` at a stop.
    """
    git = _Git(directory, seconds, environment, progress)
    commit = git.said("rev-parse", "--verify", "--quiet", "HEAD^{commit}", none=1)
    if not _COMMIT.fullmatch(commit):
        raise FailedError(
            f"{printable(str(directory))} has no commit checked out.",
            hint="Commit something, or leave provenance out.",
        )
    branch = git.said("symbolic-ref", "--quiet", "--short", "HEAD", none=1)[:_LONGEST]
    return CheckedOut(commit, branch, git.dirty())


@dataclass(frozen=True)
class _Git:
    directory: Path
    seconds: float
    environment: Mapping[str, str]
    progress: Progress
    deadline: Deadline = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "deadline", Deadline(self.seconds))

    def said(self, *words: str, none: int | None = None) -> str:
        """Return what git prints for `words`, without its last line end; "" if its code is `none`.

        Raises `FailedError` for any other failure.
        """
        argv = (PROGRAM, "-C", str(self.directory), *_SAFELY, *words)
        try:
            result = run_command(
                argv,
                seconds=max(self.deadline.remaining, 0.001),
                progress=self.progress,
                environment={**self.environment, **_VARIABLES},
            )
        except CommandError as error:
            if error.result.code == none:
                return ""
            raise self._explained(error) from None
        return result.stdout.removesuffix("\n")

    def dirty(self) -> bool | None:
        """Return whether a file under version control was changed, None where nobody may ask.

        A filter would have to be run; one that the person's own configuration names is theirs.
        """
        known = self.said(
            *("config", "--show-scope", "--name-only", "-z", "--get-regexp", r"^filter\."), none=1
        )
        if _ITS_OWN.intersection(known.split("\0")[::2]):
            return None
        asked = ("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty")
        return bool(self.said(*asked, "--no-renames"))

    def _explained(self, error: CommandError) -> FailedError:
        shown, said = printable(str(self.directory)), error.result.stderr
        if self.deadline.expired:
            return FailedError(f"git took longer than {self.seconds:g} seconds in {shown}.")
        if "dubious ownership" in said or "unsafe repository" in said:
            advice = printable(said.strip().rpartition("\n")[2].strip())
            return FailedError(
                f"{shown} belongs to somebody else, so git does not look into it.",
                hint=f"If you trust it: {advice}",
            )
        if "not a git repository" in said:
            return FailedError(
                f"{shown} is not in a checkout of git.", hint="Name the app's own checkout."
            )
        return FailedError(f"{shown}: {error.message}", hint=error.hint)
