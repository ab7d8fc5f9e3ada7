"""What keeps an archive out of a live application: each guard fires, and nothing is changed."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from conftest import Keys, World
from live_app import LiveApp, execute, script, toml
from sample_app import SampleApp

from agebackup.operations.answering import facts_of


@pytest.fixture
def live(world: World, app: SampleApp, keys: Keys) -> LiveApp:
    """The declared application; each test makes the archive that it needs."""
    live = LiveApp(world, app, keys, world.directory / "out")
    live.declare()
    return live


def refused(live: LiveApp, said: str, *flags: object, code: int = 13) -> None:
    """A restore is refused, saying so; not a byte of the application is changed."""
    before, kept = live.state(), live.kept()
    done = live.restore(*flags)
    assert done.code == code, (done.code, done.err)
    assert said in done.err
    assert live.state() == before and live.kept() == kept
    assert not live.world.leftovers()


@contextmanager
def holding(database: Path, statement: str) -> Iterator[int]:
    """Let another process have `database` open, having run `statement` on it; yield its number."""
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute(sys.argv[2]).fetchall(); print('open', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, database, statement],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdin
    process.stdout.readline()
    try:
        yield process.pid
    finally:
        process.communicate()


@pytest.mark.parametrize("statement", ["SELECT 1 FROM entries", "BEGIN IMMEDIATE"])
def test_a_process_that_has_a_database_open(live: LiveApp, statement: str) -> None:
    """An application that is at work, or merely there, is found and named."""
    live.create()
    with holding(live.app.ledger, statement) as pid:
        done = live.restore()
        assert done.code == 13, done.err
        assert f"process {pid}" in done.err and str(live.app.ledger) in done.err
        assert not live.kept()
    assert live.restore().code == 0


def test_running(live: LiveApp) -> None:
    """`running` that ends with 0, or cannot tell, refuses; any other code lets pass."""
    live.create()
    for command, said in (
        (toml("true"), "still running"),
        (toml(live.world.directory / "absent"), "cannot be found out"),
        ('{argv = ["sleep", "60"], seconds = 0.2}', "cannot be found out"),
    ):
        live.declare(f"running = {command}\n")
        refused(live, said)
    live.declare(f"running = {toml('false')}\n")
    assert live.restore().code == 0


def test_pause_and_resume(live: LiveApp) -> None:
    """`pause` runs before the exchange, `resume` after it, after every failure too; where `pause`
    fails nothing is changed."""
    log = live.world.directory / "log"
    say = {word: toml("sh", "-c", f"echo {word} >> {log}") for word in ("pause", "resume")}
    both = f"pause = {say['pause']}\nresume = {say['resume']}\n"
    live.declare(both)
    live.create()
    assert live.restore().code == 0
    assert log.read_text().split() == ["pause", "resume"]
    log.unlink()
    live.world.run("restore", "--undo", "notes", "--yes")
    assert log.read_text().split() == ["pause", "resume"]
    log.unlink()
    live.declare(both + f"running = {toml('true')}\n")
    refused(live, "still running")
    assert log.read_text().split() == ["pause", "resume"]
    live.declare(f"pause = {toml('false')}\nresume = {say['resume']}\n")
    log.unlink()
    refused(live, "false", code=1)
    assert log.read_text().split() == ["resume"]


def test_resume_that_fails(live: LiveApp) -> None:
    """A `resume` that fails after the exchange is a problem (4), and with --rollback-on-failure the
    state before is back (1)."""
    live.declare(f"pause = {toml('true')}\nresume = {toml('false')}\n")
    live.create()
    live.change()
    before = live.state()
    done = live.restore()
    assert done.code == 4 and "resume failed" in done.err and live.entries == 50
    assert live.world.run("restore", "--undo", "notes", "--yes").code == 0
    assert live.state() == before
    done = live.restore("--rollback-on-failure")
    assert done.code == 1 and live.state() == before, done.err


@pytest.mark.parametrize(
    ("made_by", "limits", "said"),
    [
        ("notes 1.7.9", 'min_app_version = "1.8"', "version 1.7.9 of the application, older"),
        ("v2.5.0", 'max_app_version = "2.4"', "version 2.5.0 of the application, newer than 2.4"),
        ("2.0-rc1", 'min_app_version = "2.0"', "older than 2.0"),
        ("2.0-x", 'min_app_version = "2.0-y"', "Nobody can tell"),
        ("", 'min_app_version = "1"', "does not say which version"),
        ("unknown", 'max_app_version = "1"', "does not say which version"),
    ],
)
def test_the_version_of_the_application(
    live: LiveApp, made_by: str, limits: str, said: str
) -> None:
    """An archive of a version outside the limits, or of none that can be compared, is refused."""
    live.declare(limits, keys=f'version = "{made_by}"')
    live.create()
    refused(live, said)
    assert live.restore("--ignore-gate", "app-version").code == 0


def test_the_version_that_is_installed(live: LiveApp) -> None:
    """With "installed" an archive of a newer version than the application has now is refused."""
    version = live.world.directory / "version"
    version.write_text("notes 2.1\n")
    live.declare('max_app_version = "installed"', keys=f"version = {toml('cat', version)}")
    live.create()
    version.write_text("notes 2.0\n")
    refused(live, "newer than 2.0")
    version.write_text("notes 2.1.7\n")
    assert live.restore().code == 0
    version.unlink()
    assert live.restore().code == 13


def test_a_schema_that_the_application_does_not_know(live: LiveApp) -> None:
    """With schema_sha256 only archives of these schemas pass."""
    live.create()
    rules = "[apps.notes.restore.databases.events]\nschema_sha256 = "
    live.declare(rules + toml("0" * 64))
    refused(live, "schema that the application does not know")
    known = str(facts_of(live.app.events)["schema_sha256"])
    live.declare(rules + toml("0" * 64, known))
    assert live.restore().code == 0


def test_a_newer_user_version(live: LiveApp) -> None:
    """A database from the future is refused by the configuration, and by the flag."""
    live.create()
    refused(live, "user_version 3, newer than the 2", "--max-user-version", "ledger=2")
    text = live.world.config.read_text()
    table = '{path = "ledger.db", max_user_version = 2}'
    live.world.config.write_text(text.replace('ledger = "ledger.db"', f"ledger = {table}"))
    refused(live, "user_version 3, newer than the 2")


def gate(live: LiveApp, text: str) -> None:
    """Declare the gate `format`."""
    live.declare(f"[apps.notes.restore.gates]\nformat = {text}")


def test_a_gate_that_a_command_answers(live: LiveApp) -> None:
    """A recorded value that is newer than what the application says now is refused; an older one
    passes, unless they must be equal."""
    now = live.world.directory / "format"
    asked = f"argv = {toml('cat', now)}"
    now.write_text("10\n")
    gate(live, f"{{{asked}}}")
    live.create()
    now.write_text("9\n")
    refused(live, "the archive has 10, the application here 9, which is older")
    now.write_text("11\n")
    gate(live, f'{{{asked}, compare = "equal"}}')
    refused(live, "which must be equal")
    gate(live, f"{{{asked}}}")
    assert live.restore().code == 0
    now.write_text("blue\n")
    refused(live, "nobody can tell which is newer")
    now.unlink()
    refused(live, "present value cannot be had")
    assert live.restore("--ignore-gate", "format").code == 0


def test_a_gate_that_a_database_answers(live: LiveApp) -> None:
    """The live database is asked, and neither it nor what lies beside it is changed by that."""
    gate(live, '{database = "ledger", sql = "PRAGMA user_version"}')
    live.create()
    execute(live.app.ledger, "PRAGMA user_version = 2")
    refused(live, "the archive has 3, the application here 2")
    live.app.ledger.unlink()
    done = live.restore("--no-safety")
    assert done.code == 0, done.err


def test_a_gate_that_no_archive_recorded(live: LiveApp) -> None:
    """An archive from before the gate was declared, or made while it failed, is refused."""
    live.create()
    gate(live, f"{{argv = {toml('echo', '1')}}}")
    refused(live, "was not recorded")
    gate(live, f"{{argv = {toml('false')}}}")
    done = live.world.run("create", "notes")
    assert done.code == 0 and "gate format is not recorded" in done.err
    gate(live, f"{{argv = {toml('echo', '1')}}}")
    refused(live, "was not recorded")


def test_the_check_that_fails(live: LiveApp) -> None:
    """A failing check is told with what it said and how to go back (4); with
    --rollback-on-failure the state before is back byte for byte (1)."""
    check = script(live.world.directory, "check", "echo heads differ; exit 3")
    log = live.world.directory / "log"
    say = {word: toml("sh", "-c", f"echo {word} >> {log}") for word in ("pause", "resume")}
    live.declare(f"pause = {say['pause']}\nresume = {say['resume']}\ncheck = {toml(check)}\n")
    live.create()
    live.change()
    before = live.state()
    done = live.restore("--rollback-on-failure")
    assert done.code == 1, done.err
    assert "heads differ" in done.err and "rolled back" in done.err
    assert live.state() == before
    assert log.read_text().split() == ["pause", "resume"] * 2
    done = live.restore()
    assert done.code == 4 and "restore --undo notes" in done.err and live.entries == 50
    assert live.world.run("restore", "--undo", "notes", "--yes").code == 0
    assert live.state() == before


def test_a_rollback_that_cannot_be(live: LiveApp) -> None:
    """Where the application took hold of the restored state, the way back is refused, and said."""
    started = live.world.directory / "started"
    program = script(
        live.world.directory,
        "start",
        f"""
        nohup {sys.executable} -c "
