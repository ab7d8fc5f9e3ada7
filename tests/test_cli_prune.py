"""`agebackup prune`: what no rule keeps goes, and nothing that anybody might still need."""

import fcntl
import json
import os
import random
import re
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sample_app
from conftest import Keys, Outcome, World
from nights import declare, events, last_run
from past_nights import SIZE, ago, amend, archives, night, row
from sample_app import SampleApp, command

from agebackup.ledger import open_ledger
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord
from agebackup.system.clock import Stopwatch

pytestmark = pytest.mark.linux

DAILY = "retention = {keep_daily = 3}\n"
TWO = ("--keep-last", "2")


def days(world: World, out: Path, count: int, **fields: Any) -> list[str]:
    """Leave an archive of each of the last `count` days, the oldest first; return their names."""
    return [night(world, out, ago(days=day), **fields) for day in reversed(range(count))]


def told(world: World, *words: object) -> tuple[int, dict[str, Any]]:
    """Run `prune` and return its exit code and what it says of the only app."""
    done = world.run("--json", "prune", *words)
    (one,) = json.loads(done.out)["results"]
    return done.code, one


def under(world: World, prefix: Sequence[str], *words: str) -> Outcome:
    """Run a command of agebackup's by the command that begins with `prefix`."""
    done = subprocess.run(
        [*prefix, *command(), *words],
        cwd=world.directory,
        env=dict(world.env),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def out(world: World, app: SampleApp, keys: Keys) -> Path:
    """The destination of the declared app `notes`, whose policy keeps three days."""
    return declare(world, app, keys, DAILY)


@pytest.fixture
def usb(world: World) -> Path:
    """A folder that no configuration declares."""
    made = world.directory / "usb"
    made.mkdir()
    return made


def test_a_dry_run_says_what_the_real_one_does(world: World, out: Path) -> None:
    """Each archive is told with what becomes of it and why; nothing changes until it is meant."""
    names = days(world, out, 6)
    before = [row(world, name) for name in names]
    done = world.run("prune", "--dry-run")
    assert done.code == 0 and archives(out) == set(names)
    assert [row(world, name) for name in names] == before and not events(world)
    assert done.out.split() == names[:3]
    assert f"stays  {names[-1]}  the newest, daily" in done.err
    assert "3 kept, 3 would go (15,000 bytes)" in done.err
    _, planned = told(world, "--dry-run")
    assert [one["name"] for one in planned["pruned"]] == names[2::-1]
    assert planned["deleted"] == [] and planned["status"] == "planned"
    done = world.run("prune")
    assert done.code == 0 and done.out.split() == names[:3]
    assert archives(out) == set(names[3:]) and world.run("prune").out == ""
    _, again = told(world)
    assert again["kept"] == planned["kept"] and again["pruned"] == []


def test_what_went_is_logged_with_its_reason(world: World, out: Path) -> None:
    """The log and the ledger say of each archive when and why it went."""
    first, *_ = days(world, out, 4)
    assert world.run("prune").code == 0
    (event,) = events(world)
    assert (event["event"], event["app"], event["archive"]) == ("pruned", "notes", first)
    assert event["message"] == "no rule of daily 3 keeps it"
    gone = row(world, first)
    assert gone.deleted is not None and not gone.pending
    assert gone.deleted_why == "pruned: no rule of daily 3 keeps it"
    assert first in world.run("log").out
    assert first not in world.run("--json", "audit").out, "what a rule deleted is not missed"


def test_without_rules_nothing_goes(world: World, app: SampleApp, keys: Keys, usb: Path) -> None:
    """An app without a retention section is never pruned, nor is one that was backed up ad hoc."""
    out = declare(world, app, keys)
    days(world, out, 9)
    days(world, usb, 9, app="adhoc")
    for words in ((), ("notes",), ("adhoc",)):
        done = world.run("prune", *words)
        assert done.code == 2 and "Nothing says what to keep" in done.err
    other = declare(world, app, keys, DAILY, "other")
    days(world, other, 5, app="other")
    assert world.run("prune").code == 0
    assert [len(archives(one)) for one in (out, usb, other)] == [9, 9, 3]


def test_rules_by_hand(world: World, out: Path, usb: Path) -> None:
    """With flags only these count, for an ad hoc app too."""
    names = days(world, out, 5)
    assert world.run("prune", "notes", *TWO).code == 0
    assert archives(out) == set(names[3:])
    names = days(world, usb, 4, app="adhoc")
    assert world.run("prune", "adhoc", "--keep-within", "36h").code == 0
    assert archives(usb) == set(names[2:])


@pytest.mark.parametrize(
    "words",
    [
        ("--keep-last", "0"),
        ("--keep-last", "-2"),
        ("--keep-last", "many"),
        ("--keep-tag", "x"),
        ("--keep-manual", "3"),
        ("--keep-within", "soon"),
        ("--keep-within", ""),
        ("--keep-daily",),
        ("--to", ""),
    ],
)
def test_nonsense_is_answered(world: World, out: Path, words: tuple[str, ...]) -> None:
    """Rules that keep nothing, or are none, delete nothing: exit code 2."""
    names = days(world, out, 5)
    done = world.run("prune", "notes", *words)
    assert done.code == 2 and done.err and "Traceback" not in done.err
    assert archives(out) == set(names)


@pytest.mark.parametrize(
    ("words", "code"), [(("nobody", *TWO), 10), (("NO/APP",), 2), (("notes", "--to", "absent"), 10)]
)
def test_names_of_nothing(world: World, out: Path, words: tuple[str, ...], code: int) -> None:
    """An app or a folder that is not there is said to be so."""
    done = world.run("prune", *words)
    assert done.code == code and "Traceback" not in done.err


def test_one_app_keeps_no_other_waiting(
    world: World, app: SampleApp, keys: Keys, out: Path
) -> None:
    """A destination that is away is told by its exit code; the other apps are pruned."""
    declare(world, app, keys, DAILY, "away").rmdir()
    days(world, out, 5)
    done = world.run("prune")
    assert done.code == 10 and "out-away" in done.err and len(archives(out)) == 3


def other_machine(world: World, name: str = "other") -> World:
    """Another person's machine that sees the same folders."""
    home = world.directory / name
    home.mkdir()
    return replace(world, home=home, env=sample_app.environment(home))


def test_two_machines_in_one_folder(world: World, usb: Path) -> None:
    """Neither deletes what the other made, whatever its rules."""
    other = other_machine(world)
    mine, theirs = days(world, usb, 5), days(other, usb, 5)
    for machine, own, foreign in ((world, mine, theirs), (other, theirs, mine)):
        left = archives(usb)
        code, one = told(machine, "notes", "--to", usb, *TWO, "--yes")
        assert code == 0 and one["deleted"] == own[:3]
        assert set(one["uncovered"]) == left & set(foreign)
    assert archives(usb) == {*mine[3:], *theirs[3:]}


def test_a_shared_folder(world: World, app: SampleApp, keys: Keys) -> None:
    """With `shared = true` one machine may prune for all, but keeps its own good ones as it would
    alone: those of others are unproved to it and displace none."""
    out = declare(world, app, keys, "retention = {keep_daily = 2, shared = true}\n")
    other = other_machine(world)
    mine, theirs = days(world, out, 4), days(other, out, 4)
    code, one = told(world, "--yes")
    assert code == 0 and not one["uncovered"]
    assert archives(out) == {*mine[2:], *theirs[2:]}


def test_what_was_adopted(world: World, usb: Path) -> None:
    """What a rebuilt ledger found is another machine's until the person says --mine."""
    names = days(world, usb, 4)
    for file in world.state.glob("ledger.db*"):
        file.unlink()
    assert world.run("ledger", "rebuild", usb).code == 0
    assert told(world, "notes", *TWO)[1]["deleted"] == []
    assert world.run("ledger", "rebuild", usb, "--mine").code == 0
    assert told(world, "notes", *TWO)[1]["deleted"] == names[:2]


@pytest.mark.parametrize(
    ("count", "more", "refused"),
    [(6, "", False), (7, "", True), (4, "max_prune = 0", True), (9, "max_prune = 6", False)],
)
def test_too_many_at_once(
    world: World, app: SampleApp, keys: Keys, count: int, more: str, refused: bool
) -> None:
    """More than half, or than the policy allows, go only with --yes; the dry run says so."""
    out = declare(world, app, keys, f"[apps.notes.retention]\nkeep_daily = 3\n{more}\n")
    names = days(world, out, count)
    planned = world.run("prune", "--dry-run")
    assert planned.code == 0 and ("Without --yes nothing would go" in planned.err) == refused
    assert bool(told(world, "--dry-run")[1]["refusal"]) == refused
    done = world.run("prune")
    assert done.code == (13 if refused else 0)
    assert len(archives(out)) == (count if refused else 3)
    if refused:
        assert "--yes" in done.err and names[0] in done.err
        assert world.run("prune", "--yes").code == 0
        assert archives(out) == set(names[-3:])


def test_a_clock_that_jumped_ahead(world: World, app: SampleApp, keys: Keys) -> None:
    """A backup dated ten years ahead makes every other one old: nothing goes but by the person."""
    out = declare(world, app, keys, 'retention = {keep_within = "30d"}\n')
    names = days(world, out, 9)
    ahead = ("faketime", "--exclude-monotonic", "-f", "+3650d")
    done = under(world, ahead, "create", "notes")
    assert done.code == 0 and "would be pruned at once" in done.err
    assert archives(out) > set(names) and last_run(world)["pruning"]["status"] == "refused"
    code, one = told(world)
    assert code == 0 and one["deleted"] == [] and len(one["kept"]) == 9
    assert under(world, ahead, "prune").code == 13


def test_a_clock_that_went_back(world: World, out: Path) -> None:
    """Archives from the future neither go nor cost another its place."""
    names = days(world, out, 8)
    past = ("faketime", "-f", f"@{ago(days=4, hours=12):%Y-%m-%d %H:%M:%S}")
    done = under(world, past, "prune")
    assert done.code == 0 and archives(out) == set(names)


def test_the_newest_good_one_stays(world: World, out: Path) -> None:
    """Neither damaged archives nor unproved ones take the place of one that is good."""
    good, *older = reversed(days(world, out, 5))
    night(world, out, ago(), bad=True)
    night(world, out, ago(), proved=False)
    night(world, out, ago(), complete=False)
    (out / night(world, out, ago())).write_bytes(b"")
    assert world.run("prune", "notes", "--keep-last", "1", "--yes").code == 0
    left = archives(out)
    assert good in left and not left & set(older)


def test_times_of_change_decide_nothing(world: World, out: Path) -> None:
    """A folder that was copied has new times of change; the names are what counts."""
    names = days(world, out, 6)
    shuffled = random.Random(1).sample(range(10**9), len(names))
    for name, time in zip(names, shuffled, strict=True):
        os.utime(out / name, (time, time))
    assert world.run("prune").out.split() == names[:3]


def test_what_the_person_marked_stays(world: World, out: Path) -> None:
    """A kept archive is never pruned, nor is one whose tag is to be kept, nor those by hand."""
    names = days(world, out, 6)
    assert (
        world.run("keep", f"notes@{names[0][6:10]}-{names[0][10:12]}-{names[0][12:14]}").code == 0
    )
    amend(world, names[1], tag="release")
    by_hand = night(world, out, ago(days=9), manual=True)
    assert world.run("prune", "notes", *TWO, "--keep-tag", "release").code == 0
    assert archives(out) == {by_hand, *names[:2], *names[-2:]}


def test_other_names_are_left_alone(world: World, out: Path) -> None:
    """Only a file that is named exactly as an archive of this very app is ever looked at."""
    names = days(world, out, 5)
    old = names[0]
    stem = old.removesuffix(".tar.age")
    odd = [f"{stem} (1).tar.age", f"{stem}.tar.age.part", f"x{old}", old.upper(), f"{old}\n"]
    odd += [f"notes-extra{old[5:]}", f"{stem}-manual.tar.gz.age", "\x1b[2J.age", "…", "-rf", "*"]
    odd += [f".{old}.icloud", f"{stem}.tar", "notes-19000101T000000Z-00000000.tar.age"]
    for name in odd:
        (out / name).write_bytes(b"x" * SIZE)
    replaced = {names[1]: Path.mkdir, names[2]: os.mkfifo}
    for name, make in replaced.items():
        (out / name).unlink()
        make(out / name)
    (out / old).unlink()
    (out / old).symlink_to(out / names[4])
    assert world.run("prune", "notes", "--keep-last", "1", "--yes").out.split() == [names[3]]
    left = {path.name for path in out.iterdir()}
    assert left == {*odd, *replaced, old, names[4]}
    assert (out / names[4]).read_bytes() == b"x" * SIZE


def test_an_evicted_one_is_not_planned(world: World, out: Path) -> None:
    """What lies only in the cloud is neither counted nor deleted: it would go there, too."""
    names = days(world, out, 5)
    for name in names[:2]:
        (out / name).unlink()
        os.truncate(os.open(out / name, os.O_CREAT | os.O_WRONLY), SIZE)
    assert world.run("prune", "--yes", "notes", *TWO).out.split() == [names[2]]


def test_what_was_brought_back_stays(world: World, out: Path) -> None:
    """Who brings a pruned archive back wants it."""
    names = days(world, out, 4)
    content = (out / names[0]).read_bytes()
    assert world.run("prune").out.split() == [names[0]]
    (out / names[0]).write_bytes(content)
    assert world.run("prune").out == "" and archives(out) == set(names)


@pytest.mark.parametrize("ending", ["prune", "create", "run"])
def test_a_kill_in_the_middle(world: World, app: SampleApp, keys: Keys, ending: str) -> None:
    """What a killed prune had decided is ended by whatever runs next, and told there."""
    out = declare(world, app, keys, f"enabled = true\n{DAILY}")
    names = days(world, out, 6)
    kill = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(out), "-e", "trace=unlinkat"]
    kill += ["-e", "inject=unlinkat:error=EIO:signal=SIGKILL:when=2"]
    assert under(world, kill, "prune").code < 0
    assert archives(out) == set(names[1:]) and row(world, names[1]).pending == "delete"
    dry = told(world, "--dry-run")[1]
    assert dry["finished"] == [names[1]] and len(dry["pruned"]) == 1
    words = {"prune": ("prune",), "create": ("create", "notes"), "run": ("run", "--now")}
    done = world.run(*words[ending])
    assert done.code == 0 and not archives(out) & set(names[:3]), done.err
    logged = [one for one in events(world) if one["event"] == "pruned"]
    assert [one["archive"] for one in logged][:3] == names[:3]
    assert all(not row(world, name).pending for name in names)
    assert all(row(world, name).deleted for name in names[:3])


