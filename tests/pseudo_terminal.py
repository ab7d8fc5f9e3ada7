"""Runs commands on a terminal of their own, as a person would, and tells what it then shows."""

import fcntl
import os
import pty
import select
import subprocess
import termios
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from conftest import World
from sample_app import command

from agebackup.system.clock import Stopwatch

CLEARED = "\r\x1b[K"
"""What takes a line off the terminal again."""

_PATIENCE = 60


@dataclass(frozen=True)
class Shown:
    """How a command ended; `raw` is all that its terminal was sent, `out` what a piped stdout."""

    code: int
    raw: str
    out: str = ""

    @property
    def screen(self) -> list[str]:
        """The lines that a person sees in the end."""
        lines, column = [""], 0
        rest = self.raw
        while rest:
            if rest.startswith("\x1b[K"):
                lines[-1], rest = lines[-1][:column], rest[3:]
                continue
            character, rest = rest[0], rest[1:]
            assert character != "\x1b", f"an unexpected escape sequence: {rest[:10]!r}"
            if character == "\r":
                column = 0
            elif character == "\n":
                lines.append("")
            else:
                lines[-1] = lines[-1][:column] + character + lines[-1][column + 1 :]
                column += 1
        return lines if lines[-1] else lines[:-1]


class Terminal:
    """A command at work on a terminal, which is its controlling one: `type` is the keyboard.

    `options` go to Popen: a stream that is not redirected by them is the terminal.
    """

    def __init__(self, *words: object, **options: object) -> None:
        self._master, slave = pty.openpty()
        settings = {"stdin": slave, "stdout": slave, "stderr": slave, "text": True} | options
        try:
            self.process: subprocess.Popen[str] = subprocess.Popen(
                list(map(str, words)),
                start_new_session=True,
                preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
                pass_fds=(slave,),
                **settings,
            )
        finally:
            os.close(slave)

    def type(self, text: str) -> None:
        """Press the keys that give `text`."""
        os.write(self._master, text.encode())

    def await_prompt(self, text: str) -> None:
        """Wait until `text` was shown, for a while even where other things are."""
        raw, since = b"", Stopwatch()
        while text.encode() not in raw:
            piece = self._read()
            assert piece and since.seconds < _PATIENCE, raw
            raw += piece

    def finish(self, answers: Sequence[tuple[str, str]] = ()) -> Shown:
        """Wait for the end; where a prompt of `answers` has come, type what belongs to it."""
        raw, seen, waiting = b"", 0, list(answers)
        try:
            while piece := self._read():
                raw += piece
                if waiting and waiting[0][0].encode() in raw[seen:]:
                    self.type(waiting.pop(0)[1])
                    seen = len(raw)
            out, _ = self.process.communicate(timeout=_PATIENCE)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.communicate()
            os.close(self._master)
        assert not waiting, raw
        return Shown(self.process.returncode, raw.decode(), out or "")

    def _read(self) -> bytes:
        assert select.select([self._master], [], [], _PATIENCE)[0], "the command hangs"
        try:
            return os.read(self._master, 4096)
        except OSError:  # how Linux says that nobody has the terminal open any more
            return b""


def on_terminal(world: World, *arguments: object, **options: object) -> Terminal:
    """Start `agebackup ARGUMENTS…` on a terminal of its own."""
    settings: dict[str, object] = {"cwd": world.directory, "env": dict(world.env)}
    return Terminal(*command(), *arguments, **(settings | options))


def protected(identity: Path, passphrase: str, target: Path) -> Path:
    """Let stock `age -p` protect `identity` with `passphrase`; return the new file `target`."""
    answers = [("Enter passphrase", f"{passphrase}\n"), ("Confirm passphrase", f"{passphrase}\n")]
    shown = Terminal("age", "-p", "-o", target, identity).finish(answers)
    assert shown.code == 0, shown.raw
    target.chmod(0o600)
    return target