import sqlite3, time
c = sqlite3.connect('{live.app.ledger}'); c.execute('SELECT 1 FROM entries').fetchall()
open('{started}', 'w').close(); time.sleep(30)" >/dev/null 2>&1 &
        echo $! > {live.world.directory / "pid"}
        while ! test -e {started}; do :; done""",
    )
    live.declare(f"resume = {toml(program)}\ncheck = {toml('false')}\n")
    live.create()
    done = live.restore("--rollback-on-failure")
    subprocess.run(["kill", (live.world.directory / "pid").read_text().strip()], check=True)
    assert done.code == 4 and "The way back failed" in done.err, done.err
    assert live.world.run("restore", "--undo", "notes", "--yes").code in (0, 13)


def test_a_migration(live: LiveApp) -> None:
    """`migrate` works on the staged copies only; new tables are listed; what it leaves in a -wal is
    taken in."""
    program = script(
        live.world.directory,
        "migrate",
        f"""{sys.executable} - <<'END'
import os, sqlite3
c = sqlite3.connect("ledger.db")
c.execute("CREATE TABLE tags (entry INTEGER)")
c.execute("INSERT INTO tags SELECT id FROM entries")
c.execute("PRAGMA user_version = 4")
c.commit()
os._exit(0)
END
test -e ledger.db-wal""",
    )
    live.declare(f"migrate = {toml(program)}\n")
    live.create()
    live.change()
    done = live.restore()
    assert done.code == 0, done.err
    assert "new tables: tags" in done.err
    with closing(sqlite3.connect(live.app.ledger)) as connection:
        assert connection.execute("SELECT count(*) FROM tags").fetchone() == (50,)
        assert connection.execute("PRAGMA user_version").fetchone() == (4,)
    assert not live.kept()[0].with_name("ledger.db-journal").exists()


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("echo broken >&2; exit 3", 1, "migrate failed"),
        ("exec sleep 60", 1, "was not done in"),
        ("sqlite3 ledger.db 'DELETE FROM entries WHERE id = 7'", 4, "table entries has 49 rows"),
        ("sqlite3 ledger.db 'DROP TABLE entries'", 4, "table entries is gone"),
        ("rm ledger.db", 4, "left no database ledger"),
        ("rm ledger.db; ln -s events.db ledger.db", 4, "left no database ledger"),
        ("printf garbage | dd of=ledger.db bs=1 seek=4096 conv=notrunc", 4, "integrity_check"),
        ("sqlite3 new.db 'CREATE TABLE t(x)'", 4, "made a database new.db"),
        (
            "sqlite3 ledger.db 'CREATE TABLE p(i INTEGER PRIMARY KEY)' "
            "'CREATE TABLE c(i REFERENCES p)' 'INSERT INTO c VALUES (1)'",
            4,
            "broken foreign keys",
        ),
    ],
)
def test_a_migration_that_must_not_count(live: LiveApp, body: str, code: int, said: str) -> None:
    """A migration that fails, hangs, loses rows, or leaves what is no sound database changes
    nothing."""
    program = script(live.world.directory, "migrate", body)
    live.create()
    live.change()
    live.declare(f"migrate = {{argv = {toml(program)}, seconds = 3}}\n")
    refused(live, said, code=code)


def test_rows_that_may_be_lost(live: LiveApp) -> None:
    """`row_tolerance` allows a loss, by table or for all, in rows or percent; it is told."""
    program = script(
        live.world.directory, "migrate", "sqlite3 ledger.db 'DELETE FROM entries WHERE id < 3'"
    )
    live.create()
    for tolerance, code in (
        ("row_tolerance = 1", 4),
        ("row_tolerance = 2", 0),
        ('row_tolerance = "3%"', 4),
        ('row_tolerance = "4%"', 0),
        ("[apps.notes.restore.databases.ledger]\nrow_tolerance = {entries = 2}", 0),
        ("[apps.notes.restore.databases.ledger]\nrow_tolerance = {attachments = 2}", 4),
    ):
        live.declare(f"migrate = {toml(program)}\n{tolerance}\n")
        done = live.restore("--no-safety")
        assert done.code == code, (tolerance, done.err)
        assert code or "tolerated: table entries has 48 rows" in done.err


def test_what_a_migration_leaves_besides(live: LiveApp) -> None:
    """A file that belongs to no place is dropped, and said."""
    program = script(live.world.directory, "migrate", "echo done > migration.log")
    live.declare(f"migrate = {toml(program)}\n")
    live.create()
    done = live.restore()
    assert done.code == 0 and "dropped: migration.log" in done.err


HEADS = """[apps.notes.restore.databases.events]
heads = "SELECT kind, max(entry) FROM events GROUP BY kind"
"""


def test_heads(live: LiveApp) -> None:
    """Heads are recorded and compared: a migration that loses the newest event does not count."""
    live.declare(HEADS)
    live.create()
    live.change()
    done = live.restore()
    assert done.code == 0 and "heads as recorded: events" in done.err
    program = script(
        live.world.directory,
        "migrate",
        "sqlite3 events.db 'DELETE FROM events WHERE entry = (SELECT max(entry) FROM events)'",
    )
    live.declare(f"migrate = {toml(program)}\nrow_tolerance = 1\n{HEADS}")
    refused(live, "its heads differ", "--at", str(next(live.destination.glob("*[0-9a-f].tar.age"))),
            code=4)  # fmt: skip


def test_heads_that_cannot_be_recorded(live: LiveApp) -> None:
    """A query for heads that is none fails the backup, as counts do: better tonight than later."""
    for sql in ("SELECT x'00'", "SELECT nothing FROM events"):
        live.declare(f'[apps.notes.restore.databases.events]\nheads = "{sql}"\n')
        live.destination.mkdir(exist_ok=True)
        done = live.world.run("create", "notes")
        assert done.code == 1 and not list(live.destination.glob("*.age")), done.err


REPLAY = """rebuild = {rebuild}
[apps.notes.restore.databases.events]
role = "eventlog"
[apps.notes.restore.databases.ledger]
role = "state"
"""
REBUILD = """test ! -e ledger.db
sqlite3 ledger.db 'PRAGMA user_version = 3' \
'CREATE TABLE entries (id INTEGER PRIMARY KEY, account TEXT, cents INTEGER, note TEXT)' \
'CREATE TABLE attachments (path TEXT PRIMARY KEY, sha256 TEXT, bytes INTEGER)' \
"ATTACH 'events.db' AS log" \
"INSERT INTO entries SELECT entry, 'x', 1, body FROM log.events" """


def test_a_replay_from_the_log(live: LiveApp) -> None:
    """--from-log leaves the archive's state unopened, rebuilds it from the log, and compares it
    with what was recorded."""
    fill = ' "INSERT INTO attachments VALUES (1,1,1),(2,2,2),(3,3,3),(4,4,4),(5,5,5),(6,6,6),(7,7,7),(8,8,8)"'  # noqa: E501
    whole = script(live.world.directory, "rebuild", REBUILD + fill)
    live.declare(REPLAY.format(rebuild=toml(whole)))
    live.create()
    live.change()
    done = live.restore("--from-log")
    assert done.code == 0, done.err
    assert "rebuilt: ledger" in done.err and live.entries == 50
    with closing(sqlite3.connect(live.app.ledger)) as connection:
        assert connection.execute("SELECT DISTINCT account FROM entries").fetchall() == [("x",)]
    part = script(live.world.directory, "rebuild", REBUILD)
    live.declare(REPLAY.format(rebuild=toml(part)))
    done = live.restore("--from-log")
    assert done.code == 4 and "table attachments has 0 rows" in done.err
    more = script(
        live.world.directory, "rebuild", REBUILD + fill.replace("(8,8,8)", "(8,8,8),(9,9,9)")
    )
    live.declare(REPLAY.format(rebuild=toml(more)))
    done = live.restore("--from-log")
    assert done.code == 4 and "table attachments has 9 rows" in done.err
    none = script(live.world.directory, "rebuild", "true")
    live.declare(REPLAY.format(rebuild=toml(none)))
    done = live.restore("--from-log")
    assert done.code == 4 and "left no database ledger" in done.err


def test_an_application_that_starts_during_the_safety_archive(live: LiveApp) -> None:
    """What a timer starts while the present state is archived is found before the exchange."""
    here = live.world.directory
    runs, opened = here / "runs", here / "opened"
    runs.touch()
    program = (
        "import pathlib, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('SELECT 1 FROM entries').fetchall(); pathlib.Path(sys.argv[2]).touch();"
        "pathlib.Path(sys.argv[3]).read_text()"
    )
    end = here / "end"
    os.mkfifo(end)
    starts = script(
        here,
        "version",
        f"echo >> {runs}\n"
        f"if [ $(wc -l < {runs}) -eq 3 ]; then\n"  # create, restore, and the safety archive
        f'{sys.executable} -c "{program}" {live.app.ledger} {opened} {end} '
        "< /dev/null > /dev/null 2>&1 &\n"
        f"while [ ! -e {opened} ]; do :; done\nfi\necho 1.0",
    )
    live.declare(keys=f'version = ["{starts}"]')
    live.create()
    live.change()
    try:
        done = live.restore()
    finally:
        if opened.exists():
            end.write_text("")
    assert opened.exists() and done.code == 13, done.err
    assert f"has {live.app.ledger} open" in done.err
    assert live.entries == 10 and not live.kept()
