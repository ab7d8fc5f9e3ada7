"""`agebackup status`: quiet is loud, and nothing that hangs can silence it."""

import fcntl
import json
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import Keys, Outcome, World
from nights import declare, last_run
from past_nights import SIZE, ago, amend, figures, night, ran
from sample_app import SampleApp, command
from system_faults import OWN_MOUNTS
from timers import CRONTAB, program

from agebackup.ledger import open_ledger

pytestmark = pytest.mark.linux


@pytest.fixture
def world(world: World) -> World:
    """A machine whose crontab and systemctl may be stood in for."""
    path = f"{world.directory / 'bin'}:{world.env['PATH']}"
    return replace(world, env={**world.env, "PATH": path})


@pytest.fixture
def out(world: World, app: SampleApp, keys: Keys) -> Path:
    """The destination of the declared app `notes`."""
    return declare(world, app, keys)


def judged(world: World, *words: object) -> tuple[int, dict[str, Any]]:
    """Run `status` and return its exit code and what it says of the only app."""
    done = world.run("--json", "status", *words)
    (one,) = json.loads(done.out)["apps"]
    return done.code, one


def codes(one: dict[str, Any]) -> set[str]:
    return {finding["code"] for finding in one["findings"]}


def timed(
    world: World, every: str, *app: str, since: datetime | None = None, kind: str = "cron"
) -> None:
    """Install a timer that fires `every` so often; its crontab is the file of that name at home."""
    for name, body in (("crontab", CRONTAB), ("systemctl", "")):
        program(world.directory / "bin", name, body)
    words = ("schedule", "install", *app, "--every", every, "--kind", kind, "--no-run")
    assert world.run(*words).code == 0
    if since is not None:
        noted = json.loads((world.state / "schedule.json").read_text())
        for one in noted["timers"].values():
            one["since"] = since.isoformat()
        (world.state / "schedule.json").write_text(json.dumps(noted))


