"""The machine that is backed up: an application, a configuration, a clock, and a folder."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sample_app
from faultsweep.evidence import Content, content_of

_DISK = "64m"
_SHARED_MEMORY = Path("/dev/shm")
_CONFIG = """\
[apps.notes]
root = "{root}"
attachments = ["blobs"]
recipients = ["{recipient}"]
destination = "{destination}"
enabled = true
interval = "24h"
retry_after = "1s"
retries = 0

[apps.notes.databases]
ledger = "ledger.db"
events = "events.db"

[apps.notes.retention]
keep_last = 3
keep_daily = 7
keep_weekly = 4
keep_monthly = 12
keep_yearly = -1
keep_manual = 4
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its code (negative for a signal) and its words."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Machine:
    """A home, an app and a destination below `directory`; the private key lies outside.

    Archives and ledger lie on a small disk of their own.
    """

    directory: Path
    app: sample_app.SampleApp
    identity: Path
    environment: Mapping[str, str]

    @classmethod
    def build(cls, directory: Path) -> "Machine":
        """Make everything under `directory`, the configuration too."""
        app = sample_app.build(directory / "app", entries=20, attachments=4)
        app.config.unlink()  # what is not declared is not in the archives
        app.token.unlink()
        home, outside, disk = directory / "home", directory / "outside", directory / "disk"
        for made in (home / "config" / "agebackup", outside, disk):
            made.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "none", disk], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "none", _SHARED_MEMORY], check=True)
        (disk / "backups").mkdir()
        identity = outside / "key.txt"
        subprocess.run(["age-keygen", "-o", identity], check=True, capture_output=True)
        recipient = subprocess.run(
            ["age-keygen", "-y", identity], check=True, capture_output=True, text=True
        ).stdout.strip()
        (home / "config" / "agebackup" / "config.toml").write_text(
            _CONFIG.format(root=app.root, recipient=recipient, destination=disk / "backups")
        )
        environment = sample_app.environment(home) | {
            "TZ": "UTC",
            "NO_FAKE_STAT": "1",
            "XDG_STATE_HOME": str(disk / "state"),
        }
        return cls(directory, app, identity, environment)

    @property
    def backups(self) -> Path:
        """The destination."""
        return self.directory / "disk" / "backups"

    def run(self, clock: datetime, *arguments: str) -> Ended:
        """Run agebackup while the clock says `clock`."""
        done = subprocess.run(
            self._command(clock, arguments),
            env=dict(self.environment),
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def interrupted(
        self, clock: datetime, arguments: Sequence[str], after: float, by: int
    ) -> Ended:
        """Run agebackup and send it the signal `by` so many seconds `after` its start."""
        with subprocess.Popen(
            self._command(clock, arguments),
            env=dict(self.environment),
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            time.sleep(after)
            if process.poll() is None:
                os.kill(process.pid, by)
            out, err = process.communicate()
        for left in _SHARED_MEMORY.glob("*faketime*"):
            left.unlink()  # else a later process of the same number could not fake its clock
        return Ended(process.returncode, out, err)

    def full_disk(self, clock: datetime, arguments: Sequence[str], left: int) -> Ended:
        """Run agebackup while only `left` bytes are free where archives and ledger lie."""
        filler = self.directory / "disk" / "filler"
        status = os.statvfs(self.directory / "disk")
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize - left)
        try:
            return self.run(clock, *arguments)
        finally:
            filler.unlink()

    def live(self, pairs: int) -> None:
        """Let the application write."""
        connection = sample_app.connect(self.app)
        for _ in range(pairs):
            sample_app.write_pair(connection)
        connection.close()

    def state(self) -> Content:
        """Return what an archive of the application has to hold now."""
        return content_of(self.app.root)

    def _command(self, clock: datetime, arguments: Sequence[str]) -> Sequence[str]:
        said = clock.strftime("%Y-%m-%d %H:%M:%S")
        faked = ("faketime", "--exclude-monotonic", said)
        return (*faked, *sample_app.command(), *arguments)


KILL, TERMINATE = signal.SIGKILL, signal.SIGTERM
