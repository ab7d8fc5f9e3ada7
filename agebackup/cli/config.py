"""agebackup config"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agebackup.cli.adhoc import HASHES
from agebackup.cli.output import Output
from agebackup.cli.reading import FILE
from agebackup.cli.settings import Group, Settings, current, global_options
from agebackup.errors import AgebackupError, UsageError, printable

if TYPE_CHECKING:
    from agebackup.model.profile import Finding, Profile, Resolution


@click.group("config", cls=Group, short_help="The configuration file.")
@global_options
def command() -> None:
    """Write an example configuration, or check the one there is."""


_many: dict[str, Any] = {"multiple": True, "metavar": "[NAME=]PATH"}


@command.command("init")
@click.argument("app", required=False)
@click.option("--db", "databases", **_many, help="A live SQLite database; repeatable.")
@click.option("--attachments", **_many, help="A directory of files; repeatable.")
@click.option("--app-config", "config_paths", **_many, help="The application's own config.")
@click.option("--app-tokens", "token_paths", **_many, help="The application's tokens.")
@click.option("--to", metavar="DIR|FILE.age", help="Where the archives go.")
@click.option("--mkdir", is_flag=True, help="Make the destination directory, 0700.")
@click.option(
    "-r", "--recipient", "recipients", multiple=True, metavar="KEY|FILE", help="As for create."
)
@click.option(
    "-R", "--recipients-file", "recipients_files", multiple=True, type=FILE, help="As -r, a file."
)
@click.option("--signing-key", type=FILE, help="As for create.")
@click.option("--exclude", "excluded", multiple=True, metavar="GLOB", help="Derived state.")
@click.option("--attachments-named-by", "named_by", type=click.Choice(HASHES), help="As create.")
@click.option("--profile", metavar="PROFILE", help="Declare a known application: see profiles.")
@click.option("--root", metavar="DIR", help="With --profile: where its state lies.")
@click.option("--include-config", is_flag=True, help="With --profile: take its config each time.")
@click.option("--include-tokens", is_flag=True, help="With --profile: take its tokens each time.")
@click.option("--detect", is_flag=True, help="Look for known applications in their usual places.")
@global_options
def init(app: str | None, **options: Any) -> int:
    """Declare APP in the configuration, or without APP write a commented example.

    With APP and the flags of `create`, a section is added at the end of the file, which is made
    where there is none: what stands there stays. It keeps 24 hourly, 7 daily, 4 weekly, 12 monthly,
    all yearly archives and 20 taken by hand: edit that to your liking. Without APP every key is
    shown, none in force, and an existing file is never touched.

    With --profile the application is declared as its profile has it, under the profile's name if
    there is no APP. --detect alone only lists what it finds, with the command for each.
    """
    from agebackup.cli.directories import config_path

    settings = current()
    output = Output(settings, "config-init")
    path = config_path(settings)
    named = {name: options.pop(name) for name in ("profile", "root", "detect")}
    included = [options.pop(f"include_{role}") for role in ("config", "tokens")]
    if any(named.values()) or any(included):
        from agebackup.cli.profiling import Wish, detect, init_profile

        wish = Wish(app, **named, config=included[0], tokens=included[1])
        if wish.looks_only:
            more = any((wish.root, *included, *options.values()))
            return detect(path, output, with_flags=more)
        return init_profile(wish, path, output, options)
    if app is None:
        _write_example(path, output, with_flags=any(options.values()))
    else:
        from agebackup.cli.declaring import declare_app

        declare_app(app, path, settings, options)
        output.say(f"{app} is declared. See: agebackup config check {app}")
    output.result(printable(str(path)), path=str(path), app=app)
    return 0


def _write_example(path: Path, output: Output, *, with_flags: bool) -> None:
    from agebackup.config import write_example

    if with_flags:
        raise UsageError(
            "To declare an app, its name is needed.",
            hint="For example: agebackup config init notes --db notes.db --to backups -r age1...",
        )
    write_example(path)
    output.say("Edit it, then let 'agebackup config check' look at it.")


@command.command("check")
@click.argument("apps", nargs=-1, metavar="[APP]...")
@global_options
def check(apps: tuple[str, ...]) -> int:
    """Say what each app resolves to now, and everything that is wrong.

    Looks at names, places and permissions, but opens no database. Exit code 2 for what would make
    create fail; what a flag still has to supply is only mentioned.
    """
    from agebackup.cli.directories import config_path
    from agebackup.config import load_config

    settings = current()
    output = Output(settings, "config-check")
    config = load_config(config_path(settings), settings.variables)
    profiles = [config.app(name) for name in apps] or list(config.apps)
    found = [checked(profile, settings) for profile in profiles]
    usable = all(resolution.usable for resolution in found)
    if settings.json:
        output.result(
            "",
            status="ok" if usable else "failed",
            exit=0 if usable else 2,
            file=str(config.file),
            apps=[_fields(resolution) for resolution in found],
        )
    else:
        lines = [line for resolution in found for line in _lines(resolution)]
        shown = printable(str(config.file))
        output.result("\n".join([f"{shown}:", *(lines or ["  declares no app"])]))
    return 0 if usable else 2


def checked(profile: "Profile", settings: Settings) -> "Resolution":
    """Return what `profile` resolves to and every finding; its recipients are parsed as well."""
    from dataclasses import replace

    from agebackup.config import check as check_profile
    from agebackup.model.profile import Finding
    from agebackup.snapshot.keys import read_recipients

    resolution = check_profile(profile, search_path=settings.environment.get("PATH", os.defpath))
    if profile.signing_key is not None and not profile.signing_key.is_file():
        absent = f"there is no file {printable(str(profile.signing_key))}"
        hint = "Make one: agebackup keygen --signing -o FILE"
        found = (*resolution.findings, Finding("signing_key", absent, hint))
        resolution = replace(resolution, findings=found)
    known = any(finding.key.startswith("recipients") for finding in resolution.findings)
    if known or not (profile.recipients or profile.recipients_files):
        return resolution
    try:
        read_recipients((), profile.recipients_files, literals=profile.recipients)
    except AgebackupError as error:
        bad = Finding("recipients", error.message, error.hint)
        return replace(resolution, findings=(*resolution.findings, bad))
    return resolution


def _lines(resolution: "Resolution") -> list[str]:
    profile, source = resolution.profile, resolution.source
    lines = [f"  {profile.name}: {'ready' if resolution.usable else 'NOT READY'}"]
    if source is not None:
        lines += [
            f"    database     {printable(one.place)} <- {printable(str(one.path))}"
            for one in source.databases
        ]
        lines += [
            f"    {tree.role:<12} {printable(tree.place)} <- {printable(str(tree.path))}"
            for tree in source.trees
        ]
    if profile.destination is not None:
        lines.append(f"    destination  {printable(str(profile.destination))}")
    lines += [f"    copies to    {printable(place.text)}" for place in profile.remotes]
    if profile.signing_key is not None:
        lines.append(f"    signed with  {printable(str(profile.signing_key))}")
    if profile.provenance is not None:
        lines.append(f"    checkout     {printable(str(profile.provenance.path))}")
    lines += [
        f"    pointers     {printable(one.name)} <- {printable(str(one.path or one.database))}"
        for one in profile.pointers
    ]
    return lines + [f"    {_finding(finding)}" for finding in resolution.findings]


def _finding(finding: "Finding") -> str:
    mark = "WRONG" if finding.fatal else "note"
    key = f"{finding.key}: " if finding.key else ""
    hint = f" ({finding.hint.rstrip('.')})" if finding.hint else ""
    return f"{mark}: {key}{finding.text.rstrip('.')}{hint}."


def _fields(resolution: "Resolution") -> dict[str, object]:
    source, profile = resolution.source, resolution.profile
    return {
        "app": profile.name,
        "usable": resolution.usable,
        "databases": [str(one.path) for one in source.databases] if source else None,
        "trees": [str(one.path) for one in source.trees] if source else None,
        "checkout": str(profile.provenance.path) if profile.provenance else None,
        "pointers": [one.name for one in profile.pointers],
        "findings": [
            {"key": f.key, "text": f.text, "hint": f.hint, "fatal": f.fatal}
            for f in resolution.findings
        ],
    }
