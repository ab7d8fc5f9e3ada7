"""Real servers of rclone's on the loopback, one of each per test process, and a configuration."""

import atexit
import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from agebackup.system.clock import Deadline, pause

USER, PASSWORD = "ada", "4n-0bvious-passw0rd"
"""The person's login at the servers; the password must be in nothing that agebackup says."""
_WITH_US = ("setpriv", "--pdeathsig", "KILL")
"""Begins a command that does not outlive the tests, even killed ones (util-linux)."""
_PORT = re.compile(r"127\.0\.0\.1:(\d+)")


@dataclass
class Server:
    """One `rclone serve`: what lies in `root` is what it serves."""

    protocol: str
    root: Path
    extra: tuple[str, ...] = ()
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def start(self) -> None:
        """Start it, on its former port where it had one, and wait until it listens."""
        login = ("--addr", f"127.0.0.1:{self.port}", "--user", USER, "--pass", PASSWORD)
        plain = ("--config", "", "--dir-cache-time", "0s")
        log = self.root.with_suffix(".log")
        with log.open("w") as written:
            self.process = subprocess.Popen(
                [
                    *_WITH_US,
                    "rclone",
                    "serve",
                    self.protocol,
                    str(self.root),
                    *login,
                    *plain,
                    *self.extra,
                ],
                stdout=subprocess.DEVNULL,
                stderr=written,
                env={"PATH": os.environ["PATH"], "HOME": str(self.root.parent)},
            )
        patience = Deadline(30)
        while not (match := _PORT.search(log.read_text())):
            assert self.process.poll() is None and not patience.expired, log.read_text()
            pause(0.01)
        self.port = int(match[1])

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass(frozen=True)
class Servers:
    """A directory with all that the servers serve, and the configuration that names them."""

    base: Path
    served: Mapping[str, Server]
    environment: Mapping[str, str]

    def root(self, remote: str) -> Path:
        """Return the directory that the remote called `remote` shows."""
        return self.base / remote

    def fresh(self, remote: str) -> Path:
        """Return a new, empty directory that lies within `remote`, in one for this test alone."""
        path = self.root(remote) / secrets.token_hex(6) / "backups"
        path.mkdir(parents=True)
        return path

    def within(self, remote: str, path: Path | str) -> str:
        """Return what `path`, somewhere below the root, is called in `remote`."""
        return str(path).removeprefix(f"{self.root(remote)}/")


@cache
def running() -> Servers:
    """Return the servers of this process, started at the first call and ended with the process."""
    base = Path(tempfile.mkdtemp(prefix="rclone-servers-"))
    atexit.register(shutil.rmtree, base, ignore_errors=True)
    served = {name: Server(name, base / name) for name in ("webdav", "sftp")}
    for name in (*served, "local", "sealed"):
        (base / name).mkdir()
    for server in served.values():
        server.start()
        atexit.register(server.kill)
    config = base / "rclone.conf"
    login = f"user = {USER}\npass = {obscured(PASSWORD)}"
    config.write_text(
        f"[webdav]\ntype = webdav\nvendor = other\n{login}\n"
        f"url = http://127.0.0.1:{served['webdav'].port}\n\n"
        f"[sftp]\ntype = sftp\nhost = 127.0.0.1\nshell_type = unix\n{login}\n"
        f"port = {served['sftp'].port}\n\n"
        f"[local]\ntype = alias\nremote = {base / 'local'}\n\n"
        f"[crypt]\ntype = crypt\nremote = {base / 'sealed'}\npassword = {obscured(PASSWORD)}\n"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(base), "RCLONE_CONFIG": str(config)}
    return Servers(base, served, environment)


def obscured(password: str) -> str:
    """Return `password` as rclone's configuration holds it."""
    done = subprocess.run(["rclone", "obscure", password], check=True, capture_output=True)
    return done.stdout.decode().strip()
