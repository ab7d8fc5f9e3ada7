"""JSON.md: whatever a command prints with --json is described there, and nothing else."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import Keys, World
from pyrage import x25519
from sample_app import SampleApp

import agebackup
from agebackup.cli.main import COMMANDS

DOCUMENT = (Path(agebackup.__file__).parent / "JSON.md").read_text()
SECTION = re.compile(r"^## `agebackup/([\w-]+)/v1`", re.MULTILINE)
FREE = {"manifest", "databases", "trees", "versions", "files", "installed", "figures"}
"""What is keyed by names, or described elsewhere."""
BORROWED = {
    "run": ("create",),
    "log": ("log-event", "last-run"),
    "drill": ("drill-receipt",),
}
"""Sections that refer to others."""


def sections() -> dict[str, set[str]]:
    """Return the words in code of each section, by the schema's name; "" is the beginning."""
    parts = ["", *SECTION.split(DOCUMENT)]
    found: dict[str, set[str]] = {}
    for name, text in zip(parts[::2], parts[1::2], strict=True):
        words = {
            word for code in re.findall(r"`([^`]+)`", text) for word in re.findall(r"\w+", code)
        }
        found.setdefault(name, set()).update(words)
    return found


WORDS = sections()


def undescribed(value: Any, words: set[str]) -> set[str]:
    """Return the keys in `value`, at any depth, that are not among `words`."""
    if isinstance(value, list):
        return set().union(*(undescribed(one, words) for one in value))
    if not isinstance(value, dict):
        return set()
    inner = (undescribed(one, words) for key, one in value.items() if key not in FREE)
    return set().union({key for key in value if key not in words}, *inner)


@pytest.fixture
def nightly(world: World, app: SampleApp, keys: Keys) -> World:
    """A machine with a declared app and two archives of it, each with a copy in another folder."""
    done = world.run(
        *("config", "init", "notes", "--db", app.ledger, "--attachments", app.blobs),
        *("--to", "out", "--mkdir", "-r", keys.recipient),
    )
    assert done.code == 0, done.err
    copies = world.directory / "copies"
    copies.mkdir()
    declared = re.compile(r"^destination = (.*)$", re.MULTILINE)
    several = declared.sub(rf'destination = [\1, "{copies}"]', world.config.read_text())
    world.config.write_text(several)
    for tag in ("first", "second"):
        assert world.run("create", "notes", "--tag", tag).code == 0
    return world


NEW_RECIPIENT = str(x25519.Identity.generate().to_public())


def calls(keys: Keys) -> dict[str, tuple[str, ...]]:
    """Return a command line for each schema."""
    key = ("-i", str(keys.identity))
    return {
        "keygen": ("keygen", "-o", "new.txt"),
        "recipient": ("recipient", *key),
        "keycheck": ("keycheck", *key),
        "recovery-sheet": ("recovery-sheet", *key, "-o", "sheet.html"),
        "create": ("create", "notes"),
        "verify": ("verify", "notes:latest", *key),
        "restore": ("restore", "notes:latest", *key, "--target", "restored"),
        "drill": ("drill", "notes", *key),
        "restore-in-place": ("restore", "notes", "--in-place", *key, "--yes"),
        "restore-undo": ("restore", "--undo", "notes", "--yes"),
        "inspect": ("inspect", "notes:latest", *key),
        "ls": ("ls", "notes:latest", *key),
        "drill --report": ("drill", "--report"),
        "list": ("list",),
        "get": ("get", "notes:latest", "-o", "copy.age"),
        "tag": ("tag", "notes:latest", "word"),
        "untag": ("untag", "notes:latest"),
        "keep": ("keep", "notes:latest"),
        "unkeep": ("unkeep", "notes:latest"),
        "rekey": ("rekey", "notes", "--all", *key, "-r", NEW_RECIPIENT, "--yes"),
        "ledger-rekeyed": ("ledger", "rekeyed", "report.json"),
        "push": ("push", "notes"),
        "prune": ("prune", "notes", "--keep-last", "1", "--yes"),
        "delete": ("delete", "notes:latest", "--yes", "--even-last"),
        "clean": ("clean",),
        "audit": ("audit",),
        "status": ("status",),
        "report": ("report", "-o", "report.html"),
        "doctor": ("doctor",),
        "ledger-check": ("ledger", "check"),
        "ledger-path": ("ledger", "path"),
        "ledger-rebuild": ("ledger", "rebuild", "out"),
        "config-init": ("config", "init", "--config", "other.toml"),
        "config-check": ("config", "check"),
        "profiles": ("profiles",),
        "schedule-show": ("schedule", "show"),
        "run": ("run", "notes", "--now"),
        "log": ("log",),
    }


def test_what_a_command_prints_is_described(nightly: World, keys: Keys) -> None:
    """Every field of every command's object has its line in JSON.md."""
    for schema, line in calls(keys).items():
        done = nightly.run("--json", *line)
        printed = json.loads(done.out)
        assert printed["schema"] == f"agebackup/{schema.split()[0]}/v1", done.out
        schema = schema.split()[0]
        words = set().union(*(WORDS[name] for name in ("", schema, *BORROWED.get(schema, ()))))
        assert undescribed(printed, words) == set(), schema
        if schema == "rekey":
            (nightly.directory / "report.json").write_text(done.out)


