"""rekey: other keys open the archives, under their names, and everything else is as it was."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Keys, Outcome, World
from pseudo_terminal import on_terminal
from sample_app import PLAINTEXT_MARK, SampleApp, command
from system_faults import fault

from agebackup.ledger import open_ledger
from agebackup.model.records import ArchiveRecord
from agebackup.system.lock import exclusive
from agebackup.system.progress import Progress


@dataclass(frozen=True)
class Backups:
    """A machine whose folder `out` holds archives for the old key."""

    world: World
    app: SampleApp
    old: Keys
    new: Keys

    @property
    def folder(self) -> Path:
        return self.world.directory / "out"

    @property
    def archives(self) -> list[Path]:
        return sorted(self.folder.glob("*.age"))

    def create(self, *more: object) -> Path:
        """Make one more archive."""
        before = set(self.archives)
        source = ("--db", self.app.ledger, "--attachments", self.app.blobs, "--app", "notes")
        to = ("--to", "out", "--mkdir", "-r", self.old.recipient)
        done = self.world.run("create", *source, *to, *more)
        assert done.code == 0, done.err
        (made,) = set(self.archives) - before
        return made

    def rekey(self, *words: object, yes: bool = True) -> Outcome:
        """Run rekey from the old key to the new one."""
        keys = ("-i", self.old.identity, "-r", self.new.recipient)
        return self.world.run("rekey", *words, *keys, *(("--yes",) if yes else ()))

    def row(self, path: Path) -> ArchiveRecord:
        with open_ledger(self.world.state / "ledger.db") as ledger:
            rows = ledger.archives(deleted=True, pending=True)
        return next(row for row in rows if row.file_name == path.name)

    def findings(self) -> list[tuple[str, str]]:
        """Return severity and code of what a whole audit finds."""
        done = self.world.run("--json", "audit", "--full")
        found = json.loads(done.out)["findings"]
        return [(one["severity"], one["code"]) for one in found]


def plaintext(path: Path, keys: Keys) -> bytes | None:
    """Return what stock age makes of an archive; None where the key does not open it."""
    done = subprocess.run(["age", "-d", "-i", keys.identity, path], capture_output=True)
    if b"no identity matched" in done.stderr:
        return None
    assert done.returncode == 0, done.stderr
    return done.stdout


def sha256sum(path: Path) -> str:
    done = subprocess.run(["sha256sum", path], capture_output=True, check=True)
    return done.stdout.decode().split()[0]


@pytest.fixture
def backups(world: World, app: SampleApp, keys: Keys, other_keys: Keys) -> Backups:
    """A machine with one archive."""
    made = Backups(world, app, keys, other_keys)
    made.create()
    return made


def test_the_same_plaintext_for_the_new_key_alone(backups: Backups) -> None:
    """Stock age gives the same bytes as before with the new key, compressed ones too, and nothing
    with the old one; the names stay."""
    backups.create("--compress", "zstd")
    before = {path: plaintext(path, backups.old) for path in backups.archives}
    assert len(before) == 2 and None not in before.values()
    done = backups.rekey("notes", "--all")
    assert done.code == 0, done.err
    assert done.out.splitlines() == [str(path) for path in sorted(before)]
    assert {path: plaintext(path, backups.new) for path in backups.archives} == before
    assert not any(plaintext(path, backups.old) for path in backups.archives)
    assert not backups.world.leftovers()
    for path in before:
        assert path.stat().st_mode & 0o777 == 0o600
        assert backups.world.run("verify", path, "-i", backups.new.identity).code == 0


def test_the_ledger_follows(backups: Backups) -> None:
    """Time, id, number, tag and mark stay; both hashes are known; audit finds nothing wrong, and
    the next archive names the new file as the one before it."""
    (path,) = backups.archives
    assert backups.world.run("tag", path.name, "word").code == 0
    assert backups.world.run("keep", path.name).code == 0
    before, former = backups.row(path), sha256sum(path)
    assert before.recipients == (backups.old.recipient,)
    assert backups.rekey(path).code == 0
    row = backups.row(path)
    kept = ("name", "id", "time", "sequence", "series", "tag", "kept", "kind", "figures", "foreign")
    assert [getattr(row, one) for one in kept] == [getattr(before, one) for one in kept]
    assert (row.sha256, row.former, row.size) == (sha256sum(path), (former,), path.stat().st_size)
    assert (row.recipients, row.pending, row.bad) == ((backups.new.recipient,), "", False)
    assert row.proved and row.hashed and row.stanzas == ("X25519", "X25519")
    assert backups.findings() == []
    newer = backups.create()
    shown = backups.world.run("--json", "inspect", newer, "-i", backups.old.identity)
    previous = json.loads(shown.out)["manifest"]["previous"]
    assert previous == {"name": path.name, "sha256": sha256sum(path)}


def test_a_second_call_does_what_is_left(backups: Backups) -> None:
    """What has its new keys is not touched again; the rest is done."""
    backups.create()
    first, second = backups.archives
    assert backups.rekey(first).code == 0
    done_already = first.read_bytes()
    done = backups.rekey("notes", "--all")
    assert (done.code, done.out) == (0, f"{second}\n")
    assert f"{first.name} has these keys already." in done.err
    assert first.read_bytes() == done_already
    third = backups.rekey("notes", "--all", yes=False)
    assert (third.code, third.out) == (0, ""), "where nothing is left, nothing is asked"


def test_without_a_ledger_the_new_key_tells_what_is_done(backups: Backups) -> None:
    """In a folder that no ledger knows the old key alone cannot see it (12); with the new key it
    is seen; a set of recipients that is larger is another one."""
    (path,) = backups.archives
    shutil.rmtree(backups.world.state)
    assert backups.rekey("out/" + path.name).code == 0
    unseen = backups.rekey("out/" + path.name)
    assert unseen.code == 12 and "give the new key" in unseen.err
    content = path.read_bytes()
    assert backups.rekey(path, "-i", backups.new.identity).code == 0
    assert path.read_bytes() == content
    more = backups.rekey(path, "-i", backups.new.identity, "-r", backups.old.recipient)
    assert more.code == 0 and path.read_bytes() != content
    assert plaintext(path, backups.old) == plaintext(path, backups.new) is not None


def test_a_key_can_be_added(backups: Backups) -> None:
    """With the old recipient among the new ones both keys open it; a second call sees that."""
    (path,) = backups.archives
    assert backups.rekey(path, "-r", backups.old.recipient).code == 0
    assert plaintext(path, backups.old) == plaintext(path, backups.new) is not None
    content = path.read_bytes()
    assert backups.rekey(path, "-r", backups.old.recipient).code == 0
    assert path.read_bytes() == content


def test_ssh_keys_too(backups: Backups, tmp_path: Path) -> None:
    """From age to an SSH key and back; audit takes the other kind of recipient for what it is."""
    key = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    backups.create()
    first, second = backups.archives
    content = plaintext(first, backups.old)
    run = backups.world.run
    to_ssh = ("-i", backups.old.identity, "-r", f"{key}.pub", "--yes")
    assert run("rekey", first, *to_ssh).code == 0
    assert plaintext(first, Keys(key, "")) == content
    assert backups.row(first).stanzas == ("X25519", "ssh-ed25519")
    assert backups.findings() == []
    assert run("rekey", first, "-i", key, "-r", backups.new.recipient, "--yes").code == 0
    assert plaintext(first, backups.new) == content
    assert len(backups.row(first).former) == 2 and second.exists()


def test_what_is_damaged_stays_as_it_is(backups: Backups) -> None:
    """A damaged file, and one whose content breaks its promises though age finds it authentic, are
    refused (4) and left; the others are rekeyed all the same, and the worst counts."""
    good = backups.archives[0]
    shutil.rmtree(backups.world.state)
    names = ["notes-20260101T000000Z-0000000a.tar.age", "notes-20260101T000000Z-0000000b.tar.age"]
    cut, lying = (backups.folder / name for name in names)
    content = bytearray(good.read_bytes())
    content[-5000] ^= 1
    cut.write_bytes(content)
    tar = (plaintext(good, backups.old) or b"").replace(b"bag-info", b"bag-lies", 1)
    tar = tar.replace(PLAINTEXT_MARK.encode(), PLAINTEXT_MARK.upper().encode(), 1)
    subprocess.run(["age", "-r", backups.old.recipient, "-o", lying], input=tar, check=True)
    before = [path.read_bytes() for path in (cut, lying)]
    done = backups.rekey(*backups.archives)
    assert done.code == 4 and done.err.count("The archive was left as it is") == 1, done.err
    assert [path.read_bytes() for path in (cut, lying)] == before
    assert plaintext(good, backups.new) and not backups.world.leftovers()


def test_what_no_key_opens_is_refused(backups: Backups, tmp_path: Path) -> None:
    """12, and nothing happens."""
    (path,) = backups.archives
    before = path.read_bytes()
    words = ("-i", backups.new.identity, "-r", backups.old.recipient, "-r", backups.new.recipient)
    done = backups.world.run("rekey", path, *words, "--yes")
    assert done.code == 12 and path.name in done.err
    assert path.read_bytes() == before


def test_a_planted_archive_is_not_made_genuine(backups: Backups) -> None:
    """One for the old key in place of the archive that the ledger knows is refused (4): else its
    hash would become the ledger's."""
    (path,) = backups.archives
    planted = subprocess.run(
        ["age", "-r", backups.old.recipient],
        input=plaintext(path, backups.old),
        capture_output=True,
    ).stdout
    path.write_bytes(planted)
    done = backups.rekey(path)
    assert done.code == 4 and "not the archive that was written here" in done.err
    assert path.read_bytes() == planted and backups.row(path).former == ()


