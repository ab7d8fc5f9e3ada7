"""A supervised run: recorded as it was, followed by pruning, and never failed by either."""

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from conftest import Keys, World
from nights import declare, events, keeping, last_run, script, told
from sample_app import SampleApp, command
from shelf import under
from web import answering, server

from agebackup.destinations.folder import listed_folder
from agebackup.errors import BusyError, FailedError
from agebackup.ledger import Ledger, open_ledger
from agebackup.model.command import Command
from agebackup.model.lastrun import Success, published_in, success_in
from agebackup.model.profile import Profile
from agebackup.model.records import ArchiveRecord, RunRecord
from agebackup.model.watch import Hooks, Watch
from agebackup.operations.hooks import Telling
from agebackup.operations.journal import Journal
from agebackup.operations.order import Order, Site
from agebackup.operations.record import Post, Recording
from agebackup.operations.supervision import Charge, OtherRunError, Supervision
from agebackup.system.claims import Claims
from agebackup.system.lock import exclusive
from agebackup.system.progress import Progress

COUNT = "retention = {count = 2}\n"
YESTERDAY = ("faketime", "--exclude-monotonic", "-f", "-1d")


def runs(world: World, app: str = "notes") -> tuple[RunRecord, ...]:
    with open_ledger(world.state / "ledger.db", make=False) as ledger:
        return ledger.runs(app)


def rows(world: World, app: str = "notes") -> tuple[ArchiveRecord, ...]:
    with open_ledger(world.state / "ledger.db", make=False) as ledger:
        return ledger.archives(app, deleted=True)


def archives(out: Path) -> set[str]:
    return {path.name for path in out.glob("*.age")}


def test_a_run_is_recorded(world: World, app: SampleApp, keys: Keys) -> None:
    """The ledger and last-run.json agree on when, how long, what came out, and by what versions."""
    out = declare(world, app, keys)
    before = datetime.now(UTC)
    assert world.run("create", "notes", "--manual").code == 0
    (run,) = runs(world)
    assert (run.app, run.kind, run.outcome, run.exit_code) == ("notes", "manual", "ok", 0)
    assert run.ended is not None and before <= run.begun <= run.ended <= datetime.now(UTC)
    assert {run.archive} == archives(out) and run.size == (out / run.archive).stat().st_size
    assert run.destination == str(out) and run.phase == "proving"
    assert run.versions["agebackup"] and run.versions["python"]
    report = last_run(world)
    assert report["run"] == run.id and report["kind"] == "manual"
    assert report["seconds"] == run.seconds and report["archive"] == run.archive
    file = world.state / "apps" / "notes.last-run.json"
    assert file.stat().st_mode & 0o777 == 0o600


def test_an_ad_hoc_run_is_recorded_too(world: World, app: SampleApp, keys: Keys) -> None:
    """Flags alone leave the same traces, a failure before the archive as well."""
    words = ("create", "--db", app.ledger, "--to", "out", "-r")
    assert world.run(*words, keys.recipient).code == 10
    (world.directory / "out").mkdir()
    assert world.run(*words, keys.recipient).code == 0
    assert world.run(*words, "age1nonsense").code == 2
    assert [run.exit_code for run in runs(world, "ledger")] == [2, 0, 10]
    assert last_run(world, "ledger")["last_success"]["archive"] == runs(world, "ledger")[1].archive


def test_a_dry_run_leaves_no_trace(world: World, app: SampleApp, keys: Keys) -> None:
    """Who only asks what would be done has not run anything."""
    declare(world, app, keys)
    assert world.run("create", "notes", "--dry-run").code == 0
    assert not events(world) and not (world.state / "ledger.db").exists()


def test_the_last_success_stays(world: World, app: SampleApp, keys: Keys) -> None:
    """Failures do not make last-run.json forget the last success, nor does a damaged file fail."""
    declare(world, app, keys)
    assert world.run("create", "notes").code == 0
    success = last_run(world)["last_success"]
    for _ in range(2):
        assert world.run("create", "notes", "--to", "/nowhere/at/all").code == 10
        assert last_run(world)["last_success"] == success
    (world.state / "apps" / "notes.last-run.json").write_bytes(b"\xff[" * 10_000)
    assert world.run("create", "notes", "--to", "/nowhere/at/all").code == 10
    assert last_run(world)["last_success"] is None


