"""An app called `notes` that is declared in the configuration, and what its runs left behind."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conftest import Keys, World
from sample_app import SampleApp

NOTES = "notes"


def declare(world: World, app: SampleApp, keys: Keys, more: str = "", name: str = NOTES) -> Path:
    """Declare `name`, `more` being further lines of its section; return its destination."""
    out = world.directory / f"out-{name}"
    out.mkdir(exist_ok=True)
    world.config.parent.mkdir(parents=True, exist_ok=True)
    before = world.config.read_text() if world.config.exists() else ""
    head = (
        f"[apps.{name}]\n"
        f"databases = {{ledger = {json.dumps(str(app.ledger))}}}\n"
        f"destination = {json.dumps(str(out))}\n"
        f'recipients = ["{keys.recipient}"]\n'
    )
    world.config.write_text(f"{before}{head}{more}\n")
    return out


def script(world: World, name: str, body: str) -> str:
    """Write a Python program and return the command for it, as the config has it."""
    file = world.directory / f"{name}.py"
    file.write_text(body)
    return json.dumps([sys.executable, "-S", str(file)])


def keeping(world: World, name: str) -> str:
    """Return a command that keeps its stdin as `name`.json, for `told`."""
    body = (
        "import sys\n"
        f"open({str(world.directory / name)!r} + '.json', 'wb').write(sys.stdin.buffer.read())\n"
    )
    return script(world, name, body)


def told(world: World, name: str) -> dict[str, Any] | None:
    """Return the report that the hook `name` was given, if it was called at all."""
    file = world.directory / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else None


def last_run(world: World, name: str = NOTES) -> dict[str, Any]:
    """Return what last-run.json says."""
    file = world.state / "apps" / f"{name}.last-run.json"
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def events(world: World) -> Sequence[dict[str, Any]]:
    """Return what the log holds."""
    file = world.state / "log" / "agebackup.log"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def everything_said(world: World) -> str:
    """Return all that agebackup keeps of its runs, as text: ledger, log, reports."""
    files = [path for path in world.state.rglob("*") if path.is_file()]
    files += world.directory.glob("*.json")
    return "\n".join(path.read_bytes().decode("latin-1") for path in sorted(files))
