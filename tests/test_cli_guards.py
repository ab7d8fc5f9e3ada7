"""Guards at the command line: each is shown to fire, and to let pass what it should."""

import fcntl
import json
import os
import re
import resource
import signal
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic
from typing import IO

import pytest
from conftest import Keys, Outcome, World
from hostile import Bag
from pseudo_terminal import protected
from sample_app import SampleApp, build, command, environment
from system_faults import OWN_MOUNTS
from waiting import until_locked

PASSPHRASE, WRONG_PASSPHRASE = "correct horse battery", "battery staple correct"
MIB = 1 << 20


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Path:
    """One good archive for all tests of this file, which only read it; one file has 2 MiB."""
    directory = tmp_path_factory.mktemp("guards")
    home = directory / "home"
    home.mkdir()
    (directory / "out").mkdir()
    app = build(directory / "app")
    (app.blobs / "large").write_bytes(os.urandom(2 * MIB))
    outcome = World(directory, home, environment(home)).run(
        *("create", *app.create_arguments, "--to", "out", "-r", keys.recipient)
    )
    return Path(published(outcome))


@pytest.fixture(scope="module")
def locked_key(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Path:
    """The private key, protected by the passphrase."""
    return protected(keys.identity, PASSPHRASE, tmp_path_factory.mktemp("key") / "locked.txt")


@pytest.fixture
def out(world: World) -> Path:
    directory = world.directory / "out"
    directory.mkdir()
    return directory


def published(outcome: Outcome) -> str:
    assert outcome.code == 0, outcome.err
    return outcome.out.strip()


def secret_of(identity: Path) -> str:
    (secret,) = (line for line in identity.read_text().split("\n") if line.startswith("AGE-"))
    return secret


@contextmanager
def typed(*lines: str) -> Iterator[tuple[tuple[str, ...], dict[str, object]]]:
    """Yield the flags and the options for a run that reads `lines` as its passphrase."""
    reading, writing = os.pipe()
    os.write(writing, "".join(f"{line}\n" for line in lines).encode())
    os.close(writing)
    try:
        yield ("--passphrase-fd", str(reading)), {"pass_fds": (reading,)}
    finally:
        os.close(reading)


def readers(archive: Path, identity: Path) -> list[tuple[object, ...]]:
    """Return a command line for every way of opening `archive`."""
    return [
        ("verify", archive, "-i", identity),
        ("verify", "--quick", archive),
        ("restore", archive, "-i", identity, "--target", "restored"),
        ("inspect", archive),
        ("inspect", archive, "-i", identity),
        ("ls", archive, "-i", identity),
        ("cat", archive, "ledger.db", "-i", identity),
    ]


# Core dumps


def allow_core_dumps() -> None:
    """Let a child write core dumps as far as this machine allows it."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def core_limits(process: "subprocess.Popen[str]") -> list[str]:
    text = Path(f"/proc/{process.pid}/limits").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("Max core file size"))
    return line.split()[4:6]


@pytest.mark.linux
@pytest.mark.parametrize("reader", ["verify", "restore", "recipient"])
def test_no_core_dump_when_a_key_is_read(
    world: World, pristine: Path, keys: Keys, reader: str
) -> None:
    """Before the first byte of a private key is in memory, core dumps are off, soft and hard."""
    fifo = world.directory / "key"
    os.mkfifo(fifo, 0o600)
    words = {"recipient": (), "verify": (pristine,), "restore": (pristine, "--target", "restored")}
    with world.start(*(reader, *words[reader], "-i", fifo), preexec_fn=allow_core_dumps) as process:
        with open_for_writing(fifo, process) as pipe:
            assert core_limits(process) == ["0", "0"]
            pipe.write(keys.identity.read_bytes())
        _, err = process.communicate()
    assert process.returncode == 0, err


@contextmanager
def open_for_writing(fifo: Path, reader: "subprocess.Popen[str]") -> Iterator[IO[bytes]]:
    """Open `fifo` as soon as `reader` has opened it to read."""
    while True:
        assert reader.poll() is None, reader.communicate()
        try:
            descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
            break
        except OSError:
            continue
    os.set_blocking(descriptor, True)
    with open(descriptor, "wb") as pipe:
        yield pipe


@pytest.mark.linux
def test_no_core_dump_while_a_key_is_held(world: World, pristine: Path, keys: Keys) -> None:
    """A process that has opened an archive with a private key writes no core dump at a crash."""
    words = ("cat", pristine, "attachments/large", "-i", keys.identity)
    with world.start(*words, preexec_fn=allow_core_dumps, text=False, errors=None) as process:
        assert process.stdout.read(1)
        assert core_limits(process) == ["0", "0"]
        process.kill()
        process.communicate()


@pytest.mark.linux
def test_no_core_dump_of_a_run(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """create, which reads everything and holds a key of its own for the proof, dumps no core."""
    words = ("create", *app.create_arguments, "--to", "out", "-r", keys.recipient)
    with closing(sqlite3.connect(app.events)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with world.start(*words, preexec_fn=allow_core_dumps) as process:
            until_locked(world, process)
            assert core_limits(process) == ["0", "0"]
            holder.rollback()
            _, err = process.communicate()
    assert process.returncode == 0, err


@pytest.mark.linux
def test_no_core_dump_when_a_key_is_made(world: World) -> None:
    """keygen has core dumps off before the private key is written."""
    log = world.directory / "strace.log"
    traced = ("strace", "-f", "-qq", "-o", str(log), "-s", "200", "-e", "trace=prlimit64,write")
    done = subprocess.run(
        [*traced, *command(), "keygen", "-o", "key.txt"],
        cwd=world.directory,
        env=dict(world.env),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    calls = log.read_text()
    log.unlink()
    off = calls.index("RLIMIT_CORE, {rlim_cur=0, rlim_max=0}")
    assert off < calls.index("AGE-SECRET-KEY-")


# Workspace


def with_mount(
    world: World, point: Path, *words: object, first: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run `agebackup WORDS…` where a tmpfs is mounted at `point` and `first` was done in it.

    Nobody else sees the mount. What is in it afterwards is listed at the end of stdout.
    """
    script = 'point=$1; shift; mount -t tmpfs -o size=32m none "$point" && cd "$point" || exit 99'
    script += f'\n{first}\ncd "$OLDPWD"; "$@"; code=$?; ls -A "$point"; exit $code'
    return subprocess.run(
        [*OWN_MOUNTS, "sh", "-c", script, "sh", point, *command(), *map(str, words)],
        cwd=world.directory,
        env=dict(world.env),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.linux
def test_a_workspace_in_memory_is_used_only_when_named(
    world: World, app: SampleApp, pristine: Path, keys: Keys, out: Path
) -> None:
    """Private copies go into memory only when --workspace says so; else the run is refused (2)."""
    world.cache.mkdir(parents=True)
    for words in (
        ("create", *app.create_arguments, "--to", out, "-r", keys.recipient),
        ("verify", pristine, "-i", keys.identity),
        ("cat", pristine, "ledger.db", "-i", keys.identity),
    ):
        done = with_mount(world, world.cache, *words)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert str(world.cache) in done.stderr and "--workspace" in done.stderr
        assert not list(out.iterdir())
    for words in (
        ("create", *app.create_arguments, "--to", out, "-r", keys.recipient),
        ("verify", pristine, "-i", keys.identity),
    ):
        done = with_mount(world, world.cache, *words, "--workspace", world.cache)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 1, "something is left in the workspace"


# Archives that are not there, targets that cannot be exchanged


def test_an_archive_that_is_only_in_the_cloud(world: World, pristine: Path, keys: Keys) -> None:
    """A file whose content the cloud client holds back is not there (10), but is not damaged."""
    archive = world.directory / pristine.name
    archive.touch()
    os.truncate(archive, pristine.stat().st_size)
    for words in readers(archive, keys.identity):
        outcome = world.run(*words)
        assert outcome.code == 10, (words, outcome.err)
        assert "in the cloud" in outcome.err and "download" in outcome.err
    assert not (world.directory / "restored").exists()


def test_an_archive_that_icloud_moved_away(world: World, pristine: Path, keys: Keys) -> None:
    """Where only iCloud's stand-in is left of an archive, the message says how to get it back."""
    archive = world.directory / pristine.name
    outcome = world.run("verify", archive, "-i", keys.identity)
    assert outcome.code == 10 and "iCloud" not in outcome.err
    archive.with_name(f".{archive.name}.icloud").write_bytes(b"bplist00")
    for words in readers(archive, keys.identity):
        outcome = world.run(*words)
        assert outcome.code == 10, (words, outcome.err)
        assert "iCloud" in outcome.err and "Finder" in outcome.err


@pytest.mark.linux
def test_a_mount_point_is_not_exchanged(world: World, pristine: Path, keys: Keys) -> None:
    """--overwrite does not exchange a mount point: refused (13), and its content stays."""
    target = world.directory / "restored"
    target.mkdir()
    words = ("restore", pristine, "-i", keys.identity, "--target", target, "--overwrite")
    done = with_mount(world, target, *words, first="touch mine")
    assert done.returncode == 13, done.stderr
    assert "mount point" in done.stderr
    assert done.stdout == "mine\n"
    assert os.listdir(world.directory) == ["restored"]
    assert not world.leftovers()


@pytest.mark.linux
def test_an_empty_mount_point_is_not_replaced(world: World, pristine: Path, keys: Keys) -> None:
    """A mount point is refused (13) as a target before anything is decrypted, empty or not."""
    target = world.directory / "restored"
    target.mkdir()
    words = ("restore", pristine, "-i", keys.identity, "--target", target)
    done = with_mount(world, target, *words)
    assert done.returncode == 13, done.stderr
    assert "mount point" in done.stderr


# finish and the proof


def configure(world: World, app: SampleApp, keys: Keys, *, more: str = "") -> Path:
    """Write a profile `notes` to the usual place; return that place."""
    world.config.parent.mkdir(parents=True, exist_ok=True)
    world.config.write_text(
        f'[apps.notes]\nroot = "{app.root}"\ndatabases = {{ledger = "ledger.db"}}\n'
        f'attachments = ["blobs"]\nrecipients = ["{keys.recipient}"]\n'
        f'destination = "{world.directory / "out"}"\n{more}\n'
    )
    return world.config


def configure_damage(world: World, app: SampleApp, keys: Keys) -> tuple[Path, Path]:
    """Let `finish` note what the destination holds, and damage the draft where it is told to.

    Return the file of notes, a line for each run and each name, and the one that tells it to.
    """
    out, notes, damage = (world.directory / name for name in ("out", "notes", "damage"))
    script = world.directory / "finish.sh"
    script.write_text(
        f'echo run >> "{notes}"; ls -A "{out}" >> "{notes}"\n'
        f'test ! -e "{damage}" || for draft in "{out}"/.~agebackup-*; do\n'
        '  printf XXXXXXXXXXXXXXXX | dd of="$draft" bs=1 seek=5000 conv=notrunc 2>/dev/null\n'
        "done\n"
    )
    configure(world, app, keys, more=f'finish = ["sh", "{script}"]')
    return notes, damage


def test_finish_runs_before_the_proof(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """finish runs once, when all was read: what befalls the draft from then on is still found."""
    notes, damage = configure_damage(world, app, keys)
    archive = published(world.run("create", "notes"))
    run, *names = notes.read_text().splitlines()
    assert run == "run" and [name for name in names if name.startswith(".~agebackup-")]
    assert Path(archive).name not in names
    os.unlink(archive)
    damage.touch()
    outcome = world.run("create", "notes")
    assert outcome.code == 1 and "failed its proof" in outcome.err
    assert notes.read_text().splitlines().count("run") == 2
    assert not [path for path in out.iterdir() if path.name.endswith(".age")]
    assert not world.leftovers()


# Environment and flags


def test_which_identity_counts(world: World, pristine: Path, keys: Keys, other_keys: Keys) -> None:
    """AGEBACKUP_IDENTITY_FILE names the private key; -i outranks it; an empty one is none."""

    def verify(variable: object, *flags: object) -> int:
        env = {**world.env, "AGEBACKUP_IDENTITY_FILE": str(variable)}
        return world.run("verify", pristine, *flags, env=env).code

    assert verify(keys.identity) == 0
    assert verify(other_keys.identity) == 12
    assert verify(other_keys.identity, "-i", keys.identity) == 0
    assert verify(keys.identity, "-i", other_keys.identity) == 12
    assert verify("") == 2
    env = {**world.env, "AGEBACKUP_IDENTITY_FILE": str(keys.identity)}
    assert published(world.run("recipient", env=env)) == keys.recipient
    assert "made by:" in world.run("inspect", pristine, env=env).out


def test_which_configuration_counts(world: World, app: SampleApp, keys: Keys) -> None:
    """--config, before or after the command, outranks AGEBACKUP_CONFIG, and that the usual file."""
    usual = configure(world, app, keys)
    flag, variable = world.directory / "flag.toml", world.directory / "variable.toml"
    for path in (flag, variable):
        path.write_text(usual.read_text())
    env = {**world.env, "AGEBACKUP_CONFIG": str(variable)}

    def used(*words: object, **options: object) -> str:
        outcome = world.run("--json", *words, **options)
        return str(json.loads(outcome.out)["file"])

    assert used("config", "check") == str(usual)
    assert used("config", "check", env={**world.env, "AGEBACKUP_CONFIG": ""}) == str(usual)
    assert used("config", "check", env=env) == str(variable)
    assert used("config", "check", "--config", flag, env=env) == str(flag)
    assert used("--config", flag, "config", "check", env=env) == str(flag)
    variable.unlink()
    outcome = world.run("create", "notes", "--dry-run", env=env)
    assert outcome.code == 2 and "variable.toml" in outcome.err


def test_quiet(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """-q leaves results, warnings and errors, and no other word, before or after the command."""
    create = ("create", *app.create_arguments, "--to", "out", "-r", keys.recipient)
    assert "Published" in world.run(*create).err
    outcome = world.run("-q", *create)
    archive = published(outcome)
    assert outcome.err == "" and Path(archive).is_file()
    outcome = world.run("verify", archive, "-i", keys.identity, "--quiet")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{archive}: sound\n", "")
    words = ("restore", archive, "-i", keys.identity, "--target", "restored", "-q")
    outcome = world.run(*words)
    assert outcome.code == 0 and outcome.err == "" and outcome.out.endswith("restored\n")
    outcome = world.run(*words)
    assert outcome.code == 13 and "not empty" in outcome.err
    exposed = world.directory / "exposed.txt"
    exposed.write_bytes(keys.identity.read_bytes())
    exposed.chmod(0o644)
    outcome = world.run("-q", "verify", archive, "-i", exposed)
    assert outcome.code == 0 and "can be read by others" in outcome.err


def test_verbose(world: World) -> None:
    """-v, before or after the command, shows where an unforeseen failure arose; else none does."""

    def run_nowhere(*words: str) -> "subprocess.CompletedProcess[str]":
        script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
        return subprocess.run(
            ["sh", "-c", script, "sh", *command(), *words],
            cwd=world.directory,
            env=dict(world.env),
            capture_output=True,
            text=True,
            check=False,
        )

    words = ("keygen", "-o", "key.txt")
    plain = run_nowhere(*words)
    assert plain.returncode == 1 and plain.stderr.startswith("agebackup: ")
    assert "Traceback" not in plain.stderr
    for done in (run_nowhere("-v", *words), run_nowhere(*words, "--verbose")):
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(plain.stderr + "Traceback ")


def test_no_progress_changes_nothing_in_a_job(world: World, pristine: Path, keys: Keys) -> None:
    """Without a terminal a run says the same with --no-progress and without, and draws nothing."""
    for flags in ((), ("--no-progress",)):
        outcome = world.run("verify", pristine, "-i", keys.identity, *flags)
        assert outcome.code == 0
        checked, origin = outcome.err.splitlines()
        assert checked.startswith("  checked: ") and origin.startswith("  Its origin is unproved")
        assert "\x1b" not in outcome.err and "\r" not in outcome.err


# Limits


def assert_beyond(outcome: Outcome, flag: str) -> None:
    assert outcome.code == 4, outcome.err
    assert re.search(rf"{flag}\b", outcome.err), outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize(
    "name", ["members", "total-bytes", "path-bytes", "depth", "tag-file-bytes", "manifest-bytes"]
)
def test_a_limit_can_be_lowered(world: World, pristine: Path, keys: Keys, name: str) -> None:
    """--max-… lowers what verify accepts, and the complaint (4) names the flag to raise."""
    words = ("verify", pristine, "-i", keys.identity, f"--max-{name}")
    assert_beyond(world.run(*words, 1), f"--max-{name}")
    assert world.run(*words, 1 << 40).code == 0


def test_the_limit_of_expansion(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """--max-expansion bounds how much a compressed archive may become."""
    for number in range(4):
        piece = os.urandom(MIB // 16)
        (app.blobs / f"repeated-{number}").write_bytes(piece * 17 * 16)
    archive = published(
        world.run(
            *("create", "--attachments", app.blobs, "--app", "x", "--compress", "zstd:1"),
            *("--to", "out", "-r", keys.recipient, "--no-proof"),
        )
    )
    words = ("verify", archive, "-i", keys.identity)
    assert world.run(*words).code == 0
    assert_beyond(world.run(*words, "--max-expansion", 2), "--max-expansion")


def test_the_limit_of_time(world: World, keys: Keys, out: Path) -> None:
    """A query in an archive that would never end is left after --max-seconds (4)."""
    archive = never_ending(world, keys)
    outcome = world.run("verify", archive, "-i", keys.identity, "--max-seconds", 1)
    assert outcome.code == 4 and "took longer than 1 second" in outcome.err
    assert not world.leftovers()


def never_ending(world: World, keys: Keys) -> Path:
    """Return an archive in which all is true, but for a count that is never at its end."""
    database = world.directory / "made.db"
    with closing(sqlite3.connect(database)) as made:
        made.execute("CREATE TABLE t (x)")
    words = ("--json", "create", "--db", database, "--to", "out", "-r", keys.recipient)
    (result,) = json.loads(published(world.run(*words)))["results"]
    (honest,) = result["manifest"]["databases"]
    published(world.run("restore", result["path"], "-i", keys.identity, "--target", "honest", "-q"))
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT count(*) FROM n"

    def lie(manifest: dict[str, object]) -> None:
        counts = [{"name": "never", "sql": endless, "value": 1}]
        manifest["databases"] = [honest | {"counts": counts}]

    content = (world.directory / "honest" / "made.db").read_bytes()
    bag = Bag({honest["path"]: content}, (honest["path"],), lie)
    archive = world.directory / "hostile.age"
    subprocess.run(["age", "-r", keys.recipient, "-o", archive], input=bag.stream(), check=True)
    return archive


# Completion in the shell


def test_completion(world: World) -> None:
    """The line that the README gives for ~/.bashrc completes commands and their options."""
    binaries = world.directory / "bin"
    binaries.mkdir()
    script = binaries / "agebackup"
    words = " ".join(f"'{word}'" for word in command())
    script.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    script.chmod(0o755)
    bashrc = 'eval "$(_AGEBACKUP_COMPLETE=bash_source agebackup)"'
    readme = Path(__file__).resolve().parent.parent / "README.md"
    assert bashrc in readme.read_text()

    def completed(*typed: str) -> set[str]:
        line = " ".join(f"'{word}'" for word in typed)
        asked = (
            f"{bashrc}\nCOMP_WORDS=(agebackup {line}); COMP_CWORD={len(typed)}\n"
            "complete -p agebackup >&2 && _agebackup_completion agebackup\n"
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            ["bash", "--norc", "-c", asked],
            env={**world.env, "PATH": f"{binaries}:{world.env['PATH']}"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert "_agebackup_completion" in done.stderr
        return set(done.stdout.split())

    assert completed("rec") == {"recipient", "recovery-sheet"}
    assert completed("config", "") == {"init", "check"}
    assert completed("create", "--no-p") == {"--no-proof", "--no-progress", "--no-push"}


# Waiting for another run


@contextmanager
def another_run(world: World) -> Iterator[IO[bytes]]:
    """Hold the lock that a run of the app `ledger` would hold; closing the file gives it back."""
    lock = world.state / "locks" / "ledger.lock"
    lock.parent.mkdir(parents=True, mode=0o700)
    with lock.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield held


def until_waiting(world: World, process: "subprocess.Popen[str]") -> None:
    """Wait until the run has the lock's file open, whose lock another one holds."""
    lock = str(world.state / "locks" / "ledger.lock")
    descriptors = Path(f"/proc/{process.pid}/fd")
    while process.poll() is None:
        for link in descriptors.iterdir():
            try:
                if os.readlink(link) == lock:
                    return
            except FileNotFoundError:
                continue
    raise AssertionError(process.communicate())


@pytest.mark.linux
def test_wait_for_another_run(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """With --wait a run waits for the other one of its app, and goes on when that has ended."""
    words = ("create", "--db", app.ledger, "--to", "out", "-r", keys.recipient, "--wait", 20)
    with another_run(world) as held, world.start(*words) as process:
        until_waiting(world, process)
        assert not list(out.iterdir())
        held.close()
        said, err = process.communicate()
    assert process.returncode == 0, err
    assert Path(said.strip()).is_file()


def test_wait_has_an_end(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """After so many seconds of --wait the run gives up (11); without it, at once."""
    words = ("create", "--db", app.ledger, "--to", "out", "-r", keys.recipient)
    with another_run(world):
        assert world.run(*words).code == 11
        begun = monotonic()
        outcome = world.run(*words, "--wait", 0.5)
        assert monotonic() - begun >= 0.5
    assert outcome.code == 11 and "another run of ledger" in outcome.err
    assert not list(out.iterdir())
    assert published(world.run(*words))


@pytest.mark.linux
def test_a_signal_ends_the_wait(world: World, app: SampleApp, keys: Keys, out: Path) -> None:
    """A run that waits for another one ends at once when it is told to."""
    words = ("create", "--db", app.ledger, "--to", "out", "-r", keys.recipient, "--wait", 20)
    with another_run(world), world.start(*words) as process:
        until_waiting(world, process)
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert not list(out.iterdir())


# Keys


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_keygen_makes_a_private_file(world: World, umask: int) -> None:
    """A new key file is 0600 whatever the umask is, and stock age-keygen reads it."""
    outcome = world.run("keygen", "-o", "key.txt", umask=umask)
    path = world.directory / "key.txt"
    assert path.stat().st_mode & 0o777 == 0o600
    derived = subprocess.run(["age-keygen", "-y", path], check=True, capture_output=True, text=True)
    assert published(outcome) == derived.stdout.strip()
    assert secret_of(path) not in outcome.err + outcome.out
    assert os.listdir(world.directory) == ["key.txt"]
    assert not world.leftovers()


def test_keygen_never_overwrites(world: World, keys: Keys) -> None:
    """What lies where the key should go stays as it is: refused (13), a dangling link included."""
    taken = world.directory / "key.txt"
    taken.write_bytes(keys.identity.read_bytes())
    (world.directory / "directory").mkdir()
    (world.directory / "link").symlink_to("nowhere")
    for name, code in (("key.txt", 13), ("link", 13), ("directory", 2)):
        outcome = world.run("keygen", "-o", name)
        assert outcome.code == code and name in outcome.err and outcome.out == ""
        assert ("never overwritten" in outcome.err) == (code == 13)
    assert taken.read_bytes() == keys.identity.read_bytes()
    assert sorted(os.listdir(world.directory)) == ["directory", "key.txt", "link"]
    assert not list((world.directory / "directory").iterdir())


def test_keygen_to_standard_output(world: World) -> None:
    """`keygen -o -` writes the key to stdout and the recipient to stderr, and makes no file."""
    outcome = world.run("keygen", "-o", "-")
    assert outcome.code == 0
    derived = subprocess.run(
        ["age-keygen", "-y"], input=outcome.out, check=True, capture_output=True, text=True
    )
    assert outcome.err == derived.stdout
    assert os.listdir(world.directory) == []


def test_recipient_says_what_age_keygen_says(world: World, keys: Keys, other_keys: Keys) -> None:
    """`recipient -i` prints one line for each key of its files, the same as `age-keygen -y`."""
    both = world.directory / "both.txt"
    both.write_bytes(keys.identity.read_bytes() + b"\n" + other_keys.identity.read_bytes())
    both.chmod(0o600)
    derived = subprocess.run(["age-keygen", "-y", both], check=True, capture_output=True, text=True)
    assert world.run("recipient", "-i", both).out == derived.stdout
    outcome = world.run("recipient", "-i", keys.identity, "-i", other_keys.identity, "--json")
    assert json.loads(outcome.out)["recipients"] == [keys.recipient, other_keys.recipient]


def test_recipient_without_its_flag(world: World, keys: Keys) -> None:
    """Who names the file as an argument is told the flag."""
    done = world.run("recipient", keys.identity)
    assert done.code == 2 and "named with -i" in done.err and not done.out


def test_recipient_of_an_ssh_key(world: World, app: SampleApp, out: Path) -> None:
    """The recipient of an ssh-ed25519 key is its public key, and archives made for it open."""
    key = world.directory / "id_ed25519"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me@here", "-f", key], check=True
    )
    public = subprocess.run(
        ["ssh-keygen", "-y", "-f", key], check=True, capture_output=True, text=True
    )
    recipient = published(world.run("recipient", "-i", key))
    assert recipient == " ".join(public.stdout.split()[:2])
    words = ("create", "--db", app.ledger, "--to", "out", "-r", recipient)
    assert world.run("verify", published(world.run(*words)), "-i", key).code == 0


# Secrets


def assert_silent(outcome: Outcome, secrets: Sequence[str]) -> None:
    said = (outcome.out + outcome.err).lower()
    assert not any(secret.lower() in said for secret in secrets)


def test_a_wrong_passphrase(world: World, pristine: Path, keys: Keys, locked_key: Path) -> None:
    """A passphrase that does not open the key file: exit code 12, and nothing secret is said."""
    secrets = (secret_of(keys.identity), PASSPHRASE, WRONG_PASSPHRASE)
    with typed(WRONG_PASSPHRASE, PASSPHRASE) as (words, options):
        outcome = world.run("-v", "verify", pristine, "-i", locked_key, *words, **options)
    assert outcome.code == 12 and "passphrase does not open" in outcome.err
    assert_silent(outcome, secrets)
    outcome = world.run("verify", pristine, "-i", locked_key, "--passphrase-fd", 99)
    assert outcome.code == 1 and "descriptor 99" in outcome.err


def test_a_secret_in_the_wrong_place(
    world: World, app: SampleApp, pristine: Path, keys: Keys, out: Path
) -> None:
    """A private key given where anything else belongs is refused and not repeated."""
    secret = secret_of(keys.identity)
    create = ("create", "--db", app.ledger, "--to", "out")
    open_it = (pristine, "-i", keys.identity)
    configure(world, app, keys)
    world.config.write_text(world.config.read_text().replace(keys.recipient, secret))
    for words, variable, codes in (
        ((*create, "-r", secret), "", {2}),
        ((*create, "-r", keys.identity), "", {2}),
        ((*create, "-R", secret), "", {2}),
        ((*create, "-R", keys.identity), "", {2}),
        (create, "AGEBACKUP_RECIPIENTS_FILE", {2}),
        (("recipient", "-i", secret), "", {2}),
        (("recipient",), "AGEBACKUP_IDENTITY_FILE", {2}),
        (("config", "check"), "AGEBACKUP_CONFIG", {2}),
        (("create", "notes"), "", {2}),
        (("config", "check"), "", {2}),
        ((secret,), "", {2}),
        (("create", secret), "", {2}),
        (("create", "--db", secret, "--to", "out", "-r", keys.recipient), "", {1, 2}),
        (("verify", secret, "-i", keys.identity), "", {10}),
        (("verify", *open_it, "--passphrase-fd", secret), "", {2}),
        (("restore", *open_it, "--target", f"{secret}/x"), "", {10}),
        (("cat", *open_it, secret), "", {10}),
    ):
        env = {**world.env, variable: secret} if variable else world.env
        for flag in ("-v", "--json"):
            outcome = world.run(flag, *words, env=env)
            assert outcome.code in codes, (words, outcome.err)
            assert_silent(outcome, [secret])
    assert not list(out.iterdir())


def test_no_secret_anywhere_in_a_session(
    world: World, app: SampleApp, other_keys: Keys, out: Path
) -> None:
    """No command says the private key or the passphrase, nor writes it to disk or into an archive.

    A whole session: from the key's making to the restore, in words, in JSON, and in failure.
    """
    key, locked = world.directory / "key.txt", world.directory / "locked.txt"
    outcomes = [world.run("keygen", "-o", key)]
    recipient = published(outcomes[0])
    secrets = [secret_of(key), secret_of(other_keys.identity), PASSPHRASE]
    with typed(PASSPHRASE) as (words, options):
        protected(key, PASSPHRASE, locked)
        outcomes.append(world.run("recipient", "-i", locked, *words, **options))
    assert published(outcomes[-1]) == recipient
    create = ("create", *app.create_arguments, "--to", out, "-r", recipient)
    outcomes += [world.run("config", "init"), world.run(*create)]
    archive = published(outcomes[-1])
    with typed(PASSPHRASE) as (words, options):
        outcomes.append(world.run("verify", archive, "-i", locked, "-v", *words, **options))
    other = other_keys.identity
    for code, identity, flag in ((0, key, "-v"), (0, key, "--json"), (12, other, "-v")):
        target = world.directory / f"restored{flag}{code}"
        ends = [
            world.run(*words, flag)
            for words in (
                ("verify", archive, "-i", identity),
                ("restore", archive, "-i", identity, "--target", target),
                ("inspect", archive, "-i", identity),
                ("ls", archive, "-i", identity),
                ("cat", archive, "config/app.toml", "-i", identity),
            )
        ]
        assert {one.code for one in ends} == {code}
        outcomes += ends
    for outcome in outcomes:
        assert_silent(outcome, secrets)
    plain = subprocess.run(["age", "-d", "-i", key, archive], check=True, capture_output=True)
    written = {path: path.read_bytes() for path in everything(world) if path not in (key, locked)}
    assert {world.config, Path(archive)} < written.keys()
    for content in (plain.stdout, *written.values()):
        assert not any(secret.encode().lower() in content.lower() for secret in secrets)


def everything(world: World) -> list[Path]:
    """Return every file that the session has left on this machine."""
    return [p for top in (world.home, world.directory) for p in top.rglob("*") if p.is_file()]
