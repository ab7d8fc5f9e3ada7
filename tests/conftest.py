"""The world every test may stand in: a home of its own, the real command, keys, a sample app."""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sample_app

LINUX = sys.platform == "linux"
_LINUX_MODULE = re.compile(r"^pytestmark = .*pytest\.mark\.linux\b", re.MULTILINE)


@dataclass(frozen=True)
class Keys:
    """An age key pair made by the stock `age-keygen`."""

    identity: Path
    recipient: str


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class World:
    """One person's machine: a home nobody else uses, and the environment of a login shell.

    `directory` is free for the test's own files and lies outside `home`.
    """

    directory: Path
    home: Path
    env: Mapping[str, str] = field(repr=False)

    @property
    def state(self) -> Path:
        """Where agebackup keeps claims, locks and its ledger."""
        return self.home / "state" / "agebackup"

    @property
    def cache(self) -> Path:
        """Where agebackup makes its private copies unless told otherwise."""
        return self.home / "cache" / "agebackup"

    @property
    def config(self) -> Path:
        """The config file's place."""
        return self.home / "config" / "agebackup" / "config.toml"

    def start(self, *arguments: object, **options: object) -> "subprocess.Popen[str]":
        """Start `agebackup ARGUMENTS…` and return the process, its three streams being pipes."""
        settings: dict[str, object] = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "errors": "surrogateescape",
            "cwd": self.directory,
            "env": dict(self.env),
        }
        return subprocess.Popen(
            [*sample_app.command(), *map(str, arguments)], **(settings | options)
        )

    def run(
        self, *arguments: object, stdin: str = "", seconds: float = 120, **options: object
    ) -> Outcome:
        """Run `agebackup ARGUMENTS…` to its end; `seconds` is when a test calls it hung."""
        with self.start(*arguments, **options) as process:
            try:
                out, err = process.communicate(stdin, timeout=seconds)
            except BaseException:
                process.kill()
                raise
        return Outcome(process.returncode, out or "", err or "")

    def leftovers(self) -> tuple[Path, ...]:
        """Return every temporary thing of agebackup's that is still there; a good end leaves none.

        Locks are no leftovers: the files stay, what is held goes with the process.
        """
        private = [p for p in self.cache.rglob("*")] if self.cache.exists() else []
        claims = list((self.state / "claims").glob("*")) if self.state.exists() else []
        named = [p for p in self.directory.rglob("*agebackup-*") if p.name.startswith(".~")]
        return tuple(sorted({*private, *claims, *named}))


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A fresh machine for this test alone."""
    home, directory = tmp_path / "home", tmp_path / "world"
    for made in (home, directory):
        made.mkdir(mode=0o700)
    return World(directory, home, sample_app.environment(home))


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """The key pair of the person who owns the archives."""
    return _keys(tmp_path_factory.mktemp("keys") / "key.txt")


@pytest.fixture(scope="session")
def other_keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Somebody else's key pair."""
    return _keys(tmp_path_factory.mktemp("other-keys") / "other.txt")


def _keys(identity: Path) -> Keys:
    subprocess.run(["age-keygen", "-o", identity], check=True, capture_output=True)
    derived = subprocess.run(["age-keygen", "-y", identity], check=True, capture_output=True)
    return Keys(identity, derived.stdout.decode().strip())


@pytest.fixture
def app(world: World) -> sample_app.SampleApp:
    """The sample application's state, at rest."""
    return sample_app.build(world.directory / "app")


# The Linux-only tests need strace, mount or /proc; elsewhere they are not even imported.


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    if LINUX or collection_path.suffix != ".py" or not collection_path.name.startswith("test_"):
        return None
    return bool(_LINUX_MODULE.search(collection_path.read_text())) or None


def pytest_sessionstart() -> None:
    """Remove what killed runs of faketime left: it fails where its number was used before."""
    for left in Path("/dev/shm").glob("*faketime_*"):
        if not Path("/proc", left.name.rpartition("_")[2]).exists():
            left.unlink(missing_ok=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if LINUX:
        return
    left_out = [item for item in items if item.get_closest_marker("linux")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("linux")]


def pytest_report_header() -> Sequence[str]:
    if not LINUX:
        return (f"not collected on {sys.platform}: tests marked linux (strace, mount, /proc)",)
    missing = [p for p in ("age", "strace", "sqlite3", "zstd") if not shutil.which(p)]
    return (f"MISSING PROGRAMS: {', '.join(missing)}; run scripts/test",) if missing else ()
