"""What becomes of a drill's receipt: kept in ledger and log, told to hooks and to the person."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from agebackup.cli.console import Console
from agebackup.cli.scope import required_ledger
from agebackup.cli.supervising import journal
from agebackup.errors import counted, printable
from agebackup.ledger import LedgerError
from agebackup.model.drills import Receipt
from agebackup.model.durations import span_text
from agebackup.operations.drill import record_of, tell_failure

if TYPE_CHECKING:
    from agebackup.model.profile import Profile


def keep(receipt: Receipt, begun: datetime, to: Console) -> LedgerError | None:
    """Put `receipt` into the log and the ledger; return why the ledger could not take it."""
    message = receipt.message or f"restored in {receipt.seconds:.1f} s"
    problem = journal(to).event(
        "drilled",
        receipt.app,
        run=receipt.id,
        archive=receipt.archive,
        outcome=receipt.outcome,
        exit=receipt.exit_code,
        seconds=receipt.seconds,
        message=message,
    )
    if problem:
        to.output.warn(problem)
    try:
        with required_ledger() as ledger:
            ledger.put(record_of(receipt, begun))
    except LedgerError as error:
        to.output.warn(f"The receipt is kept nowhere: {error.message}")
        return error
    return None


def tell_hooks(receipt: Receipt, profiles: "Mapping[str, Profile]", to: Console) -> None:
    """Tell the hooks of the receipt's app, where it is declared, that the drill failed."""
    profile = profiles.get(receipt.app)
    if profile is not None:
        for text in tell_failure(profile.watch.hooks, profile.base, receipt, to.progress):
            to.output.warn(text)


def say(receipt: Receipt, to: Console) -> None:
    """Tell the person what a good drill showed."""
    for text in receipt.warnings:
        to.output.warn(text)
    if to.settings.json:
        return
    asked = receipt.assertions
    held = f"{counted(len(asked), 'assertion')} {'holds' if len(asked) == 1 else 'hold'}"
    age = f", {span_text(timedelta(seconds=receipt.age))} old" if receipt.age else ""
    to.output.result_of_work(
        f"{printable(receipt.archive)}{age}: restored {counted(receipt.files or 0, 'file')} "
        f"({receipt.bytes:,} bytes) in {receipt.seconds:.1f} s; "
        + (held if asked else "no assertions are declared")
    )
    for one in asked:
        to.output.say(f"  {one.name}: {one.found} (expected: {one.expected})")
