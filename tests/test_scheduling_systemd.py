"""Units for systemd, judged by systemd's own programs."""

import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from timers import AWKWARD, TEXTS, job, person, program

from agebackup.errors import RefusedError, UsageError
from agebackup.model.calendar import Every
from agebackup.scheduling.job import Job
from agebackup.scheduling.systemd import Systemd, calendar, command_line, quoted
from agebackup.system.claims import Claims
from agebackup.system.progress import Progress

pytestmark = [pytest.mark.linux]


def systemd(home: Path, search_path: str | None = None, *, system: bool = False) -> Systemd:
    someone = person(home, search_path)
    return Systemd(someone, Progress(), Claims(home / "claims"), system=system)


def rendered(home: Path, one: Job) -> tuple[str, str]:
    """Return service and timer."""
    texts = systemd(home).render(one)
    return tuple(texts[name] for name in sorted(texts))  # type: ignore[return-value]


def settings(unit: str) -> Mapping[str, list[str]]:
    """Return what a unit sets, by name."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def verified(home: Path, texts: Mapping[str, str]) -> str:
    """Return what `systemd-analyze verify` complains of in units that lie in `home`."""
    units = home / "units"
    units.mkdir(exist_ok=True)
    files = [units / Path(place).name for place in texts]
    for file, text in zip(files, texts.values(), strict=True):
        file.write_text(text)
    runtime = home / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    env = {**os.environ, "XDG_RUNTIME_DIR": str(runtime), "SYSTEMD_UNIT_PATH": f"{units}:"}
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", *files], capture_output=True, text=True, env=env
    )
    return done.stderr or ("" if done.returncode == 0 else f"exit code {done.returncode}")


@pytest.mark.parametrize("every", ["daily", "weekly", "5m", "6h", "23:59"])
def test_systemd_understands_the_units(tmp_path: Path, every: str) -> None:
    """systemd-analyze verify has nothing to say, for one app and for all."""
    for app in ("notes", ""):
        assert verified(tmp_path, systemd(tmp_path).render(job(app, every))) == ""


def test_systemd_understands_drills(tmp_path: Path) -> None:
    """A timer of drills has units of its own, which go without touching those of backups."""
    someone = person(tmp_path)
    drills = Systemd(someone, Progress(), Claims(tmp_path / "c"), system=False, task="drill")
    backups = systemd(tmp_path)
    for app in ("notes", ""):
        one = replace(job(app, "monthly"), task="drill")
        texts = drills.render(one)
        assert verified(tmp_path, texts) == "" and not set(texts) & set(backups.render(job(app)))
        assert all(f"drill {app or 'every app'}" in text for text in texts.values())
        for place, text in {**texts, **backups.render(job(app))}.items():
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            Path(place).write_text(text)
    assert list(drills.apps()) == list(backups.apps()) == ["", "notes"]
    rhythm = drills.rhythm("notes")
    assert rhythm is not None and rhythm.text == "monthly"
    assert calendar(Every.parse("monthly")) == "*-*-01 04:30:00"


def test_systemd_complains_of_a_broken_unit(tmp_path: Path) -> None:
    """What the test above relies on: a unit with a mistake is not passed over."""
    texts = systemd(tmp_path).render(job())
    broken = {place: text.replace("03:30", "33:30") for place, text in texts.items()}
    assert "33:30" in verified(tmp_path, broken)
    gone = {place: text.replace("ExecStart=", "Execute=") for place, text in texts.items()}
    assert "Execute" in verified(tmp_path, gone)


def test_systemd_reads_awkward_names_as_they_are(tmp_path: Path) -> None:
    """A program in a directory of any name is found by systemd: it reads back what was written.

    What it does not start whichever way it is quoted is refused before anything is installed.
    """
    for number, name in enumerate(AWKWARD):
        if set(name) & set("\"'\\"):
            with pytest.raises(UsageError, match="starts no program"):
                systemd(tmp_path).render(job(program=f"/bin {name}/python"))
            continue
        directory = tmp_path / f"bin {name}"
        directory.mkdir()
        there = program(directory, "python", "")
        words = tuple(AWKWARD)
        one = job(f"app-{number}", program=str(there), words=words, places=(str(directory),))
        assert verified(tmp_path, systemd(tmp_path).render(one)) == "", name
        there.unlink()
        assert "not executable" in verified(tmp_path, systemd(tmp_path).render(one)), name


@given(TEXTS)
def test_quoting_is_undone(text: str) -> None:
    """Undone by the rules of systemd.syntax(7) and systemd.service(5), a word is what it was."""
    (unquoted,) = shlex.split(quoted(text))
    assert "%" not in unquoted.replace("%%", "")
    assert unquoted.replace("%%", "%") == text
    program, argument = shlex.split(command_line(["/bin/true", text]))
    assert program == "/bin/true"
    assert "$" not in argument.replace("$$", "")
    assert argument.replace("$$", "$").replace("%%", "%") == text


@pytest.mark.parametrize(
    "every", ["5m", "10m", "15m", "20m", "30m", "1h", "2h", "3h", "4h", "6h", "8h", "12h"]
)
def test_steps_fire_when_the_calendar_says(every: str) -> None:
    """systemd-analyze calendar computes the same next firings as we do."""
    assert_same_firings(every, 4)


@pytest.mark.parametrize("every", ["daily", "weekly", "00:00", "23:59", "7:05"])
def test_times_of_day_fire_when_the_calendar_says(every: str) -> None:
    """The same for times of the day, and for Sundays."""
    assert_same_firings(every, 2)


def assert_same_firings(text: str, count: int) -> None:
    every = Every.parse(text)
    now = datetime.now(UTC)
    said = subprocess.run(
        ["systemd-analyze", "calendar", f"--iterations={count}", calendar(every)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TZ": "UTC", "LC_ALL": "C"},
    ).stdout
    found = re.findall(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC", said)
    fired = [datetime.fromisoformat(one).replace(tzinfo=UTC) for one in found]
    expected = [every.next_after(now, UTC)]
    while len(expected) < count:
        expected.append(every.next_after(expected[-1], UTC))
    late = timedelta(seconds=every.seconds)  # the clock may have passed a firing in between
    assert fired == expected or fired[0] - expected[0] == late


def test_the_service_may_write_only_where_it_must(tmp_path: Path) -> None:
    """Everything but the named directories is read-only; nothing gains rights; no core of it."""
    service, timer = rendered(tmp_path, job(places=("/srv/state", "/srv/100% full")))
    found = settings(service)
    assert found["ProtectSystem"] == ["strict"] and found["NoNewPrivileges"] == ["yes"]
    assert found["ReadWritePaths"] == ['"-/srv/state"', '"-/srv/100%% full"']
    assert found["UMask"] == ["0077"] and found["Nice"] == ["19"]
    assert found["IOSchedulingClass"] == ["idle"] and found["Type"] == ["oneshot"]
    assert settings(timer)["Persistent"] == ["true"]


def test_the_machines_own(tmp_path: Path) -> None:
    """Root's service may drop more than a user's, whose manager could not start it then."""
    own = systemd(tmp_path, system=True)
    service = own.render(job())["/etc/systemd/system/agebackup-notes.service"]
    assert "PrivateDevices=yes" in service
    assert "PrivateDevices" not in rendered(tmp_path, job())[0]
    assert verified(tmp_path, own.render(job())) == ""


def test_only_root_may_install_the_machines_own(machine: Systemd, tmp_path: Path) -> None:
    """Anybody else is told so before anything is asked or written."""
    somebody = replace(person(tmp_path), uid=1000)
    with pytest.raises(RefusedError, match="Only root"):
        Systemd(somebody, Progress(), Claims(tmp_path), system=True).require()
    assert not (tmp_path / "asked").exists()


def test_trying_it_out_in_a_temporary_directory(tmp_path: Path) -> None:
    """The job has a /tmp of its own, unless what it backs up lies in the real one."""
    outside = job(program="/usr/bin/python3", places=("/srv/state",))
    assert "PrivateTmp=yes" in rendered(tmp_path, outside)[0]
    assert "PrivateTmp" not in rendered(tmp_path, job(places=("/tmp/trial",)))[0]


@pytest.mark.parametrize(("every", "delay"), [("5m", 25), ("1h", 300), ("weekly", 300)])
def test_starts_are_spread(tmp_path: Path, every: str, delay: int) -> None:
    """Not all machines start at the same second, but no start comes near to the next one."""
    assert settings(rendered(tmp_path, job(every=every))[1])["RandomizedDelaySec"] == [str(delay)]


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\0b", "\x1b[31m", "\x7f", "\x85", "\udcff"])
def test_what_no_timer_can_hold(text: str) -> None:
    """A line end in a path could add a setting or a job of its own: it is refused."""
    with pytest.raises(UsageError, match="No timer can name") as caught:
        job(words=(text,))
    assert caught.value.message.isprintable()
    with pytest.raises(UsageError):
        job(places=(f"/srv/{text}",))


SYSTEMCTL = """\
import os, sys
with open(os.environ["HOME"] + "/asked", "a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
if "ExecMainStatus" in sys.argv: print(os.environ.get("STATUS", "0"))
sys.exit(int(os.environ.get("ANSWER", "0")))
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    """A person on a machine whose systemctl notes what it is asked, in the file `asked`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    program(tmp_path / "bin", "systemctl", SYSTEMCTL)
    return systemd(tmp_path)


def asked(home: Path) -> list[str]:
    return (home / "asked").read_text().splitlines()


def test_install_and_remove(machine: Systemd, tmp_path: Path) -> None:
    """Units are written and enabled, twice over to no other effect, and leave nothing behind."""
    machine.require()
    for _ in range(2):
        machine.install(job())
    assert machine.present("notes") == machine.render(job())
    assert not machine.present("") and not machine.present("note")
    wanted = machine.units / "timers.target.wants"
    wanted.mkdir()
    (wanted / "agebackup-notes.timer").symlink_to(machine.units / "agebackup-notes.timer")
    assert machine.remove("notes") and not machine.remove("notes")
    assert [path for path in machine.units.rglob("*") if not path.is_dir()] == []
    assert "--user enable agebackup-notes.timer" in asked(tmp_path)
    assert "--user disable --now agebackup-notes.timer" in asked(tmp_path)


@pytest.mark.parametrize("every", ["daily", "weekly", "5m", "1h", "6h", "23:05"])
def test_what_is_installed_says_it_itself(machine: Systemd, every: str) -> None:
    """Whose timers there are, and how often they fire, is known without any notes of it."""
    assert list(machine.apps()) == []
    machine.install(job(every=every))
    machine.install(job("", "3h"))
    (machine.units / "agebackup-\n.timer").touch()
    (machine.units / "agebackups.timer").touch()
    assert list(machine.apps()) == ["", "notes"]
    assert machine.rhythm("notes") == Every.parse(every)
    assert machine.rhythm("") == Every.parse("3h") and machine.rhythm("other") is None
    file = machine.units / "agebackup.timer"
    file.write_text(file.read_text() + "OnCalendar=monthly\n")
    assert machine.rhythm("") is None


def test_running_it_gives_the_commands_own_code(
    machine: Systemd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemctl start says only that it failed; the job's exit code is what counts."""
    assert machine.run(job()).code == 0
    monkeypatch.setenv("ANSWER", "1")
    monkeypatch.setenv("STATUS", "13")
    assert machine.run(job()).code == 13
    assert "--user start agebackup-notes.service" in asked(tmp_path)


def test_a_manager_that_does_not_answer(
    machine: Systemd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where systemd does not answer, or is not there, it is said before anything is written."""
    monkeypatch.setenv("ANSWER", "1")
    with pytest.raises(RefusedError, match="does not answer"):
        machine.require()
    with pytest.raises(RefusedError, match="no systemctl"):
        systemd(tmp_path, str(tmp_path / "nowhere")).require()
    assert not machine.units.exists()


LOGINCTL = "import os\nprint(os.environ['LINGER'])"


def test_without_lingering(
    machine: Systemd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That a user's timers rest while nobody is logged in is said at once, with the remedy."""
    program(tmp_path / "bin", "loginctl", LOGINCTL)
    monkeypatch.setenv("LINGER", "no")
    (doubt,) = machine.doubts(job())
    assert "loginctl enable-linger" in doubt
    monkeypatch.setenv("LINGER", "yes")
    assert not machine.doubts(job())
