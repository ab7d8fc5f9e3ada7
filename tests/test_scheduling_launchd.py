"""Agents for launchd: what plistlib reads back, and how launchctl is asked.

launchd itself runs on macOS only: here a program that answers as launchctl(1) does stands in.
"""

import os
import plistlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timers import TEXTS, job, person, program

from agebackup.errors import FailedError, RefusedError, StoppedError
from agebackup.model.calendar import Every
from agebackup.scheduling.job import Job
from agebackup.scheduling.launchd import Launchd, label
from agebackup.system.claims import Claims
from agebackup.system.progress import Progress, Stop

LAUNCHCTL = """\
import os, sys
home = os.environ["HOME"]
with open(home + "/asked", "a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
with open(home + "/asked") as file:
    looks = sum(line.startswith("list") for line in file)
if sys.argv[1] == "list":
    print("{", '"Label" = "org.agebackup.notes";', sep="\\n")
    if looks < int(os.environ.get("LOOKS", "2")): print('"PID" = 4711;')
    else: print('"LastExitStatus" = %s;' % os.environ.get("STATUS", "0"))
sys.exit(int(os.environ.get("ANSWER", "0")))
"""


def launchd(home: Path, search_path: str | None = None, stop: Stop | None = None) -> Launchd:
    someone = person(home, search_path)
    return Launchd(someone, Progress(stop or Stop()), Claims(home / "claims"))


@pytest.fixture
def mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launchd:
    """A person on a machine that has a launchctl, which notes what it is asked."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    program(tmp_path / "bin", "launchctl", LAUNCHCTL)
    return launchd(tmp_path)


def agent(home: Path, one: Job) -> dict[str, Any]:
    """Return what launchd reads in the agent of a job."""
    ((place, text),) = launchd(home).render(one).items()
    assert Path(place) == home / "Library" / "LaunchAgents" / f"{label(one.app)}.plist"
    content: dict[str, Any] = plistlib.loads(text.encode())
    return content


@given(words=st.lists(TEXTS, max_size=4))
def test_words_come_through_as_they_are(words: list[str]) -> None:
    """Whatever stands in a path, launchd hands just that to the command."""
    found = agent(Path("/home/me"), job(words=tuple(words)))
    assert found["ProgramArguments"][1:] == words


def test_what_an_agent_is(tmp_path: Path) -> None:
    """It runs by the calendar only, politely, with its own variables, and writes for its user."""
    found = agent(tmp_path, job(every="weekly", places=("/Users/me",)))
    assert found["Label"] == "org.agebackup.notes"
    assert found["StartCalendarInterval"] == [{"Weekday": 0, "Hour": 3, "Minute": 30}]
    assert found["EnvironmentVariables"] == {"HOME": "/Users/me"}
    assert (found["Nice"], found["LowPriorityIO"], found["Umask"]) == (19, True, 0o077)
    assert found["ProcessType"] == "Background" and not found["RunAtLoad"]
    assert agent(tmp_path, job(app=""))["Label"] == "org.agebackup"
    assert len(agent(tmp_path, job(every="5m"))["StartCalendarInterval"]) == 12
    assert len(agent(tmp_path, job(every="6h"))["StartCalendarInterval"]) == 4


def test_drills_have_agents_of_their_own(tmp_path: Path) -> None:
    """They fire on the first of a month, and are taken for no app's backups."""
    someone = person(tmp_path)
    drills = Launchd(someone, Progress(), Claims(tmp_path / "claims"), task="drill")
    ((place, text),) = drills.render(replace(job(every="monthly"), task="drill")).items()
    found = plistlib.loads(text.encode())
    assert found["Label"] == "org.agebackup_drill.notes" and found["Label"] in place
    assert found["StartCalendarInterval"] == [{"Day": 1, "Hour": 4, "Minute": 30}]
    Path(place).parent.mkdir(parents=True)
    Path(place).write_text(text)
    assert list(drills.apps()) == ["notes"] and list(launchd(tmp_path).apps()) == []
    rhythm = drills.rhythm("notes")
    assert rhythm is not None and rhythm.text == "monthly"


