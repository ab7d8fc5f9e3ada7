"""Timers: rendered for systemd, launchd or cron, installed, removed, and asked about."""

from agebackup.scheduling.installed import Installed, installed

__all__ = ["Installed", "installed"]
