"""What `config check` says of an app: what it resolves to now, and what is wrong with it."""

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from agebackup.config.resolving import resolve
from agebackup.errors import AgebackupError, printable
from agebackup.model.assertions import Program
from agebackup.model.command import Command
from agebackup.model.names import folder_of
from agebackup.model.profile import Finding, Profile, Resolution
from agebackup.model.provenance import VersionFile
from agebackup.model.rules import RestoreRules
from agebackup.model.source import Source
from agebackup.model.whereabouts import CARRIERS
from agebackup.system.checkout import PROGRAM

FILE, DIRECTORY, EITHER = "file", "directory", "file or directory"
_KINDS = {FILE: [stat.S_ISREG], DIRECTORY: [stat.S_ISDIR], EITHER: [stat.S_ISREG, stat.S_ISDIR]}


def check(profile: Profile, *, search_path: str | None = None) -> Resolution:
    """Return what `profile` resolves to, config and tokens included, and every finding at once.

    Looks at files without opening any. `search_path` is where programs are looked for (PATH);
    None leaves those unlooked for that are named without a directory.
    """
    source, findings = _resolved(profile)
    findings += _sources(profile, source)
    findings += _recipients(profile)
    findings += _destination(profile)
    findings += _remotes(profile, search_path)
    findings += _commands(profile, search_path)
    findings += _origin(profile, search_path)
    return Resolution(profile, source, tuple(findings))


def _resolved(profile: Profile) -> tuple[Source | None, list[Finding]]:
    try:
        source = resolve(
            profile, include_config=bool(profile.config), include_tokens=bool(profile.tokens)
        )
    except AgebackupError as error:
        return None, [Finding("", error.message, error.hint)]
    return source, []


def _sources(profile: Profile, source: Source | None) -> Iterator[Finding]:
    if profile.root is not None:
        yield from _looked_at("root", profile.root, DIRECTORY)
    for entry in profile.databases:
        if not entry.pattern:
            key = f"databases.{entry.name}"
            yield from _looked_at(key, entry.path, FILE, empty="is empty: no database")
        elif source is not None:
            prefix = f"{entry.name}-"
            matched = [one for one in source.databases if one.name.startswith(prefix)]
            if not matched:
                yield Finding(
                    f"databases.{entry.name}", "its glob matches nothing yet", fatal=False
                )
    for tree in profile.attachments:
        yield from _looked_at(f"attachments.{tree.name}".rstrip("."), tree.path, DIRECTORY)
    for key, paths, included in (
        ("config", profile.config, profile.include_config),
        ("tokens", profile.tokens, profile.include_tokens),
    ):
        for path in paths:
            for finding in _looked_at(key, path, EITHER):
                if included or os.path.lexists(path):
                    yield finding
                else:  # withheld wherever it appears; only a run that is to take it would fail
                    yield replace(finding, hint=f"create --include-{key} needs it.", fatal=False)


def _recipients(profile: Profile) -> Iterator[Finding]:
    for path in profile.recipients_files:
        yield from _looked_at("recipients_files", path, FILE, empty="is empty")
    if not profile.recipients and not profile.recipients_files:
        yield Finding(
            "recipients",
            "no recipient is declared",
            "create then needs -r, -R or AGEBACKUP_RECIPIENTS_FILE.",
            fatal=False,
        )


def _destination(profile: Profile) -> Iterator[Finding]:
    path = profile.destination
    if path is None:
        yield Finding("destination", "none is declared", "create then needs --to.", fatal=False)
        return
    directory = folder_of(path)
    findings = list(_looked_at("destination", directory, DIRECTORY))
    if not findings and not os.access(directory, os.W_OK | os.X_OK):
        findings = [Finding("destination", f"{_shown(directory)}: this user may not write there")]
    yield from findings
    for tree in profile.attachments:
        if _real(directory).is_relative_to(_real(tree.path)):
            yield Finding(
                "destination",
                f"{_shown(directory)} lies inside {_shown(tree.path)}, which is backed up",
                "Every archive would hold the ones before it: choose a place outside.",
            )


def _remotes(profile: Profile, search_path: str | None) -> Iterator[Finding]:
    """Yield what keeps copies from being carried, as far as this machine alone can tell."""
    for place in profile.remotes:
        program = CARRIERS.get(place.kind)
        if program and search_path is not None and not shutil.which(program, path=search_path):
            yield Finding(
                "destination",
                f"{_shown(place.text)} needs the program {program}, which is not found",
                f"Install {program}, or take that destination out.",
            )


def _commands(profile: Profile, search_path: str | None) -> Iterator[Finding]:
    hooks = profile.watch.hooks
    commands = {
        **{"version": profile.version, "prepare": profile.prepare, "finish": profile.finish},
        "pointer_check": profile.pointer_check,
        **{"hooks.on_success": hooks.on_success, "hooks.on_failure": hooks.on_failure},
        **{
            f"assertions.{one.name}": one.command
            for one in profile.assertions
            if isinstance(one, Program)
        },
        **_restore_commands(profile.restore),
    }
    for key, command in commands.items():
        if not isinstance(command, Command):
            continue
        program = command.argv[0]
        if "/" in program:
            found = shutil.which(os.path.join(profile.base, program)) is not None
        else:
            found = search_path is None or shutil.which(program, path=search_path) is not None
        if not found:
            yield Finding(key, f"there is no program {_shown(program)} that can be run")


def _origin(profile: Profile, search_path: str | None) -> Iterator[Finding]:
    """Yield what is wrong with the files and the checkout that tell of the app.

    Without a version or a checkout archives are made all the same; not so without pointers.
    """
    mild: list[Finding] = []
    if isinstance(profile.version, VersionFile):
        mild += _looked_at("version.file", profile.version.path, FILE)
    if profile.provenance is not None:
        mild += _looked_at("provenance.checkout", profile.provenance.path, DIRECTORY)
        if search_path is not None and shutil.which(PROGRAM, path=search_path) is None:
            mild.append(Finding("provenance", f"there is no program {PROGRAM} to ask"))
    for finding in mild:
        yield replace(finding, hint="It will not be recorded.", fatal=False)
    for one in profile.pointers:
        if one.path is not None:
            yield from _looked_at(f"pointers.{one.name}.file", one.path, FILE)


def _restore_commands(rules: RestoreRules) -> dict[str, Command | None]:
    found = {f"restore.{key}": getattr(rules, key) for key in ("pause", "resume", "running")}
    for key in ("migrate", "rebuild", "check"):
        found |= {f"restore.{key}[{i}]": one for i, one in enumerate(getattr(rules, key))}
    return found | {f"restore.gates.{gate.name}": gate.command for gate in rules.gates}


def _looked_at(key: str, path: Path, wanted: str, *, empty: str = "") -> Iterator[Finding]:
    """Yield why `path` will not do: absent, not what is `wanted`, unreadable, or `empty`."""
    try:
        status = os.stat(path)
    except OSError as error:
        yield Finding(key, f"{_shown(path)}: {error.strerror}")
        return
    if not any(kind(status.st_mode) for kind in _KINDS[wanted]):
        yield Finding(key, f"{_shown(path)} is not a {wanted}")
    elif not os.access(path, os.R_OK):
        yield Finding(key, f"{_shown(path)}: this user may not read it")
    elif empty and not status.st_size:
        yield Finding(key, f"{_shown(path)} {empty}")


def _shown(path: Path | str) -> str:
    return printable(str(path))


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
