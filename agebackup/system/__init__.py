"""Techniques of the operating system; nothing here knows of backups."""
