"""Restores in place by the rules that profiles bring: what comes back, and what is refused."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from conftest import Keys, Outcome, World
from live_app import execute, script, toml, value
from profile_states import (
    DJANGO,
    FIREFOX,
    HOME_ASSISTANT,
    LIVESTORE,
    MSGVAULT,
    PAPERLESS,
    RAILS,
    STATES,
    VAULTWARDEN,
    WORK_BUDDY,
    WORKMEM,
    State,
)
from test_profiles import declared, dump

from agebackup.config import described, load_config, read_known
from agebackup.config.known import parse_known
from agebackup.errors import UsageError

NOWHERE, FILE = Path("/nowhere"), Path("/own/mine.toml")


@dataclass(frozen=True)
class Restored:
    """An application declared from its profile as the app `known`, at `root`."""

    world: World
    keys: Keys
    state: State
    root: Path

    @property
    def programs(self) -> Path:
        """A directory of programs that the application has, on PATH."""
        return self.world.home / "bin"

    def create(self) -> Path:
        made = self.world.run("create", "known")
        assert made.code == 0, made.err
        return Path(made.out.strip())

    def restore(self, *flags: object) -> Outcome:
        words = ("restore", "known", "--in-place", "--yes", "-i", self.keys.identity)
        return self.world.run(*words, *flags)

    def ruin(self) -> None:
        self.state.damage(self.root)

    def require_back(self, before: Mapping[str, list[str]]) -> None:
        assert {path: dump(self.root / path) for path in self.state.databases} == before
        found = {path: (self.root / path).read_bytes() for path in self.state.files}
        assert found == self.state.files

    def dumps(self) -> dict[str, list[str]]:
        return {path: dump(self.root / path) for path in self.state.databases}

    def make_fit(self, words: Mapping[str, str]) -> None:
        """Let what the profile suggests count, with `words` in place of what it cannot know."""
        text = self.world.config.read_text()
        text = re.sub(r"^#(?=(pause|resume|migrate|rebuild|check) = )", "", text, flags=re.M)
        for old, new in words.items():
            assert old in text
            text = text.replace(old, new)
        self.world.config.write_text(text)


def at_home(world: World) -> World:
    """Return `world` with the directory `bin` of its home on PATH."""
    (world.home / "bin").mkdir()
    return replace(world, env={**world.env, "PATH": f"{world.home / 'bin'}:{world.env['PATH']}"})


def known(world: World, keys: Keys, state: State) -> Restored:
    return Restored(world, keys, state, declared(world, keys, state))


@dataclass(frozen=True)
class Newer:
    """How the schema of the database at `path` is made newer by `sql`, which has a `{}` for
    `newer`, and `older` again; "" where the file before is put back."""

    path: str
    sql: str
    newer: str
    older: str
    gates: tuple[str, ...]


WORK_BUDDY_GATES = ("projects_schema", "entities_schema", "settings_schema", "tasks_schema")
STATES_IN_PLACE = [
    (WORK_BUDDY, Newer("db/projects.db", "PRAGMA user_version = {}", "8", "7", WORK_BUDDY_GATES)),
    (
        WORKMEM,
        Newer("memory.db", "UPDATE schema_migrations SET version = {}", "17", "16", ("schema",)),
    ),
    (
        HOME_ASSISTANT,
        Newer(
            "home-assistant_v2.db",
            "UPDATE schema_changes SET schema_version = {} WHERE schema_version > 40",
            *("42", "41", ("schema",)),
        ),
    ),
    (
        RAILS,
        Newer(
            "storage/production.sqlite3",
            "UPDATE schema_migrations SET version = '{}'",
            *("20270101000000", "20170806125915", ("schema",)),
        ),
    ),
    (
        DJANGO,
        Newer(
            "db.sqlite3",
            "INSERT INTO django_migrations (app, name, applied) VALUES ('{}', '0002', 0)",
            *("auth", "", ("migrations",)),
        ),
    ),
]


@pytest.mark.parametrize(
    ("state", "newer"), STATES_IN_PLACE, ids=lambda x: getattr(x, "profile", "")
)
def test_a_newer_schema_is_refused_and_what_was_ruined_comes_back(
    world: World, keys: Keys, state: State, newer: Newer
) -> None:
    """An archive of a schema that the application here does not know is not put into it. Where the
    database is too damaged to say what it knows, its gate can be ignored: everything comes back."""
    app = known(world, keys, state)
    database = app.root / newer.path
    content = database.read_bytes()
    execute(database, newer.sql.format(newer.newer))
    archived = app.dumps()
    app.create()
    if newer.older:
        execute(database, newer.sql.format(newer.older))
    else:
        database.write_bytes(content)
    before = app.dumps()
    done = app.restore("--no-safety")
    assert done.code == 13 and f"The gate {newer.gates[0]}: the archive has" in done.err, done.err
    assert f"--ignore-gate {newer.gates[0]}" in done.err and app.dumps() == before
    app.ruin()
    ignored = [word for gate in newer.gates for word in ("--ignore-gate", gate)]
    done = app.restore("--no-safety", *ignored)
    assert done.code == 0, done.err
    app.require_back(archived)
    assert list(world.directory.rglob("*.pre_restore_*"))


@pytest.mark.linux
@pytest.mark.parametrize(
    ("state", "name"),
    [(HOME_ASSISTANT, ".ha_run.lock"), (MSGVAULT, "daemon.lock")],
    ids=lambda one: getattr(one, "profile", one),
)
def test_an_application_that_holds_its_lock_is_at_work(
    world: World, keys: Keys, state: State, name: str
) -> None:
    """While Home Assistant, or msgvault's daemon, holds its lock nothing is replaced; the file
    alone, which stays behind, hinders nobody."""
    app = known(world, keys, state)
    before = app.dumps()
    app.create()
    with (app.root / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = app.restore()
        assert done.code == 13 and "known is still running" in done.err, done.err
    for path in state.files:
        (app.root / path).unlink()
    assert app.restore("--no-safety").code == 0
    app.require_back(before)


def test_firefox_that_locked_its_profile_is_at_work(world: World, keys: Keys) -> None:
    """While the process that Firefox's lock names lives, nothing is replaced; a lock that a crash
    left, of a process that is gone, hinders nobody."""
    app = known(world, keys, FIREFOX)
    before = app.dumps()
    app.create()
    lock = app.root / "lock"
    lock.symlink_to(f"127.0.1.1:+{os.getpid()}")
    done = app.restore()
    assert done.code == 13 and "known is still running" in done.err, done.err
    with subprocess.Popen(["true"]) as gone:
        pass
    lock.unlink()
    lock.symlink_to(f"127.0.1.1:+{gone.pid}")
    app.ruin()
    assert app.restore("--no-safety").code == 0
    app.require_back(before)


@pytest.mark.linux
def test_vaultwarden_at_work_is_not_overrun(world: World, keys: Keys) -> None:
    """While a process called vaultwarden runs nothing is replaced; afterwards all comes back."""
    app = known(world, keys, VAULTWARDEN)
    before = app.dumps()
    app.create()
    shutil.copy(shutil.which("cat") or "", world.home / "vaultwarden")
    with subprocess.Popen([world.home / "vaultwarden"], stdin=subprocess.PIPE):
        done = app.restore()
        assert done.code == 13 and "known is still running" in done.err, done.err
    app.ruin()
    done = app.restore("--no-safety", "--ignore-gate", "schema")
    assert done.code == 0, done.err
    app.require_back(before)
    assert (app.root / "rsa_key.pem").read_bytes() == b"secret", "what is withheld stays"
    assert not (app.root / "icon_cache").exists(), "what is derived is not there, and was told"


WORK_BUDDY_STAND_IN = """\
class Ladder:
    def __init__(self, newest, step):
        self.newest, self.step = newest, step

    def run(self, connection):
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version < self.newest:
            connection.execute(self.step)
            connection.execute("INSERT INTO _migration_history VALUES (99, '', '', '')")
            connection.execute(f"PRAGMA user_version = {self.newest}")
            connection.commit()