@pytest.mark.parametrize(
    "content",
    [b"", b"[", b"null", b"[]", b'{"last_success": 1}', b'{"last_success": {"time": []}}', b"\xff"],
)
def test_what_is_no_last_run(content: bytes) -> None:
    """Whatever another program made of the file, it tells of no success and raises nothing."""
    assert success_in(content) is None and published_in(content) is None


def test_what_a_last_run_tells() -> None:
    """The last success is read back; an incomplete archive counts as published."""
    then, later = "2026-11-21T03:00:00Z", "2026-11-22T03:00:00Z"
    fields = {"outcome": "incomplete", "begun": later, "last_success": {"time": then}}
    content = json.dumps(fields).encode()
    assert success_in(content) == Success(datetime(2026, 11, 21, 3, tzinfo=UTC), "")
    assert published_in(content) == datetime(2026, 11, 22, 3, tzinfo=UTC)


def test_pruned_after_success(world: World, app: SampleApp, keys: Keys) -> None:
    """After each success the policy is followed: said, logged with the reason, in the report."""
    out = declare(world, app, keys, COUNT)
    for _ in range(2):
        assert under(world, YESTERDAY, "create", "notes").code == 0
    first = archives(out)
    outcome = world.run("create", "notes")
    assert outcome.code == 0 and "pruned: 1" in outcome.err
    (gone,) = (first | {Path(outcome.out.strip()).name}) - archives(out)
    assert gone in outcome.err and len(archives(out)) == 2
    report = last_run(world)["pruning"]
    assert report == {"status": "done", "pruned": [gone], "message": ""}
    (event,) = [one for one in events(world) if one["event"] == "pruned"]
    assert event["archive"] == gone and "last 2" in event["message"]
    content = json.loads(world.run("create", "notes", "--json").out)["results"][0]
    assert content["pruning"]["status"] == "done" and len(content["pruning"]["pruned"]) == 1


def test_never_pruned_after_a_failure(world: World, app: SampleApp, keys: Keys) -> None:
    """A failed or incomplete run prunes nothing, whatever the policy says by now."""
    out = declare(world, app, keys)
    for _ in range(3):
        assert world.run("create", "notes").code == 0
    finish = script(world, "finish", "raise SystemExit(9)")
    world.config.write_text(world.config.read_text() + f"{COUNT}finish = {finish}\n")
    assert world.run("create", "notes").code == 3
    assert len(archives(out)) == 4 and last_run(world)["pruning"]["status"] == "none"
    app.ledger.write_bytes(b"no database")
    assert world.run("create", "notes").code == 1
    assert len(archives(out)) == 4 and not [one for one in rows(world) if one.deleted]


def test_pruned_only_where_it_was_declared(world: World, app: SampleApp, keys: Keys) -> None:
    """A folder that --to names for once is not pruned, nor what an ad hoc run left in any."""
    out = declare(world, app, keys, COUNT)
    other = world.directory / "usb"
    other.mkdir()
    for _ in range(3):
        assert world.run("create", "notes", "--to", other).code == 0
    words = ("--db", app.ledger, "--app", "notes", "--to", out, "-r", keys.recipient)
    for _ in range(3):
        assert under(world, YESTERDAY, "create", *words).code == 0
    assert len(archives(other)) == len(archives(out)) == 3
    link = world.directory / "link"
    link.symlink_to(out)
    assert world.run("create", "notes", "--to", link).code == 0
    assert len(archives(out)) == 2


def test_a_refused_prune_is_loud(world: World, app: SampleApp, keys: Keys) -> None:
    """Where more would go than max_prune allows, none does; the backup counts, and all are told."""
    hook = f"[apps.notes.hooks]\non_success = {keeping(world, 'good')}"
    out = declare(world, app, keys, f"retention = {{count = 1, max_prune = 1}}\n{hook}")
    assert world.run("create", "notes").code == 0
    with open_ledger(world.state / "ledger.db", make=False) as ledger:
        (row,) = ledger.archives("notes")
        for number in range(3):
            name = row.name.replace(row.id, f"0000000{number}")
            (out / name).write_bytes((out / row.name).read_bytes())
            ledger.put(replace(row, name=name, file_name=name, id=f"0000000{number}"))
    outcome = world.run("create", "notes")
    assert outcome.code == 0 and "more than 1" in outcome.err and len(archives(out)) == 5
    report = told(world, "good")
    assert report is not None and report["pruning"]["status"] == "refused"
    assert "more than 1" in report["pruning"]["message"]
    assert any("more than 1" in warning for warning in report["warnings"])
    assert "more than 1" in world.run("log").out