def under(world: World, prefix: Sequence[str], *words: str) -> Outcome:
    """Run `status` by the command that begins with `prefix`."""
    done = subprocess.run(
        [*prefix, *command(), *words, "status"],
        cwd=world.directory,
        env=dict(world.env),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def test_a_line_per_app(world: World, out: Path, app: SampleApp, keys: Keys) -> None:
    """Each app has a line with its state, its newest archive's age and size, and its limit; what is
    wrong follows it; one stale app makes the exit code 5."""
    other = declare(world, app, keys, name="photos")
    night(world, out, ago(hours=3))
    night(world, other, ago(hours=30), app="photos")
    done = world.run("status")
    assert done.code == 5, done.err
    lines = [line for line in done.out.splitlines() if re.match(r"\w+: \w+;", line)]
    first = rf"notes: fresh; newest 3h( \d+s)? ago, {SIZE:,} bytes; proved; stale after 1d 2h;"
    assert re.match(first, lines[0])
    assert lines[1].startswith("photos: STALE; newest 1d 6h ") and str(other) in lines[1]
    assert "The newest archive of photos is 1d 6h" in done.out
    assert world.run("status", "notes").code == 0
    assert world.run("status", "photos").code == 5


@pytest.mark.parametrize(
    ("hours", "more", "words", "code"),
    [
        (25.9, "", (), 0),
        (26.1, "", (), 5),
        (26.1, 'interval = "30h"', (), 0),
        (3.1, 'interval = "1h"', (), 5),
        (26.1, 'jitter = "6h"', (), 0),
        (40, 'max_age = "2d"', (), 0),
        (1, 'max_age = "30m"', (), 5),
        (3, "", ("--max-age", "2h"), 5),
        (100, "", ("--max-age", "1w"), 0),
        (3, "enabled = false", ("--max-age", "2h"), 5),
    ],
)
def test_how_old_is_too_old(
    world: World, app: SampleApp, keys: Keys, hours: float, more: str, words: tuple[str, ...],
    code: int,
) -> None:  # fmt: skip
    """The interval and two hours, or what the configuration says, or the person now."""
    night(world, declare(world, app, keys, more), ago(hours=hours))
    found, one = judged(world, *words)
    assert (found, one["state"]) == (code, "stale" if code else "fresh")


@pytest.mark.parametrize("word", ["", "-1h", "soon", "1e9", "26", "9" * 400 + "h"])
def test_a_senseless_age(world: World, out: Path, word: str) -> None:
    """What is no span of time is said to be none."""
    night(world, out, ago(hours=1))
    done = world.run("status", "--max-age", word)
    assert done.code == 2 and "span of time" in done.err and "Traceback" not in done.err


@pytest.mark.parametrize(
    ("timer", "hours", "code"), [("1h", 3.1, 5), ("1h", 2.9, 0), ("weekly", 99, 0)]
)
def test_the_installed_timer_sets_the_measure(
    world: World, out: Path, timer: str, hours: float, code: int
) -> None:
    """With a timer of its own an app may be as old as that lets it become; its next run is told."""
    timed(world, timer, "notes")
    night(world, out, ago(hours=hours))
    found, one = judged(world)
    assert found == code and codes(one) == ({"stale"} if code else set())
    assert datetime.fromisoformat(one["next_run"]) > ago()


def test_the_next_run_is_told_in_local_time(world: World, out: Path) -> None:
    """What was asked for as 03:30 is shown as 03:30, with the name of the zone."""
    night(world, out, ago(hours=1))
    timed(world, "03:30", "notes")
    for zone, names in (("Europe/Berlin", "CES?T"), ("Asia/Kolkata", "IST"), ("UTC", "UTC")):
        done = world.run("status", env={**world.env, "TZ": zone})
        assert re.search(rf"; next run \d{{4}}-\d\d-\d\d 03:30 ({names});", done.out), done.out


def test_one_timer_for_all(world: World, out: Path) -> None:
    """Who has one timer for every app is not told that none is there."""
    night(world, out, ago(hours=1))
    assert codes(judged(world)[1]) == {"no-timer"}
    timed(world, "1h")
    _, one = judged(world)
    assert codes(one) == set() and one["next_run"]
    night(world, out, ago(hours=1), app="scratch")
    mine, other = json.loads(world.run("--json", "status").out)["apps"]
    assert mine["next_run"] and other["next_run"] is None, "no timer takes what is not declared"


@pytest.mark.parametrize("content", [None, "", "# for later\n"])
@pytest.mark.parametrize("name", ["notes", None])
def test_a_configuration_that_vanished(
    world: World, out: Path, content: str | None, name: str | None
) -> None:
    """Where a timer is installed nothing is well without the configuration that it needs."""
    timed(world, "daily", *([name] if name else []))
    night(world, out, ago(hours=1))
    assert judged(world)[0] == 0
    world.config.unlink()
    if content is not None:
        world.config.write_text(content)
    code, one = judged(world)
    assert (code, one["state"], one["next_run"]) == (5, "at-risk", None)
    assert "undeclared" in codes(one)
    done = world.run("status", "notes")
    assert done.code == 5 and done.out.startswith("notes: AT RISK;")


def test_a_timer_is_all_that_is_left(world: World, out: Path) -> None:
    """A timer whose app neither configuration nor ledger knows is told of."""
    timed(world, "daily", "notes")
    world.config.write_text("")
    for words in ((), ("notes",)):
        done = world.run("status", *words)
        assert done.code == 5 and "[undeclared]" in done.out and "NOTHING KNOWN" in done.out
    assert world.run("status", "other").code == 10


@pytest.mark.parametrize(
    ("crontab", "code", "found"),
    [
        (("30 3 * * *", "30 5 * * *"), 0, None),
        ("", 5, "timer-gone"),
        ("5 4 * * * true\n", 5, "timer-gone"),
        (("30 3 * * *", "# 30 3 * * *"), 5, "timer-gone"),
        (("30 3 * * *", "0 5 1 * *"), 0, "timer-altered"),
        (("30 3 * * *", "0 * * * *"), 0, "timer-altered"),
    ],
)
def test_a_timer_that_is_not_as_it_was(
    world: World, out: Path, crontab: str | tuple[str, str], code: int, found: str | None
) -> None:
    """The crontab is looked at: what no longer stands there gets no next run, and what stands
    there says when that is."""
    night(world, out, ago(hours=1))
    timed(world, "daily", "notes")
    file = world.home / "crontab"
    before = file.read_text()
    assert "30 3 * * *" in before
    file.write_text(before.replace(*crontab) if isinstance(crontab, tuple) else crontab)
    exit_code, one = judged(world)
    assert (exit_code, codes(one)) == (code, {found} if found else set())
    done = world.run("status", env={**world.env, "TZ": "UTC"})
    if found is None:
        assert re.search(r"next run \S+ 05:30 UTC;", done.out)
    else:
        assert "agebackup schedule install notes --every daily" in done.out
        hourly = isinstance(crontab, tuple) and crontab[1] == "0 * * * *"
        assert ("next run" in done.out) == (one["next_run"] is not None) == hourly


def test_units_that_are_gone(world: World, out: Path) -> None:
    """systemd's timers are looked for where they were installed."""
    night(world, out, ago(hours=1))
    timed(world, "daily", "notes", kind="systemd")
    assert judged(world)[1]["next_run"]
    unit = world.home / "config" / "systemd" / "user" / "agebackup-notes.timer"
    unit.write_text(unit.read_text().replace("03:30", "05:31:59"))
    assert codes(judged(world)[1]) == {"timer-altered"}
    unit.unlink()
    code, one = judged(world)
    assert (code, codes(one)) == (5, {"timer-gone"})


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("import time, signal\nsignal.signal(15, signal.SIG_IGN)\ntime.sleep(60)", "not answer"),
        ("raise SystemExit('You are not allowed to use this program')", "cannot be read"),
    ],
)
def test_a_crontab_that_does_not_answer(world: World, out: Path, body: str, why: str) -> None:
    """Who cannot be asked whether the timer is there is waited for briefly, and it is said."""
    night(world, out, ago(hours=1))
    timed(world, "daily", "notes")
    body = f"import os\nopen({str(world.home / 'pid')!r}, 'w').write(str(os.getpid()))\n{body}"
    program(world.directory / "bin", "crontab", body)
    done = world.run("status", seconds=20)
    assert done.code == 0 and "next run" in done.out
    assert "timers are still there is not known" in done.err and why in done.err
    pid = int((world.home / "pid").read_text())
    assert not Path(f"/proc/{pid}").exists(), "nobody is left behind"


