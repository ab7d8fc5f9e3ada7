"""`agebackup drill`: an archive is restored for the sake of proof, asked, removed, and recorded."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import Keys, Outcome, World
from nights import declare, events, everything_said, keeping, script, told
from sample_app import PLAINTEXT_MARK, SampleApp, command
from signing import allowed, keygen, ssh_key
from system_faults import OWN_MOUNTS
from timers import program

ASSERTIONS = """
[apps.notes.assertions]
enough = {database = "ledger", sql = "SELECT count(*) FROM entries", minimum = 50}
last = {database = "ledger", sql = "SELECT max(id) FROM entries", equals = 50}
whole = {database = "ledger", sql = "SELECT count(*) FROM entries", manifest = "rows.entries"}
version = {database = "ledger", sql = "SELECT 3", manifest = "user_version"}
"""


@pytest.fixture
def notes(world: World, app: SampleApp, keys: Keys) -> World:
    """A machine with a declared app, assertions, and one archive."""
    declare(world, app, keys, ASSERTIONS)
    made = world.run("create", "notes")
    assert made.code == 0, made.err
    return world


def asserting(world: World, lines: str) -> None:
    """Let the configuration assert `lines`, and nothing else."""
    head, _, _ = world.config.read_text().partition("[apps.notes.assertions]")
    world.config.write_text(f"{head}[apps.notes.assertions]\n{lines}\n")


def drill(world: World, keys: Keys, *words: object, **options: Any) -> Outcome:
    return world.run("drill", *words, "-i", keys.identity, **options)


def drills(world: World, *apps: str) -> list[dict[str, Any]]:
    """Return what the ledger keeps of drills, newest first."""
    outcome = world.run("drill", "--report", *apps, "--json")
    assert outcome.code == 0, outcome.err
    rows: list[dict[str, Any]] = json.loads(outcome.out)["drills"]
    return rows


def archives(world: World) -> list[Path]:
    return sorted((world.directory / "out-notes").glob("*.age"))


def test_a_good_drill(notes: World, keys: Keys) -> None:
    """It says what was restored and asserted, keeps a receipt, and leaves nothing else."""
    outcome = drill(notes, keys, "notes")
    assert outcome.code == 0, outcome.err
    (archive,) = archives(notes)
    assert outcome.out.startswith(archive.name) and "4 assertions hold" in outcome.out
    assert not notes.leftovers()
    (row,) = drills(notes)
    receipt = json.loads(row["receipt"])
    assert receipt["archive"] == row["archive"] == archive.name and row["outcome"] == "ok"
    assert receipt["schema"] == "agebackup/drill-receipt/v1" and receipt["newest"] == archive.name
    assert 0 <= receipt["age"] == receipt["newest_age"] < 600 and row["recovery_time"] > 0
    assert [one["ok"] for one in receipt["assertions"]] == [True] * 4
    assert [one["found"] for one in receipt["assertions"]] == [50, 50, 50, 3]
    assert len(receipt["sha256"]) == 64 and row["signature"] == ""
    (event,) = [one for one in events(notes) if one["event"] == "drilled"]
    assert event["archive"] == archive.name and event["outcome"] == "ok"
    assert "drilled" in notes.run("log", "notes").out


def test_the_receipt_claims_no_hash_that_was_not_found(
    notes: World, keys: Keys, other_keys: Keys
) -> None:
    """Of a rekeyed archive the old file passes too, so its receipt names neither file's hash."""
    (archive,) = archives(notes)
    old = archive.read_bytes()
    new = ("-r", other_keys.recipient, "--yes")
    assert notes.run("rekey", archive, "-i", keys.identity, *new).code == 0
    archive.write_bytes(old)
    assert drill(notes, keys, "--archive", archive).code == 0
    (row,) = drills(notes)
    assert json.loads(row["receipt"])["sha256"] == ""


