"""The ledger of a run, or what the person must know where there is none, or another one."""

from typing import TYPE_CHECKING

from agebackup.cli import directories
from agebackup.errors import printable

if TYPE_CHECKING:
    from agebackup.ledger import Ledger


def run_ledger(app: str) -> "tuple[Ledger | None, tuple[str, ...]]":
    """Open the ledger for a run of `app`, making it where there is none.

    Return it, or None, and sentences about what is lost without it, or was with an earlier one.
    """
    from agebackup.ledger import LedgerError, open_ledger
    from agebackup.ledger.failures import NO_NUMBER, NO_ROW

    try:
        ledger = open_ledger(directories.ledger_file())
    except LedgerError as error:
        return None, (f"{error.message} So {NO_NUMBER}; {NO_ROW}. {error.hint}",)
    try:
        return ledger, _forgotten(ledger, app)
    except LedgerError:
        return ledger, ()  # whoever uses it next says what that costs
    except BaseException:
        ledger.close()
        raise


def _forgotten(ledger: "Ledger", app: str) -> tuple[str, ...]:
    """Return a sentence where archives of `app` were published that `ledger` never heard of."""
    from agebackup.model.lastrun import success_in

    if ledger.sequel(app).sequence > 1:
        return ()
    known = ledger.archives(app, deleted=True)
    if any(ledger.rebuilt or not one.foreign for one in known):  # `tag` adopts what it names
        return ()
    try:
        success = success_in(directories.last_run_file(app).read_bytes())
    except OSError:
        return ()
    if success is None:
        return ()
    return (
        f"The ledger {printable(str(ledger.file))} knows no archive of {app}, although "
        f"{printable(success.archive)} was published: it was removed, emptied or replaced, "
        "or could not be used then. So the sequence numbers begin anew, and audit misses nothing "
        "that is older. "
        "To make the older archives known again: agebackup ledger rebuild DEST...",
    )
