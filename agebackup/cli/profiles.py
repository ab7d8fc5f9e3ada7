"""agebackup profiles"""

from typing import TYPE_CHECKING

import click

from agebackup.cli.output import Output
from agebackup.cli.settings import Settings, current, global_options
from agebackup.errors import printable

if TYPE_CHECKING:
    from agebackup.model.knownapp import KnownApp


@click.command("profiles", short_help="The applications that agebackup knows.")
@click.argument("profile", required=False)
@global_options
def command(profile: str | None) -> int:
    """List the applications that can be declared by name, or show one with all it rests on.

    A file PROFILE.toml in the directory `profiles` beside the usual configuration file adds one, or
    takes the place of one that comes with agebackup. `config init NAME --profile PROFILE` declares
    it. Looks for its state in the usual places, but opens nothing there.
    """
    from agebackup.cli.directories import profiles_directory
    from agebackup.cli.profiling import all_known
    from agebackup.config import read_known

    settings = current()
    output = Output(settings, "profiles")
    shown = [read_known(profile, profiles_directory())] if profile else all_known()
    if settings.json:
        output.result("", profiles=[_fields(one, settings) for one in shown])
    elif profile:
        output.result("\n".join(_page(shown[0], settings)))
    else:
        width = max(len(printable(one.name)) for one in shown)
        output.result("\n".join(_line(one, width, settings) for one in shown))
    return 0


def _fields(known: "KnownApp", settings: Settings) -> dict[str, object]:
    from agebackup.cli.profiling import roots_here, this_system
    from agebackup.config import described

    return {
        "name": known.name,
        "title": known.title,
        "summary": known.summary,
        "origin": known.origin or None,
        "places": list(known.roots.get(this_system(), ())),
        "found": [str(root) for root in roots_here(known, settings)],
        "refused": known.refused,
        "instead": known.instead,
        "notes": list(known.notes),
        "optional": list(known.optional),
        "sources": [
            {"project": s.project, "file": s.file, "version": s.version, "tells": s.tells}
            for s in known.sources
        ],
        "declares": described(known),
    }


def _line(known: "KnownApp", width: int, settings: Settings) -> str:
    from agebackup.cli.profiling import roots_here

    line = f"{printable(known.name):<{width}}  {printable(known.title)}: {printable(known.summary)}"
    if known.refused:
        line += " (refused)"
    if known.origin:
        line += f" (from {printable(known.origin)})"
    for root in roots_here(known, settings):
        line += f"\n{'':<{width}}  found in {printable(str(root))}"
    return line


def _page(known: "KnownApp", settings: Settings) -> list[str]:
    from agebackup.cli.profiling import roots_here, this_system
    from agebackup.config import described

    places = known.roots.get(this_system(), ()) or ("none on this system: name it with --root",)
    lines = [f"{known.title}: {known.summary}"]
    lines += [f"This profile is your own: {known.origin}"] if known.origin else []
    lines += ["", "Usual places:", *(f"  {place}" for place in places)]
    lines += [f"  found: {root}" for root in roots_here(known, settings)]
    if known.refused:
        lines += ["", f"Cannot be backed up: {known.refused}", f"  {known.instead}"]
    else:
        lines += ["", "What it declares, below the root:"]
        lines += [f"  {line}".rstrip() for line in described(known).splitlines()]
    if known.optional:
        lines += ["", f"Left out where it is not there: {', '.join(known.optional)}"]
    if known.notes:
        lines += ["", "Good to know:", *(f"  - {note}" for note in known.notes)]
    lines += ["", "Looked up in:"]
    for one in known.sources:
        tells = f": {one.tells}" if one.tells else ""
        lines.append(f"  {one.project}, {one.file} ({one.version}){tells}")
    return [printable(line) for line in lines]
