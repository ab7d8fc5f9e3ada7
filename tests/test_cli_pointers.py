"""What an archive does not hold: recorded with it, listed by a restore, looked for by the app."""

import json
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from conftest import Keys, Outcome, World
from live_app import LiveApp, script, toml
from sample_app import SampleApp
from test_json_documents import WORDS, undescribed
from test_model_gates import manifest

from agebackup.cli.pointing import pointer_lines
from agebackup.model.manifest import PointerRecord, PointersRecord

KEYS = """\
pointer_check = {check}
[apps.notes.pointers]
videos = {{database = "events", sql = '''{sql}''', hint = "rclone copy media:KEY ."}}
models = {{file = "models.json"}}
"""
VIDEOS = """\
SELECT 's3://media/' || entry AS location, 1000 + entry AS bytes, 'sha256:00' AS hash FROM events
"""
MODELS = [
    {"location": "https://example.org/\u202emodel", "count": 3, "note": "weights"},
    "plain",
]


@pytest.fixture
def live(world: World, app: SampleApp, keys: Keys) -> LiveApp:
    """The declared application with an archive that points to 50 videos and two models."""
    live = LiveApp(world, app, keys, world.directory / "out")
    (app.root / "models.json").write_text(json.dumps(MODELS))
    declare(live, script(app.root, "check", f"cat > {world.directory / 'told.json'}"))
    live.create()
    return live


def declare(live: LiveApp, check: Path, sql: str = VIDEOS) -> None:
    """Write the configuration, with `check` as pointer_check."""
    live.declare(keys=KEYS.format(check=toml(check), sql=sql))


def target(live: LiveApp, *flags: object, archive: object = "notes:latest") -> Outcome:
    """Restore the archive into a new directory."""
    place = live.world.directory / "restored"
    key = ("-i", live.keys.identity)
    return live.world.run("restore", archive, *key, "--target", place, *flags)


def told(live: LiveApp) -> dict[str, Any]:
    """Return what the application's check was told, and forget it."""
    file = live.world.directory / "told.json"
    found: dict[str, Any] = json.loads(file.read_text())
    file.unlink()
    return found


def test_what_is_recorded_listed_and_shown(live: LiveApp) -> None:
    """The manifest has each pointer with its query; inspect and a restore list them, shortened and
    without raw control characters; RECOVER.md says that something is missing."""
    key = ("-i", live.keys.identity)
    shown = live.world.run("inspect", "notes:latest", *key)
    restored = target(live)
    assert shown.code == restored.code == 0, shown.err + restored.err
    for text in (shown.out, restored.err):
        assert "videos: 50 pointers, 51,275 bytes (rclone copy media:KEY .)" in text
        assert "s3://media/1 (1,001 bytes, sha256:00)" in text and "and 30 more" in text
        assert "models: 2 pointers, to 4 things" in text
        assert "https://example.org/\\u202emodel (3 of them, weights)" in text
    fields = json.loads(live.world.run("--json", "inspect", "notes:latest", *key).out)
    videos, models = fields["manifest"]["pointers"]
    assert videos["database"] == "events" and videos["sql"] == VIDEOS and videos["count"] == 50
    assert videos["entries"][0] == {"location": "s3://media/1", "bytes": 1001, "hash": "sha256:00"}
    assert models["file"] == str(live.app.root / "models.json") and models["sql"] == ""
    assert models["entries"] == [MODELS[0], {"location": "plain"}]
    bag = live.world.directory / "bag"
    done = live.world.run("restore", "notes:latest", *key, "--target", bag, "--keep-bag")
    assert done.code == 0, done.err
    recover = (bag / "RECOVER.md").read_text()
    assert "## What is not in here" in recover and "- videos: 50 pointers" in recover
    verified = live.world.run("verify", bag)
    assert verified.code == 0, verified.err


