"""The config file: read strictly, checked, and resolved to what a run backs up."""

from agebackup.config.checking import check
from agebackup.config.declaring import Declaration, declare
from agebackup.config.example import EXAMPLE, write_example
from agebackup.config.reading import load_config
from agebackup.config.resolving import resolve

__all__ = ["EXAMPLE", "Declaration", "check", "declare", "load_config", "resolve", "write_example"]
