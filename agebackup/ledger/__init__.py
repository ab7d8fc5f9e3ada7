"""The ledger: this machine's own record of runs and archives, outside every destination."""

from agebackup.ledger.store import Ledger, LedgerError, open_ledger

__all__ = ["Ledger", "LedgerError", "open_ledger"]
