"""What becomes of a drill's receipt: kept in ledger and log, told to hooks and to the person."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from agebackup.cli.console import Console
from agebackup.cli.scope import required_ledger
from agebackup.cli.supervising import journal
from agebackup.errors import AgebackupError, FailedError, counted, printable
from agebackup.ledger import LedgerError
from agebackup.model.drills import Receipt
from agebackup.model.durations import span_text
from agebackup.model.records import DrillRecord
from agebackup.operations.drill import record_of, tell_failure
from agebackup.snapshot.signatures import RECEIPT_NAMESPACE

if TYPE_CHECKING:
    from agebackup.model.profile import Profile
    from agebackup.snapshot.signatures import SigningKey


def keep(
    receipt: Receipt, begun: datetime, signing: "SigningKey | None", to: Console
) -> AgebackupError | None:
    """Put `receipt` into the log and the ledger, signed if `signing` is given.

    Returns why the ledger could not take it, or took it unsigned.
    """
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
    record, unsigned = _signed(record_of(receipt, begun), signing, to)
    try:
        with required_ledger() as ledger:
            ledger.put(record)
    except LedgerError as error:
        to.output.warn(f"The receipt is kept nowhere: {error.message}")
        return error
    return unsigned


def _signed(
    record: DrillRecord, signing: "SigningKey | None", to: Console
) -> tuple[DrillRecord, FailedError | None]:
    """Return `record` with a signature over its receipt, or without it and the reason."""
    if signing is None:
        return record, None
    try:
        text = record.receipt.encode()
        signature = signing.sign(text, to.progress, namespace=RECEIPT_NAMESPACE)
    except FailedError as error:
        to.output.warn(f"The receipt is not signed: {error.message}")
        return record, error
    return replace(record, signature=signature.decode()), None


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
