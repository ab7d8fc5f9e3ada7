"""Jobs for timers, and the awkward texts that crontabs, units and plists must carry."""

import getpass
import os
import stat
import sys
from pathlib import Path

from hypothesis import strategies as st

from agebackup.model.calendar import Every
from agebackup.scheduling.job import Job, Person

AWKWARD = (
    *("plain", "two words", "100%", "%n %% %h", 'a"b', "a'b", "$HOME ${HOME} $$", "back\\slash"),
    *("\\%", "\\\\%", "ends\\", "ünïcode 雪 \U0001f512", "-dash", "#hash", "a;b&c|d", "*?[x]", "~"),
    *("!bang", "`date`", "<&>", "a\u00a0b"),
)
TEXTS = st.sampled_from(AWKWARD) | st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"),
    min_size=1,
    max_size=30,
)
"""Whatever may stand in a path, but for what no timer can hold."""

CRONTAB = """\
import os, sys
file = os.environ["HOME"] + "/crontab"
if os.environ.get("CRONTAB") == "forbidden":
    sys.exit("You (me) are not allowed to use this program (crontab)")
if sys.argv[1] == "-l":
    if not os.path.exists(file): sys.exit("no crontab for me")
    sys.stdout.buffer.write(open(file, "rb").read())
elif os.environ.get("CRONTAB") == "full":
    sys.exit("crontab: No space left on device")
elif sys.argv[1] == "-r": os.unlink(file)
else: open(file, "wb").write(sys.stdin.buffer.read())
"""
"""Stands in for crontab(1): a person's crontab is the file `crontab` of their home."""


def job(
    app: str = "notes",
    every: str = "daily",
    *,
    words: tuple[str, ...] = ("run",),
    places: tuple[str, ...] = ("/srv/state",),
    program: str = sys.executable,
) -> Job:
    """Return a job that has `words` as arguments, and may write to `places`."""
    variables = {"HOME": places[0]}
    writable = tuple(map(Path, places))
    return Job(app, Every.parse(every), (program, *words), variables, writable)


def person(home: Path, search_path: str | None = None) -> Person:
    """Return who runs the tests, with another home."""
    path = search_path if search_path is not None else os.environ["PATH"]
    return Person(home, home / "config", os.getuid(), getpass.getuser(), path)


def program(directory: Path, name: str, body: str) -> Path:
    """Make a program for a search path that stands in for one this machine may lack."""
    directory.mkdir(exist_ok=True)
    file = directory / name
    file.write_text(f"#!{sys.executable} -S\n{body}")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file