NAME = Ladder(NEWEST, "ALTER TABLE TABLE_OF ADD COLUMN later TEXT")
"""


def test_work_buddy_is_migrated_before_it_is_replaced(world: World, keys: Keys) -> None:
    """The suggested migration runs work-buddy's own ladders on the staged databases, its sidecar
    stopped and started around the exchange; and its running sidecar is noticed without them."""
    world = at_home(world)
    said = world.home / "said"
    status = f'echo "$1" >> {said}\ntest "$1" != status || test -e {world.home}/up'
    script(world.home / "bin", "wbuddy", status)
    library = world.home / "library"
    ladders = {
        "obsidian/tasks/migrations": ("TASK_MIGRATIONS", 12, "task_metadata"),
        "projects/migrations": ("PROJECT_MIGRATIONS", 8, "projects"),
        "entities/migrations": ("ENTITY_MIGRATIONS", 2, "entities"),
    }
    for path, (name, newest, table) in ladders.items():
        module = library / "work_buddy" / f"{path}.py"
        module.parent.mkdir(parents=True)
        text = WORK_BUDDY_STAND_IN.replace("NAME", name).replace("NEWEST", str(newest))
        module.write_text(text.replace("TABLE_OF", table))
    app = known(world, keys, WORK_BUDDY)
    app.create()
    (world.home / "up").touch()
    refused = app.restore()
    assert refused.code == 13 and "known is still running: wbuddy says so" in refused.err
    (world.home / "up").unlink()
    python = script(
        world.home / "bin", "python-of-wb", f'PYTHONPATH={library} exec {sys.executable} "$@"'
    )
    app.make_fit({"PYTHON-OF-WORK-BUDDY": str(python)})
    said.write_text("")
    done = app.restore()
    assert done.code == 0, done.err
    assert said.read_text().split() == ["stop", "status", "status", "start"]
    assert value(app.root / "db/task_metadata.db", "PRAGMA user_version") == 12
    assert value(app.root / "db/projects.db", "SELECT count(later) FROM projects") == 0
    assert value(app.root / "db/entities.db", "PRAGMA user_version") == 2
    assert value(app.root / "db/messages.db", "SELECT count(*) FROM messages") == 1


REPLAY = """\
import pathlib, sqlite3
for log in pathlib.Path().glob("*/eventlog@6.db"):
    ordered = "SELECT name FROM eventlog ORDER BY seqNumGlobal"
    events = sqlite3.connect(log).execute(ordered).fetchall()
    state = sqlite3.connect(log.with_name("state2746@6.db"))
    state.executescript(SCHEMA)
    for (name,) in events:
        state.execute(
            "INSERT INTO todos VALUES ('a', 'tea', 0)" if name == "todoCreated"
            else "UPDATE todos SET done = 1"
        )
    state.execute("INSERT INTO __livestore_state_head VALUES (1, ?, 0, 0)", (len(events),))
    state.commit()