def test_ten_months_of_silence(world: World, out: Path) -> None:
    """That the timer no longer calls is told as the cause."""
    night(world, out, ago(days=304))
    ran(world, "ok", days=304)
    timed(world, "daily", "notes", since=ago(days=400))
    done = world.run("status")
    assert done.code == 5 and "Nothing was heard of its timer for 304d" in done.out
    assert "agebackup schedule run-now notes" in done.out and "agebackup log" not in done.out


def test_the_last_failure_and_its_reason(world: World, app: SampleApp, keys: Keys) -> None:
    """A failed night is told with its reason, also after a later one went well."""
    declare(world, app, keys)
    assert world.run("create", "notes").code == 0
    content = app.ledger.read_bytes()
    app.ledger.write_bytes(b"no database")
    assert world.run("create", "notes").code == 1
    done = world.run("status")
    assert done.code == 0 and "last run of notes" in done.out
    assert "last failure" not in done.out, "it was said already"
    code, one = judged(world)
    assert code == 0 and "last-run-failed" in codes(one)
    assert str(app.ledger) in one["last_failure"]["message"]
    assert datetime.fromisoformat(one["last_failure"]["time"]) >= ago(minutes=5)
    for side in app.root.glob("ledger.db-*"):
        side.unlink()
    app.ledger.write_bytes(content)
    assert world.run("create", "notes").code == 0
    code, one = judged(world)
    assert code == 0 and "last-run-failed" not in codes(one) and one["last_failure"]
    assert "last failure" not in world.run("status").out
    success = last_run(world)["last_success"]["time"]
    assert datetime.fromisoformat(success) == datetime.fromisoformat(one["last_success"]).replace(
        microsecond=0
    )