def test_a_signed_receipt(notes: World, keys: Keys) -> None:
    """Stock ssh-keygen says who signed the receipt, for this purpose and for no archive."""
    key = ssh_key(notes.directory / "signing")
    assert drill(notes, keys, "notes", "--signing-key", key).code == 0
    (row,) = drills(notes)
    (notes.directory / "receipt.sig").write_text(row["signature"])
    signers = notes.directory / "signers"
    signers.write_text(allowed(key))
    words = ("-Y", "verify", "-f", signers, "-I", "me", "-s", notes.directory / "receipt.sig", "-n")
    keygen(*words, "agebackup-drill@v1", said=row["receipt"].encode())
    for purpose, said in (("agebackup@v1", row["receipt"]), ("agebackup-drill@v1", "other")):
        with pytest.raises(subprocess.CalledProcessError):
            keygen(*words, purpose, said=said.encode())


def test_a_signing_key_that_fails(notes: World, keys: Keys) -> None:
    """It is found out before the drill begins: an unsigned receipt is none that was asked for."""
    done = drill(notes, keys, "notes", "--signing-key", notes.directory / "absent")
    assert done.code == 1 and "there is no such file" in done.err and not drills(notes)


def test_the_receipt_is_in_the_json(notes: World, keys: Keys) -> None:
    """Who asks for JSON gets the receipt, of a bad drill too, and its exit code."""
    done = drill(notes, keys, "notes", "--json")
    (result,) = json.loads(done.out)["results"]
    assert (result["exit"], result["status"], result["receipt"]["outcome"]) == (0, "ok", "ok")
    asserting(notes, 'wrong = {database = "ledger", sql = "SELECT 1", equals = 2}')
    done = drill(notes, keys, "notes", "--json")
    printed = json.loads(done.out)
    (result,) = printed["results"]
    assert done.code == printed["exit"] == result["exit"] == 4 and printed["status"] == "failed"
    assert result["error"]["details"] == ["wrong: 1, expected 2"]
    assert result["receipt"]["outcome"] == "failed"


def test_a_failing_assertion(notes: World, keys: Keys) -> None:
    """The archive is sound and stays so; the drill failed, is recorded, and `status` complains."""
    assert notes.run("status").code == 0
    asserting(
        notes,
        'good = {database = "ledger", sql = "SELECT 1", equals = 1}\n'
        'less = {database = "ledger", sql = "SELECT count(*) FROM entries", minimum = 51}\n',
    )
    outcome = drill(notes, keys, "notes")
    assert outcome.code == 4 and outcome.out == ""
    assert "1 of 2 assertions do not hold" in outcome.err
    assert "less: 50, expected at least 51" in outcome.err and not notes.leftovers()
    (row,) = drills(notes)
    assert row["outcome"] == "failed" and "do not hold" in row["message"]
    assert [one["ok"] for one in row["assertions"]] == [True, False]
    status = notes.run("status")
    assert status.code == 5 and "AT RISK" in status.out and "[drill-failed]" in status.out
    assert "last drill" in status.out and "(FAILED)" in status.out
    listed = json.loads(notes.run("list", "--json").out)
    assert "damaged" not in json.dumps(listed)
    asserting(notes, "")
    assert drill(notes, keys, "notes").code == 0
    status = notes.run("status", "--json")
    (one,) = json.loads(status.out)["apps"]
    assert status.code == 0 and one["last_drill"]["outcome"] == "ok"
    assert one["last_restored"]["name"] == one["last_drill"]["name"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('database = "ledger", sql = "SELECT id FROM entries", equals = 1', "more than 1 rows"),
        ('database = "ledger", sql = "SELECT 1 WHERE 0", equals = 1', "no row instead"),
        ('database = "ledger", sql = "SELECT 1, 2", equals = 1', "2 columns instead"),
        ('database = "ledger", sql = "SELECT absent", equals = 1', "no such column"),
        ('database = "ledger", sql = "DELETE FROM entries", equals = 1', "readonly"),
        ('database = "ledger", sql = "ATTACH \'/tmp/x\' AS x", equals = 1', "not authorized"),
        ('database = "ledger", sql = "SELECT NULL", minimum = 0', "expected at least 0"),
        ('database = "ledger", sql = "SELECT \'7\'", equals = 7', "7, expected 7"),
        ('database = "ledger", sql = "SELECT \'x\' || char(27)", equals = "x"', r"x\x1b"),
        ('database = "ledger", sql = "SELECT x\'00\'", equals = "x"', "a blob of 1 bytes"),
        (
            'database = "ledger", sql = "SELECT 1", manifest = "rows.absent"',
            "records no rows.ab",
        ),
        (
            'database = "ledger", seconds = 0.5, sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL'
            ' SELECT i + 1 FROM n) SELECT count(*) FROM n", equals = 1',
            "took longer than 0.5 seconds",
        ),
        (
            'database = "ledger", seconds = 1, sql = "SELECT instr(zeroblob(900000), zeroblob('
            "450000) || x'01')\", equals = 1",
            "took longer than 1 seconds",
        ),
        ('database = "late", sql = "SELECT 1", equals = 1', "holds no database late"),
    ],
)
def test_sql_that_does_not_hold(
    notes: World, keys: Keys, app: SampleApp, line: str, found: str
) -> None:
    """Whatever the SQL gives, does or tries, it is one line of the report, in its time."""
    text = notes.config.read_text()
    more = f"databases = {{late = {json.dumps(str(app.events))}, "
    notes.config.write_text(text.replace("databases = {", more))
    asserting(notes, f"one = {{{line}}}")
    outcome = drill(notes, keys, "notes")
    assert outcome.code == 4 and found in outcome.err, outcome.err
    assert "Traceback" not in outcome.err and not notes.leftovers()