def test_an_old_copy_put_back_is_told_as_what_it_is(backups: Backups) -> None:
    """audit: the copy from before the rekey, whether or not its size is another one; verify, cat
    and get accept it with a warning; rekey does its work again."""
    (path,) = backups.archives
    old = path.read_bytes()
    assert backups.rekey(path, "-r", backups.old.recipient).code == 0
    path.write_bytes(old)
    assert backups.findings() == [("error", "rolled-back")]
    assert not backups.row(path).bad
    key = ("-i", backups.old.identity)
    target = ("--target", "restored")
    for words in (("verify", path), ("restore", path, *target), ("cat", path, "ledger.db")):
        done = backups.world.run(*words, *key)
        assert done.code == 0 and "from before the rekey" in done.err, done.err
    got = backups.world.run("get", path.name, "-o", "copy.age")
    assert got.code == 0 and "from before the rekey" in got.err
    assert backups.rekey(path).code == 0
    assert plaintext(path, backups.old) is None and backups.findings() == []
    assert backups.row(path).former[0] == sha256sum(backups.world.directory / "copy.age")
    assert len(backups.row(path).former) == 2


def test_the_old_files_can_be_kept(backups: Backups) -> None:
    """With --keep-old they lie there, byte for byte; a second call finds them there."""
    (path,) = backups.archives
    kept = backups.world.directory / "kept"
    kept.mkdir()
    old, number = path.read_bytes(), path.stat().st_ino
    shutil.copy(path, kept)
    done = backups.rekey(path, "--keep-old", "kept")
    assert done.code == 0 and (kept / path.name).read_bytes() == old, done.err
    os.unlink(kept / path.name)
    path.write_bytes(old)
    assert number != path.stat().st_ino
    again = backups.world.run(
        "--json",
        *("rekey", path, "--keep-old", "kept", "--yes"),
        *("-i", backups.old.identity, "-r", backups.new.recipient),
    )
    assert json.loads(again.out)["results"][0]["kept"] == f"kept/{path.name}"
    assert (kept / path.name).read_bytes() == old and path.read_bytes() != old


