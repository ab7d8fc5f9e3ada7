"""Runs that the configuration describes: names instead of flags, hooks, globs, guards."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Keys, Outcome, World
from sample_app import SampleApp

PROFILE = """
[apps.notes]
root = "{root}"
attachments = ["blobs"]
config = ["app.toml"]
tokens = ["token"]
derived = ["*.tmp"]
recipients = ["{recipient}"]
destination = "{out}"
{more}
[apps.notes.databases]
ledger = "ledger.db"
events = "events.db"
{databases}
"""


@pytest.fixture
def out(world: World) -> Path:
    directory = world.directory / "out"
    directory.mkdir()
    return directory


def configure(
    world: World, app: SampleApp, keys: Keys, *, more: str = "", databases: str = ""
) -> None:
    """Write the sample's profile to the usual place."""
    world.config.parent.mkdir(parents=True, exist_ok=True)
    world.config.write_text(
        PROFILE.format(
            root=app.root,
            recipient=keys.recipient,
            out=world.directory / "out",
            more=more,
            databases=databases,
        )
    )


def members(world: World, archive: str, keys: Keys) -> set[str]:
    """Return the top-level names in an archive."""
    outcome = world.run("--json", "ls", archive, "-i", keys.identity)
    return {file["path"].split("/")[0] for file in json.loads(outcome.out)["files"]}


def created(outcome: Outcome) -> str:
    assert outcome.code == 0, outcome.err
    return outcome.out.strip()