def test_the_application_itself(notes: World, keys: Keys, app: SampleApp) -> None:
    """A command works in the restored copy, may change it, and is given nothing secret."""
    body = (
        "import json, os, sqlite3, sys\n"
        "descriptors = os.listdir('/proc/self/fd')\n"
        "database = sqlite3.connect('ledger')\n"
        "database.execute('DELETE FROM entries')\n"
        "database.commit()\n"
        "open(os.environ['TMPDIR'] + '/spill', 'w').write('x')\n"
        "open('more', 'w').write('x')\n"
        "seen = {'argv': sys.argv[1:], 'cwd': os.getcwd(), 'env': dict(os.environ),\n"
        "        'fds': descriptors, 'group': os.getpgrp() == os.getpid()}\n"
        f"json.dump(seen, open({str(notes.directory / 'seen.json')!r}, 'w'))\n"
    )
    (program, *rest) = json.loads(script(notes, "check", body))
    words = json.dumps([program, *rest, "--data={target}/x", "{target}"])
    asserting(
        notes,
        f"opens = {{command = {words}}}\n"
        'after = {database = "ledger", sql = "SELECT count(*) FROM entries", equals = 50}\n',
    )
    secret = {"AGEBACKUP_IDENTITY_FILE": str(keys.identity), "API_TOKEN": "s3cr3t"}
    env = {**notes.env, **secret, "PATH": f".:relative::{notes.env['PATH']}"}
    outcome = notes.run("drill", "notes", env=env)
    assert outcome.code == 0, outcome.err
    seen = json.loads((notes.directory / "seen.json").read_text())
    where = seen["cwd"]
    assert seen["argv"] == [f"--data={where}/x", where] and seen["group"]
    assert seen["env"]["AGEBACKUP_TARGET"] == where and where.startswith(str(notes.cache))
    assert str(keys.identity) not in json.dumps(seen) and "s3cr3t" not in json.dumps(seen)
    assert all(place.startswith("/") for place in seen["env"]["PATH"].split(":"))
    assert len(seen["fds"]) <= 4  # 0 to 2, and the listing's own
    assert not notes.leftovers() and not Path(where).exists()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("raise SystemExit(3)", "ended with code 3"),
        ("import sys; sys.exit('no entries\\x1b[2J')", "It said last: no entries\\x1b[2J"),
        ("import time; time.sleep(60)", "was not done in 0.5 seconds"),
        ("import os, time; os.fork(); time.sleep(60)", "was not done in 0.5 seconds"),
    ],
)
def test_an_application_that_is_not_content(
    notes: World, keys: Keys, body: str, found: str
) -> None:
    """A command that fails, or takes too long, fails the drill, and nothing of it goes on."""
    marked = f"{body}  # {notes.directory}"
    asserting(notes, f"opens = {{command = {script(notes, 'check', marked)}, seconds = 0.5}}")
    outcome = drill(notes, keys, "notes")
    assert outcome.code == 4 and found in outcome.err, outcome.err
    running = subprocess.run(["pgrep", "-f", str(notes.directory)], check=False, text=True)
    assert running.returncode == 1 and not notes.leftovers()