def test_kept_since_the_kill(world: World, out: Path) -> None:
    """What the person marks as kept before an old decision was carried out stays."""
    names = days(world, out, 4)
    amend(world, names[0], deleted=ago(), deleted_why="pruned: x", pending="delete", kept=True)
    assert world.run("prune").out == "" and archives(out) == set(names)
    assert row(world, names[0]).deleted is None


def test_a_folder_that_refuses(world: World, out: Path) -> None:
    """A failure says what is wrong, what went until then is told, and the next one goes on."""
    names = days(world, out, 6)
    refuse = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(out), "-e", "trace=unlinkat"]
    refuse += ["-e", "inject=unlinkat:error=EACCES:when=2+"]
    done = under(world, refuse, "prune")
    assert done.code == 1 and done.out.split() == [names[0]] and "not allowed" in done.err
    assert [one["archive"] for one in events(world)] == [names[0]]
    assert world.run("prune").code == 0 and archives(out) == set(names[3:])


def test_another_run_at_work(world: World, out: Path) -> None:
    """While a run of the app is at work nothing is pruned; a dry run may look."""
    days(world, out, 5)
    lock = world.state / "locks" / "notes.lock"
    lock.parent.mkdir()
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = world.run("prune")
        assert refused.code == 11 and "--wait" not in refused.err  # it has no such option
        assert world.run("prune", "--dry-run").code == 0
    assert len(archives(out)) == 5


