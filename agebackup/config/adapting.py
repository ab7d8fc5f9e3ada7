"""A known application declared: its profile, fitted to what is there, as a section of TOML."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agebackup.config.declaring import Delivery, append, delivered, upkeep
from agebackup.config.known import path_of
from agebackup.config.prescribing import (
    Surroundings,
    fit_restore,
    restore_lines,
    rooted,
    rooted_commands,
)
from agebackup.config.usual import absent
from agebackup.config.writing import key, quoted_path, toml
from agebackup.errors import UsageError, printable
from agebackup.model.knownapp import KnownApp
from agebackup.system.claims import Claims

_SECRETS = ("config", "tokens")
_TABLES = ("databases", "restore")
"""Keys of an app that are written as tables of their own, below all others."""


@dataclass(frozen=True)
class KnownDeclaration(Delivery):
    """An app to declare from a profile.

    `included` are those of "config" and "tokens" that every run is to take. `search_path` is where
    programs are looked for (PATH).
    """

    app: str
    known: KnownApp
    root: Path
    included: tuple[str, ...] = ()
    search_path: str = os.defpath


@dataclass(frozen=True)
class Fitted:
    """The app table of a profile without what is not there, and what that is."""

    app: dict[str, Any]
    left_out: tuple[str, ...] = ()


def declare_known(
    declaration: KnownDeclaration, file: Path, environment: Mapping[str, str], claims: Claims
) -> Fitted:
    """Append the section of `declaration` to the config file `file`; return what it says.

    Raises `UsageError` where the root is no directory, or lacks what the application cannot be
    without; and what `append` raises. After any failure the file is as it was.
    """
    _require_state(declaration)
    fitted = fit(declaration)
    append(declaration.app, known_section(declaration, fitted), file, environment, claims)
    return fitted


def _require_state(declaration: KnownDeclaration) -> None:
    known, root = declaration.known, declaration.root
    shown = printable(str(root))
    if not os.path.isdir(root):
        raise UsageError(
            f"The root {shown} is not a directory.",
            hint="Check the path given with --root, and that its disk is mounted.",
        )
    missing = absent(root, known.required)
    if missing:
        raise UsageError(
            f"{shown} does not hold the state of {known.title}: "
            f"there is no {', '.join(map(printable, missing))}.",
            hint=f"Name its directory with --root. See: agebackup profiles {known.name}.",
        )


def fit(declaration: KnownDeclaration) -> Fitted:
    """Return the app table of the profile without what is optional, or cannot run, and not there.

    Of config and tokens that are to be taken each time, what is absent is left out as well: every
    run would fail for it. Raises `UsageError` where nothing of them is left.
    """
    app = rooted_commands(declaration.known.app, str(declaration.root))
    left_out: list[str] = []

    def stays(path: str, role: str = "") -> bool:
        may_go = path in declaration.known.optional or role in declaration.included
        gone = may_go and not os.path.lexists(declaration.root / path)
        if gone:
            left_out.append(path)
        return not gone

    for name in ("databases", "attachments"):
        if name in app:
            app[name] = _kept(app[name], lambda one: stays(path_of(one)))
    for role in _SECRETS:
        if role in app:
            app[role] = [path for path in app[role] if stays(path, role)]
        if role in declaration.included and not app.get(role):
            raise UsageError(
                f"There are no {role} of {declaration.known.title} in "
                f"{printable(str(declaration.root))} that could be included.",
                hint=f"Leave --include-{role} out.",
            )
    around = Surroundings(declaration.root, declaration.search_path)
    for name in ("version", "provenance"):
        if not _has(name, app.get(name), around):
            left_out.append(name)
            del app[name]
    left_out += fit_restore(app, around)
    return Fitted({name: one for name, one in app.items() if one not in ([], {})}, tuple(left_out))


def _has(name: str, said: Any, around: Surroundings) -> bool:
    """Return whether what the profile says under `name` is there: a program, a file, a checkout."""
    words = said.get("command") if isinstance(said, dict) else said
    if isinstance(words, list):
        return around.can_run(words)
    if not isinstance(said, dict):
        return True
    if name == "provenance":
        return os.path.lexists(around.root / said["checkout"] / ".git")
    return os.path.lexists(around.root / said["file"])


def _kept(parts: Any, stays: Any) -> Any:
    if isinstance(parts, dict):
        return {name: one for name, one in parts.items() if stays(one)}
    return [one for one in parts if stays(one)]


def known_section(declaration: KnownDeclaration, fitted: Fitted) -> str:
    """Return the TOML of `declaration`, whose app table is `fitted`."""
    name = declaration.app
    lines = [
        f"# Declared from the profile {declaration.known.name}: see "
        f"`agebackup profiles {declaration.known.name}`.",
        f"[apps.{name}]",
        f"root = {quoted_path(declaration.root)}",
    ]
    lines += _plain_lines(fitted.app)
    lines += [f"include_{role} = true" for role in _SECRETS if role in declaration.included]
    lines += delivered(declaration)
    suggested = rooted(declaration.known.suggested, str(declaration.root))
    lines += [*upkeep(name), *_table_lines(f"apps.{name}.", fitted.app, suggested)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _plain_lines(app: Mapping[str, Any]) -> list[str]:
    return [f"{one} = {toml(value)}" for one, value in app.items() if one not in _TABLES]


def _table_lines(above: str, app: Mapping[str, Any], suggested: Mapping[str, Any]) -> list[str]:
    """Return the lines of the tables of the app table `app`, each of them below `above`."""
    lines = []
    for name, one in app.get("databases", {}).items():
        table = {"path": one} if isinstance(one, str) else one
        lines.append(f"[{above}databases.{key(name)}]")
        lines += [f"{key(word)} = {toml(value)}" for word, value in table.items()] + [""]
    return [*lines, *restore_lines(above, app.get("restore", {}), suggested)]


def described(known: KnownApp) -> str:
    """Return what the profile `known` declares, as TOML without what only the person can say."""
    lines = [*_plain_lines(known.app), "", *_table_lines("", known.app, known.suggested)]
    return "\n".join(lines).strip("\n")
