"""What is run and what must hold afterwards: create and restore, each in two situations."""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sample_app import SampleApp

from faultsweep.evidence import Content, content_of, recovered


@dataclass(frozen=True)
class Template:
    """What every trial begins with (a copy of `directory`), and what it must give."""

    directory: Path
    recipient: str
    identity: Path
    archive: str
    state: Content
    old_state_directory: Path
    old_state: Content


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


SCENARIOS: tuple[type[Scenario], ...] = (Create, CreateFile, Restore, RestoreOver)


def _old(template: Template) -> Path:
    return template.directory / "backups" / template.archive