def test_a_command_that_is_not_there(notes: World, keys: Keys) -> None:
    """`config check` says so by day; a drill fails with the reason."""
    asserting(notes, 'opens = {command = ["./absent", "{target}"]}')
    check = notes.run("config", "check")
    assert check.code == 2 and "assertions.opens: there is no program" in check.out
    outcome = drill(notes, keys, "notes")
    assert outcome.code == 4 and "cannot be started" in outcome.err


def test_a_program_in_the_archive_is_not_run(notes: World, keys: Keys, app: SampleApp) -> None:
    """A name that is no path means a program of this machine, never one that was restored."""
    fooled = notes.directory / "fooled"
    (app.blobs / "check").write_text(f"#!/bin/sh\ntouch {fooled}\n")
    (app.blobs / "check").chmod(0o755)
    text = notes.config.read_text().replace("[apps.notes]\n", '[apps.notes]\nroot = "app"\n')
    text = text.replace("app", str(app.root), 0)
    text = f'[apps.notes]\nroot = {json.dumps(str(app.root))}\nattachments = ["blobs"]\n' + (
        "\n".join(line for line in text.splitlines() if line[:9] in ("destinati", "recipient"))
    )
    notes.config.write_text(f'{text}\n[apps.notes.assertions]\nx = {{command = ["check"]}}\n')
    assert notes.run("create", "notes").code == 0
    env = {**notes.env, "PATH": f"blobs::.:{notes.env['PATH']}"}
    outcome = drill(notes, keys, "notes", "--archive", "latest", env=env)
    assert outcome.code == 4 and "cannot be started" in outcome.err and not fooled.exists()


def test_the_wrong_key(notes: World, keys: Keys, other_keys: Keys) -> None:
    """As with a restore it is 12, and a failed drill: on the day it would be no other."""
    outcome = drill(notes, other_keys, "notes")
    assert outcome.code == 12 and not notes.leftovers()
    (row,) = drills(notes)
    assert (row["outcome"], row["recovery_time"]) == ("failed", None)
    assert notes.run("status").code == 5


@pytest.mark.parametrize("flipped", [10, -100])
def test_a_damaged_archive(notes: World, keys: Keys, flipped: int) -> None:
    """Damage is 4, recorded as a failed drill, and the archive counts as bad from then on."""
    (archive,) = archives(notes)
    content = bytearray(archive.read_bytes())
    content[flipped] ^= 1
    archive.write_bytes(content)
    outcome = drill(notes, keys, "notes")
    assert outcome.code == 4 and not notes.leftovers(), outcome.err
    (row,) = drills(notes)
    assert row["outcome"] == "failed" and row["archive"] == archive.name
    assert row["recovery_point"] is not None
    again = drill(notes, keys, "notes")
    assert again.code == 10 and "no archive of notes that could be drilled" in again.err


def test_an_archive_under_another_name(notes: World, keys: Keys) -> None:
    """A file that was renamed restores, but is not what its name says: 4."""
    (archive,) = archives(notes)
    renamed = notes.directory / archive.name.replace(archive.name[6:14], "20990101")
    shutil.copy(archive, renamed)
    outcome = drill(notes, keys, "--archive", renamed)
    assert outcome.code == 4 and "made as" in outcome.err
    assert drills(notes)[0]["outcome"] == "failed"


def test_one_archive_that_is_named(notes: World, keys: Keys, app: SampleApp) -> None:
    """By a path, an id, `latest`, and a file that was named freely; of another app it is 2."""
    (archive,) = archives(notes)
    free = notes.directory / "FILE.age"
    shutil.copy(archive, free)
    identity = archive.name.split("-")[2][:8]
    for words in (
        ("--archive", archive),
        ("--archive", identity),
        ("notes", "--archive", "latest"),
    ):
        outcome = drill(notes, keys, *words)
        assert outcome.code == 0 and "4 assertions" in outcome.out, outcome.err
    outcome = drill(notes, keys, "--archive", free)
    assert outcome.code == 0, outcome.err
    row = drills(notes)[0]
    receipt = json.loads(row["receipt"])
    assert (row["app"], row["archive"], receipt["newest"]) == ("notes", "FILE.age", archive.name)
    assert receipt["made"] and receipt["age"] == receipt["newest_age"]
    before = len(drills(notes))
    for file in (archive, free):
        outcome = drill(notes, keys, "other", "--archive", file)
        assert outcome.code == 2 and "is no archive of other" in outcome.err
    assert len(drills(notes)) == before and not notes.leftovers()