def test_a_name_is_enough(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """`create NAME` needs no flags; the archive holds the app's own tree, so a restore gives it."""
    configure(world, app, keys)
    (app.blobs / "x.tmp").write_text("rebuilt")
    archive = created(world.run("create", "notes"))
    assert members(world, archive, keys) == {"ledger.db", "events.db", "blobs"}
    target = world.directory / "restored"
    outcome = world.run("restore", archive, "-i", keys.identity, "--target", target)
    assert outcome.code == 0, outcome.err
    assert not (target / "blobs" / "x.tmp").exists()
    assert "*.tmp" in outcome.err
    both = created(world.run("create", "notes", "--include-config", "--include-tokens"))
    assert members(world, both, keys) == {"ledger.db", "events.db", "blobs", "app.toml", "token"}


def test_a_token_is_withheld_inside_a_tree(
    world: World, app: SampleApp, keys: Keys, out: Path
) -> None:
    """A declared token that was not asked for stays out, even inside an attachments tree."""
    configure(world, app, keys)
    text = world.config.read_text().replace('["blobs"]', '["."]')
    world.config.write_text(text)
    archive = created(world.run("create", "notes"))
    assert members(world, archive, keys) == {"ledger.db", "events.db", "blobs"}


def test_flags_win(world: World, app: SampleApp, keys: Keys, other_keys: Keys, out: Path) -> None:
    """A flag outranks the environment, which outranks the configuration."""
    configure(world, app, keys)
    (world.directory / "there").mkdir()
    recipients = world.directory / "env.txt"
    recipients.write_text(other_keys.recipient)
    env = {**world.env, "AGEBACKUP_RECIPIENTS_FILE": str(recipients)}
    archive = created(world.run("create", "notes", "--to", "there", env=env))
    assert Path(archive).parent == world.directory / "there"
    assert world.run("verify", archive, "-i", other_keys.identity).code == 0
    assert world.run("verify", archive, "-i", keys.identity).code == 12
    archive = created(world.run("create", "notes", "-r", keys.recipient, env=env))
    assert world.run("verify", archive, "-i", keys.identity).code == 0


def test_several_apps(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """Of several apps each is reported, one failure stops no other, the worst code counts."""
    configure(world, app, keys)
    text = world.config.read_text()
    broken = text.replace("apps.notes", "apps.broken").replace("ledger.db", "absent.db")
    world.config.write_text(broken + text)
    outcome = world.run("--json", "create", "--all")
    assert outcome.code == 1
    results = json.loads(outcome.out)["results"]
    assert [(one["app"], one["exit"]) for one in results] == [("broken", 1), ("notes", 0)]
    outcome = world.run("create", "broken", "notes")
    assert outcome.code == 1 and "absent.db" in outcome.err
    assert len(outcome.out.splitlines()) == 1


def test_hooks_surround_the_snapshot(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """prepare runs before anything is read, finish afterwards, and after a failure too."""
    hooks = """prepare = ["touch", "blobs/prepared"]
finish = ["sh", "-c", "echo done >> finished"]"""
    configure(world, app, keys, more=hooks)
    archive = created(world.run("create", "notes"))
    assert world.run("cat", archive, "blobs/prepared", "-i", keys.identity).code == 0
    assert (app.root / "finished").read_text() == "done\n"
    app.events.rename(app.root / "moved.db")
    assert world.run("create", "notes").code == 1
    assert (app.root / "finished").read_text() == "done\ndone\n"


def test_a_failing_prepare(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """A prepare that fails or hangs fails the run; finish still runs, nothing is published."""
    for prepare in ('["false"]', '{argv = ["sleep", "60"], seconds = 0.2}'):
        finish = 'finish = ["sh", "-c", "echo done >> finished"]'
        configure(world, app, keys, more=f"prepare = {prepare}\n{finish}")
        outcome = world.run("create", "notes")
        assert outcome.code == 1, outcome.err
    assert (app.root / "finished").read_text() == "done\ndone\n"
    assert not list(out.iterdir())
    assert not world.leftovers()


def test_a_failing_finish(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """A finish that fails leaves a good archive and exit code 3, so that somebody looks."""
    configure(world, app, keys, more='finish = ["false"]')
    outcome = world.run("create", "notes")
    assert outcome.code == 3 and "finish failed" in outcome.err
    assert world.run("verify", outcome.out.strip(), "-i", keys.identity).code == 0


def test_databases_by_glob(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """Next week's workspace is in next week's archive; one that vanished is said."""
    for name in ("one", "two"):
        (app.root / "spaces" / name).mkdir(parents=True)
        with closing(sqlite3.connect(app.root / "spaces" / name / "data.db")) as made:
            made.execute("CREATE TABLE t (x)")
    glob = '[apps.notes.databases.space]\nglob = "spaces/{name}/data.db"\nminimum = 1'
    configure(world, app, keys, databases=glob)
    archive = created(world.run("create", "notes"))
    assert world.run("cat", archive, "spaces/two/data.db", "-i", keys.identity).code == 0
    (app.root / "spaces" / "two" / "data.db").unlink()
    outcome = world.run("create", "notes")
    assert outcome.code == 0 and "spaces/two/data.db" in outcome.err
    (app.root / "spaces" / "one" / "data.db").unlink()
    assert world.run("create", "notes").code == 1


def test_counts_are_recorded_and_compared(
    world: World, app: SampleApp, keys: Keys, out: Path
) -> None:
    """An app's own figures are in the manifest, and verify compares them."""
    more = 'counts = {pairs = "SELECT count(*) FROM events"}\nmax_user_version = 7'
    configure(world, app, keys)
    text = world.config.read_text().replace('events = "events.db"', "")
    world.config.write_text(f'{text}\n[apps.notes.databases.events]\npath = "events.db"\n{more}\n')
    archive = created(world.run("create", "notes"))
    outcome = world.run("--json", "inspect", archive, "-i", keys.identity)
    (record,) = [d for d in json.loads(outcome.out)["manifest"]["databases"] if d["counts"]]
    assert record["counts"] == [
        {"name": "pairs", "sql": "SELECT count(*) FROM events", "value": 50}
    ]
    assert world.run("verify", archive, "-i", keys.identity).code == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[apps.notes]\ndatbases = {}", ("datbases", "databases")),
        ("[apps.notes]\nproof = 'yes'", ("proof",)),
        ("[apps.Notes]\n", ("Notes",)),
        ("[apps.notes\n", ("line 1",)),
        ("[apps.notes]\ncompress = 'gzip'", ("gzip", "zstd")),
    ],
)
def test_mistakes_in_the_file(world: World, text: str, words: tuple[str, ...]) -> None:
    """A mistake in the configuration names the file and the place: exit code 2."""
    world.config.parent.mkdir(parents=True)
    world.config.write_text(text)
    outcome = world.run("create", "notes")
    assert outcome.code == 2
    for word in ("config.toml", *words):
        assert word in outcome.err


def test_no_file(world: World) -> None:
    """Without a configuration a name leads to a sentence, not to a traceback."""
    outcome = world.run("create", "notes")
    assert outcome.code == 2 and "config init" in outcome.err


def test_init_and_check(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """`config init` writes an example that checks out and is never overwritten; check finds all."""
    assert world.run("config", "init").code == 0
    assert world.run("config", "init").code == 2
    assert world.run("config", "check").code == 0
    configure(world, app, keys)
    outcome = world.run("config", "check")
    assert outcome.code == 0 and "notes: ready" in outcome.out
    app.events.unlink()
    out.rmdir()
    outcome = world.run("config", "check", "notes")
    assert outcome.code == 2
    assert "events.db" in outcome.out and "destination" in outcome.out
    assert world.run("--json", "config", "check").code == 2
