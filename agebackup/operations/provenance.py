"""What is recorded of an application's origin. It is only for the record: what cannot be had is a
warning, and never keeps a backup from being made."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from agebackup.errors import FailedError, printable
from agebackup.model.command import Command
from agebackup.model.manifest import ProvenanceRecord
from agebackup.model.provenance import Checkout, Version, git_environment
from agebackup.operations.reachable import asked
from agebackup.system.checkout import checked_out
from agebackup.system.probing import within
from agebackup.system.process import run_command
from agebackup.system.progress import Progress
from agebackup.system.regular import content

SECONDS = 10.0
"""For an answer of the disk that a version's file lies on."""
_LARGEST = 1 << 16


def first_line(said: str) -> str:
    """Return what a command or file that is asked for one value says, 200 characters at most."""
    return said.strip().partition("\n")[0].strip()[:200]


def version_said(version: Version, directory: Path | None, progress: Progress) -> str:
    """Return the version itself, what its command prints in `directory`, or what its file says.

    Raises `FailedError` where it cannot be had, `StoppedError` at a stop.
    """
    if isinstance(version, str):
        return version
    if isinstance(version, Command):
        result = run_command(
            version.argv, seconds=version.seconds, cwd=directory, progress=progress
        )
        return first_line(result.stdout)
    require_answer(version.path, SECONDS, progress)
    return _in_file(version.path)


def _in_file(file: Path) -> str:
    shown = printable(str(file))
    try:
        return first_line(content(file, _LARGEST).decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise FailedError(f"The file {shown} is not UTF-8 text.") from None
    except OSError as error:
        why = error.strerror or str(error)
        raise FailedError(f"The file {shown} cannot be read: {why}.") from None


def require_answer(path: Path, seconds: float, progress: Progress) -> None:
    """Raise `FailedError` where the disk of `path` does not answer: git would hang on it for good.

    To be called from the main thread.
    """
    (answer,) = within(seconds, [partial(asked, path)], progress)
    if answer is None:
        raise FailedError(f"{printable(str(path))} did not answer within {seconds:g} seconds.")


def provenance_of(
    checkout: Checkout | None, environment: Mapping[str, str], progress: Progress
) -> ProvenanceRecord | None:
    """Return what git says of `checkout`; None, with a warning, where it says nothing."""
    if checkout is None:
        return None
    try:
        require_answer(checkout.path, checkout.seconds, progress)
        found = checked_out(
            checkout.path,
            seconds=checkout.seconds,
            environment=git_environment(environment),
            progress=progress,
        )
    except FailedError as error:
        hint = f" {error.hint}" if error.hint else ""
        progress.warn(f"The checkout is not recorded: {error.message}{hint}")
        return None
    if found.dirty is None:
        progress.warn(
            f"Whether the checkout {printable(str(checkout.path))} was changed is not recorded: "
            "its own configuration names filters, which are not run."
        )
    return ProvenanceRecord(commit=found.commit, branch=found.branch, dirty=found.dirty)