"""


def one_state_each(state: State) -> State:
    return replace(state, databases={k: v for k, v in state.databases.items() if "1111" not in k})


def test_a_store_is_replayed_from_its_log(world: World, keys: Keys) -> None:
    """Without a command nobody can replay, and that is said; with the application's own the state
    is made from the event logs alone, and is what it was."""
    app = known(world, keys, one_state_each(LIVESTORE))
    before = app.dumps()
    app.create()
    none = app.restore("--from-log")
    assert none.code == 2 and "event log" in none.err
    schema = LIVESTORE.databases["one/state2746@6.db"].split("INSERT INTO __livestore_state_head")[
        0
    ]
    (world.home / "replay.py").write_text(REPLAY.replace("SCHEMA", repr(schema)))
    command = toml(sys.executable, world.home / "replay.py")
    app.make_fit({'["COMMAND-OF-THE-APPLICATION-THAT-REPLAYS"]': command})
    app.ruin()
    done = app.restore("--from-log", "--no-safety")
    assert done.code == 0, done.err
    app.require_back(before)


def test_a_store_that_lost_its_head_is_not_put_into_place(world: World, keys: Keys) -> None:
    """The event log's head is compared after all commands: a log that is not where it was is 4."""
    app = known(world, keys, LIVESTORE)
    app.create()
    before = app.dumps()
    moved = "UPDATE eventlog SET seqNumGlobal = 9 WHERE seqNumGlobal = 2"
    migrate = toml("sqlite3", "two/eventlog@6.db", moved)
    text = world.config.read_text()
    world.config.write_text(text.replace("#rebuild = ", f"migrate = {migrate}\n#rebuild = "))
    done = app.restore()
    assert done.code == 4 and "its heads differ" in done.err, done.err
    assert app.dumps() == before


MSGVAULT_STAND_IN = """\
case "$*" in
version) cat {home}/version ;;
*"daemon stop" | *"daemon start") echo "$*" >> {home}/said ;;
*"--local build-cache") mkdir -p "$2/analytics"; echo made > "$2/analytics/messages.parquet" ;;
*) exit 9 ;;
esac
"""


def test_msgvault_is_stopped_judged_and_gets_its_analytics_again(world: World, keys: Keys) -> None:
    """An archive of a newer msgvault is refused; else its daemon stands still meanwhile, and the
    analytics, which are in no archive, are made again."""
    world = at_home(world)
    version = world.home / "version"
    script(world.home / "bin", "msgvault", MSGVAULT_STAND_IN.format(home=world.home))
    version.write_text("msgvault v0.20.0\n")
    app = known(world, keys, MSGVAULT)
    app.create()
    version.write_text("msgvault v0.19.3\n")
    app.make_fit({})
    refused = app.restore()
    assert refused.code == 13 and "made by version 0.20.0" in refused.err, refused.err
    assert not (world.home / "said").exists()
    version.write_text("msgvault v0.20.0\n")
    done = app.restore()
    assert done.code == 0, done.err
    home = f"--home {app.root} daemon"
    assert (world.home / "said").read_text() == f"{home} stop\n{home} start\n"
    assert (app.root / "analytics" / "messages.parquet").read_text() == "made\n"
    assert (app.root / "config.toml").exists() and (app.root / "tokens").is_dir()


