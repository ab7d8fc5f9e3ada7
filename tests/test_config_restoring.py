"""[apps.NAME.restore]: what it means, and every wrong value is named by its key."""

import json
from pathlib import Path

import pytest
from live_app import LiveApp, execute, toml
from test_cli_inplace_guards import live as live

from agebackup.config import check
from agebackup.config.reading import parse_config
from agebackup.errors import UsageError
from agebackup.model.command import Command
from agebackup.model.profile import Profile
from agebackup.model.rules import DatabaseRules, Gate, RestoreRules, Tolerance

FILE = Path("/etc/agebackup/config.toml")
DATABASES = """
[apps.notes.databases]
ledger = "ledger.db"
[apps.notes.databases.w]
glob = "w/{name}.db"
"""


def profile(restore: str, before: str = "") -> Profile:
    """Return the app that the configuration declares with this below [apps.notes.restore]."""
    text = f"[apps.notes]\n{before}\n{DATABASES}\n[apps.notes.restore]\n{restore}\n"
    (found,) = parse_config(text.encode(), FILE, {}).apps
    return found


def test_without_the_table_nothing_is_asked() -> None:
    """An app without it can be restored in place: no command, no gate, no loss allowed."""
    assert profile("").restore == RestoreRules()


def test_every_key_has_its_meaning() -> None:
    """Commands are lists, tables, or lists of these; programs with a path are found from the app's
    base, also where they run elsewhere."""
    rules = profile(
        """
        pause = ["a", "b"]
        resume = {argv = ["c"], seconds = 5}
        running = ["d"]
        min_app_version = "1.2"
        max_app_version = "v3"
        migrate = [["./m", "1"], {argv = ["n"], seconds = 7}]
        rebuild = ["./r"]
        check = [["x"], ["y"]]
        row_tolerance = "2.5%%"
        [apps.notes.restore.gates]
        one = {argv = ["g"], compare = "equal"}
        two = {database = "ledger", sql = "SELECT 1"}
        [apps.notes.restore.databases.w]
        role = "eventlog"
        heads = "SELECT 2"
        schema_sha256 = "%s"
        row_tolerance = {t = 3}
        """
        % ("a" * 64)
    ).restore
    base = str(FILE.parent)
    assert rules == RestoreRules(
        pause=Command(("a", "b"), 300.0),
        resume=Command(("c",), 5.0),
        running=Command(("d",), 300.0),
        min_app_version="1.2",
        max_app_version="v3",
        gates=(
            Gate("one", "equal", command=Command(("g",), 10.0)),
            Gate("two", "not-newer", database="ledger", sql="SELECT 1"),
        ),
        databases={
            "w": DatabaseRules("eventlog", "SELECT 2", ("a" * 64,), {"t": Tolerance(rows=3)})
        },
        migrate=(Command((f"{base}/m", "1"), 300.0), Command(("n",), 7.0)),
        rebuild=(Command((f"{base}/r",), 300.0),),
        check=(Command(("x",), 300.0), Command(("y",), 300.0)),
        tolerance=Tolerance(percent=2.5),
    )


@pytest.mark.parametrize(
    ("restore", "key", "said"),
    [
        ("paus = []", "restore.paus", "Did you mean 'pause'"),
        ('pause = ["x"]', "restore", "'resume' is missing"),
        ("pause = []\nresume = ['x']", "restore.pause", "needs a program"),
        ("running = 7", "restore.running", "a list"),
        ("running = {argv = ['x'], seconds = 0}", "restore.running.seconds", ""),
        ("migrate = [['x'], []]", "restore.migrate.[1]", "needs a program"),
        ("migrate = [['x'], 7]", "restore.migrate", ""),
        ("min_app_version = 'new'", "restore.min_app_version", "no version"),
        ("max_app_version = 'installed'", "restore.max_app_version", "which version is installed"),
        ("row_tolerance = -1", "restore.row_tolerance", "no tolerance"),
        ("row_tolerance = '101%'", "restore.row_tolerance", "no tolerance"),
        ("row_tolerance = 'some'", "restore.row_tolerance", "no tolerance"),
        ("gates = {g = {}}", "restore.gates.g", "needs either"),
        ("gates = {g = {argv = ['x'], sql = 'y'}}", "restore.gates.g", "needs either"),
        ("gates = {g = {database = 'ledger'}}", "restore.gates.g", "needs either"),
        ("gates = {g = {database = 'ledgr', sql = ''}}", "restore.gates.g.database", "'ledger'"),
        ("gates = {g = {database = 'w', sql = ''}}", "restore.gates.g.database", "a glob"),
        ("gates = {g = {argv = ['x'], compare = 'older'}}", "restore.gates.g.compare", "not-newer"),
        ("databases = {x = {}}", "restore.databases.x", "no such database"),
        ("databases = {w = {role = 'log'}}", "restore.databases.w.role", "eventlog"),
        ("databases = {w = {schema_sha256 = 'x'}}", "databases.w.schema_sha256", "no SHA-256"),
        ("databases = {w = {row_tolerance = {t = 'x'}}}", "w.row_tolerance.t", "no tolerance"),
        ("databases = {w = {head = ''}}", "databases.w.head", "'heads'"),
    ],
)
def test_what_is_wrong_is_named(restore: str, key: str, said: str) -> None:
    """A wrong key or value is refused with its path, and the right one is hinted at."""
    with pytest.raises(UsageError) as refusal:
        profile(restore)
    assert key.replace(".[", "[") in refusal.value.message.replace(".[", "[")
    assert said in f"{refusal.value.message} {refusal.value.hint}"


def test_programs_that_are_not_there_are_found_out_by_day() -> None:
    """`config check` names every command of a restore that could not be run."""
    found = check(
        profile(
            """
            pause = ["absent-a"]
            resume = ["true"]
            migrate = [["true"], ["./absent-b"]]
            gates = {g = {argv = ["absent-c"]}}
            """
        ),
        search_path="/usr/bin:/bin",
    ).findings
    keys = {finding.key for finding in found if finding.key.startswith("restore")}
    assert keys == {"restore.pause", "restore.migrate[1]", "restore.gates.g"}


def test_the_manifest_records_gates_and_heads(live: LiveApp) -> None:
    """What is declared is asked when the archive is made, of the very copies that are in it."""
    said = toml("printf", " 7 \\nmore")
    live.declare(
        f"""
        [apps.notes.restore.gates]
        format = {{argv = {said}}}
        schema = {{database = "ledger", sql = "PRAGMA user_version"}}
        [apps.notes.restore.databases.events]
        heads = "SELECT kind, max(entry) FROM events GROUP BY kind"
        """
    )
    made = live.create()
    execute(live.app.ledger, "PRAGMA user_version = 9")
    shown = live.world.run("--json", "inspect", made, "-i", live.keys.identity)
    manifest = json.loads(shown.out)["manifest"]
    assert manifest["gates"] == [{"name": "format", "sql": "", "value": "7"}]
    ledger, events = manifest["databases"]
    assert ledger["gates"] == [{"name": "schema", "sql": "PRAGMA user_version", "value": 3}]
    assert events["heads"]["rows"] == [["entry", 50]]
    assert live.world.run("verify", made, "-i", live.keys.identity).code == 0
