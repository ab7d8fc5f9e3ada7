"""agebackup: consistent, encrypted snapshots of live SQLite applications."""

__version__ = "0.1.0"