def test_a_failure_that_no_success_followed(world: World, out: Path) -> None:
    """It is told while another run is at work, or was cut off; no clock makes its age nonsense."""
    night(world, out, ago(days=2))
    ran(world, "ok", days=2)
    ran(world, "failed", "No room.", days=1)
    ran(world, "running", minutes=5)
    assert re.search(r"last failure 1d( \d+s)? ago: No room\.", world.run("status").out)
    assert judged(world)[1]["last_success"] is not None
    back = ("faketime", "-f", f"@{ago(days=10):%Y-%m-%d %H:%M:%S}")
    assert re.search(r"last failure \d+d \d+\w+ ahead of the clock: ", under(world, back).out)


def test_an_archive_is_no_success(world: World, out: Path) -> None:
    """When something last went well is what runs tell, not what lies in the folder."""
    night(world, out, ago(hours=1))
    assert judged(world)[1]["last_success"] is None


def test_a_hostile_reason_reaches_no_terminal(world: World, out: Path) -> None:
    """Whatever a message holds, it is shown as text."""
    night(world, out, ago(hours=1))
    ran(world, "failed", "\x1b]0;gotcha\x07\u202e", minutes=5)
    done = world.run("status")
    assert "gotcha" in done.out and not set("\x1b\x07\u202e") & set(done.out)


def test_never(world: World, out: Path) -> None:
    """An app that was never backed up says so, and is a reason for exit code 5."""
    done = world.run("status")
    assert done.code == 5 and "notes: NEVER BACKED UP" in done.out
    ran(world, "failed", "It did not work.", hours=1)
    done = world.run("status")
    assert done.code == 5 and "NEVER BACKED UP" in done.out and "It did not work." in done.out


def test_disabled(world: World, app: SampleApp, keys: Keys) -> None:
    """What the person disabled is said to be so, and not called stale however old it is."""
    out = declare(world, app, keys, "enabled = false")
    for hours in (None, 9000):
        if hours:
            night(world, out, ago(hours=hours))
        code, one = judged(world)
        assert (code, one["state"], codes(one)) == (0, "disabled", {"disabled"})


def test_an_app_that_no_configuration_knows(world: World) -> None:
    """What was backed up ad hoc is listed with its age, and goes stale only where asked for."""
    out = world.directory / "usb"
    out.mkdir()
    night(world, out, ago(days=90))
    code, one = judged(world)
    assert (code, one["state"], one["limit"]) == (0, "known", None)
    assert judged(world, "--max-age", "1d")[0] == 5


@pytest.mark.parametrize(("words", "code"), [(("nobody",), 10), (("NO/APP",), 2), (("a", "b"), 2)])
def test_nonsense_is_answered(world: World, words: tuple[str, ...], code: int) -> None:
    """A wrong name is a sentence and an exit code; so is a machine without any app."""
    done = world.run("status", *words)
    assert done.code == code and done.err and "Traceback" not in done.err
    assert world.run("status").code == 10


def test_a_mistyped_name(world: World, out: Path) -> None:
    """The hint names what the name was probably meant to be, and no option that is not there."""
    night(world, out, ago(hours=1), app="scratch")
    done = world.run("status", "nots")
    assert done.code == 10 and "--to" not in done.err
    assert "Did you mean 'notes'? Allowed here: notes, scratch." in done.err
    done = world.run("audit", "scrach")
    assert done.code == 10 and "Did you mean 'scratch'?" in done.err and "with --to" in done.err
    (world.config).write_text("")
    for one in world.state.glob("ledger.db*"):
        one.unlink()
    done = world.run("status", "nots")
    assert done.code == 10 and "Declare the app in the configuration." in done.err


def test_an_absent_destination(world: World, out: Path) -> None:
    """A drive that is not there is named; how fresh its archives are is known all the same."""
    name = night(world, out, ago(hours=1))
    (out / name).unlink()
    out.rmdir()
    code, one = judged(world)
    assert (code, one["state"]) == (0, "fresh") and "destination-away" in codes(one)
    assert str(out) in world.run("status").out and judged(world, "--max-age", "30m")[0] == 5
    out.write_text("no folder")
    assert "Not a directory" in world.run("status").out