@pytest.mark.linux
def test_the_old_files_can_be_kept_on_another_disk(backups: Backups) -> None:
    """Another file system gets a copy that was synced and read back; its time stays."""
    (path,) = backups.archives
    old, time = path.read_bytes(), path.stat().st_mtime_ns
    kept = Path("/dev/shm") / f"agebackup-test-{os.getpid()}"
    kept.mkdir()
    try:
        assert kept.stat().st_dev != path.stat().st_dev
        assert backups.rekey(path, "--keep-old", kept).code == 0
        assert (kept / path.name).read_bytes() == old
        assert (kept / path.name).stat().st_mtime_ns == time
        assert [one.name for one in kept.iterdir()] == [path.name]
    finally:
        shutil.rmtree(kept)


def test_where_old_files_are_not_kept(backups: Backups) -> None:
    """Not over another file, nor in a destination, nor where there is no directory."""
    (path,) = backups.archives
    old = path.read_bytes()
    (backups.world.directory / "kept").mkdir()
    (backups.world.directory / "kept" / path.name).write_bytes(b"another")
    for where, code, words in (
        ("kept", 13, "exists and is another file"),
        ("out", 13, "is a destination of archives"),
        ("absent", 10, "no directory"),
        ("", 10, "no directory"),
    ):
        done = backups.rekey(path, "--keep-old", where)
        assert done.code == code and words in done.err, done.err
        assert path.read_bytes() == old
    shutil.rmtree(backups.world.state)
    own = backups.rekey(path, "--keep-old", "out")
    assert own.code == 13 and "in its own folder" in own.err and path.read_bytes() == old
    (backups.folder / "below").mkdir()
    backups.create()
    below = backups.rekey(path, "--keep-old", "out/below")
    assert below.code == 0 and "carries the old files too" in below.err