def test_what_signing_adds_is_described(nightly: World, keys: Keys) -> None:
    """The fields that only signed archives and signing keys have, and a plan's, have lines too."""
    made = json.loads(nightly.run("--json", "keygen", "--signing", "-o", "signing").out)
    assert undescribed(made, WORDS["keygen"] | WORDS[""]) == set()
    (nightly.directory / "signers").write_text(made["signer"] + "\n")
    out = nightly.directory / "signed"
    made = nightly.run("create", "notes", "--signing-key", "signing", "--to", out, "--mkdir")
    for name, line in {
        "create": ("create", "notes", "--signing-key", "signing"),
        "verify": ("verify", made.out.strip(), "-i", keys.identity, "--signers", "signers"),
        "create-again": ("create", "notes", "--signing-key", "signing", "--dry-run"),
    }.items():
        done = nightly.run("--json", *line)
        assert done.code == 0, done.out
        printed = json.loads(done.out)
        assert (
            undescribed(printed, WORDS[name.split("-")[0]] | WORDS["restore"] | WORDS[""]) == set()
        )


def test_last_run_json_is_described(nightly: World) -> None:
    """What monitoring reads has its lines too."""
    (file,) = (nightly.state / "apps").glob("*.last-run.json")
    printed = json.loads(file.read_text())
    assert printed["schema"] == "agebackup/last-run/v1"
    assert undescribed(printed, WORDS["last-run"] | WORDS[""]) == set()


def test_every_command_has_its_section() -> None:
    """No command is missing; `cat` has no object."""
    named = {schema.split("-")[0] for schema in WORDS} | set(WORDS)
    assert set(COMMANDS) - {"cat"} <= named


def failing(words: tuple[str, ...]) -> str:
    """Return the command that `words` ask for, as schemas call it."""
    name, *rest = (word for word in words if word != "--nonsense")
    parts = {schema.partition("-")[2] for schema in WORDS if schema.startswith(f"{name}-")}
    known = name if name in COMMANDS else "agebackup"
    return f"{name}-{rest[0]}" if "--nonsense" not in words and {*rest[:1]} & parts else known


@pytest.mark.parametrize(
    "words",
    [
        ("create", "--db", "absent.db", "--to", "out", "-r", "age1"),
        ("verify", "absent.age", "-i", "absent.txt"),
        ("list", "--to", "absent"),
        ("status", "nothing"),
        ("status", "--watch"),
        ("report",),
        ("report", "nothing", "-o", "report.html"),
        ("prune", "nothing"),
        ("drill",),
        ("drill", "nothing", "-i", "absent.txt"),
        ("nonsense",),
        ("keycheck", "absent.age", "-i", "absent.txt"),
        ("recovery-sheet", "--check", "absent.txt"),
        ("schedule", "install", "notes"),
        ("schedule", "install", "--every"),
        ("schedule", "install", "--kind", "at"),
        ("schedule", "install", "a", "b"),
        ("schedule", "run-now"),
        ("schedule", "remove", "../x"),
        ("schedule", "nonsense"),
        ("config", "check"),
        ("config", "init", "../x"),
        ("config", "init", "--profile", "nothing"),
        ("profiles", "nothing"),
        ("config", "--nonsense", "check"),
        ("ledger", "check"),
        ("ledger", "rebuild"),
        ("ledger", "rekeyed", "absent.json"),
        ("rekey",),
        ("rekey", "absent.age", "-i", "absent.txt", "-r", "age1"),
        ("--nonsense", "schedule", "show"),
    ],
)
def test_a_failure_is_an_object_too(world: World, words: tuple[str, ...]) -> None:
    """Whoever asks for JSON gets JSON, with the exit code, a message, a hint, and the schema of
    the command, its part included where that was understood."""
    done = world.run("--json", *words)
    printed = json.loads(done.out)
    assert printed["schema"] == f"agebackup/{failing(words)}/v1"
    assert printed["status"] == "failed" and printed["exit"] == done.code > 0
    assert printed["error"]["message"] and "hint" in printed["error"]


def test_a_typed_key_is_described(world: World, keys: Keys) -> None:
    """The object of `--check` has its lines too."""
    typed = keys.identity.read_text().split()[-1]
    printed = json.loads(world.run("--json", "recovery-sheet", "--check", stdin=typed).out)
    assert undescribed(printed, WORDS["recovery-sheet"] | WORDS[""]) == set()


def test_a_key_that_does_not_fit_is_described(nightly: World, other_keys: Keys) -> None:
    """What keycheck says of a failure has its lines too."""
    done = nightly.run("--json", "keycheck", "-i", other_keys.identity)
    assert done.code == 12
    assert undescribed(json.loads(done.out), WORDS["keycheck"] | WORDS[""]) == set()


def test_every_code_of_a_finding_is_described() -> None:
    """A program may rely on a code: JSON.md names each that is in the package."""
    package = Path(agebackup.__file__).parent
    found = set()
    for folder in ("cli", "model", "operations"):
        for file in (package / folder).glob("*.py"):
            for call in ast.walk(ast.parse(file.read_text())):
                if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Finding":
                    code = call.args[1] if len(call.args) > 1 else None
                    found |= {code.value} if isinstance(code, ast.Constant) else set()
    assert len(found) > 80 and not {code for code in found if f"`{code}`" not in DOCUMENT}
