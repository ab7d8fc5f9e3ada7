"""What a command speaks through: settings, output, progress."""

import sys
from dataclasses import dataclass

from agebackup.cli.output import Output
from agebackup.cli.settings import Settings
from agebackup.cli.terminal import Reporter, TerminalReporter


@dataclass(frozen=True)
class Console:
    """What a command speaks through."""

    settings: Settings
    output: Output
    progress: Reporter


def console(settings: Settings, command: str) -> Console:
    """Return the output and progress of `command`; a progress line only on a terminal."""
    output = Output(settings, command)
    drawn = settings.progress and not settings.quiet and not settings.json
    terminal = sys.stderr is not None and sys.stderr.isatty()
    kind = TerminalReporter if drawn and terminal else Reporter
    return Console(settings, output, kind(settings.stop, output))