def test_a_person_is_asked(backups: Backups) -> None:
    """On a terminal the paths are shown and a yes is needed; elsewhere --yes."""
    (path,) = backups.archives
    old = path.read_bytes()
    keys = ("-i", backups.old.identity, "-r", backups.new.recipient)
    silent = backups.rekey(path, yes=False)
    assert silent.code == 2 and "--yes" in silent.err
    no = on_terminal(backups.world, "rekey", path, *keys).finish([("[y/N]", "n\n")])
    assert no.code == 1 and "Nothing was rekeyed." in no.raw and path.read_bytes() == old
    yes = on_terminal(backups.world, "rekey", path, *keys).finish([("[y/N]", "y\n")])
    assert yes.code == 0 and path.read_bytes() != old, yes.raw


def test_a_dry_run_changes_nothing(backups: Backups) -> None:
    """It names what would be rekeyed, and asks nothing."""
    (path,) = backups.archives
    old, row = path.read_bytes(), backups.row(path)
    done = backups.rekey("notes", "--all", "--dry-run", yes=False)
    assert (done.code, done.out) == (0, f"{path}\n")
    assert path.read_bytes() == old and backups.row(path) == row


def test_it_says_what_it_does_not_reach(backups: Backups) -> None:
    """Copies elsewhere, and a configuration that goes on encrypting to the old key."""
    backups.world.config.parent.mkdir(parents=True)
    text = (
        f'[apps.notes]\ndatabases = {{main = "{backups.app.ledger}"}}\n'
        f'destination = "{backups.folder}"\nrecipients = ["%s"]\n'
    )
    backups.world.config.write_text(text % backups.old.recipient)
    done = backups.rekey("notes", "--all")
    assert done.code == 0 and "Copies elsewhere stay readable with the old key" in done.err
    assert f"The configuration of notes still has {backups.old.recipient}" in done.err
    assert "None of the private keys that were given opens the new files" in done.err
    backups.world.config.write_text(text % backups.new.recipient)
    (path,) = backups.archives
    back = ("-i", backups.new.identity, "-r", backups.new.recipient, "-r", backups.old.recipient)
    done = backups.world.run("rekey", path, *back, "--yes")
    assert "lacks one of the new ones" in done.err and "None of the private" not in done.err
    assert "configuration" not in backups.rekey(path).err


def test_a_run_at_work_is_not_disturbed(backups: Backups) -> None:
    """11 while another run of the app holds its lock."""
    (path,) = backups.archives
    old = path.read_bytes()
    lock = backups.world.state / "locks" / "notes.lock"
    assert lock.exists()
    with exclusive(lock, wait_seconds=0, what="a test", progress=Progress()):
        assert backups.rekey(path).code == 11
    assert path.read_bytes() == old