def test_the_check_is_told_after_a_restore(live: LiveApp) -> None:
    """pointer_check gets the pointers and where they belong on its stdin; --json has them too."""
    done = target(live, "--json")
    fields = json.loads(done.out)
    assert (fields["status"], fields["exit"], fields["problems"]) == ("ok", 0, [])
    said = told(live)
    assert said["schema"] == "agebackup/pointers/v1" and said["app"] == "notes"
    assert said["target"] == str(live.world.directory / "restored")
    assert said["pointers"] == fields["pointers"] == fields["manifest"]["pointers"]
    assert undescribed(said, WORDS["pointers"] | WORDS["restore"] | WORDS[""]) == set()
    assert undescribed(fields, WORDS["restore"] | WORDS[""]) == set()
    planned = live.restore("--plan")
    assert "pointers: run " in planned.out, planned.err
    assert live.restore("--no-safety").code == 0
    assert told(live)["target"] is None
    checked = live.world.run("config", "check")
    assert "pointers     videos <- events" in checked.out


def test_a_check_that_fails_is_told_and_undoes_nothing(live: LiveApp) -> None:
    """A failing check ends both kinds of restore with 4, and what was restored stays, even where a
    failing check of the state would have rolled it back."""
    declare(live, script(live.app.root, "lost", "echo model.bin is gone; exit 3"))
    done = target(live)
    assert done.code == 4, done.err
    assert "pointer_check failed" in done.err and "model.bin is gone" in done.err
    assert (live.world.directory / "restored" / "ledger.db").exists()
    live.change()
    done = live.restore("--rollback-on-failure", "--json")
    fields = json.loads(done.out)
    assert done.code == fields["exit"] == 4 and fields["status"] == "check-failed"
    assert any("model.bin is gone" in line for line in fields["problems"])
    assert live.entries == 50 and live.kept()
    declare(live, live.app.root / "absent")
    done = live.restore("--no-safety")
    assert done.code == 4 and "absent cannot be started" in done.err and live.entries == 50


def test_what_runs_is_never_the_archives(live: LiveApp, world: World) -> None:
    """Without the configuration nothing is run after a restore, whatever an archive says."""
    world.config.unlink()
    (archive,) = live.destination.glob("*.age")
    done = world.run("restore", archive, "-i", live.keys.identity, "--target", "elsewhere")
    assert done.code == 0, done.err
    assert "videos: 50 pointers" in done.err
    assert not (world.directory / "told.json").exists()


def test_no_pointers_no_check(live: LiveApp) -> None:
    """An archive that points to nothing leaves the check alone, and says nothing of pointers."""
    live.declare(keys=f"pointer_check = {toml(script(live.app.root, 'no', 'exit 1'))}")
    done = target(live, archive=live.create())
    assert done.code == 0 and "pointer" not in done.err and "fetched" not in done.err


def test_a_stop_during_the_check(live: LiveApp) -> None:
    """A stop while the check runs says that what was restored stays."""
    declare(live, script(live.app.root, "slow", "kill -TERM $PPID; exec sleep 60"))
    done = live.restore("--no-safety")
    assert done.code == 143 and "What was restored stays" in done.err
    assert live.entries == 50 and not live.world.leftovers()


def test_what_gives_no_pointers_fails_the_run(live: LiveApp) -> None:
    """A query that would do more than read, or does not give pointers, and a file that is missing
    or not understood end with 1, and nothing is published: an archive without would look whole."""
    good, file = live.app.root / "check", live.app.root / "models.json"
    for sql, content, said in (
        ("DELETE FROM events", "[]", "cannot be answered"),
        ("SELECT load_extension('x')", "[]", "cannot be answered"),
        ("SELECT entry AS location, body AS size FROM events", "[]", "no use for 'size'"),
        (VIDEOS, " " * ((16 << 20) + 1), "models.json has more than 16,777,216 bytes"),
        (VIDEOS, None, "models.json cannot be read: No such file"),
    ):
        file.unlink(missing_ok=True)
        if content is not None:
            file.write_text(content)
        declare(live, good, sql)
        done = live.world.run("create", "notes")
        assert done.code == 1 and said in done.err, done.err
    assert len([*live.destination.glob("*.age")]) == 1 and not live.world.leftovers()