def test_a_link_to_a_destination(world: World, out: Path) -> None:
    """A destination that is moved and linked is still the one that the ledger knows."""
    night(world, out, ago(hours=1))
    link = world.directory / "link"
    link.symlink_to(out)
    world.config.write_text(world.config.read_text().replace(str(out), str(link)))
    code, one = judged(world)
    assert (code, one["state"], one["destination"]) == (0, "fresh", str(out))


def test_a_hanging_destination(world: World, out: Path, app: SampleApp, keys: Keys) -> None:
    """A dead mount is named after a few seconds; its app is judged by what the ledger knows, and
    the others as ever."""
    other = declare(world, app, keys, name="photos")
    link = world.directory / "link"
    link.symlink_to(out)
    world.config.write_text(world.config.read_text().replace(str(out), str(link)))
    night(world, out, ago(hours=1))
    night(world, other, ago(hours=1), app="photos")
    hang = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(link)]
    hang += ["-e", "trace=openat,readlink", "-e", "inject=openat,readlink:delay_enter=4s"]
    done = under(world, hang, "--json")
    stuck, well = json.loads(done.out)["apps"]
    assert done.code == 0 and stuck["state"] == well["state"] == "fresh", done.err
    assert "destination-stuck" in codes(stuck) and "destination-stuck" not in codes(well)
    (finding,) = [one for one in stuck["findings"] if one["code"] == "destination-stuck"]
    assert str(link) in finding["fact"]


def test_little_space(world: World, out: Path) -> None:
    """Where a few more archives would fill the disk, that is said before they do."""
    night(world, out, ago(hours=1))
    assert "little-space" not in codes(judged(world)[1])
    kept = world.directory / "kept"
    out.rename(kept)
    out.mkdir()
    mounting = f'mount -t tmpfs -o size=24k x "{out}" && cp -a "{kept}"/. "{out}" && exec "$@"'
    done = under(world, (*OWN_MOUNTS, "sh", "-c", mounting, ""))
    assert done.code == 0 and "room for 3 more archives" in done.out, done.out


def test_the_newest_is_looked_for(world: World, out: Path) -> None:
    """An archive that is gone, or cut short, is no backup: that is exit code 5."""
    night(world, out, ago(hours=5))
    newest = out / night(world, out, ago(hours=1))
    newest.write_bytes(b"x" * (SIZE - 1))
    code, one = judged(world)
    assert code == 5 and "newest-cut" in codes(one) and one["stale"]
    assert one["state"] == "at-risk" and world.run("status").out.startswith("notes: AT RISK;")
    newest.unlink()
    code, one = judged(world)
    assert code == 5 and "newest-gone" in codes(one) and one["newest"] == newest.name


@pytest.mark.parametrize("stub", [True, False])
def test_an_evicted_newest(world: World, out: Path, stub: bool) -> None:
    """What the cloud client holds elsewhere is not gone, and is noted."""
    night(world, out, ago(hours=5))
    newest = out / night(world, out, ago(hours=1))
    newest.unlink()
    if stub:
        newest.with_name(f".{newest.name}.icloud").write_bytes(b"bplist00")
    else:
        os.truncate(os.open(newest, os.O_CREAT | os.O_WRONLY), SIZE)
    code, one = judged(world)
    assert code == 0 and "newest-evicted" in codes(one)


def test_a_bad_one_does_not_count(world: World, out: Path) -> None:
    """The newest archive that a check found damaged is not what freshness is judged by."""
    older = night(world, out, ago(hours=30))
    night(world, out, ago(hours=1), bad=True)
    code, one = judged(world)
    assert (code, one["newest"]) == (5, older)


