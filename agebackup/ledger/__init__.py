"""The ledger: this machine's own record of runs and archives, outside every destination."""

from agebackup.ledger.failures import LedgerError
from agebackup.ledger.store import Ledger, open_ledger

__all__ = ["Ledger", "LedgerError", "open_ledger"]
