"""The config file: read strictly, checked, and resolved to what a run backs up."""

from agebackup.config.adapting import Fitted, KnownDeclaration, declare_known, described
from agebackup.config.checking import check
from agebackup.config.declaring import Declaration, declare
from agebackup.config.example import EXAMPLE, write_example
from agebackup.config.known import known_names, read_known
from agebackup.config.reading import load_config
from agebackup.config.resolving import resolve
from agebackup.config.usual import usual_roots

__all__ = [
    "EXAMPLE",
    "Declaration",
    "Fitted",
    "KnownDeclaration",
    "check",
    "declare",
    "declare_known",
    "described",
    "known_names",
    "load_config",
    "read_known",
    "resolve",
    "usual_roots",
    "write_example",
]