def test_install_and_remove(mac: Launchd, tmp_path: Path) -> None:
    """The agent is written and loaded, twice over to no other effect, and leaves nothing."""
    mac.require()
    for _ in range(2):
        mac.install(job())
    assert mac.present("notes") == mac.render(job()) and not mac.present("")
    assert mac.remove("notes") and not mac.remove("notes")
    assert not list((tmp_path / "Library" / "LaunchAgents").iterdir())
    asked = (tmp_path / "asked").read_text()
    assert f"bootstrap gui/{os.getuid()}" in asked
    assert asked.count(f"bootout gui/{os.getuid()}/org.agebackup.notes") == 3


@pytest.mark.parametrize("every", ["daily", "weekly", "5m", "1h", "6h", "23:05"])
def test_what_is_installed_says_it_itself(mac: Launchd, every: str) -> None:
    """Whose timers there are, and how often they fire, is known without any notes of it."""
    assert list(mac.apps()) == []
    mac.install(job(every=every))
    mac.install(job("", "3h"))
    (mac.person.home / "Library" / "LaunchAgents" / "org.agebackups.plist").touch()
    assert list(mac.apps()) == ["", "notes"]
    assert mac.rhythm("notes") == Every.parse(every)
    assert mac.rhythm("") == Every.parse("3h") and mac.rhythm("other") is None
    file = mac.person.home / "Library" / "LaunchAgents" / "org.agebackup.plist"
    for content in ("", "<?xml version='1.0'?><plist>", "<plist><string>3h</string></plist>"):
        file.write_text(content)
        assert mac.rhythm("") is None


@pytest.mark.parametrize(("status", "code"), [("0", 0), ("256", 1), ("3328", 13), ("15", -15)])
def test_it_is_run_by_launchd(
    mac: Launchd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str, code: int
) -> None:
    """Not from the terminal, which may have permissions that the night has not; its end counts."""
    monkeypatch.setenv("STATUS", status)
    assert mac.run(job()).code == code
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == [
        f"kickstart gui/{os.getuid()}/org.agebackup.notes",
        *["list org.agebackup.notes"] * 2,
    ]


def test_waiting_ends_at_a_stop(
    mac: Launchd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for a long run can interrupt that; the run itself goes on."""
    monkeypatch.setenv("LOOKS", "1000000")
    stop = Stop()
    stop.request(2)
    with pytest.raises(StoppedError):
        launchd(tmp_path, stop=stop).run(job())


def test_an_agent_that_is_not_loaded(mac: Launchd, monkeypatch: pytest.MonkeyPatch) -> None:
    """What launchctl refuses is an error, never a run that went well."""
    monkeypatch.setenv("ANSWER", "113")
    with pytest.raises(FailedError, match="launchctl"):
        mac.run(job())
    with pytest.raises(FailedError, match="launchctl"):
        mac.install(job())


def test_where_launchd_does_not_work(
    mac: Launchd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without launchctl, or without a session, it is said before anything is written."""
    monkeypatch.setenv("ANSWER", "125")
    with pytest.raises(RefusedError, match="not logged in"):
        mac.require()
    with pytest.raises(RefusedError, match="macOS"):
        launchd(tmp_path, str(tmp_path / "nowhere")).require()
    assert not (tmp_path / "Library").exists()


def test_folders_that_macos_guards(mac: Launchd, tmp_path: Path) -> None:
    """That a folder needs a permission which nobody is asked for at night is said at once."""
    icloud = tmp_path / "Library" / "Mobile Documents" / "backups"
    (doubt,) = mac.doubts(job(places=(str(icloud),)))
    assert "Full Disk Access" in doubt and str(icloud) in doubt
    assert not mac.doubts(job(places=(str(tmp_path / "plain"),)))