def test_last_verified(world: World, out: Path) -> None:
    """When an archive was last read back, and by which way, is told whichever archive that was."""
    older = night(world, out, ago(days=3), check="verify", checked=ago(days=2))
    oldest = night(world, out, ago(days=9), check="restore", checked=ago(days=8))
    night(world, out, ago(hours=1))
    said = r"proved; last verified 2d( \d+s)? ago; last restored 8d( \d+s)? ago;"
    assert re.search(said, world.run("status").out)
    _, one = judged(world)
    assert one["last_verified"]["name"] == older and one["last_restored"]["name"] == oldest
    assert one["proved"] is True


def test_verify_is_noticed(world: World, app: SampleApp, keys: Keys) -> None:
    """A real verification shows in the next status."""
    declare(world, app, keys)
    assert world.run("create", "notes").code == 0
    assert judged(world)[1]["last_verified"] is None
    assert world.run("verify", "notes:latest", "-i", keys.identity).code == 0
    assert judged(world)[1]["last_verified"]["name"] == judged(world)[1]["newest"]


def test_a_clock_that_went_back(world: World, out: Path) -> None:
    """Where every archive is from the future, the clock is what is said to be wrong; a backup
    that was made since counts, and the strange one stays a warning."""
    night(world, out, ago(hours=1))
    past = ago(days=10)
    back = ("faketime", "-f", f"@{past:%Y-%m-%d %H:%M:%S}")
    done = under(world, back, "--json")
    (one,) = json.loads(done.out)["apps"]
    assert done.code == 5 and codes(one) >= {"clock-back"} and one["state"] == "stale"
    text = under(world, back).out
    assert "has not come yet" in text and "ahead of the clock" in text
    night(world, out, past - timedelta(hours=1))
    done = under(world, back, "--json")
    (one,) = json.loads(done.out)["apps"]
    assert done.code == 0 and one["state"] == "fresh" and "clock-back" in codes(one)


def test_running_and_cut_off(world: World, out: Path) -> None:
    """A run at work is told as that; one whose process died is told as cut off."""
    night(world, out, ago(hours=1))
    ran(world, "running", minutes=5)
    assert "cut-off" in codes(judged(world)[1])
    lock = world.state / "locks" / "notes.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, one = judged(world)
    assert code == 0 and one["running"] and codes(one) >= {"running"}


def test_the_lock_is_left_alone(world: World, out: Path, tmp_path: Path) -> None:
    """Nobody who only asks how fresh the backups are can make a run believe that another is at
    work: the lock is tried only where the last run seems never to have ended."""
    night(world, out, ago(hours=1))
    ran(world, "ok", hours=1)
    (world.state / "locks").mkdir()
    (world.state / "locks" / "notes.lock").touch()
    log = tmp_path / "calls"
    assert under(world, ("strace", "-f", "-qq", "-o", str(log), "-e", "trace=flock")).code == 0
    assert "flock" not in log.read_text()


def test_a_loss_of_rows(world: World, out: Path) -> None:
    """A database that lost nine tenths of its rows overnight is worth a sentence."""
    night(world, out, ago(hours=25), figures=figures(10_000))
    night(world, out, ago(hours=1), figures=figures(1_000))
    done = world.run("status")
    assert done.code == 0
    assert "main.db lost 90% of its rows: 10,000 before, 1,000 now." in done.out


@pytest.mark.parametrize("how", ["absent", "empty", "damaged", "newer", "directory"])
def test_without_a_ledger(world: World, out: Path, how: str) -> None:
    """Without a usable ledger the names in the folder are judged, and what is wrong is said."""
    night(world, out, ago(hours=1))
    file = world.state / "ledger.db"
    for one in world.state.glob("ledger.db*"):
        one.unlink()
    if how == "empty":
        file.touch()
    elif how == "damaged":
        file.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    elif how == "newer":
        subprocess.run(["sqlite3", file, "PRAGMA user_version = 99"], check=True)
    elif how == "directory":
        file.mkdir()
    done = world.run("status")
    assert done.code == 0 and "notes: fresh" in done.out, done.out + done.err
    assert "nothing here says that this machine made it. [newest-foreign]" in done.out
    assert ("ledger" in done.err) == (
        how not in ("absent", "empty")
    ) and "Traceback" not in done.err
    assert done.err.count("warning") <= 1
    assert world.run("status", "--max-age", "30m").code == 5


