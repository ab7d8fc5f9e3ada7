"""Questions that only a person can answer, and what stands for the answer elsewhere."""

import sys

import click

from agebackup.cli.console import Console
from agebackup.errors import StoppedError, UsageError


def require_yes(question: str, console: Console) -> None:
    """Ask `question` on the terminal, unless --yes was given; return only if the answer is yes.

    Raises `UsageError` where there is nobody to ask, and `StoppedError` (interrupted) for a no:
    nothing was done in either case.
    """
    if console.settings.yes:
        return
    if console.settings.json or sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(
            f"{question} There is no terminal to ask on.", hint="Give --yes to say so beforehand."
        )
    console.settings.clear_line()
    if not click.confirm(question, default=False, err=True):
        raise StoppedError(2)