def test_a_file_with_an_awkward_name(notes: World, keys: Keys) -> None:
    """Whatever a file is called, its receipt can be kept and shown."""
    (archive,) = archives(notes)
    for name in (b"\xff.age", b"a\x1b[2J.age", "ünïcode 雪.age".encode()):
        awkward = os.fsdecode(os.fsencode(notes.directory) + b"/" + name)
        shutil.copy(archive, awkward)
        outcome = notes.run("drill", "--archive", awkward, "-i", keys.identity)
        assert outcome.code == 0, outcome.err
        assert "\x1b" not in outcome.out + outcome.err
    assert "\x1b" not in notes.run("drill", "--report").out and len(drills(notes)) == 3


def test_all_apps(notes: World, keys: Keys, app: SampleApp, other_keys: Keys) -> None:
    """--all takes one archive of each; one that fails stops no other, and the worst code counts."""
    declare(notes, app, other_keys, name="other")
    assert notes.run("create", "other").code == 0
    declare(notes, app, keys, name="third")
    assert notes.run("create", "third").code == 0
    outcome = drill(notes, keys, "--all", "--json")
    results = json.loads(outcome.out)["results"]
    assert outcome.code == 12 and [one["exit"] for one in results] == [0, 12, 0]
    assert [row["app"] for row in drills(notes)] == ["third", "other", "notes"]
    assert [row["app"] for row in drills(notes, "other")] == ["other"]


def test_never_drilled_ones_come_first(notes: World, keys: Keys) -> None:
    """Of several archives those that were never drilled are drawn by far the most often."""
    for _ in range(3):
        assert notes.run("create", "notes").code == 0
    drawn = []
    for _ in range(4):
        assert drill(notes, keys, "notes").code == 0
        drawn.append(drills(notes)[0]["archive"])
    assert set(drawn) <= {one.name for one in archives(notes)} and len(set(drawn)) >= 2


def test_without_network(notes: World, keys: Keys) -> None:
    """No other machine has any part in it: it works where there is no network at all."""
    done = subprocess.run(
        [*OWN_MOUNTS, "--net", "--", *command(), "drill", "notes", "-i", str(keys.identity)],
        cwd=notes.directory,
        env=dict(notes.env),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_beside_a_run(notes: World, keys: Keys) -> None:
    """A drill takes no lock that a run needs: a backup goes on beside it."""
    started, go = notes.directory / "started", notes.directory / "go"
    body = (
        f"import os, time; open({str(started)!r}, 'w').close()\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.01)"
    )
    asserting(notes, f"opens = {{command = {script(notes, 'check', body)}}}")
    with notes.start("drill", "notes", "-i", keys.identity) as process:
        try:
            while not started.exists():
                assert process.poll() is None, process.communicate()
            made = notes.run("create", "notes")
            (first, _) = archives(notes)
            pruned = notes.run("prune", "notes", "--keep-last", "1", "--yes")
        finally:
            go.touch()
            process.communicate()
    assert made.code == 0, made.err
    assert pruned.code == 0 and not first.exists()
    assert process.returncode == 0 and drills(notes)[0]["outcome"] == "ok"


STOP = "import os, signal, time; os.kill(os.getppid(), signal.{}); time.sleep(60)"


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129)])
def test_a_drill_that_is_stopped(notes: World, keys: Keys, name: str, code: int) -> None:
    """Nothing is left, and no receipt: it says nothing of the archive."""
    asserting(notes, f"opens = {{command = {script(notes, 'check', STOP.format(name))}}}")
    outcome = drill(notes, keys, "notes")
    assert outcome.code == code and drills(notes) == [] and not notes.leftovers()