PAPERLESS_STAND_IN = """\
import os, pathlib, sqlite3, sys
root = pathlib.Path(__file__).resolve().parent.parent
assert pathlib.Path(os.environ["PAPERLESS_CONFIGURATION_PATH"]).exists()
data = pathlib.Path(os.environ.get("PAPERLESS_DATA_DIR", root / "data")).resolve()
database = sqlite3.connect(data / "db.sqlite3")
if sys.argv[1:] == ["migrate"]:
    assert (pathlib.Path(os.environ["PAPERLESS_MEDIA_ROOT"]) / "documents").is_dir()
    assert data != root / "data", "the live database"
    database.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('d', '0023', 0)")
    database.commit()
elif sys.argv[1:] == ["document_index", "reindex", "--recreate"]:
    titles = database.execute("SELECT title FROM documents_document ORDER BY id").fetchall()
    (data / "index" / "meta.json").write_text(repr(titles))
else:
    sys.exit(9)
"""


def installed(root: Path, version: str) -> None:
    """Say that this version of Paperless-ngx is installed below `root`, in its own words."""
    about = root / "src" / "paperless" / "version.py"
    about.parent.mkdir(parents=True, exist_ok=True)
    about.write_text(
        f"from typing import Final\n\n__version__: Final[tuple[int, int, int]] = ({version})\n"
        "# Version string like X.Y.Z\n"
        '__full_version_str__: Final[str] = ".".join(map(str, __version__))\n'
    )


def test_paperless_is_migrated_and_its_index_made_again(world: World, keys: Keys) -> None:
    """The suggested lines, made fit, migrate the staged database and not the live one, and make
    the index of what was restored; an archive of a newer version is refused."""
    root = world.directory / "state"
    installed(root, "3, 0, 5")
    app = known(world, keys, PAPERLESS)
    (root / "src" / "manage.py").write_text(PAPERLESS_STAND_IN)
    made = app.create()
    shown = world.run("--json", "inspect", made, "-i", keys.identity)
    assert json.loads(shown.out)["manifest"]["versions"]["app"] == "3.0.5"
    execute(root / "data" / "db.sqlite3", "UPDATE documents_document SET title = 'spoilt'")
    app.make_fit(
        {
            "PYTHON-OF-PAPERLESS": sys.executable,
            '"sudo", "-Hu", "paperless", ': "",
            "systemctl": "true",
        }
    )
    installed(root, "2, 20, 3")
    refused = app.restore("--no-safety")
    assert refused.code == 13 and "made by version 3.0.5" in refused.err, refused.err
    installed(root, "3, 0, 5")
    done = app.restore("--no-safety")
    assert done.code == 0, done.err
    assert value(root / "data" / "db.sqlite3", "SELECT count(*) FROM django_migrations") == 2
    assert {path: (root / path).read_bytes() for path in PAPERLESS.files} == PAPERLESS.files
    assert (root / "data" / "index" / "meta.json").read_text() == "[('Scan',), ('Old',)]"


@pytest.mark.parametrize(
    ("state", "program", "words"),
    [
        (DJANGO, "manage.py", "migrate --check"),
        (RAILS, "bin/rails", "db:abort_if_pending_migrations"),
    ],
    ids=["django", "rails"],
)
def test_migrations_that_are_due_are_told(
    world: World, keys: Keys, state: State, program: str, words: str
) -> None:
    """The suggested check asks the application whether the restored state has to be migrated: if
    so the exit code is 4, and the way back is told."""
    app = known(world, keys, state)
    (app.root / program).parent.mkdir(exist_ok=True)
    due = world.home / "due"
    script(app.root, program, f'test "$*" = "{words}" || exit 9\ntest ! -e {due}')
    app.create()
    app.make_fit({"PYTHON-OF-THE-PROJECT": "/bin/sh"} if state is DJANGO else {})
    due.touch()
    done = app.restore()
    assert done.code == 4 and "restore --undo known" in done.err, done.err
    due.unlink()
    assert app.restore().code == 0


