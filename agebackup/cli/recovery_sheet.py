"""agebackup recovery-sheet"""

import os
import platform
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agebackup.cli.console import Console, console
from agebackup.cli.output import write_out
from agebackup.cli.passphrase import passphrase_reader
from agebackup.cli.reading import FILE, key_options
from agebackup.cli.scope import known_config, now, places
from agebackup.cli.settings import IDENTITY_VARIABLE, current, global_options
from agebackup.cli.signals import await_input, raising
from agebackup.errors import AgebackupError, FailedError, NotFoundError, UsageError, printable

if TYPE_CHECKING:
    from agebackup.model.sheet import PrintedKey, Sheet

MOST_TYPED = 1 << 16
"""Bytes; nobody types more."""
ENDINGS = (".html", ".htm", ".txt")


@click.command("recovery-sheet", short_help="Print a key, or check one that was typed back.")
@click.argument("typed", required=False, type=FILE, metavar="[TYPED]")
@key_options
@click.option(
    "-o",
    "--output",
    "target",
    help="The page: FILE.html or FILE.txt, 0600; - for text on standard output. With --check: a "
    "new file for the typed-back key.",
)
@click.option("--check", is_flag=True, help="Say whether a typed-back key is right, or where not.")
@click.option("--overwrite", is_flag=True, help="Replace an older sheet of that name.")
@global_options
def command(
    typed: Path | None, target: str | None, *, check: bool, overwrite: bool, **options: Any
) -> int:
    """Write one page to print: the key, and how to get everything back with it.

    The page holds the private key as text in groups and as a QR code, a line that catches typing
    errors, where the archives lie, and the commands for three systems. HTML is made for one sheet
    of A4 or Letter ("print to PDF" makes a PDF of it). Of a protected identity file it holds the
    protected form. It is never written into a destination (13).

    With --check a key that was typed back from paper is read from standard input or the file TYPED
    and compared with its check line: which group of characters is wrong is said (4). With -o the
    right key becomes an identity file.
    """
    from agebackup.system.secrecy import forbid_core_dumps

    forbid_core_dumps()
    out = console(current(), "recovery-sheet")
    if check:
        return _checked(typed, target, options, out)
    if typed is not None:
        raise UsageError("Only --check reads a typed key.", hint="The key to print is named by -i.")
    if not target:
        raise UsageError("No file was named for the page.", hint="For example: -o sheet.html")
    identity = _identity(options, out)
    return _written(_Page(target, identity, overwrite=overwrite), options, out)


@dataclass(frozen=True)
class _Page:
    """The page that is wanted: its file as it was given, and whose key stands on it."""

    target: str
    identity: Path
    overwrite: bool

    @property
    def is_stream(self) -> bool:
        return self.target == "-"


def _identity(options: Mapping[str, Any], out: Console) -> Path:
    variable = out.settings.variable(IDENTITY_VARIABLE)
    paths: list[Path] = list(options["identities"]) or ([Path(variable)] if variable else [])
    if len(paths) != 1:
        raise UsageError(
            "A sheet has room for one key." if paths else "No identity was given.",
            hint="Name the file of the private key with -i.",
        )
    return paths[0]


def _written(page: _Page, options: Mapping[str, Any], out: Console) -> int:
    from agebackup.cli.directories import claims
    from agebackup.model.sheet import require_printable
    from agebackup.operations.recovery_sheet import write_key
    from agebackup.snapshot.keyfit import printed_key

    path = Path(os.path.abspath(page.target))
    if not page.is_stream:
        _guard(path, (page.identity,), out)
        if path.suffix.lower() not in ENDINGS:
            raise UsageError(
                f"{printable(page.target)}: a sheet is a .html or a .txt file.",
                hint="For a PDF, write sheet.html, open it in a browser, and print it to PDF.",
            )
    ask = passphrase_reader(options["passphrase_fd"], out.settings.stop)
    sheet = _sheet(require_printable(printed_key(page.identity, ask, out.output.warn)), out)
    text = _rendered(sheet, path if not page.is_stream else None)
    if page.is_stream:
        write_out((text,), sys.stdout)
        return 0
    held = claims()
    held.sweep()
    write_key(path, text, held, replace=page.overwrite)
    out.output.say(
        f"The key is on the page {printable(str(path))}. Print it, see that it is readable, and "
        "remove the file. Then type the key back once:\n  agebackup recovery-sheet --check"
    )
    out.output.result_of_work(
        printable(str(path)),
        path=str(path),
        kind=sheet.key.kind,
        recipient=sheet.key.recipient or None,
        apps=list(sheet.apps),
        destinations=list(sheet.places),
    )
    return 0