def test_links_and_other_files_are_refused(backups: Backups) -> None:
    """Through a link nothing is replaced (13); what is no archive is no archive (4, 10)."""
    (path,) = backups.archives
    link = backups.world.directory / "link.age"
    link.symlink_to(path)
    assert backups.rekey("./link.age").code == 13 and link.is_symlink()
    (backups.world.directory / "text.age").write_text("text")
    assert backups.rekey("./text.age").code == 4
    assert backups.rekey("./absent.age").code == 10
    assert backups.rekey("nothing", "--all").code == 10


def test_what_is_wrongly_asked(backups: Backups) -> None:
    """Without archives, keys or recipients nothing is done (2)."""
    (path,) = backups.archives
    run, old = backups.world.run, path.read_bytes()
    key, recipient = ("-i", backups.old.identity), ("-r", backups.new.recipient)
    for words in (
        (*key, *recipient),
        (path, *key),
        (path, *recipient),
        (path, *key, "-r", "age1nonsense"),
        (path, *key, "-r", backups.old.identity),
        ("../x", "--all", *key, *recipient),
    ):
        assert run("rekey", *words, "--yes").code == 2, words
    assert path.read_bytes() == old


def test_a_file_of_a_chosen_name(backups: Backups) -> None:
    """What --to FILE.age wrote is found by --all, and its row follows."""
    target = ("--to", backups.folder / "latest.age")
    source = ("--db", backups.app.ledger, "--app", "notes", "-r", backups.old.recipient)
    assert backups.world.run("create", *source, *target).code == 0
    path = backups.folder / "latest.age"
    content = plaintext(path, backups.old)
    assert backups.rekey("notes", "--all").code == 0
    assert plaintext(path, backups.new) == content
    assert backups.row(path).sha256 == sha256sum(path) and backups.findings() == []


