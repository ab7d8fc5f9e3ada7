"""agebackup list"""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from agebackup.cli.choosing import Looked, looked_into, to_option
from agebackup.cli.console import Console, console
from agebackup.cli.output import described
from agebackup.cli.scope import known_config, now, places, remote_places
from agebackup.cli.settings import current, global_options
from agebackup.errors import (
    AgebackupError,
    UsageError,
    counted,
    printable,
    shortened,
    worst,
)
from agebackup.model.durations import span_text
from agebackup.model.whereabouts import is_folder_key

if TYPE_CHECKING:
    from agebackup.operations.listing import Listed, Listing


@click.command("list", short_help="List the archives.")
@click.argument("app", required=False)
@to_option
@click.option("--remotes", is_flag=True, help="In the remotes that the configuration names too.")
@global_options
def command(app: str | None, to: str | None, *, remotes: bool) -> int:
    """List the archives of APP, or of every app, newest first.

    In every folder that the configuration declares or the ledger knows, or in --to. For each
    archive: its id, time, kind, size, age, state (proved before it was published, verified since,
    unproved, incomplete, damaged, unknown to the ledger), tag, and which rules of retention keep
    it. What else lies there is listed apart, and a destination that cannot be read is a warning and
    decides the exit code. Only names and sizes are looked at: nothing is opened,
    no key is needed, and a file that is only in the cloud is not downloaded.
    """
    from agebackup.operations.listing import listing

    out = console(current(), "list")
    looked = _looked(app, to, out, remotes=remotes)
    config = known_config(out)
    policies = {one.name: one.retention for one in config.apps if one.retention} if config else {}
    moment = now()
    found = [listing(inventory, app, policies, moment) for inventory in looked.inventories]
    code = worst(failure.code for failure in looked.failures)
    if out.settings.json:
        out.output.result(
            "",
            status="incomplete" if code else "ok",
            exit=code,
            destinations=[_fields(one, looked, moment) for one in found],
            unread=[described(failure) for failure in looked.failures],
        )
    else:
        out.output.result("\n".join(line for one in found for line in _lines(one, moment)))
    return code


def _looked(app: str | None, to: str | None, out: Console, *, remotes: bool) -> Looked:
    if remotes and to is not None:
        raise UsageError(
            "--remotes and --to contradict each other.", hint="--to alone lists that place."
        )
    further = remote_places(app, out) if to is None else ()
    try:
        return looked_into(places(app, to, out) + (further if remotes else ()), out)
    except AgebackupError as error:
        if further and not remotes:
            named = ", ".join(dict.fromkeys(printable(place.to) for place in further))
            error.details += (f"Copies are carried to {named}: see agebackup list --remotes.",)
        raise


def _lines(found: "Listing", moment: datetime) -> list[str]:
    count = counted(len(found.archives), "archive")
    lines = [f"{printable(found.destination)}: {count}"]
    apps = sorted({one.held.name.app for one in found.archives})
    for app in apps:
        lines.append(f"  {app}")
        mine = (one for one in found.archives if one.held.name.app == app)
        lines += [f"    {_line(one, moment)}" for one in mine]
    if found.others:
        lines.append("  other")
        others = [f"{printable(one.entry.name)}: {one.reason}" for one in found.others]
        lines += [f"    {line}" for line in shortened(others)]
    if found.missing:
        lines.append("  MISSING (the ledger knows them, the folder has them not)")
        missing = [printable(one.file_name) for one in found.missing]
        lines += [f"    {line}" for line in shortened(missing)]
    return lines


def _line(one: "Listed", moment: datetime) -> str:
    name, record = one.held.name, one.held.record
    kind = "manual" if name.manual else "auto"
    tag = f"  #{printable(record.tag)}" if record and record.tag else ""
    reasons = ", ".join(map(printable, one.reasons))
    kept = reasons if one.stays else f"the next prune removes it: {reasons}"
    state = one.state.upper() if one.state in ("damaged", "incomplete") else one.state
    return (
        f"{name.id}  {name.time:%Y-%m-%d %H:%M:%S}Z  {kind:<6} {one.held.entry.size:>15,}  "
        f"{span_text(moment - name.time):>8}  {state:<10}{tag}  {kept}"
    )


def _fields(found: "Listing", looked: Looked, moment: datetime) -> dict[str, Any]:
    place = looked.places[found.destination]

    def path(name: str) -> str:
        if is_folder_key(found.destination):
            return f"{found.destination}/{name}"
        return place.called(name)

    return {
        "destination": found.destination,
        "archives": [_archive(one, path, moment) for one in found.archives],
        "others": [
            {
                "name": other.entry.name,
                "kind": other.kind,
                "reason": other.reason,
                "resembles": other.resembles or None,
                "size": other.entry.size,
            }
            for other in found.others
        ],
        "missing": [record.file_name for record in found.missing],
    }


def _archive(one: "Listed", path: Callable[[str], str], moment: datetime) -> dict[str, Any]:
    name, record = one.held.name, one.held.record
    return {
        "name": str(name),
        "path": path(one.held.entry.name),
        "app": name.app,
        "id": name.id,
        "time": name.time.isoformat(),
        "age": int((moment - name.time).total_seconds()),
        "kind": "manual" if name.manual else "auto",
        "size": one.held.entry.size,
        "state": one.state,
        "stays": one.stays,
        "reasons": list(one.reasons),
        "tag": record.tag if record else "",
        "note": record.note if record else "",
        "kept": bool(record and record.kept),
        "sha256": (record.sha256 or None) if record else None,
        "sequence": record.sequence if record else None,
        "checked": record.checked.isoformat() if record and record.checked else None,
    }