def _rendered(sheet: "Sheet", path: Path | None) -> str:
    from agebackup.reporting.sheet_page import as_page
    from agebackup.reporting.sheet_text import as_text

    return as_text(sheet) if path is None or path.suffix.lower() == ".txt" else as_page(sheet)


def _sheet(key: "PrintedKey", out: Console) -> "Sheet":
    from agebackup.model.sheet import Sheet

    apps = _apps(key.recipient, out)
    config = known_config(out)
    if config and config.apps and not apps:
        out.output.warn(
            "No app of the configuration is encrypted to this key: the page does not say whose "
            "backups it opens."
        )
    mine = [one for one in config.apps if one.name in apps] if config else []
    lie = [str(one.destination) for one in mine if one.destination is not None]
    lie += [remote.text for one in mine for remote in one.remotes]
    return Sheet(key, f"{now():%Y-%m-%d}", platform.node(), apps, tuple(dict.fromkeys(lie)))


def _apps(recipient: str, out: Console) -> tuple[str, ...]:
    """Return the apps of the configuration that are encrypted to `recipient`."""
    from agebackup.cli.wiring import declared_recipients

    config, found = known_config(out), []
    for profile in config.apps if config else ():
        with suppress(AgebackupError):  # whoever makes archives says what is wrong with them
            if recipient in declared_recipients(profile).texts:
                found.append(profile.name)
    return tuple(found)


def _guard(path: Path, identities: tuple[Path, ...], out: Console) -> None:
    from agebackup.model.names import folder_of
    from agebackup.operations.recovery_sheet import guard_sheet

    config = known_config(out)
    known = [folder for one in config.apps for folder in one.folders] if config else []
    with suppress(NotFoundError):
        known += [Path(os.path.abspath(place.to)) for place in places(None, None, out)]
    guard_sheet(path, identities, list(dict.fromkeys(map(folder_of, known))))


def _checked(
    typed: Path | None, target: str | None, options: Mapping[str, Any], out: Console
) -> int:
    from agebackup.cli.directories import claims
    from agebackup.operations.recovery_sheet import typed_key, write_key

    if options["identities"]:
        raise UsageError(
            "--check needs no identity: the sheet's own check line tells.",
            hint="Name a file with the typed key, or type it.",
        )
    path = Path(os.path.abspath(target)) if target else None
    if path is not None:
        _guard(path, (), out)
    key, remarks = typed_key(_typed(typed, out))
    for remark in remarks:
        out.output.warn(remark)
    if path is not None:
        held = claims()
        held.sweep()
        write_key(path, _key_file(key), held, replace=False)
    apps = _apps(key.recipient, out)
    whose = f" It belongs to {key.recipient}." if key.recipient else ""
    protected = " It opens nothing without its passphrase." if key.kind == "protected" else ""
    of = f" That is a recipient of {', '.join(apps)}." if apps else ""
    out.output.result_of_work(
        f"The typed key is right.{whose}{of}{protected}",
        path=str(path) if path else None,
        kind=key.kind,
        recipient=key.recipient or None,
        apps=list(apps),
        remarks=list(remarks),
    )
    return 0


def _key_file(key: "PrintedKey") -> str:
    if key.kind != "age":
        return key.text
    return f"# public key: {key.recipient}\n{key.text}\n"


def _typed(file: Path | None, out: Console) -> str:
    """Return what was typed, from the file or from standard input to its end."""
    from agebackup.snapshot.keyfiles import key_file, key_text

    if file is not None:
        return key_text(printable(str(file)), key_file(file, "typed key"))
    if sys.stdin is None:
        raise FailedError("Standard input is closed.", hint="Name a file with the typed key.")
    return key_text("Standard input", _input(sys.stdin.fileno(), out))


def _input(descriptor: int, out: Console) -> bytes:
    content = bytearray()
    with raising():
        out.settings.stop.check()  # for a signal that came before
        if os.isatty(descriptor):
            out.output.say(
                "Type the key as it stands on the sheet, then its check line; end with Ctrl-D on "
                "a line of its own."
            )
        while len(content) <= MOST_TYPED:
            await_input(descriptor)
            piece = os.read(descriptor, MOST_TYPED)
            if not piece:
                return bytes(content)
            content += piece
    raise UsageError("That is far longer than any key.", hint="Give the typed key alone.")
