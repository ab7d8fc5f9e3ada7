"""Every kind of remote that copies are pushed to, each as a place that tests may also look behind.

A further kind joins the conformance suite by an entry in `KINDS`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import github_stand_in
import rclone_servers

from agebackup.destinations.folder import listed_folder
from agebackup.destinations.github import GitHub
from agebackup.destinations.interface import Means, Remote
from agebackup.destinations.mirror import Mirror
from agebackup.destinations.rclone import Rclone
from agebackup.model.releases import carried, tag_of
from agebackup.model.whereabouts import parse_whereabouts


class Site(Protocol):
    """A fresh, empty place of one kind. All but `remote` and `gone` go around agebackup."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What the programs that reach it need."""

    @property
    def struck(self) -> str:
        """The method of `Progress` whose call is in the middle of a slow transfer."""

    def remote(self, means: Means) -> Remote:
        """Return the place."""

    def spelt(self, means: Means) -> Sequence[Remote]:
        """Return the same place, written in other ways."""

    def gone(self, means: Means) -> Remote:
        """Return a place of this kind that does not exist or cannot be reached."""

    def write(self, name: str, content: bytes) -> None:
        """Let a whole file called `name` lie there, as if another had put it there."""

    def cut(self, name: str, size: int) -> None:
        """Leave only the first `size` bytes of the file `name`, as a broken transfer does."""

    def read(self, name: str) -> bytes | None:
        """Return what lies there under `name`."""


@dataclass(frozen=True)
class Directory:
    """A site whose files lie in a directory of this machine."""

    path: Path
    at: Callable[[Path, Means], Remote]
    ways: Callable[[Path], Sequence[Path]]
    environment: Mapping[str, str] = field(default_factory=dict)
    struck: str = "advance"

    def remote(self, means: Means) -> Remote:
        return self.at(self.path, means)

    def spelt(self, means: Means) -> Sequence[Remote]:
        return [self.at(path, means) for path in self.ways(self.path)]

    def gone(self, means: Means) -> Remote:
        return self.at(self.path.with_name("absent"), means)

    def write(self, name: str, content: bytes) -> None:
        (self.path / name).write_bytes(content)

    def cut(self, name: str, size: int) -> None:
        self.write(name, (self.path / name).read_bytes()[:size])

    def read(self, name: str) -> bytes | None:
        file = self.path / name
        return file.read_bytes() if file.exists() else None


@contextmanager
def _folder(tmp_path: Path) -> Iterator[Site]:
    path = tmp_path / "mirror"
    path.mkdir()
    (tmp_path / "link").symlink_to(path)
    yield Directory(
        path,
        lambda path, means: Mirror(listed_folder(str(path)), means),
        lambda path: (path / "." / "..", path.parent / "link")[1:],
    )


def _served(remote: str) -> "Kind":
    @contextmanager
    def site(tmp_path: Path) -> Iterator[Site]:
        servers = rclone_servers.running()
        path = servers.fresh(remote)

        def at(path: Path, means: Means) -> Remote:
            written = f"rclone:{remote}:{servers.within(remote, path)}"
            return Rclone(parse_whereabouts(written), means)

        yield Directory(path, at, lambda path: (Path(f"{path}/"),), servers.environment)

    return site


PART_BYTES = 2 << 20
"""So that the largest archives of the suite are several assets, and the others one."""


@dataclass(frozen=True)
class Releases:
    """A site that is the releases of a repository at the stand-in."""

    world: github_stand_in.StandIn
    environment: Mapping[str, str]
    struck: str = "advance"

    def remote(self, means: Means) -> Remote:
        return self._at("github:ada/backups", means)

    def spelt(self, means: Means) -> Sequence[Remote]:
        return [self._at("github:Ada/Backups", means)]

    def gone(self, means: Means) -> Remote:
        return self._at("github:ada/absent", means)

    def _at(self, text: str, means: Means) -> Remote:
        return GitHub(parse_whereabouts(text), means, PART_BYTES, (0.0, 0.0), 0.0)

    def write(self, name: str, content: bytes) -> None:
        release = github_stand_in.Release(tag_of(name), "By hand.")
        release.assets.append(github_stand_in.Asset(name, content))
        self.world.repository().releases.append(release)

    def cut(self, name: str, size: int) -> None:
        left = size
        for asset in self._assets(name):
            asset.content, asset.digest = asset.content[:left], None
            left -= len(asset.content)

    def read(self, name: str) -> bytes | None:
        assets = self._assets(name)
        return b"".join(asset.content for asset in assets) if assets else None

    def _assets(self, name: str) -> list[github_stand_in.Asset]:
        every = (asset for one in self.world.repository().releases for asset in one.assets)
        return sorted((one for one in every if carried(one.name) == name), key=lambda a: a.name)


@contextmanager
def _github(tmp_path: Path) -> Iterator[Site]:
    with github_stand_in.stand_in() as world:
        world.repository("ada/backups")
        yield Releases(world, world.environment(tmp_path))


Kind = Callable[[Path], AbstractContextManager[Site]]

KINDS: dict[str, Kind] = {
    "folder": _folder,
    "rclone-webdav": _served("webdav"),
    "rclone-sftp": _served("sftp"),
    "github": _github,
}
"""A context manager for each kind; it is given a directory of the test's own."""