def test_after_a_kill(notes: World, keys: Keys) -> None:
    """What a killed drill left, the next command removes, and it was no drill."""
    body = STOP.format("SIGKILL")
    asserting(notes, f"opens = {{command = {script(notes, 'check', body)}, seconds = 5}}")
    assert drill(notes, keys, "notes").code == -signal.SIGKILL
    assert notes.leftovers() and drills(notes) == []
    subprocess.run(["pkill", "-f", str(notes.directory / "check.py")], check=False)
    asserting(notes, "")
    outcome = drill(notes, keys, "notes")
    assert outcome.code == 0 and "left by a run that was cut off" in outcome.err
    assert not notes.leftovers()


def fill(world: World, limit: str, words: Sequence[object]) -> "subprocess.CompletedProcess[str]":
    """Run agebackup with a cache directory on a small disk of its own."""
    script = f'mount -t tmpfs -o size={limit} x "$CACHE"; exec "$@"'
    cache = world.directory / "small"
    cache.mkdir(exist_ok=True)
    return subprocess.run(
        [*OWN_MOUNTS, "sh", "-c", script, "sh", *command(), *map(str, words)],
        cwd=world.directory,
        env={**world.env, "CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_disk_that_is_full(notes: World, keys: Keys) -> None:
    """Too little space is told beforehand where it is known; it is a drill that failed, exit 1."""
    words = ("drill", "notes", "-i", keys.identity, "--workspace", notes.directory / "small")
    done = fill(notes, "16k", words)
    assert done.returncode == 1 and "space" in done.stderr.lower(), done.stderr
    assert "Traceback" not in done.stderr and drills(notes)[0]["outcome"] == "failed"
    assert not list((notes.state / "claims").iterdir())


def test_no_room_for_the_copy(notes: World, keys: Keys) -> None:
    """A disk that fills up meanwhile: 1, a failed drill, and nothing is left."""
    done = subprocess.run(
        ["prlimit", "--fsize=8192", *command(), "drill", "notes", "-i", str(keys.identity)],
        cwd=notes.directory,
        env=dict(notes.env),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert not notes.leftovers()


def test_a_workspace_in_the_destination(notes: World, keys: Keys) -> None:
    """Plaintext never goes where the cloud client looks."""
    workspace = notes.directory / "out-notes" / "work"
    outcome = drill(notes, keys, "notes", "--workspace", workspace)
    assert outcome.code == 13 and "inside the destination" in outcome.err
    assert not workspace.exists()


def test_a_newer_schema_than_the_app_understands(notes: World, keys: Keys, app: SampleApp) -> None:
    """The guards of a restore hold for a drill too."""
    text = notes.config.read_text()
    path = json.dumps(str(app.ledger))
    guarded = text.replace(f"ledger = {path}", f"ledger = {{path = {path}, max_user_version = 2}}")
    notes.config.write_text(guarded)
    outcome = drill(notes, keys, "notes")
    assert outcome.code == 13 and "newer than the 2" in outcome.err
    assert drills(notes)[0]["outcome"] == "failed"


def test_hooks_hear_of_failures_alone(notes: World, keys: Keys, other_keys: Keys) -> None:
    """on_failure gets the receipt of a drill that failed; a good one calls nobody."""
    shown = notes.directory / "shown"
    body = f"import sys; open({str(shown)!r}, 'w').write(sys.argv[-1])"
    program(notes.directory / "bin", "notify-send", body)
    env = {**notes.env, "PATH": f"{notes.directory / 'bin'}:{notes.env['PATH']}"}
    hooks = (
        f"\n[apps.notes.hooks]\ndesktop = true\non_failure = {keeping(notes, 'bad')}\n"
        f"on_success = {keeping(notes, 'good')}\n"
    )
    notes.config.write_text(notes.config.read_text() + hooks)
    assert drill(notes, keys, "notes").code == 0
    assert told(notes, "bad") is told(notes, "good") is None
    assert drill(notes, other_keys, "notes", env=env).code == 12
    assert "identity" in shown.read_text()
    receipt = told(notes, "bad")
    assert receipt is not None and receipt["schema"] == "agebackup/drill-receipt/v1"
    assert (receipt["outcome"], receipt["exit_code"]) == ("failed", 12) and told(
        notes, "good"
    ) is None


def test_nothing_secret_is_kept(notes: World, keys: Keys) -> None:
    """Neither key nor content reaches ledger or log, whatever a command says of itself."""
    secret = keys.identity.read_text().splitlines()[-1]
    body = f"import sys; sys.exit({secret!r})"
    asserting(notes, f"opens = {{command = {script(notes, 'check', body)}}}")
    outcome = drill(notes, keys, "notes", "--json")
    (notes.directory / "check.py").unlink()
    kept = everything_said(notes) + outcome.out + outcome.err
    assert outcome.code == 4 and secret not in kept and "not shown" in kept
    assert PLAINTEXT_MARK not in kept


def test_a_ledger_that_cannot_be_used(notes: World, keys: Keys) -> None:
    """A receipt that is kept nowhere is no receipt: 1, though the drill itself went well."""
    (notes.state / "ledger.db").write_bytes(b"x" * 5000)
    for file in notes.state.glob("ledger.db-*"):
        file.unlink()
    outcome = drill(notes, keys, "notes", "--json")
    (result,) = json.loads(outcome.out)["results"]
    assert outcome.code == 1 and "receipt is kept nowhere" in result["error"]["message"]
    assert result["receipt"]["outcome"] == "ok" and not notes.leftovers()


def test_on_a_machine_that_knows_nothing(world: World, notes: World, keys: Keys) -> None:
    """With an archive and a key alone there are no assertions, but all checks, and a receipt."""
    (archive,) = archives(notes)
    shutil.copy(archive, world.directory)
    notes.config.unlink()
    shutil.rmtree(notes.state)
    outcome = drill(notes, keys, "--archive", world.directory / archive.name)
    assert outcome.code == 0 and "no assertions are declared" in outcome.out
    (row,) = drills(notes)
    assert json.loads(row["receipt"])["sha256"] == ""


def test_the_report(notes: World, keys: Keys, other_keys: Keys) -> None:
    """A table says of every drill how long it took, how fresh it was, and how it ended."""
    empty = notes.run("drill", "--report")
    assert empty.code == 0 and empty.out == "" and "No drill was made yet" in empty.err
    drill(notes, keys, "notes")
    drill(notes, other_keys, "notes")
    lines = notes.run("drill", "--report").out.splitlines()
    assert lines[0].split()[:2] == ["app", "archive"] and "recovery time" in lines[0]
    assert lines[1].endswith("failed") and "  -  " in lines[1] and lines[2].startswith("  ")
    assert lines[3].endswith("ok, 4 of 4 assertions hold") and len(lines) == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Nothing says what to drill"),
        (("notes", "--all"), "--all goes with no APP"),
        (("--all", "--to", "out-notes"), "--all goes with no APP"),
        (("notes", "other", "--archive", "latest"), "one app at most"),
        (("--report", "--archive", "latest"), "one app at most"),
        (("../x",), "../x"),
        (("--report", "../x"), "../x"),
    ],
)
def test_what_is_refused(notes: World, keys: Keys, words: tuple[str, ...], said: str) -> None:
    """Nonsense is refused in a sentence, before any key is read."""
    outcome = notes.run("drill", *words)
    assert outcome.code == 2 and said in outcome.err, outcome.err


def test_what_is_not_there(notes: World, keys: Keys) -> None:
    """An app, archive or key that is absent is named; no drill was made."""
    assert notes.run("drill", "notes").code == 2  # no identity
    assert drill(notes, keys, "unknown").code == 10
    assert drill(notes, keys, "--archive", "absent.age").code == 10
    assert drill(notes, keys, "--archive", "ffff").code == 10
    notes.config.write_text("[apps.notes\n")
    assert drill(notes, keys, "notes").code == 2
    assert drills(notes) == []


def test_what_is_restored_is_what_was_saved(notes: World, keys: Keys, app: SampleApp) -> None:
    """The copy that is asked is the archive's, not the live database."""
    with closing(sqlite3.connect(app.ledger)) as connection:
        connection.execute("DELETE FROM entries")
        connection.commit()
    assert drill(notes, keys, "notes").code == 0
    assert os.listdir(notes.cache) == []
