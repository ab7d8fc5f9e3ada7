"""The command `agebackup`: finds the subcommand, runs it, and turns its end into an exit code."""

import importlib
import os
import signal
import sys
from typing import Any

import click

from agebackup import __version__
from agebackup.cli.failures import translated
from agebackup.cli.output import Output, prepare_streams
from agebackup.cli.settings import Group, Settings, global_options
from agebackup.cli.signals import fill_standard_descriptors, listen
from agebackup.errors import AgebackupError, StoppedError, UsageError
from agebackup.system.descriptors import raise_descriptor_limit

COMMANDS = {
    "keygen": "Make a key pair: the private key into a file, the recipient to stdout.",
    "recipient": "Print the recipients (public keys) of an identity file.",
    "keycheck": "See whether a private key still opens the archives, and which recipients it "
    "stands for.",
    "recovery-sheet": "Write one page to print: the key, and how to get everything back with it.",
    "create": "Take a snapshot and write it as one encrypted archive.",
    "verify": "Check that an archive keeps every promise it makes.",
    "restore": "Bring a snapshot back, verified as a whole before it appears.",
    "drill": "Restore an archive for the sake of proof, try the copy, and remove it.",
    "inspect": "Show what an archive is, with or without the key.",
    "ls": "List the files in an archive.",
    "cat": "Write one file of an archive to stdout.",
    "list": "List the archives of APP, or of every app, newest first.",
    "get": "Copy an archive out of its destination, and compare the copy with the ledger's hash.",
    "delete": "Remove archives, file and record.",
    "tag": "Give an archive the tag WORD, in place of the one it has.",
    "untag": "Take an archive's tag away.",
    "keep": "Mark an archive as kept: it is never pruned, and not deleted before `unkeep`.",
    "unkeep": "Take the mark away that `keep` set: the rules of retention decide again.",
    "rekey": "Encrypt archives to other keys, under their names, after a key was lost or seen.",
    "push": "Carry the archives of APP, or of every app, to its further destinations.",
    "prune": "Remove the archives of APP, or of every app, that its retention no longer keeps.",
    "clean": "Clean up after runs that died, and list what ledger and folder disagree about.",
    "status": "Say of each app whether its backups are fresh: a line per app, and what is wrong.",
    "audit": "Say without a key what is wrong with archives.",
    "report": "Write one page of HTML that shows how the backups of APP, or of every app, stand.",
    "ledger": "Check this machine's record of archives, or make it again.",
    "config": "Write an example configuration, or check the one there is.",
    "profiles": "List the applications that can be declared by name, or show one of them.",
    "schedule": "Install, remove and show the timer that starts `agebackup run`.",
    "run": "Back up every app that is due; what a timer calls.",
    "doctor": "Look at all that a nightly job needs, and say what to do about each fault.",
    "log": "Show what happened: runs, prunings, what could not be told.",
}
"""Each command with the line that --help shows; a test compares it with the command's own."""


SETTLING = {"create", "run", "restore", "prune", "delete", "clean", "list", "status", "audit"}
SETTLING |= {"push", "report", "verify", "get", "tag", "untag", "keep", "unkeep", "doctor", "log"}
"""The commands that are about applications and their archives: before anything else they settle
the restores into applications that were cut off."""


class Commands(Group):
    """The commands, each imported only when it is used: --help must not load them all."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which a person meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command `cmd_name`."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"agebackup.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their lines."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="agebackup")
@global_options
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Consistent, encrypted snapshots of live SQLite applications.

    Each snapshot becomes one age-encrypted file that may lie in any cloud folder. The machine
    that makes them holds public keys only; with the private key, plain age and tar get everything
    back.

    Exit codes: 0 done; 1 failed, nothing changed; 2 usage or configuration; 3 published but
    incomplete; 4 verification or audit found a problem; 5 stale; 10 not found; 11 busy; 12 no key
    fits; 13 refused by a guard; 129, 130, 143 hung up, interrupted, terminated.
    """
    settings = ctx.ensure_object(Settings)
    if ctx.invoked_subcommand in SETTLING and not settings.help:
        from agebackup.cli.settling import settle_found

        settle_found(settings)


def insist_on_utf8() -> None:
    """Start anew in Python's UTF-8 mode where the locale would make other names of file names.

    Python does so by itself for LANG=C, but not for ISO-8859-1 and its kin.
    """
    if sys.getfilesystemencoding() != "utf-8":
        # -P: whatever lies in the current directory must not be imported in place of our own.
        words = [sys.executable, "-P", "-X", "utf8", "-m", "agebackup", *sys.argv[1:]]
        os.execv(sys.executable, [os.fsencode(word) for word in words])


def main() -> None:
    """Run the command line of this process and exit with its code."""
    fill_standard_descriptors()
    insist_on_utf8()
    prepare_streams()
    raise_descriptor_limit()
    settings = Settings()
    listen(settings.stop)
    sys.exit(run(sys.argv[1:], settings))


def run(arguments: list[str], settings: Settings) -> int:
    """Run one command line and return its exit code; every failure is told here."""
    settings.json = "--json" in arguments
    settings.help = bool({"-h", "--help"} & set(arguments))
    try:
        with translated():
            return _invoke(arguments, settings)
    except AgebackupError as error:
        output = Output(settings, settings.command or _first_command(arguments))
        output.failure(error)
        output.show_cause(error)
        return error.code


def _first_command(arguments: list[str]) -> str:
    """Return the first word that is a command: what was meant where nothing was understood."""
    return next((word for word in arguments if word in COMMANDS), "agebackup")


def _invoke(arguments: list[str], settings: Settings) -> int:
    try:
        code = cli.main(arguments, "agebackup", standalone_mode=False, obj=settings)
    except (click.exceptions.Abort, KeyboardInterrupt):
        raise StoppedError(settings.stop.signal_number or signal.SIGINT) from None
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return UsageError.exit_code
    except click.ClickException as error:
        raise _usage(error, settings.command) from None
    return code if isinstance(code, int) else 0


def _usage(error: click.ClickException, command: str) -> UsageError:
    context: Any = getattr(error, "ctx", None)
    path = context.command_path if context else f"agebackup {command.replace('-', ' ')}".strip()
    text = error.format_message()
    return UsageError(text if text.endswith((".", "?")) else text + ".", hint=f"See {path} --help.")