def grow(app: SampleApp) -> None:
    """Let the app have 500 more rows."""
    with closing(sqlite3.connect(app.ledger)) as connection:
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) "
            "INSERT INTO entries SELECT i, 'a', 1, 'x' FROM n"
        )
        connection.commit()


def shrink(app: SampleApp) -> None:
    """Let these rows be lost."""
    with closing(sqlite3.connect(app.ledger)) as connection:
        connection.execute("DELETE FROM entries WHERE id >= 1000")
        connection.commit()


@pytest.mark.parametrize("word", ["note", "refuse"])
def test_a_sudden_loss(world: World, app: SampleApp, keys: Keys, word: str) -> None:
    """Lost rows are said; with guard.shrink = "refuse" nothing is pruned while that lasts."""
    grow(app)
    out = declare(world, app, keys, f'{COUNT}guard = {{shrink = "{word}"}}')
    for _ in range(2):
        assert under(world, YESTERDAY, "create", "notes").code == 0
    shrink(app)
    outcome = world.run("create", "notes")
    assert outcome.code == 0 and "lost 89% of its rows" in outcome.err
    if word == "note":
        assert len(archives(out)) == 2 and last_run(world)["pruning"]["status"] == "done"
        return
    outcome = world.run("create", "notes")
    assert outcome.code == 0 and "lost 89% of its rows" in outcome.err
    assert len(archives(out)) == 4
    pruning = last_run(world)["pruning"]
    assert pruning["status"] == "held" and "guard.shrink" in pruning["message"]
    grow(app)
    assert world.run("create", "notes").code == 0
    assert last_run(world)["pruning"]["status"] == "done" and len(archives(out)) < 5


def test_a_deletion_is_finished(world: World, app: SampleApp, keys: Keys) -> None:
    """What a killed run had decided to delete goes at the beginning of the next one."""
    out = declare(world, app, keys, "retention = {count = 9}\n")
    for _ in range(2):
        assert world.run("create", "notes").code == 0
    with open_ledger(world.state / "ledger.db", make=False) as ledger:
        row = ledger.archives("notes")[-1]
        ledger.amend(row, deleted=datetime.now(UTC), deleted_why="pruned: x", pending="delete")
    assert world.run("create", "notes").code == 0
    assert row.name not in archives(out) and len(archives(out)) == 2
    assert not [one for one in rows(world) if one.pending]


