"""agebackup delete"""

from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from agebackup.cli.asking import require_yes
from agebackup.cli.choosing import Chosen, chosen, to_option
from agebackup.cli.console import Console, console
from agebackup.cli.locking import lock_apps
from agebackup.cli.scope import now, required_ledger
from agebackup.cli.settings import current, global_options
from agebackup.errors import AgebackupError, counted, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agebackup.cli.remotes import Destination
    from agebackup.ledger import Ledger
    from agebackup.model.inventory import Held
    from agebackup.model.names import ArchiveName

    Group = tuple[Destination, tuple[Held, ...]]


@click.command("delete", short_help="Remove archives.")
@click.argument("archives", nargs=-1, required=True, metavar="ARCHIVE...")
@to_option
@click.option("--even-last", is_flag=True, help="Even the last good archive of an app.")
@global_options
def command(archives: tuple[str, ...], to: str | None, *, even_last: bool) -> int:
    """Remove archives, file and record.

    Asks on a terminal, needs --yes elsewhere. Refuses (13) what is marked as kept, and the last
    good archive of an app in its place without --even-last: then nothing is removed. Copies in
    other destinations stay, each is deleted with --to; what the cloud keeps of deleted files is not
    reached.
    """
    from agebackup.operations.delete import require_deletable

    out = console(current(), "delete")
    found = [chosen(text, to, out, tell=False) for text in dict.fromkeys(archives)]
    with required_ledger() as ledger, ExitStack() as locks:
        groups = _grouped(found, ledger)

        def require() -> None:
            for folder, group in groups:
                require_deletable(group, folder, ledger, now(), even_last=even_last)

        require()
        for folder, group in groups:
            for held in group:
                out.output.say(f"  {printable(folder.called(str(held.name)))}")
        names = [held.name for _, group in groups for held in group]
        what = names[0] if len(names) == 1 else f"these {len(names):,} archives"
        require_yes(f"Delete {what}?", out, otherwise="Nothing was deleted.")
        lock_apps((name.app for name in names), locks, out)
        require()
        deleted = _deleted(groups, ledger, out)
        for line in _copies(names, ledger):
            out.output.say(line)
    out.output.result_of_work("\n".join(deleted), deleted=deleted)
    return 0


def _deleted(groups: "Iterable[Group]", ledger: "Ledger", out: Console) -> list[str]:
    """Remove what is in `groups`, tell and log each, and return the names."""
    from agebackup.cli.supervising import journal
    from agebackup.operations.delete import BY_HAND, delete

    log, deleted = journal(out), list[str]()
    try:
        for folder, group in groups:
            for name in delete(group, folder, ledger, now(), out.progress):
                deleted.append(str(name))
                if problem := log.event("deleted", name.app, archive=str(name), message=BY_HAND):
                    out.output.warn_once(problem)
                out.output.say(f"Deleted {name}.")
    except AgebackupError as error:
        error.details += tuple(f"{name} is gone already." for name in deleted)
        raise
    return deleted


def _grouped(found: "Iterable[Chosen]", ledger: "Ledger") -> "list[Group]":
    """Return the archives that were found by place, each place once, however it was named."""
    from agebackup.operations.inventory import find_archive

    names: dict[str, dict[str, Chosen]] = {}
    for one in found:
        names.setdefault(one.destination, {})[one.name] = one
    groups = []
    for wanted in names.values():
        place = next(iter(wanted.values())).place
        group = tuple(find_archive(name, place, ledger, now()) for name in wanted)
        groups.append((place, group))
    return groups


def _copies(names: "Iterable[ArchiveName]", ledger: "Ledger") -> "Iterator[str]":
    """Yield a sentence for each place that has copies of what was deleted, as the ledger knows."""
    gone = {str(name) for name in names}
    rows = [row for row in ledger.archives() if row.name in gone]
    for place in dict.fromkeys(row.destination for row in rows):
        there = [row.name for row in rows if row.destination == place]
        shown, which = printable(place), there[0] if len(there) == 1 else "ARCHIVE..."
        yield (
            f"{counted(len(there), 'copy')} in {shown} stayed; to remove there too: "
            f"agebackup delete --to {shown} {which}"
        )