def test_more_pointers_than_an_archive_records(live: LiveApp) -> None:
    """Of ten thousands the first are recorded and the rest is counted and told."""
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 12000) "
    declare(live, live.app.root / "check", many + "SELECT 'k' || i FROM n")
    done = live.world.run("--json", "create", "notes")
    assert done.code == 0 and "2,002 pointers of them" in done.err, done.err
    videos, models = json.loads(done.out)["results"][0]["manifest"]["pointers"]
    assert (videos["count"], len(videos["entries"])) == (12_000, 10_000)
    assert (models["count"], models["entries"]) == (2, [])
    path = json.loads(done.out)["results"][0]["path"]
    shown = live.world.run("inspect", path, "-i", live.keys.identity)
    assert "videos: 12,000 pointers" in shown.out and "and 11,980 more" in shown.out


def test_what_a_stranger_says_is_shown_in_bounds() -> None:
    """Whatever an archive's pointers hold, the lines about them are few, short and printable."""
    odd = "\x1b]0;x\x07\u202e" + "x" * 1_000_000
    one = PointerRecord(location=odd, bytes=10**30, hash=odd, count=-5, note=odd)
    record = PointersRecord(name=odd, hint=odd, count=-(10**30), entries=[one] * 3000)
    found = pointer_lines(msgspec.structs.replace(manifest(), pointers=[record] * 1000))
    assert len(found) <= 20 * 22 + 1 and found[-1] == "and 980 lists more"
    assert all(line.isprintable() and len(line) < 5000 for line in found)
    assert "  and 2,980 more" in found


def test_sums_of_a_stranger_s_numbers_are_shown() -> None:
    """Numbers that JSON holds can add up to more digits than Python writes: no traceback."""
    text = b'{"location": "a", "bytes": %s}' % (b"9" * 4300)
    one = msgspec.json.decode(text, type=PointerRecord)
    record = PointersRecord(name="x", count=2, entries=[one, one])
    (first, *more) = pointer_lines(msgspec.structs.replace(manifest(), pointers=[record]))
    assert first.startswith("x: 2 pointers, 18,446,744") and len(more) == 2


# Provenance


def git(directory: Path, *words: str) -> str:
    """Let git work in `directory`, as nobody in particular."""
    who = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    done = subprocess.run(
        ["git", "-C", directory, *who, *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_where_the_state_comes_from(live: LiveApp) -> None:
    """The version in a file, and commit, branch and changes of the checkout, are in the manifest
    and in inspect; what was changed does not keep a backup from being made."""
    code = live.world.directory / "code"
    code.mkdir()
    (code / "VERSION").write_text("2.5.1\nignored\n")
    git(code, "init", "-q", "-b", "main")
    git(code, "add", ".")
    git(code, "commit", "-q", "-m", "first")
    commit = git(code, "rev-parse", "HEAD")
    live.declare(
        restore='max_app_version = "2.5"',
        keys=f'version = {{file = "{code}/VERSION"}}\nprovenance = {{checkout = "{code}"}}',
    )
    (code / "VERSION").write_text("2.6\n")
    changed = json.loads(live.world.run("--json", "create", "notes").out)["results"][0]
    archive = changed["path"]
    assert changed["manifest"]["versions"]["app"] == "2.6"
    assert changed["manifest"]["provenance"] == {"commit": commit, "branch": "main", "dirty": True}
    shown = live.world.run("inspect", archive, "-i", live.keys.identity)
    assert f"checkout:    {commit} on main, with changes that are not committed" in shown.out
    refused = live.restore("--at", archive)
    assert refused.code == 13 and "newer than 2.5" in refused.err


def test_what_cannot_be_had_is_a_warning(live: LiveApp) -> None:
    """A checkout that is none, and a version's file that is absent, never fail a backup."""
    live.declare(keys='version = {file = "VERSION"}\nprovenance = {checkout = "."}')
    done = live.world.run("--json", "create", "notes")
    assert done.code == 0, done.err
    assert "The app's version is not recorded: The file " in done.err
    assert "is not in a checkout of git" in done.err
    made = json.loads(done.out)["results"][0]["manifest"]
    assert made["versions"]["app"] == "" and made["provenance"] is None
