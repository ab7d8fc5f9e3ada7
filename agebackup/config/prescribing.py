"""What a profile says of commands and restores, fitted to one root and to what is installed."""

import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agebackup.config.writing import key, toml
from agebackup.model.rules import INSTALLED

ROOT_MARK = "{root}"
"""Stands for the app's root in the words of a profile's commands."""
_COMMANDS = ("pause", "resume", "running", "migrate", "rebuild", "check")
_PAIR = {"pause", "resume"}
_TABLES = ("gates", "databases")
_HOLDERS = ("version", "prepare", "finish", "restore")
"""The keys of an app that hold commands."""


def rooted(value: Any, root: str) -> Any:
    """Return `value`, of what TOML files are read to, with `root` for `ROOT_MARK` in its texts."""
    if isinstance(value, str):
        return value.replace(ROOT_MARK, root)
    if isinstance(value, Mapping):
        return {name: rooted(one, root) for name, one in value.items()}
    if isinstance(value, list):
        return [rooted(one, root) for one in value]
    return value


@dataclass(frozen=True)
class Surroundings:
    """Where the commands of an app are looked for: its root, and PATH."""

    root: Path
    search_path: str

    def can_run(self, command: Any) -> bool:
        """Return whether the program of `command`, and what its words name below the root, is here.

        A command is a list of words, a table with `argv`, or a list of these, of which all are
        meant.
        """
        if isinstance(command, Mapping):
            return self.can_run(command["argv"])
        if not all(isinstance(word, str) for word in command):
            return all(map(self.can_run, command))
        above = f"{self.root}/"
        named = [word for word in command if word.startswith(above)]
        program = command[0]
        found = (
            os.access(self.root / program, os.X_OK)
            if "/" in program
            else shutil.which(program, path=self.search_path) is not None
        )
        return found and all(map(os.path.lexists, named))


def rooted_commands(app: Mapping[str, Any], root: str) -> dict[str, Any]:
    """Return the app table `app` with `root` for `ROOT_MARK` in the keys that hold commands."""
    return {name: rooted(one, root) if name in _HOLDERS else one for name, one in app.items()}


def fit_restore(app: dict[str, Any], around: Surroundings) -> tuple[str, ...]:
    """Take out of `restore` of the app table `app`, whose root is written out, what cannot be here.

    That is a command whose program is not here, and what speaks of a database that `app` does not
    declare, or of a version that nothing tells. Returns the keys of the commands taken out.
    """
    rules = dict(app.get("restore", {}))
    gone = {name for name in _COMMANDS if name in rules and not around.can_run(rules[name])}
    if gone & _PAIR:  # one without the other would leave the application as it should not be
        gone |= _PAIR & rules.keys()
    if rules.get("max_app_version") == INSTALLED and "version" not in app:
        del rules["max_app_version"]
    rules["gates"] = dict(rules.get("gates", {}))
    for gate, one in rules["gates"].items():
        if "argv" in one and not around.can_run(one):
            gone.add(f"gates.{gate}")
    app["restore"] = _of_declared(rules, app.get("databases", {}), gone)
    return tuple(f"restore.{name}" for name in sorted(gone))


def _of_declared(
    rules: Mapping[str, Any], databases: Mapping[str, Any], gone: Collection[str]
) -> dict[str, Any]:
    """Return `rules` without `gone`, and without what they say of others than `databases`."""
    kept = {name: one for name, one in rules.items() if name not in gone}
    kept["gates"] = {
        name: one
        for name, one in rules.get("gates", {}).items()
        if f"gates.{name}" not in gone and one.get("database") in (None, *databases)
    }
    kept["databases"] = {
        name: one for name, one in rules.get("databases", {}).items() if name in databases
    }
    return {name: one for name, one in kept.items() if one != {}}


def restore_lines(
    above: str, rules: Mapping[str, Any], suggested: Mapping[str, Any]
) -> Iterator[str]:
    """Yield the TOML of the table `restore` below `above`; `suggested` keys as comments in it."""
    if not rules and not suggested:
        return
    yield f"[{above}restore]"
    yield from (f"{name} = {toml(one)}" for name, one in rules.items() if name not in _TABLES)
    if suggested:
        yield "# To be made fit for this machine before it counts:"
    yield from (f"#{name} = {toml(one)}" for name, one in suggested.items())
    yield ""
    for table in _TABLES:
        for name, one in rules.get(table, {}).items():
            yield f"[{above}restore.{table}.{key(name)}]"
            yield from (f"{word} = {toml(value)}" for word, value in one.items())
            yield ""
