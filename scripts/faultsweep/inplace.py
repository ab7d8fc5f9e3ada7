"""restore --in-place as a person calls it, struck at any call, and then the next command."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sample_app import SampleApp

from faultsweep.evidence import Content, content_of
from faultsweep.scenarios import Scenario, Verdict

_CONFIG = """\
[apps.ledger]
attachments = ["{live}/blobs"]
config = ["{live}/app.toml"]
tokens = ["{live}/token"]
recipients = ["{recipient}"]
destination = "{destination}"
[apps.ledger.databases]
"ledger.db" = "{live}/ledger.db"
"events.db" = "{live}/events.db"
"""
_ASIDE = shutil.ignore_patterns("*.pre_restore_*", "*.undone_*", ".~agebackup-*")


class InPlace(Scenario):
    """restore --in-place into an application with an older state; the next command is create."""

    name = "in-place"

    def prepare(self, trial: Path) -> None:
        super().prepare(trial)
        shutil.copytree(self.template.old_state_directory, self.live(trial))
        config = trial / "home" / "config" / "agebackup" / "config.toml"
        config.parent.mkdir(parents=True)
        config.write_text(
            _CONFIG.format(
                live=self.live(trial),
                recipient=self.template.recipient,
                destination=trial / "backups",
            )
        )

    def live(self, trial: Path) -> Path:
        return trial / "live"

    def arguments(self, trial: Path) -> Sequence[str]:
        runs = trial / "runs"
        runs.write_text(runs.read_text() + "." if runs.exists() else ".")
        if runs.read_text() != ".":
            return ("create", "ledger")
        return (
            *("restore", "ledger", "--in-place", "--yes", "-i", str(self.template.identity)),
            *("--at", str(trial / "backups" / self.template.archive)),
        )

    def judge(self, trial: Path, verdict: Verdict) -> list[str]:
        if verdict.killed:
            return []
        old, new, now = self.template.old_state, self.template.state, _content(self.live(trial))
        first = (trial / "runs").read_text() == "."
        found = []
        if now not in (old, new):
            found.append("the application is a mixture")
        if verdict.failed and now != old and first:
            found.append(f"it ended with {verdict.code}, yet the application changed")
        if verdict.succeeded and now != new and first:
            found.append("it ended with 0, yet the application is as before")
        if now == new and _kept(trial, SampleApp.at(self.live(trial))) != old:
            found.append("the state from before is lost")
        return found

    def plaintext_at_home(self, trial: Path) -> Sequence[Path]:
        return (self.live(trial), trial / "app")


def _content(directory: Path) -> Content:
    """Return the content of `directory` without what was put aside."""
    with tempfile.TemporaryDirectory() as made:
        copy = Path(made, "copy")
        shutil.copytree(directory, copy, ignore=_ASIDE)
        return content_of(copy)


def _kept(trial: Path, app: SampleApp) -> Content:
    """Return the content of what was put aside, under the names that it had."""
    with tempfile.TemporaryDirectory() as made:
        for path in app.root.glob("*.pre_restore_*"):
            name, _, rest = path.name.partition(".pre_restore_")
            to = Path(made, name + rest[16:])
            shutil.copytree(path, to) if path.is_dir() else shutil.copy(path, to)
        return content_of(Path(made))
