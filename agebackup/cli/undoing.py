"""agebackup restore --undo"""

from typing import TYPE_CHECKING

from agebackup.cli import directories
from agebackup.cli.asking import require_yes
from agebackup.cli.console import Console
from agebackup.cli.inplace import at_rest
from agebackup.cli.scope import now
from agebackup.cli.settling import journalled
from agebackup.errors import NotFoundError, UsageError, printable
from agebackup.model.names import require_app

if TYPE_CHECKING:
    from agebackup.model.swap import SwapRecord
    from agebackup.operations.journal import Journal
    from agebackup.operations.undo import Undone


def undone(app: str | None, to: Console) -> int:
    """Undo the last restore into `app` (None: into the one app that has any); return 0.

    Asks on a terminal, and needs --yes elsewhere.
    """
    from agebackup.cli.supervising import journal
    from agebackup.operations.settling import settle
    from agebackup.operations.undo import undo, undoable
    from agebackup.operations.unused import require_unused
    from agebackup.system.lock import exclusive

    app = require_app(app) if app is not None else _only_app()
    known = directories.swap_records(app)
    asked = undoable(known)
    log = journal(to)  # what is loaded now cannot fail once everything is done
    require_yes(_question(asked), to, otherwise="Nothing was changed.")
    lock = exclusive(
        directories.lock_file(app),
        wait_seconds=0,
        what=f"another run of {app}",
        progress=to.progress,
    )
    with lock:
        for one in settle(known):
            to.output.warn(one.words)
        if undoable(known).id != asked.id:
            raise UsageError(
                f"Another restore or undo of {app} came in between.",
                hint="Look what there is to undo now: run this command again.",
            )
        moment = known.moment(now().replace(microsecond=0))
        with at_rest(app, to) as declared:
            # Those inside an exchanged tree are no parts of their own.
            done = undo(asked, moment, known, lambda found: require_unused((*found, *declared)))
    _tell(asked, done, to)
    _note(done, log, to)
    return 0


def _only_app() -> str:
    """Return the one app of which a restore can be undone."""
    from agebackup.operations.undo import undoable

    found = []
    for app in journalled():
        try:
            undoable(directories.swap_records(app))
        except NotFoundError:
            continue
        found.append(app)
    if not found:
        raise NotFoundError(
            "There is no restore that could be undone.",
            hint="Only a restore --in-place can be, until clean removes what it put aside.",
        )
    if len(found) > 1:
        raise UsageError(
            f"A restore can be undone of each of these: {', '.join(found)}.", hint="Name the app."
        )
    return found[0]


def _question(restore: "SwapRecord") -> str:
    return (
        f"Bring back the state of {restore.app} from before the restore of "
        f"{printable(restore.archive)} at {restore.time:%Y-%m-%d %H:%M:%S} UTC?"
    )


def _tell(restore: "SwapRecord", done: "Undone", to: Console) -> None:
    for text in done.warnings:
        to.output.warn(text)
    back = [move.target for move in done.record.moves if move.new.main is not None]
    say = to.output.say
    say(f"The state of {restore.app} is as it was before {restore.time:%Y-%m-%d %H:%M:%S} UTC.")
    for path in done.changed:
        say(f"Written since the restore, and put aside with it: {printable(str(path))}.")
    if done.aside:
        aside = ", ".join(printable(str(path)) for path in done.aside)
        say(f"The state before this is in {aside}.")
    to.output.result_of_work(
        "\n".join(map(printable, back)),
        app=restore.app,
        restore=restore.id,
        archive=restore.archive,
        safety=restore.safety or None,
        back=back,
        removed=[move.target for move in done.record.moves if move.new.main is None],
        aside=[str(path) for path in done.aside],
        changed=[str(path) for path in done.changed],
        warnings=list(done.warnings),
    )


def _note(done: "Undone", log: "Journal", to: Console) -> None:
    """Write down in the log that a restore was undone."""
    record = done.record
    aside = [str(path) for path in done.aside]
    problem = log.event(
        "restore-undone", record.app, id=record.undoes, archive=record.archive, aside=aside
    )
    if problem:
        to.output.warn_once(problem)
