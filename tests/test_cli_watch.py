"""`agebackup status --watch`: what `status` says, drawn again and again on a terminal."""

import fcntl
import os
import signal
import sqlite3
import struct
import termios
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Keys, World
from nights import declare
from past_nights import ago, night
from pseudo_terminal import Terminal, on_terminal
from sample_app import SampleApp

pytestmark = pytest.mark.linux

LEFT = "\x1b[?25h\x1b[?1049l"
"""The cursor is shown again, and the terminal's second screen is left (xterm's ctlseqs)."""
WATCH = ("status", "--watch", "--interval", "1s")


@pytest.fixture
def out(world: World, app: SampleApp, keys: Keys) -> Path:
    """The destination of the declared app `notes`, with an archive."""
    made = declare(world, app, keys)
    night(world, made, ago(hours=3))
    return made


def descriptors(terminal: Terminal) -> int:
    return len(os.listdir(f"/proc/{terminal.process.pid}/fd"))


def test_it_is_drawn_anew_until_a_key(world: World, out: Path) -> None:
    """What changes shows by itself; any key leaves, with the exit code of the last look; then the
    terminal is as it was, and the last look stands on it."""
    terminal = on_terminal(world, *WATCH)
    terminal.await_prompt("notes: fresh")
    night(world, out, ago(hours=2))
    terminal.await_prompt("newest 2h")
    config = world.config.read_text()
    world.config.write_text(config + 'max_age = "1h"\n')
    terminal.await_prompt("notes: STALE")
    terminal.type("x")
    shown = terminal.finish()
    assert shown.code == 5
    _, left, after = shown.raw.rpartition(LEFT)
    assert left and after.startswith("notes: STALE;") and "\x1b" not in after


@pytest.mark.parametrize(("number", "code"), [("\x03", 130), (signal.SIGTERM, 143)])
def test_leaving_by_a_signal(world: World, out: Path, number: str | int, code: int) -> None:
    """Ctrl-C has the exit code that it has everywhere, and no complaint; what others send too."""
    terminal = on_terminal(world, *WATCH)
    terminal.await_prompt("notes: fresh")
    if isinstance(number, str):
        terminal.type(number)
    else:
        terminal.process.send_signal(number)
    shown = terminal.finish()
    assert shown.code == code
    assert LEFT in shown.raw and "agebackup:" not in shown.raw and "Traceback" not in shown.raw


def test_the_terminal_is_as_it_was(world: World, out: Path) -> None:
    """The keyboard's settings are those from before: what is typed is seen again."""
    master, slave = os.openpty()
    try:
        before = termios.tcgetattr(slave)
        terminal = on_terminal(world, *WATCH, stdin=slave)
        terminal.await_prompt("notes: fresh")
        assert not termios.tcgetattr(slave)[3] & (termios.ICANON | termios.ECHO)
        os.write(master, b"q")
        assert terminal.finish().code == 0
        assert termios.tcgetattr(slave) == before
    finally:
        os.close(master)
        os.close(slave)


def test_a_configuration_in_the_making(world: World, out: Path) -> None:
    """What is wrong for a while is drawn for a while, and nothing is left open by it."""
    terminal = on_terminal(world, *WATCH)
    terminal.await_prompt("notes: fresh")
    terminal.await_prompt("notes: fresh")
    opened = descriptors(terminal)
    config = world.config.read_text()
    world.config.write_text(config + "max_age = \n")
    terminal.await_prompt("config.toml")
    world.config.write_text(config)
    for _ in range(3):
        terminal.await_prompt("notes: fresh")
    assert descriptors(terminal) <= opened + 1, "one more while it looks"
    terminal.type("q")
    assert terminal.finish().code == 0


def test_a_ledger_that_somebody_holds(world: World, out: Path) -> None:
    """While the ledger is locked that is said, and what lies in the folder is shown."""
    terminal = on_terminal(world, *WATCH)
    terminal.await_prompt("notes: fresh")
    with closing(sqlite3.connect(world.state / "ledger.db", isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        terminal.await_prompt("warning: The ledger")
        holder.execute("ROLLBACK")
    terminal.await_prompt("proved")
    terminal.type("\n")
    assert terminal.finish().code == 0


def test_a_small_window(world: World, out: Path) -> None:
    """Lines are cut to the window, whose top is what is shown, and how many are missing is said."""
    terminal = on_terminal(world, *WATCH)
    fcntl.ioctl(terminal._master, termios.TIOCSWINSZ, struct.pack("HHHH", 5, 40, 0, 0))
    terminal.await_prompt("more lines")
    terminal.type("q")
    shown = terminal.finish()
    assert shown.code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--watch",), "needs a terminal"),
        (("--watch", "--json"), "no JSON"),
        (("--interval", "5s"), "--interval says how often"),
        (("--watch", "--interval", "soon"), "span of time"),
        (("--watch", "--interval", "0s"), "span of time"),
        (("--watch", "--max-age", "x"), "span of time"),
    ],
)
def test_bad_input(world: World, out: Path, words: tuple[str, ...], said: str) -> None:
    """Without a terminal, with --json, or with a senseless interval there is nothing to watch."""
    done = world.run("status", *words)
    assert done.code == 2 and said in done.err + done.out and "Traceback" not in done.err


def test_a_terminal_that_cannot_be_drawn_on(world: World, out: Path) -> None:
    """Where TERM says that the terminal knows no commands it gets none."""
    dumb = replace(world, env={**world.env, "TERM": "dumb"})
    shown = on_terminal(dumb, *WATCH).finish()
    assert shown.code == 2 and "\x1b" not in shown.raw


def test_an_app_that_nobody_knows(world: World, out: Path) -> None:
    """What could never be watched fails at once, as without --watch."""
    shown = on_terminal(world, *WATCH, "other").finish()
    assert shown.code == 10 and "\x1b" not in shown.raw