def test_a_row_that_makes_no_sense(world: World, out: Path) -> None:
    """Damage inside the ledger is said, and the names in the folder are judged."""
    night(world, out, ago(hours=1))
    garbage = "UPDATE archives SET time = 'once upon a time'"
    subprocess.run(["sqlite3", world.state / "ledger.db", garbage], check=True)
    done = world.run("status")
    assert done.code == 0 and "notes: fresh" in done.out, done.out + done.err
    assert "makes no sense" in done.err and "Traceback" not in done.err


def test_an_emptied_ledger(world: World, out: Path) -> None:
    """A ledger that knows nothing beside a full folder: exit code 5, and what to do is said."""
    night(world, out, ago(hours=1))
    for one in world.state.glob("ledger.db*"):
        one.unlink()
    open_ledger(world.state / "ledger.db").close()
    done = world.run("status")
    assert done.code == 5 and "its folder holds 1" in done.out and "ledger rebuild" in done.out
    assert world.run("ledger", "rebuild", out, "--mine").code == 0
    assert world.run("status").code == 0


@pytest.mark.parametrize("content", ["[apps", "[apps.notes]\nnonsense = 1", "\x00", "apps = 3"])
def test_a_damaged_configuration(world: World, out: Path, content: str) -> None:
    """Then nobody knows what should be watched: exit code 2, and the file is named."""
    night(world, out, ago(hours=1))
    world.config.write_text(content)
    done = world.run("status")
    assert done.code == 2 and str(world.config) in done.err and "Traceback" not in done.err


def test_fifty_apps(world: World, app: SampleApp, keys: Keys) -> None:
    """Many apps are judged at once, each in its line."""
    names = [f"app-{number}" for number in range(50)]
    for name in names:
        out = declare(world, app, keys, name=name)
    night(world, out, ago(hours=1), app=names[-1])
    done = world.run("--json", "status", seconds=20)
    assert done.code == 5
    found = json.loads(done.out)["apps"]
    assert [one["app"] for one in found] == names
    assert [one["stale"] for one in found] == [True] * 49 + [False]


def test_no_network_and_no_content(
    world: World, app: SampleApp, keys: Keys, tmp_path: Path
) -> None:
    """Whatever hooks are declared: no connection is made, no archive opened, nothing changed."""
    hooks = '[apps.notes.hooks]\nhealthcheck_url = "https://127.0.0.1:9/ping"\n'
    out = declare(world, app, keys, hooks)
    name = night(world, out, ago(hours=1))
    before = {path: path.stat().st_mtime_ns for path in (out, *out.iterdir())}
    log = tmp_path / "calls"
    traced = "trace=socket,connect,open,openat,openat2,unlink,rename,getdents64"
    done = under(world, ("strace", "-f", "-qq", "-o", str(log), "-e", traced))
    calls = log.read_text()
    assert done.code == 0 and "AF_INET" not in calls and name not in calls
    assert str(out) in calls and "getdents64" in calls, "it looked"
    assert before == {path: path.stat().st_mtime_ns for path in (out, *out.iterdir())}


def test_who_speaks_asks_no_destination(world: World, out: Path, tmp_path: Path) -> None:
    """Only children touch a destination, so that none can silence the one that reports."""
    night(world, out, ago(hours=1))
    log = tmp_path / "calls"
    done = under(world, ("strace", "-f", "-qq", "-o", str(log), "-e", "trace=%file"))
    calls = [line.split(maxsplit=1) for line in log.read_text().splitlines()]
    speaker = calls[0][0]
    asked = {number for number, call in calls if str(out) in call}
    assert done.code == 0 and asked and speaker not in asked


def test_a_kept_row_of_another_place_is_not_counted(world: World, out: Path) -> None:
    """A fresh archive on a stick is no reason to call the declared destination fresh."""
    stick = world.directory / "stick"
    stick.mkdir()
    name = night(world, stick, ago(hours=1))
    code, one = judged(world)
    assert (code, one["state"]) == (5, "never")
    amend(world, name, deleted=ago())
    assert judged(world)[0] == 5
