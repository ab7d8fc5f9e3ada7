"""What is run and what must hold afterwards: create, restore, prune, delete; more in rekeys.py."""

import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sample_app import SampleApp

from faultsweep.evidence import LEDGER, Content, content_of, recovered


@dataclass(frozen=True)
class Template:
    """What every trial begins with (a copy of `directory`), and what it must give.

    `history_directory` is a world with several archives and the ledger that knows them; `history`
    are their names, oldest first.
    """

    directory: Path
    recipient: str
    identity: Path
    archive: str
    state: Content
    old_state_directory: Path
    old_state: Content
    history_directory: Path
    history: tuple[str, ...]
    new_recipient: str
    new_identity: Path


@dataclass(frozen=True)
class Verdict:
    """How a run ended: `code` as a shell gives it; whether it was killed outright."""

    code: int
    killed: bool

    @property
    def succeeded(self) -> bool:
        return self.code == 0

    @property
    def failed(self) -> bool:
        """Whether it says that nothing was published or changed."""
        return not self.killed and self.code not in (0, 3)


class Scenario(ABC):
    """One command in one situation."""

    name: str

    def __init__(self, template: Template) -> None:
        self.template = template

    def prepare(self, trial: Path) -> None:
        """Make `trial`, the world in which the command is run."""
        shutil.copytree(self.template.directory, trial)
        for name in ("home", "workspace", "tmp"):
            (trial / name).mkdir()

    @abstractmethod
    def arguments(self, trial: Path) -> Sequence[str]:
        """Return the command line, for the first run and for the one that follows."""

    @abstractmethod
    def judge(self, trial: Path, verdict: Verdict) -> list[str]:
        """Return which promises are broken after a run in `trial`, one sentence each."""

    def plaintext_at_home(self, trial: Path) -> Sequence[Path]:
        """Return where plaintext belongs."""
        return (trial / "app", *trial.glob("restored*"))


class Create(Scenario):
    """create into a folder that holds an archive already."""

    name = "create"

    def arguments(self, trial: Path) -> Sequence[str]:
        return (
            *("create", *SampleApp.at(trial / "app").create_arguments),
            *("--to", str(self.destination(trial)), "-r", self.template.recipient),
            *("--workspace", str(trial / "workspace")),
        )

    def destination(self, trial: Path) -> Path:
        return trial / "backups"

    def judge(self, trial: Path, verdict: Verdict) -> list[str]:
        template, folder = self.template, trial / "backups"
        old = folder / template.archive
        archives = sorted(path for path in folder.iterdir() if path.suffix == ".age")
        found = []
        if not old.exists() or old.read_bytes() != _old(template).read_bytes():
            found.append("the archive from before is not as it was")
        new = [path for path in archives if path != old]
        if verdict.succeeded and not new:
            found.append("it ended with 0, yet there is no archive")
        if verdict.failed and new:
            found.append(f"it ended with {verdict.code}, yet {new[-1].name} was published")
        for path in new:
            found += recovered(path, template.identity, template.state)
        return found


class CreateFile(Create):
    """create in place of an archive that is there."""

    name = "create-file"

    def destination(self, trial: Path) -> Path:
        return trial / "backups" / self.template.archive

    def judge(self, trial: Path, verdict: Verdict) -> list[str]:
        archive = self.destination(trial)
        if not archive.exists():
            return ["the archive from before is gone"]
        if archive.read_bytes() != _old(self.template).read_bytes():
            found = recovered(archive, self.template.identity, self.template.state)
            if verdict.failed:
                found.append(f"it ended with {verdict.code}, yet the archive was replaced")
            return found
        return ["it ended with 0, yet nothing was published"] if verdict.succeeded else []


class Restore(Scenario):
    """restore into a directory that is not there."""

    name = "restore"

    def arguments(self, trial: Path) -> Sequence[str]:
        again = ("--overwrite",) if (trial / "restored").exists() else ()
        return (
            *("restore", str(trial / "backups" / self.template.archive)),
            *("-i", str(self.template.identity), "--target", str(trial / "restored"), *again),
        )

    def judge(self, trial: Path, verdict: Verdict) -> list[str]:
        target, found = trial / "restored", []
        before = self.before()
        now = content_of(target) if target.exists() else None
        if verdict.succeeded and now != self.template.state:
            found.append("it ended with 0, yet the target is not the application's state")
        if now not in (before, self.template.state):
            found.append("the target is neither as before nor restored")
        if verdict.failed and now != before:
            found.append(f"it ended with {verdict.code}, yet the target changed")
        kept = {path.name: content_of(path) for path in trial.glob("restored.*")}
        whole = (self.template.old_state, self.template.state)
        found += [f"{name} is a mixture" for name, it in kept.items() if it not in whole]
        if before is not None and before not in (now, *kept.values()):
            found.append("the state from before is lost")
        return found

    def before(self) -> Content | None:
        return None


class RestoreOver(Restore):
    """restore over a directory, which is kept beside the new one."""

    name = "restore-over"

    def prepare(self, trial: Path) -> None:
        super().prepare(trial)
        shutil.copytree(self.template.old_state_directory, trial / "restored")

    def before(self) -> Content | None:
        return self.template.old_state


class Historic(Scenario):
    """A command in a folder with a history, which the ledger knows."""

    def prepare(self, trial: Path) -> None:
        super().prepare(trial)
        history = self.template.history_directory
        for name in ("backups", "home"):
            shutil.rmtree(trial / name)
            shutil.copytree(history / name, trial / name)
        with closing(sqlite3.connect(trial / LEDGER)) as connection:
            moved = (str(trial / "backups"), str(history / "backups"))
            for table, column in (("archives", "destination"), ("destinations", "path")):
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", moved)
            connection.commit()


class Thinning(Historic):
    """A command that removes archives."""

    @abstractmethod
    def removes(self) -> set[str]:
        """Return the names that may go, and after a success have gone."""

    def judge(self, trial: Path, verdict: Verdict) -> list[str]:
        history, folder = self.template.history_directory / "backups", trial / "backups"
        there = {path.name for path in folder.iterdir() if path.suffix == ".age"}
        found = []
        for name in sorted(set(self.template.history) - self.removes() - there):
            found.append(f"{name} should have stayed and is gone")
        for name in sorted(there):
            if (folder / name).read_bytes() != (history / name).read_bytes():
                found.append(f"{name} is not as it was")
        if verdict.succeeded and there & self.removes():
            found.append("it ended with 0, yet an archive is still there")
        return found


class Prune(Thinning):
    """prune of a folder from which three of five archives may go."""

    name = "prune"

    def arguments(self, trial: Path) -> Sequence[str]:
        return (
            *("prune", "ledger", "--to", str(trial / "backups")),
            *("--keep-last", "2", "--yes"),
        )

    def removes(self) -> set[str]:
        return set(self.template.history[:-2])


class Delete(Thinning):
    """delete of the oldest of five archives; once it has gone, a list of the others."""

    name = "delete"

    def arguments(self, trial: Path) -> Sequence[str]:
        oldest = trial / "backups" / self.template.history[0]
        if oldest.exists():
            return ("delete", str(oldest), "--yes")
        return ("prune", "ledger", "--to", str(trial / "backups"), "--keep-last", "9")

    def removes(self) -> set[str]:
        return {self.template.history[0]}


SCENARIOS: tuple[type[Scenario], ...] = (
    Create,
    CreateFile,
    Restore,
    RestoreOver,
    Prune,
    Delete,
)


def _old(template: Template) -> Path:
    return template.directory / "backups" / template.archive