@pytest.fixture
def cut_off(backups: Backups) -> Iterator[Backups]:
    """A rekey that was killed when the new file was about to take the archive's name."""
    (path,) = backups.archives
    keys = ("-i", backups.old.identity, "-r", backups.new.recipient)
    under = fault("renameat2:signal=SIGKILL:when=1")
    killed = subprocess.run(
        [*under, *command(), "rekey", str(path), *map(str, keys), "--yes"],
        cwd=backups.world.directory,
        env=dict(backups.world.env),
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL
    assert backups.row(path).pending == "rekey"
    yield backups


@pytest.mark.linux
def test_the_next_rekey_settles_what_a_kill_left(cut_off: Backups) -> None:
    """The ledger says which of the two files lies there, then the rest is done; meanwhile audit
    notes that it was cut short, and verify accepts what lies there."""
    (path,) = cut_off.archives
    opened_by_old = plaintext(path, cut_off.old) is not None
    assert all(severity == "note" for severity, _ in cut_off.findings())
    key = cut_off.old if opened_by_old else cut_off.new
    assert cut_off.world.run("verify", path, "-i", key.identity).code == 0
    done = cut_off.rekey(path)
    assert done.code == 0, done.err
    row = cut_off.row(path)
    assert (row.pending, row.sha256, row.size) == ("", sha256sum(path), path.stat().st_size)
    assert len(row.former) == 1 and plaintext(path, cut_off.new)
    assert cut_off.findings() == [] and not cut_off.world.leftovers()


@pytest.mark.linux
def test_the_next_backup_settles_it_too(cut_off: Backups) -> None:
    """create looks which file lies there before it makes the next archive."""
    (path,) = cut_off.archives
    cut_off.create()
    row = cut_off.row(path)
    assert (row.pending, row.sha256, row.size) == ("", sha256sum(path), path.stat().st_size)
    assert cut_off.findings() == []


@pytest.mark.linux
def test_no_plaintext_is_written_to_a_disk(backups: Backups, tmp_path: Path) -> None:
    """Of all that is written anywhere only pipes between its own processes see the content."""
    (path,) = backups.archives
    log = tmp_path / "log"
    names = "trace=write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg"
    strace = ("strace", "-f", "-qq", "-y", "-s", "4000000", "-o", str(log), "-e", names)
    keys = ("-i", str(backups.old.identity), "-r", backups.new.recipient, "--yes")
    done = subprocess.run(
        [*strace, *command(), "rekey", str(path), *keys],
        cwd=backups.world.directory,
        env=dict(backups.world.env),
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in log.read_text().splitlines() if PLAINTEXT_MARK in line]
    assert lines and all("<pipe:" in line.split(",")[0] for line in lines)


@dataclass(frozen=True)
class Elsewhere:
    """The machine that holds the private key, and the folder that a cloud carries between both."""

    backups: Backups
    report: Path

    def rekey(self) -> None:
        """Rekey all archives there, and write the report."""
        home = self.backups.world.directory / "elsewhere"
        home.mkdir()
        env = {**self.backups.world.env, "HOME": str(home), "XDG_STATE_HOME": str(home / "state")}
        keys = ("-i", self.backups.old.identity, "-r", self.backups.new.recipient, "--yes")
        done = self.backups.world.run(
            "--json", "rekey", *self.backups.archives, *keys, env=env, cwd=home
        )
        assert done.code == 0, done.err
        self.report.write_text(done.out)


@pytest.fixture
def elsewhere(backups: Backups) -> Elsewhere:
    backups.create()
    return Elsewhere(backups, backups.world.directory / "report.json")


def test_the_machine_without_the_key_learns_of_it(elsewhere: Elsewhere) -> None:
    """The report of the machine that has the key is enough: audit is content again, and a second
    call finds that all is known."""
    backups, report = elsewhere.backups, elsewhere.report
    first, second = backups.archives
    before = [sha256sum(path) for path in (first, second)]
    elsewhere.rekey()
    assert {severity for severity, _ in backups.findings()} == {"error"}
    assert backups.row(first).bad
    done = backups.world.run("ledger", "rekeyed", report)
    assert (done.code, done.out) == (0, "2 of 2 known\n"), done.err
    row = backups.row(first)
    assert (row.sha256, row.former) == (sha256sum(first), (before[0],))
    assert (row.recipients, row.bad) == ((backups.new.recipient,), False)
    assert backups.findings() == []
    again = json.loads(backups.world.run("--json", "ledger", "rekeyed", report).out)
    assert [one["outcome"] for one in again["archives"]] == ["known", "known"]


def test_only_what_lies_there_is_learned(elsewhere: Elsewhere) -> None:
    """An old file that the cloud did not exchange yet, and a strange one, are told (4)."""
    backups, report = elsewhere.backups, elsewhere.report
    first, second = backups.archives
    old = first.read_bytes()
    elsewhere.rekey()
    first.write_bytes(old)
    second.write_bytes(b"something else")
    rows = [backups.row(path) for path in (first, second)]
    done = backups.world.run("--json", "ledger", "rekeyed", report)
    said = json.loads(done.out)
    assert (done.code, said["status"], said["exit"]) == (4, "failed", 4)
    assert [one["outcome"] for one in said["archives"]] == ["not-yet", "differs"]
    assert [backups.row(path) for path in (first, second)] == rows
    assert backups.world.run("ledger", "rekeyed", report).code == 4


def test_what_is_no_report_is_refused(elsewhere: Elsewhere) -> None:
    """Another file (2), none (2), and one about archives that the ledger does not know (10)."""
    world, report = elsewhere.backups.world, elsewhere.report
    assert world.run("ledger", "rekeyed", "absent.json").code == 2
    for text in ("", "{}", '{"schema": "agebackup/verify/v1", "results": []}', "[" * 100_000):
        report.write_text(text)
        done = world.run("ledger", "rekeyed", report)
        assert done.code == 2 and "no report of a rekey" in done.err, text[:40]
    result = '{"status": "ok", "archive": "x", "size": 1, "sha256": "%s", "former_sha256": "%s"}'
    text = '{"schema": "agebackup/rekey/v1", "results": [%s]}'
    report.write_text(text % (result % ("0" * 64, "short")))
    assert world.run("ledger", "rekeyed", report).code == 2
    report.write_text(text % (result % ("0" * 64, "1" * 64)))
    assert world.run("ledger", "rekeyed", report).code == 10
