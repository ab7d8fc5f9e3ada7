"""How long a ledger that another process holds is waited for: long once, afterwards hardly.

One run writes to its ledger several times, and `agebackup run` has many runs. Transactions take
milliseconds; whoever holds the ledger for longer than the first wait may do so for hours, and
waiting anew each time would only make every backup late.
"""

from pathlib import Path

from agebackup.ledger.failures import LedgerError

BUSY_SECONDS = 5.0
SHORT_SECONDS = 0.2
_held: set[Path] = set()
"""Ledgers that this process has waited for in vain since it last wrote to them."""


def patience(file: Path, seconds: float) -> float:
    """Return how many seconds to wait for the ledger `file`, where `seconds` are the most."""
    return min(seconds, SHORT_SECONDS) if file in _held else seconds


def met(file: Path, error: LedgerError) -> None:
    """Note that the ledger `file` gave `error`."""
    if error.locked:
        _held.add(file)


def written(file: Path) -> None:
    """Note that nobody held the ledger `file`."""
    _held.discard(file)
