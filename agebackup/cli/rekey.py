"""agebackup rekey"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agebackup.cli.asking import require_yes
from agebackup.cli.choosing import chosen, record_at, to_option
from agebackup.cli.console import Console, console
from agebackup.cli.locking import lock_apps
from agebackup.cli.outcomes import Outcomes
from agebackup.cli.reading import FILE, reading, reading_options
from agebackup.cli.rekeying import (
    all_archives,
    keep_directory,
    ledger_or_none,
    tell_at_the_end,
    warn_of_untried,
)
from agebackup.cli.scope import now
from agebackup.cli.settings import current, global_options
from agebackup.errors import UsageError, counted, printable

if TYPE_CHECKING:
    from agebackup.ledger import Ledger
    from agebackup.operations.rekey import Rekeyed
    from agebackup.operations.rekeyable import RekeyOrder

Found = Mapping[str, Callable[[], Path]]
"""What was named, each with how its path is found."""


@click.command("rekey", short_help="Encrypt archives to other keys.")
@click.argument("archives", nargs=-1, metavar="ARCHIVE...|APP")
@click.option("--all", "every", is_flag=True, help="All archives of APP, or of every app.")
@to_option
@reading_options
@click.option(
    "-r",
    "--recipient",
    "recipients",
    multiple=True,
    metavar="KEY|FILE",
    help="A new recipient, or a file of recipients; repeatable. All that are to open it.",
)
@click.option(
    "-R", "--recipients-file", "recipients_files", multiple=True, type=FILE, help="As -r, a file."
)
@click.option("--keep-old", metavar="DIR", help="Move the old files into this directory.")
@click.option("--dry-run", is_flag=True, help="Say which archives would be rekeyed.")
@global_options
def command(archives: tuple[str, ...], **options: Any) -> int:
    """Encrypt archives to other keys, under their names, after a key was lost or seen.

    Decrypts with -i and encrypts to -r through memory into a new file, which takes the old one's
    place once it was proved to hold the same. What has the new keys already is left alone, so that
    a second call does what is left. Asks on a terminal, needs --yes elsewhere. Copies elsewhere (a
    cloud's history, backups of the folder) stay readable with the old key.
    """
    from agebackup.cli import directories
    from agebackup.operations.rekeyable import RekeyOrder
    from agebackup.snapshot.keys import read_recipients

    out = console(current(), "rekey")
    if not archives and not options["every"]:
        raise UsageError("No archive was named.", hint="Name archives, or an app with --all.")
    recipients = read_recipients(options["recipients"], options["recipients_files"])
    how, claims = reading(out, options), directories.claims()
    for line in claims.sweep():
        out.output.warn(line)
    with ledger_or_none() or nullcontext() as ledger:
        paths = _paths(archives, options, out)
        keep_old = keep_directory(options["keep_old"], ledger, out)
        order = RekeyOrder(how, recipients, claims, now(), keep_old)
        work = _Rekeying(ledger, order, Outcomes(out), out)
        todo = work.planned(paths, dry_run=options["dry_run"])
        if not options["dry_run"]:
            work.do(todo)
        if todo:
            tell_at_the_end([one.path for one in todo], [one.app for one in todo], order, out)
    return work.outcomes.report()


def _paths(archives: tuple[str, ...], options: Mapping[str, Any], out: Console) -> Found:
    to = options["to"]
    if not options["every"]:
        return {text: partial(_file, text, to, out) for text in archives}
    found = [path for app in archives or (None,) for path in all_archives(app, to, out)]
    return {str(path): partial(Path, path) for path in found}


def _file(text: str, to: str | None, out: Console) -> Path:
    """Return the path of the archive `text`; what lies in a remote alone is not rekeyed there."""
    return chosen(text, to, out).file


@dataclass(frozen=True)
class _Todo:
    """An archive that is to be rekeyed. `app` is whose it is, "" where nothing tells."""

    path: Path
    app: str
    size: int


class _Rekeying:
    """What the command goes by, and what became of each archive."""

    def __init__(
        self, ledger: "Ledger | None", order: "RekeyOrder", outcomes: Outcomes, out: Console
    ) -> None:
        self.outcomes = outcomes
        self._ledger, self._order, self._out = ledger, order, out

    def planned(self, paths: Found, *, dry_run: bool) -> list[_Todo]:
        """Return what is to be done; what cannot be, and what is done, is an outcome."""
        todo: list[_Todo] = []
        for text, find in paths.items():
            if not self.outcomes.add(text, partial(self._look, find, todo, dry_run=dry_run)):
                return []
        return todo

    def _look(
        self, find: Callable[[], Path], todo: list[_Todo], *, dry_run: bool
    ) -> tuple[int, dict[str, Any]] | None:
        from agebackup.model.names import ArchiveName
        from agebackup.operations.rekeyable import is_done

        path = find()
        record = record_at(path, self._ledger) if self._ledger else None
        cut_off = record is not None and record.pending == "rekey"  # only to be told under the lock
        if not cut_off and is_done(path, record, self._order):
            return self._unchanged(path)
        name = ArchiveName.parse(path.name)
        app = record.app if record else name.app if name else ""
        one = _Todo(path, app, path.stat().st_size)
        todo.append(one)
        if not dry_run:
            return None
        if not self._out.settings.json:
            self._out.output.result(printable(str(path)))
        return 0, {"status": "planned", "archive": path.name, "path": str(path), "size": one.size}

    def _unchanged(self, path: Path) -> tuple[int, dict[str, Any]]:
        self._out.output.say(f"{printable(path.name)} has these keys already.")
        return 0, {"status": "unchanged", "archive": path.name, "path": str(path)}

    def do(self, todo: list[_Todo]) -> None:
        """Ask, lock and rekey."""
        if not todo:
            return
        self._out.output.say("To be rekeyed:")
        for one in todo:
            self._out.output.say(f"  {printable(str(one.path))}")
        if self._order.keep_old is None:
            warn_of_untried(self._order, self._out)
        many, size = counted(len(todo), "archive"), sum(one.size for one in todo)
        keys = counted(len(self._order.recipients.texts), "key")
        question = f"Encrypt {many} ({size:,} bytes) to {keys} anew?"
        require_yes(question, self._out, otherwise="Nothing was rekeyed.")
        with ExitStack() as locks:
            lock_apps((one.app for one in todo if one.app), locks, self._out)
            self._settle(todo)
            for one in todo:
                if not self.outcomes.add(str(one.path), partial(self._one, one)):
                    return

    def _settle(self, todo: Iterable[_Todo]) -> None:
        """Let the ledger know how things are in the folders, where a killed run left that open."""
        from agebackup.cli.wiring import folder_at
        from agebackup.operations.bookkeeping import Bookkeeping

        books = Bookkeeping(self._ledger)
        for app, folder in dict.fromkeys((one.app, str(one.path.parent)) for one in todo):
            books.settle(app, folder_at(folder), self._order.now, self._out.progress)
        for loss in books.losses:
            self._out.output.warn_once(loss)

    def _one(self, one: _Todo) -> tuple[int, dict[str, Any]]:
        from agebackup.cli.supervising import journal
        from agebackup.operations.rekey import rekey
        from agebackup.operations.rekeyable import is_done

        record = record_at(one.path, self._ledger) if self._ledger else None
        if is_done(one.path, record, self._order):
            return self._unchanged(one.path)
        done = rekey(one.path, record, self._ledger, self._order)
        name = one.path.name
        if problem := journal(self._out).event("rekeyed", one.app, archive=name):
            self._out.output.warn_once(problem)
        self._tell(done)
        return 0, _fields(done, self._order)

    def _tell(self, done: "Rekeyed") -> None:
        output = self._out.output
        for text in done.warnings:
            output.warn(f"{printable(done.path.name)}: {text}")
        if not self._out.settings.json:
            output.line(printable(str(done.path)))
        output.say(
            f"Rekeyed {printable(done.path.name)} ({done.size:,} bytes, {done.seconds:.1f} s)."
        )
        if done.kept:
            output.say(f"  the old file: {printable(str(done.kept))}")


def _fields(done: "Rekeyed", order: "RekeyOrder") -> dict[str, Any]:
    return {
        "status": "ok",
        "archive": done.path.name,
        "path": str(done.path),
        "destination": str(done.path.parent.resolve()),
        "size": done.size,
        "sha256": done.sha256,
        "former_sha256": done.former_sha256,
        "stanzas": list(done.stanzas),
        "recipients": list(order.recipients.texts),
        "kept": str(done.kept) if done.kept else None,
        "seconds": round(done.seconds, 3),
        "warnings": list(done.warnings),
    }
