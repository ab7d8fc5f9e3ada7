"""Who runs: agebackup, the yardstick a good engineer would type, and two well-known programs."""

import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sample_app

from benchmark.workloads import Data

YARDSTICK = "yardstick"
BY_HAND = "by hand"


@dataclass(frozen=True)
class Contender:
    """A command line that is measured inside a fresh directory; `prepare` is not measured.

    `variables` are added to its environment.
    """

    name: str
    command: Sequence[str]
    prepare: Callable[[Path], None] = field(default=lambda directory: None)
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Keys:
    """The key pair of the measurement."""

    identity: Path
    recipient: str

    @classmethod
    def make(cls, identity: Path) -> "Keys":
        """Make a key pair with the stock program."""
        subprocess.run(("age-keygen", "-o", str(identity)), check=True, capture_output=True)
        said = subprocess.run(
            ("age-keygen", "-y", str(identity)), check=True, capture_output=True, text=True
        )
        return cls(identity, said.stdout.strip())


def environment(home: Path) -> Mapping[str, str]:
    """What every contender finds in its environment."""
    secrets = {"RESTIC_PASSWORD": "bench", "BORG_PASSPHRASE": "bench"}
    return sample_app.environment(home) | secrets


def writers(data: Data, keys: Keys) -> list[Contender]:
    """Return those that make a backup of `data`, the yardstick first."""
    create = (*sample_app.command(), *_create_arguments(data, keys))
    return [
        Contender(YARDSTICK, _shell(_yardstick(data, keys))),
        Contender("create --no-proof", (*create, "--no-proof"), _make_destination),
        Contender("create", create, _make_destination),
    ]


def others(data: Data) -> list[Contender]:
    """Return restic and borg, where they are installed, each into an empty repository."""
    paths = shlex.join([*map(str, data.databases), *([str(data.files)] if data.files else [])])
    known = {
        "restic": ("restic init -q -r repo", f"restic backup -q --no-cache -r repo {paths}"),
        "borg": (
            "borg init -e repokey-blake2 repo",
            f"borg create --compression none repo::one {paths}",
        ),
    }
    return [
        Contender(name, _shell(backup), _shelled(init))
        for name, (init, backup) in known.items()
        if shutil.which(name)
    ]


def readers(archive: Path, keys: Keys) -> list[Contender]:
    """Return those that read `archive`, the stock programs first."""
    opened = f"age -d -i {shlex.quote(str(keys.identity))} {shlex.quote(str(archive))}"
    by_hand = (
        f"mkdir out; {opened} | tar x -C out; cd out/*; "
        "sha256sum -c --quiet manifest-sha256.txt; sync -f ."
    )
    agebackup, key = sample_app.command(), ("-i", str(keys.identity))
    return [
        Contender(BY_HAND, _shell(by_hand)),
        Contender("verify", (*agebackup, "verify", str(archive), *key)),
        Contender("restore", (*agebackup, "restore", str(archive), *key, "--target", "out")),
    ]


def starters(python: str) -> list[Contender]:
    """Return those that only start."""
    return [
        Contender("python -c 'import click'", (python, "-c", "import click")),
        Contender("agebackup --help", (*sample_app.command(), "--help")),
    ]


def _create_arguments(data: Data, keys: Keys) -> tuple[str, ...]:
    databases = (word for path in data.databases for word in ("--db", str(path)))
    trees = ("--attachments", str(data.files)) if data.files else ()
    return (
        *("create", "--app", "bench", *databases, *trees),
        *("--to", "backups", "-r", keys.recipient, "--workspace", "."),
    )


def _yardstick(data: Data, keys: Keys) -> str:
    lines = ["mkdir copies"]
    for path in data.databases:
        statement = f"VACUUM INTO 'copies/{path.name}'"
        lines.append(f"sqlite3 {shlex.quote(str(path))} {shlex.quote(statement)}")
    tree = f"-C {shlex.quote(str(data.directory))} files" if data.files else ""
    lines.append(f"tar c copies {tree} | age -r {keys.recipient} -o backup.tar.age")
    lines.append("sync backup.tar.age")
    return "; ".join(lines)


def _shell(script: str) -> tuple[str, ...]:
    return ("bash", "-c", f"set -euo pipefail; {script}")


def _shelled(script: str) -> Callable[[Path], None]:
    def prepare(directory: Path) -> None:
        subprocess.run(
            _shell(script),
            cwd=directory,
            env=dict(environment(directory)),
            check=True,
            capture_output=True,
        )

    return prepare


def _make_destination(directory: Path) -> None:
    (directory / "backups").mkdir()
