"""`config init --profile` and `--detect`: apps declared from what is known of them."""

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agebackup.cli import directories
from agebackup.cli.declaring import delivery
from agebackup.cli.flags import CreateFlags
from agebackup.cli.output import Output
from agebackup.cli.settings import Settings
from agebackup.config import (
    KnownDeclaration,
    declare_known,
    known_names,
    read_known,
    usual_roots,
)
from agebackup.errors import UsageError, printable
from agebackup.model.knownapp import LINUX, MACOS, KnownApp
from agebackup.model.names import require_app

_SYSTEMS = {"linux": LINUX, "darwin": MACOS}
_SOURCES = {
    "databases": "--db",
    "attachments": "--attachments",
    "config_paths": "--app-config",
    "token_paths": "--app-tokens",
    "excluded": "--exclude",
    "named_by": "--attachments-named-by",
}


@dataclass(frozen=True)
class Wish:
    """What was asked of `config init` about profiles."""

    app: str | None
    profile: str | None
    root: str | None
    detect: bool
    config: bool
    tokens: bool

    @property
    def looks_only(self) -> bool:
        """Whether nothing is to be written."""
        return self.detect and not (self.app or self.profile)


def all_known() -> list[KnownApp]:
    """Return every profile there is, by name."""
    own = directories.profiles_directory()
    return [read_known(name, own) for name in known_names(own)]


def roots_here(known: KnownApp, settings: Settings) -> tuple[Path, ...]:
    """Return where the state of `known` is on this machine, as far as the usual places tell."""
    return usual_roots(known, this_system(), settings.environment)


def this_system() -> str:
    """Return this system as profiles call it."""
    return _SYSTEMS.get(sys.platform, sys.platform)


def detect(file: Path, output: Output, *, with_flags: bool) -> int:
    """List the known applications that are on this machine, with the command for each."""
    if with_flags:
        raise UsageError(
            "--detect alone only looks, so no other flag goes with it.",
            hint="To declare what it finds, name it with --profile.",
        )
    found = [(known, root) for known in all_known() for root in roots_here(known, output.settings)]
    if output.settings.json:
        output.result("", path=str(file), app=None, found=[_fields(*one) for one in found])
    elif found:
        output.result("\n".join(line for one in found for line in _lines(*one)))
    else:
        output.result("No known application was found in its usual places.")
        output.say("A profile takes any place with --root. See: agebackup profiles.")
    return 0


def _fields(known: KnownApp, root: Path) -> dict[str, object]:
    return {
        "profile": known.name,
        "title": known.title,
        "root": str(root),
        "refused": known.refused,
        "command": "" if known.refused else _command(known, root),
    }


def _lines(known: KnownApp, root: Path) -> list[str]:
    head = f"{known.title}: {printable(str(root))}"
    if known.refused:
        return [head, f"  cannot be backed up: {known.refused}"]
    return [head, f"  {printable(_command(known, root))}"]


def _command(known: KnownApp, root: Path) -> str:
    words = ("agebackup", "config", "init", known.name, "--profile", known.name, "--root")
    return f"{shlex.join([*words, str(root)])} --to DIR -r KEY"


def init_profile(wish: Wish, file: Path, output: Output, options: dict[str, Any]) -> int:
    """Declare the app of `wish` in `file` as its profile has it, and say what that means."""
    settings = output.settings
    _refuse_sources(options)
    known = _wanted(wish, settings)
    known.require_possible()
    app = require_app(wish.app or known.name)
    root = _root(wish, known, settings)
    declaration = KnownDeclaration(
        app,
        known,
        root,
        tuple(role for role in ("config", "tokens") if getattr(wish, role)),
        **delivery(app, CreateFlags.of(**options)),
        search_path=settings.environment.get("PATH", os.defpath),
    )
    fitted = declare_known(declaration, file, settings.variables, directories.claims())
    output.say(f"{app} is declared as {known.title}, in {printable(str(root))}.")
    for note in known.notes:
        output.say(f"  - {note}")
    if fitted.left_out:
        output.say(f"  - Not there, so not declared: {printable(', '.join(fitted.left_out))}.")
    if known.suggested:
        names = printable(", ".join(f"restore.{one}" for one in known.suggested))
        output.say(f"  - To be made fit for this machine before it counts, behind a #: {names}.")
    output.say(f"See: agebackup config check {app}")
    output.result(
        printable(str(file)),
        path=str(file),
        app=app,
        profile=known.name,
        root=str(root),
        left_out=list(fitted.left_out),
        notes=list(known.notes),
    )
    return 0


def _refuse_sources(options: dict[str, Any]) -> None:
    given = [flag for name, flag in _SOURCES.items() if options[name]]
    if given:
        raise UsageError(
            f"{given[0]} and a profile exclude each other: the profile says what the app is.",
            hint="Declare it with the profile, then edit its section.",
        )


def _wanted(wish: Wish, settings: Settings) -> KnownApp:
    own = directories.profiles_directory()
    if wish.profile:
        return read_known(wish.profile, own)
    if not wish.detect:
        raise UsageError(
            "--root, --include-config and --include-tokens belong to --profile.",
            hint="Name one with --profile. See: agebackup profiles.",
        )
    found = [one for one in all_known() if not one.refused and roots_here(one, settings)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(one.name for one in found)
    raise UsageError(
        f"Several known applications are here: {names}."
        if found
        else "No known application was found in its usual places.",
        hint="Name one with --profile. See: agebackup config init --detect.",
    )


def _root(wish: Wish, known: KnownApp, settings: Settings) -> Path:
    if wish.root:
        return Path(os.path.abspath(os.path.expanduser(wish.root)))
    roots = roots_here(known, settings)
    if len(roots) == 1:
        return roots[0]
    if roots:
        raise UsageError(
            f"There are several places with the state of {known.title}: "
            f"{', '.join(printable(str(root)) for root in roots)}.",
            hint="Name one of them with --root.",
        )
    usual = known.roots.get(this_system(), ())
    raise UsageError(
        f"{known.title} is in none of its usual places: {', '.join(usual)}."
        if usual
        else f"{known.title} has no usual place on this system.",
        hint="Name the directory that holds its state with --root.",
    )