def test_without_a_ledger(world: World, out: Path) -> None:
    """Where nobody knows whose the archives are none goes; a damaged ledger is said to be so."""
    names = days(world, out, 5)
    for file in world.state.glob("ledger.db*"):
        file.unlink()
    code, one = told(world, "--dry-run")
    assert code == 0 and set(one["uncovered"]) == set(names) and one["pruned"] == []
    assert not (world.state / "ledger.db").exists()
    done = world.run("prune")
    assert done.code == 0 and "ledger rebuild" in done.err
    (world.state / "ledger.db").write_bytes(b"\xff" * 9000)
    done = world.run("prune")
    assert done.code == 1 and "ledger" in done.err and "Traceback" not in done.err
    assert archives(out) == set(names)


def test_a_database_that_lost_its_rows(world: World, app: SampleApp, keys: Keys) -> None:
    """A loss of nine tenths overnight is said by create and status; with guard.shrink = "refuse"
    nothing is pruned, by the nightly run or by hand, until the person says otherwise."""
    with closing(sqlite3.connect(app.ledger)) as connection:
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 1949) "
            "INSERT INTO entries SELECT i, 'a', 1, 'x' FROM n"
        )
        connection.commit()
    guard = 'retention = {count = 2}\nguard = {shrink = "refuse"}\n'
    out = declare(world, app, keys, guard)
    yesterday = ("faketime", "--exclude-monotonic", "-f", "-1d")
    for _ in range(2):
        assert under(world, yesterday, "create", "notes").code == 0
    whole = archives(out)
    with closing(sqlite3.connect(app.ledger)) as connection:
        connection.execute("DELETE FROM entries WHERE id > 92")
        connection.commit()
    for _ in range(2):
        done = world.run("create", "notes")
        assert done.code == 0 and "is pruned: much less is in the app" in done.err
    assert whole < archives(out) and len(archives(out)) == 4
    assert re.search(r"ledger.* lost \d+% of its rows", world.run("status").out)
    done = world.run("prune")
    assert done.code == 13 and "of its rows" in done.err and "--yes" in done.err
    planned = world.run("prune", "--dry-run")
    assert planned.code == 0 and "much less is in the app" in planned.err
    assert whole < archives(out)
    assert world.run("prune", "--yes").code == 0
    assert len(archives(out)) == 2 and not whole & archives(out)
    assert world.run("create", "notes").code == 0 and len(archives(out)) == 2


def test_ten_thousand_archives(world: World, out: Path) -> None:
    """A folder that nobody ever pruned is planned in a moment."""
    world.state.mkdir(parents=True)
    begin = ago(hours=10_000)
    made = [ArchiveName("notes", begin + timedelta(hours=n), f"{n:08x}") for n in range(10_000)]
    rows = (replace(ArchiveRecord.of(name, str(out)), proved=True) for name in made)
    with open_ledger(world.state / "ledger.db") as ledger:
        ledger.put(*rows)
    for name in made:
        (out / str(name)).write_bytes(b"x")
    watch = Stopwatch()
    code, one = told(world, "--dry-run")
    assert code == 0 and len(one["kept"]) == 3 and len(one["pruned"]) == 9_997
    assert watch.seconds < 5
