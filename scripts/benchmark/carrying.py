"""`agebackup push` of one archive against the plain programs, to servers on the loopback."""

import json
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import github_stand_in
import rclone_servers
import sample_app

from benchmark.contenders import Contender, Keys
from benchmark.measure import CommandError

REPOSITORY = "ada/backups"
TAG = "by-hand"
_PIECE = 10_000_000


Place = tuple[Callable[[], None], Mapping[str, str]]
"""What empties a place, and the variables that lead there."""


@dataclass(frozen=True)
class Load:
    """An archive in a folder, published by an app whose configuration and ledger lie in `home`."""

    home: Path
    archive: Path


def load(directory: Path, size: int, keys: Keys, remote: str) -> Load:
    """Publish an archive of about `size` bytes in `directory`, without carrying it to `remote`."""
    made, folder, files = directory / "owner", directory / "folder", directory / "files"
    for one in (made, folder, files):
        one.mkdir(parents=True)
    noise = random.Random(7)
    for number in range(0, size, _PIECE):
        (files / str(number)).write_bytes(noise.randbytes(min(_PIECE, size - number)))
    config = made / "config" / "agebackup" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        f"[apps.bench]\nattachments = [{json.dumps(str(files))}]\n"
        f"destination = [{json.dumps(str(folder))}, {json.dumps(remote)}]\n"
        f"recipients = [{json.dumps(keys.recipient)}]\n"
    )
    done = subprocess.run(
        (*sample_app.command(), "create", "bench", "--no-push"),
        env=sample_app.environment(made),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CommandError(f"create ended with {done.returncode}: {done.stderr.strip()}")
    return Load(made, next(folder.glob("*.age")))


@contextmanager
def to_rclone(directory: Path, size: int, keys: Keys, remote: str) -> Iterator[list[Contender]]:
    """Yield `rclone copyto` and `agebackup push`, each to an empty directory of `remote`."""
    servers = rclone_servers.running()
    ours = load(directory, size, keys, f"rclone:{remote}:backups")
    there = servers.root(remote) / "backups"

    def emptied() -> None:
        shutil.rmtree(there, ignore_errors=True)
        there.mkdir()

    plain = ("rclone", "copyto", str(ours.archive), f"{remote}:backups/{ours.archive.name}")
    try:
        yield _both(f"rclone copyto ({remote})", plain, ours, (emptied, servers.environment))
    finally:
        shutil.rmtree(directory)


@contextmanager
def to_github(directory: Path, size: int, keys: Keys) -> Iterator[list[Contender]]:
    """Yield `gh release upload` to a release that is there, and `agebackup push` that makes one."""
    ours = load(directory, size, keys, f"github:{REPOSITORY}")
    with github_stand_in.stand_in() as world:

        def emptied() -> None:
            world.repositories.clear()
            world.repository(REPOSITORY).releases.append(github_stand_in.Release(TAG, ""))

        plain = ("gh", "release", "upload", TAG, str(ours.archive))
        words = (*plain, "-R", f"{github_stand_in.HOST}/{REPOSITORY}")
        variables = world.environment(ours.home)
        try:
            yield _both("gh release upload", words, ours, (emptied, variables))
        finally:
            shutil.rmtree(directory)


def _both(
    name: str,
    plain: tuple[str, ...],
    ours: Load,
    there: tuple[Callable[[], None], Mapping[str, str]],
) -> list[Contender]:
    emptied, variables = there
    special = {key: value for key, value in variables.items() if key not in ("PATH", "HOME")}

    def prepare(place: Path) -> None:
        emptied()
        shutil.copytree(ours.home, place.parent / "home", dirs_exist_ok=True)

    push = (*sample_app.command(), "push", "bench")
    return [
        Contender(name, plain, prepare, special),
        Contender("agebackup push", push, prepare, special),
    ]
