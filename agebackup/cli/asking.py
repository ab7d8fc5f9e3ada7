"""Questions that only a person can answer, and what stands for the answer elsewhere."""

import sys

import click

from agebackup.cli.console import Console
from agebackup.cli.signals import await_input, raising
from agebackup.errors import FailedError, StoppedError, UsageError


def require_yes(question: str, console: Console, *, otherwise: str) -> None:
    """Ask `question` on the terminal, unless --yes was given; return only if the answer is yes.

    Raises `UsageError` where there is nobody to ask, `FailedError` with the sentence `otherwise`
    for a no, or for no answer, and `StoppedError` at once where a signal comes meanwhile. Nothing
    was done in any of these cases.
    """
    if console.settings.yes:
        return
    if console.settings.json or sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(
            f"{question} There is no terminal to ask on.", hint="Give --yes to say so beforehand."
        )
    console.settings.clear_line()
    if not _confirmed(question, console):
        raise FailedError(otherwise)


def _confirmed(question: str, console: Console) -> bool:
    try:
        with raising():
            console.settings.stop.check()
            while (answer := _answer(f"{question} [y/N]: ")) not in ("y", "yes", "n", "no", ""):
                click.echo("Please answer y or n.", err=True)
    except StoppedError:
        click.echo(err=True)
        raise
    return answer in ("y", "yes")


def _answer(prompt: str) -> str:
    click.echo(prompt, err=True, nl=False)
    await_input(sys.stdin.fileno())
    line = sys.stdin.readline()
    if not line:
        click.echo(err=True)
    return line.strip().lower()
