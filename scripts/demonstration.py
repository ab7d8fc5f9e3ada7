"""The main job on a sample application, step by step, in plain words (run by scripts/demo)."""

import argparse
import hashlib
import json
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import FrameType

import sample_app

ATTACHMENTS = 500
PROGRAMS = {"sha256sum": ("sha256sum",), "shasum": ("shasum", "-a", "256")}


class DemoError(Exception):
    """Something did not hold that the demo set out to show."""


def say(text: str) -> None:
    """Tell the person what happens next."""
    print(f"\n{text}", flush=True)


def proved(text: str) -> None:
    """Tell the person what was shown to hold."""
    print(f"  ok: {text}", flush=True)


def require(holds: object, promise: str) -> None:
    """Say that `promise` holds, or end the demo because it does not."""
    if not holds:
        raise DemoError(f"This does not hold: {promise}.")
    proved(promise)


class Demo:
    """One walk through the main job, inside `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        home = directory / "home"
        home.mkdir()
        self.environment = sample_app.environment(home)
        self.key = directory / "key.txt"
        self.destination = directory / "backups"
        self.by_hand = directory / "by-hand"
        self.restored = directory / "restored"

    def walk(self) -> None:
        """Do it all; raises `DemoError` at the first thing that does not hold."""
        say(f"1. A sample application: two databases, {ATTACHMENTS} attachments, config, token.")
        app = sample_app.build(
            self.directory / "app", entries=2000, attachments=ATTACHMENTS, attachment_bytes=40_000
        )
        recipient = self.make_key()
        archive = self.create(app, recipient)
        bag = self.take_apart(archive)
        self.check_contents(app, bag / "data")
        self.verify(archive)
        self.restore(archive)
        self.compare(bag / "data")

    def make_key(self) -> str:
        """Make a key pair and return the public half."""
        say("2. A key pair. The machine that backs up needs the public half only.")
        recipient = self.agebackup("keygen", "-o", str(self.key)).strip()
        require(recipient.startswith("age1"), f"the public key is {recipient}")
        require(self.key.stat().st_mode & 0o077 == 0, "nobody else can read the private key")
        return recipient

    def create(self, app: sample_app.SampleApp, recipient: str) -> Path:
        """Take a snapshot while the application writes, and return the archive."""
        say("3. The application writes to both databases, pair by pair; meanwhile, a backup.")
        self.destination.mkdir()
        with sample_app.running_writer(app) as writer:
            said = self.agebackup(
                *("--json", "create", *app.create_arguments),
                *("--to", str(self.destination), "-r", recipient),
                *("--workspace", str(self.directory / "home")),
            )
            archive = Path(json.loads(said)["results"][0]["path"])
        print(f"  {archive.name}, {archive.stat().st_size:,} bytes")
        require(writer.pairs > 0, f"the application wrote {writer.pairs} pairs meanwhile")
        require(not writer.errors, f"it saw no error; slowest commit {writer.slowest:.3f} s")
        require(archive.stat().st_mode & 0o077 == 0, "the archive is for its owner alone")
        return archive

    def take_apart(self, archive: Path) -> Path:
        """Recover with the stock programs alone; return the bag's directory."""
        say("4. Recovery without agebackup: age, tar and a checksum program.")
        self.by_hand.mkdir()
        self.shell(f"age -d -i {quoted(self.key)} {quoted(archive)} | tar x", self.by_hand)
        (bag,) = self.by_hand.iterdir()
        checker = next((words for name, words in PROGRAMS.items() if shutil.which(name)), None)
        if checker is None:
            raise DemoError("Neither sha256sum nor shasum is there to check with.")
        said = self.shell(f"{shlex.join(checker)} -c manifest-sha256.txt", bag)
        require("FAILED" not in said, f"{said.count(': OK')} files have the hash on record")
        return bag

    def check_contents(self, app: sample_app.SampleApp, data: Path) -> None:
        """Compare what came out by hand with the application's own state."""
        ledger, events = database(data, app.ledger), database(data, app.events)
        for path in (ledger, events):
            with closing(opened(path)) as connection:
                (answer,) = connection.execute("PRAGMA integrity_check").fetchone()
            require(answer == "ok", f"SQLite finds {path.name} sound")
        entry, event = sample_app.last_pair(ledger, events)
        require(
            entry == event, f"both databases show one instant: entry {entry} has its event {event}"
        )
        names = {path.name: path for path in data.rglob("*") if path.is_file()}
        same = [p for p in app.blobs.iterdir() if digest(names[p.name]) == digest(p) == p.name]
        require(len(same) == ATTACHMENTS, f"all {ATTACHMENTS} attachments are as they were")
        for path in (app.config, app.token):
            require(digest(names[path.name]) == digest(path), f"{path.name} is as it was")

    def verify(self, archive: Path) -> None:
        """Let agebackup check every promise of the archive."""
        say("5. agebackup checks every promise that the archive makes.")
        print(indented(self.agebackup("verify", str(archive), "-i", str(self.key))))
        proved("verify found no difference")

    def restore(self, archive: Path) -> None:
        """Restore into a new directory."""
        say("6. agebackup restores into a new directory.")
        arguments = ("-i", str(self.key), "--target", str(self.restored))
        print(indented(self.agebackup("restore", str(archive), *arguments)))

    def compare(self, data: Path) -> None:
        """Compare the restored state with what came out by hand."""
        say("7. Both ways give the same.")
        ours, theirs = tree(self.restored), tree(data)
        require(ours.keys() == theirs.keys(), f"the same {len(ours)} files")
        differing = [name for name in ours if content(ours[name]) != content(theirs[name])]
        require(not differing, "the same content in each of them")
        left = [p for p in self.directory.rglob(".~agebackup-*")]
        require(not left, "no temporary file is left behind")

    def agebackup(self, *arguments: str) -> str:
        """Run agebackup, showing the command line; return what it said on stdout."""
        self.show(f"agebackup {shlex.join(arguments)}")
        return self.run((*sample_app.command(), *arguments), self.directory)

    def shell(self, command: str, directory: Path) -> str:
        """Run a pipeline as a person would type it; return what it said on stdout."""
        self.show(command)
        return self.run(("bash", "-c", f"set -o pipefail; {command}"), directory)

    def show(self, command: str) -> None:
        """Show a command line as a person in the demo's directory would type it."""
        print(f"  $ {command.replace(f'{self.directory}/', '')}", flush=True)

    def run(self, command: Sequence[str], directory: Path) -> str:
        """Run `command`; raise `DemoError` with its own words if it fails."""
        done = subprocess.run(
            command,
            cwd=directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = done.stderr.strip() or done.stdout.strip()
            raise DemoError(f"It ended with {done.returncode}: {said}")
        return done.stdout


def quoted(path: Path) -> str:
    """Return `path` as a word for the shell."""
    return shlex.quote(str(path))


def indented(text: str) -> str:
    """Return `text` set off from the demo's own words."""
    return "\n".join(f"  | {line}" for line in text.rstrip().splitlines())


def digest(path: Path) -> str:
    """Return the SHA-256 of a small file's content in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tree(directory: Path) -> dict[str, Path]:
    """Return every file below `directory` by its relative path."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path for path in files}


def database(data: Path, source: Path) -> Path:
    """Return the copy of the database `source` in an extracted bag's data."""
    return next(data / name for name in (source.name, source.stem) if (data / name).exists())


def opened(path: Path) -> sqlite3.Connection:
    """Open a database at rest without leaving anything beside it."""
    return sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)


def content(path: Path) -> str:
    """Return what a file holds: of a database its rows, since restore sets its journal mode."""
    with path.open("rb") as file:
        if not file.read(16).startswith(b"SQLite format 3"):
            return digest(path)
    with closing(opened(path)) as connection:
        return "\n".join(connection.iterdump())


def main() -> int:
    """Walk through the demo; leave nothing behind unless asked to."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--keep", metavar="DIR", type=Path, help="work in DIR and leave it there")
    keep: Path | None = parser.parse_args().keep

    def stop(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="agebackup-demo-") as directory:
            return shown(Path(directory).resolve())
    if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        parser.error(f"{keep} is not an empty directory")
    keep.mkdir(parents=True, exist_ok=True)
    return shown(keep.resolve())


def shown(directory: Path) -> int:
    """Run the demo in `directory` and return its exit code."""
    begun = time.monotonic()
    try:
        Demo(directory).walk()
    except DemoError as error:
        print(f"\nscripts/demo: {error}", file=sys.stderr)
        return 1
    say(f"Done in {time.monotonic() - begun:.0f} seconds; everything held.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