def test_what_is_not_here_is_not_declared(world: World, keys: Keys) -> None:
    """Commands whose program is not installed, and rules of databases that are not there, are left
    out and named, so that the section is in order as it stands."""
    root = world.directory / "state"
    WORK_BUDDY.build(root)
    words = ("known", "--profile", "work-buddy", "--root", root, "-r", keys.recipient)
    done = world.run("config", "init", *words)
    assert done.code == 0 and "db/truth_registry.db, restore.running." in done.err, done.err
    assert "behind a #: restore.pause, restore.resume, restore.migrate." in done.err
    rules = load_config(world.config, world.env).app("known").restore
    assert {gate.database for gate in rules.gates} == {"tasks", "projects", "entities", "settings"}
    assert rules.running is None and not rules.migrate and not rules.pause
    assert '#pause = ["wbuddy", "stop"]' in world.config.read_text()


def test_the_root_is_written_into_commands(world: World, keys: Keys) -> None:
    """{root} in a profile of one's own becomes the root, whatever stands in it; what the person
    changes in the section counts."""
    own = world.config.parent / "profiles"
    own.mkdir(parents=True)
    (own / "mine.toml").write_text(
        "title = 'Mine'\nsummary = 'mine'\n[app]\nversion = ['cat', '{root}/version']\n"
        "finish = ['{root}/done', 'x={root}']\n"
        "[app.databases]\nx = 'x.db'\n[app.restore]\nmax_app_version = 'installed'\n"
        "pause = ['{root}/absent']\nresume = ['true']\nmigrate = [['true'], {argv = ['true']}]\n"
        "check = ['cat', '{root}/gone']\ngates.g = {argv = ['absent-program']}\n"
        "databases.x.row_tolerance = {t = 3}\n"
        "[suggested]\nrunning = ['pgrep', '{root}']\n"
    )
    root = world.directory / 'ro$ot "1'
    root.mkdir()
    execute(root / "x.db", "CREATE TABLE t (a)")
    words = ("--profile", "mine", "--root", root, "-r", keys.recipient, "--to", "out", "--mkdir")
    done = world.run("config", "init", "known", *words)
    gone = "version, restore.check, restore.gates.g, restore.pause, restore.resume."
    assert done.code == 0 and gone in done.err, done.err
    profile = load_config(world.config, world.env).app("known")
    assert profile.finish is not None
    assert profile.finish.argv == (f"{root}/done", f"x={root}")
    rules = profile.restore
    assert len(rules.migrate) == 2 and not rules.max_app_version and not rules.gates
    assert rules.databases["x"].tolerances["t"].rows == 3
    text = world.config.read_text()
    world.config.write_text(text.replace("#running", "running"))
    running = load_config(world.config, world.env).app("known").restore.running
    assert running is not None and running.argv == ("pgrep", str(root))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[app.restore]\npuase = ['x']", "app.restore.puase: there is no such key"),
        ("[app.restore]\npause = ['x']", "the key 'resume' is missing"),
        ("[app.restore.gates.g]\ndatabase = 'z'\nsql = 'x'", "no such database"),
        ("[suggested]\nmigrte = ['x']", "suggested.migrte: there is no such key"),
        ("[suggested]\npause = ['x']", "suggested: the key 'resume' is missing"),
        ("[suggested]\ngates = {}", "suggested.gates: a table cannot be suggested"),
        ("[app.restore]\ncheck = ['x']\n[suggested]\ncheck = ['y']", "app.restore' has it"),
    ],
)
def test_rules_that_do_not_fit_are_named(text: str, said: str) -> None:
    """What a profile says of restores is read as strictly as the configuration."""
    head = "title = 'Mine'\nsummary = 'mine'\n[app.databases]\na = 'a.db'\n"
    with pytest.raises(UsageError) as caught:
        parse_known(f"{head}{text}\n".encode(), FILE)
    assert said in caught.value.message


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.profile)
def test_suggestions_count_once_their_mark_is_gone(state: State) -> None:
    """Each suggested line, as it stands without its #, is understood; and only where there is one
    the section says that something is to be made fit."""
    one = read_known(state.profile, NOWHERE)
    text = described(one)
    lines = re.findall(r"^#(\w+) = ", text, re.MULTILINE)
    assert lines == list(one.suggested) and ("made fit" in text) == bool(lines)
    nested = re.sub(r"^\[(?!app)", "[app.", re.sub(r"^#(?=\w)", "", text, flags=re.M), flags=re.M)
    parsed = parse_known(f"title = 'x'\nsummary = 'x'\n[app]\n{nested}".encode(), FILE)
    assert parsed.app.get("restore", {}) == {**one.app.get("restore", {}), **one.suggested}
