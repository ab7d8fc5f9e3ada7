"""Telling the service manager how far a run has come, and the person at the screen how it ended.

Sources: sd_notify(3), notify-send(1), osascript(1).
"""

import socket
from contextlib import suppress

from agebackup.errors import printable
from agebackup.system import libc

_SCRIPT = "on run argv\ndisplay notification (item 2 of argv) with title (item 1 of argv)\nend run"
_LONGEST = 300


class ServiceManager:
    """systemd, where `address` is what it set NOTIFY_SOCKET to; without it nobody is told.

    Nothing here waits or raises: a run does not depend on who watches it.
    """

    def __init__(self, address: str = "") -> None:
        self._address = ""
        if address.startswith("/"):
            self._address = address
        elif address.startswith("@"):
            self._address = "\0" + address[1:]

    def ready(self) -> None:
        """Say that the work has begun."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Say in one line what is being done."""
        self._send(f"STATUS={printable(text)[:_LONGEST]}")

    def stopping(self) -> None:
        """Say that the work is over."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
            speaker.settimeout(0.0)
            speaker.sendto(message.encode(errors="replace"), self._address)


def desktop_command(title: str, text: str) -> tuple[str, ...]:
    """Return the command that shows `text` on the desktop; it is never part of a script."""
    shown = printable(text)[:_LONGEST]
    if libc.DARWIN:
        return ("osascript", "-e", _SCRIPT, title, shown)
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        shown = shown.replace(character, entity)  # the body may hold markup
    return ("notify-send", "--app-name=agebackup", "--urgency=critical", "--", title, shown)