@pytest.mark.linux
def test_a_folder_that_keeps_its_files(world: World, app: SampleApp, keys: Keys) -> None:
    """A prune that the folder refuses is a warning; the archive is there, and the exit code 0."""
    out = declare(world, app, keys, COUNT)
    for _ in range(2):
        assert under(world, YESTERDAY, "create", "notes").code == 0
    tracer = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=unlink,unlinkat"]
    tracer += ["-e", "inject=unlink,unlinkat:error=EACCES", "-P", str(out)]
    done = subprocess.run(
        [*tracer, *command(), "create", "notes"],
        cwd=world.directory,
        env=dict(world.env),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Pruning failed" in done.stderr and len(archives(out)) == 3
    assert last_run(world)["pruning"]["status"] == "failed"
    assert world.run("create", "notes").code == 0
    assert len(archives(out)) <= 3


@dataclass
class Held:
    """A run of `notes` whose ledger another process holds until `holder` is closed."""

    record: Recording
    ledger: Ledger
    holder: sqlite3.Connection
    warned: list[str]
    last_run: Path

    def fail(self) -> None:
        """Let the run end with a failure."""
        self.record.failed(FailedError("No room."), Telling(Hooks(), self.record.run.id))


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    warned: list[str] = []

    class Listening(Progress):
        def warn(self, text: str) -> None:
            warned.append(text)

    with open_ledger(tmp_path / "ledger.db", busy_seconds=0.05) as ledger:
        clock, last_run = partial(datetime.now, UTC), tmp_path / "x.json"
        post = Post(ledger, last_run, Journal(None, clock), Claims(tmp_path), clock)
        record = Recording("notes", "auto", post, Listening())
        with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            yield Held(record, ledger, holder, warned, last_run)


def test_a_locked_ledger(held: Held) -> None:
    """A ledger that somebody holds is given up after one wait, with one warning."""
    held.record.begin("/out")
    held.record.progress.phase("proving")
    held.fail()
    assert len(held.warned) == 1 and "ledger" in held.warned[0]
    report = json.loads(held.last_run.read_text())
    known = (report["outcome"], report["message"], report["phase"], report["warnings"])
    assert known == ("failed", "No room.", "proving", held.warned)


def test_a_ledger_that_is_busy_for_a_moment(held: Held) -> None:
    """What could not be written at once is written with what comes later, and nothing is said."""
    held.record.begin("/out")
    held.holder.close()
    held.fail()
    (run,) = held.ledger.runs("notes")
    assert (run.outcome, run.message, run.destination) == ("failed", "No room.", "/out")
    assert not held.warned


@pytest.mark.parametrize("kind", ["directory", "link", "newer"])
def test_an_impossible_ledger(world: World, app: SampleApp, keys: Keys, kind: str) -> None:
    """Without a ledger the archive is made, last-run.json and the log say what is lost."""
    out = declare(world, app, keys, COUNT)
    world.state.mkdir(parents=True)
    file = world.state / "ledger.db"
    if kind == "directory":
        file.mkdir()
    elif kind == "link":
        file.symlink_to(world.directory / "elsewhere")
    else:
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA user_version = 99")
    outcome = world.run("create", "notes")
    assert outcome.code == 0 and "ledger" in outcome.err, outcome.err
    assert len(archives(out)) == 1 and not (world.directory / "elsewhere").exists()
    assert any("ledger" in one for one in last_run(world)["warnings"])
    assert events(world)[-1]["outcome"] == "ok"
    assert world.run("create", "notes", "--to", "/nowhere").code == 10


def test_an_impossible_last_run(world: World, app: SampleApp, keys: Keys) -> None:
    """Where last-run.json cannot be written the archive is made all the same, with a warning."""
    out = declare(world, app, keys)
    (world.state / "apps" / "notes.last-run.json").mkdir(parents=True)
    outcome = world.run("create", "notes")
    assert outcome.code == 0 and "last-run.json" in outcome.err
    assert len(archives(out)) == 1 and runs(world)[0].outcome == "ok"


def busy() -> Order:
    raise BusyError("The source is locked.")


@pytest.mark.parametrize("meanwhile", ["made", "at work"])
def test_a_try_that_another_run_made_needless(tmp_path: Path, meanwhile: str) -> None:
    """No failed run stays behind it, nobody waits for its end, and no hook is called."""
    (tmp_path / "out").mkdir()
    clock, claims = partial(datetime.now, UTC), Claims(tmp_path / "claims")
    lock = tmp_path / "app.lock"
    site = Site(listed_folder(str(tmp_path / "out")), tmp_path, lock, claims)
    answers = iter([True, False])
    with server(answering(200)) as served, open_ledger(tmp_path / "ledger.db") as ledger:
        hooks = Hooks(on_failure=Command(("/nonexistent",), 5), healthcheck_url=served.address)
        profile = Profile("notes", base=tmp_path, watch=Watch(hooks=hooks))
        post = Post(ledger, tmp_path / "x.json", Journal(None, clock), claims, clock)
        charge = Charge(
            "notes", lambda: site, busy, profile, needed=lambda _: next(answers), waits=(0.01,)
        )
        run = Supervision(charge, post, Progress())
        assert run.attempt() is not None
        assert [one.outcome for one in ledger.runs("notes")] == ["failed"]
        if meanwhile == "made":
            assert run.attempt() is None and run.done is None
        else:
            other = exclusive(lock, wait_seconds=0, what="a run", progress=Progress())
            with other, pytest.raises(OtherRunError):
                run.attempt()
        assert not ledger.runs("notes") and not (tmp_path / "x.json").exists()
    ends = [body for _, path, body in served.seen if "/start" not in path]
    assert ends == ([b"notes: Another run made the archive."] if meanwhile == "made" else [])


def test_messages_fit_a_person(world: World, app: SampleApp, keys: Keys) -> None:
    """A failure with many findings is kept with the first of them, not with all."""
    (world.directory / "out").mkdir()
    outcome = world.run(
        *("create", "--db", app.ledger, "--attachments", app.blobs, "--to", "out"),
        *("-r", keys.recipient, "--referenced-by", "ledger: SELECT 'gone-' || id FROM entries"),
    )
    assert outcome.code == 1
    (run,) = runs(world, "ledger")
    assert "gone-1" in run.message and "more" in run.message and len(run.message) < 3000
