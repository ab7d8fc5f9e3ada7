"""agebackup delete"""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agebackup.cli.asking import require_yes
from agebackup.cli.choosing import chosen, to_option
from agebackup.cli.console import Console, console
from agebackup.cli.scope import now, required_ledger
from agebackup.cli.settings import current, global_options
from agebackup.errors import RefusedError, printable

if TYPE_CHECKING:
    from agebackup.model.inventory import Held


@click.command("delete", short_help="Remove archives.")
@click.argument("archives", nargs=-1, required=True, metavar="ARCHIVE...")
@to_option
@click.option("--even-last", is_flag=True, help="Even the last good archive of an app.")
@global_options
def command(archives: tuple[str, ...], to: str | None, *, even_last: bool) -> int:
    """Remove archives, file and record.

    Asks on a terminal, needs --yes elsewhere. Refuses (13) what is marked as kept, and the last
    good archive of an app without --even-last: then nothing is removed. What the cloud keeps of
    deleted files is not reached.
    """
    from agebackup.cli import directories
    from agebackup.cli.wiring import folder_at
    from agebackup.operations.delete import delete, require_deletable
    from agebackup.operations.inventory import take_inventory
    from agebackup.system.lock import exclusive

    out = console(current(), "delete")
    wanted: dict[Path, dict[str, Held]] = {}
    for text in dict.fromkeys(archives):
        path = chosen(text, to, out).path
        wanted.setdefault(path.parent, {})[path.name] = _held(path, out)
    with required_ledger() as ledger, ExitStack() as locks:
        for app in sorted({held.name.app for one in wanted.values() for held in one.values()}):
            what = f"another run of {app}"
            file = directories.lock_file(app)
            locks.enter_context(exclusive(file, wait_seconds=0, what=what, progress=out.progress))
        groups = []
        for directory, named in wanted.items():
            folder = folder_at(str(directory))
            fresh = {one.entry.name: one for one in take_inventory(folder, ledger, now()).archives}
            group = [fresh.get(name, held) for name, held in named.items()]
            require_deletable(group, folder, ledger, now(), even_last=even_last)
            groups.append((folder, group))
        names = [str(held.name) for _, group in groups for held in group]
        for name in names:
            out.output.say(f"  {name}")
        require_yes(f"Delete {'this archive' if len(names) == 1 else 'these archives'}?", out)
        deleted = [
            name for folder, group in groups for name in delete(group, folder, ledger, now())
        ]
    out.output.result_of_work("\n".join(deleted), deleted=deleted)
    return 0


def _held(path: Path, out: Console) -> "Held":
    """Return the archive at `path`; raise `RefusedError` for a name that is not quite one."""
    from agebackup.cli.wiring import folder_at
    from agebackup.errors import NotFoundError
    from agebackup.model.inventory import Held
    from agebackup.model.names import ArchiveName

    name = ArchiveName.parse(path.name)
    if name is None:
        raise RefusedError(
            f"{printable(str(path))} is not named as an archive, so it is not deleted.",
            hint="If it is to go, remove it as any other file.",
        )
    for entry in folder_at(str(path.parent)).entries():
        if entry.name == path.name:
            return Held(name, entry)
    raise NotFoundError(f"There is no archive {printable(str(path))}.", hint="See agebackup list.")
