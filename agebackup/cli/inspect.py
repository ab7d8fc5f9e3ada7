"""agebackup inspect"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agebackup.cli.choosing import chosen, to_option
from agebackup.cli.console import Console, console
from agebackup.cli.fetching import at_hand
from agebackup.cli.origin import refuse_signers
from agebackup.cli.pointing import pointer_lines
from agebackup.cli.reading import reading, reading_options
from agebackup.cli.settings import IDENTITY_VARIABLE, current, global_options
from agebackup.errors import counted, printable

if TYPE_CHECKING:
    from agebackup.model.manifest import Manifest, ProvenanceRecord
    from agebackup.operations.contents import Outside


@click.command("inspect", short_help="Show what an archive is.")
@click.argument("archive")
@to_option
@reading_options
@global_options
def command(archive: str, to: str | None, **options: Any) -> int:
    """Show what an archive is.

    Without a key: its recipients' types, its size, its date as the name tells it, and whether it
    is whole. With a key: its manifest, after every hash was checked.
    """
    tell = console(current(), "inspect")
    found = chosen(archive, to, tell)
    with at_hand(found, tell) as path:
        return _inspected(path, found.called, options, tell)


def _inspected(path: Path, called: str, options: dict[str, Any], tell: Console) -> int:
    from agebackup.operations.contents import inspect_inside, inspect_outside

    outside = replace(inspect_outside(path), archive=called)
    fields: dict[str, Any] = _outside_fields(outside)
    lines = _outside_lines(outside)
    if options["identities"] or tell.settings.variable(IDENTITY_VARIABLE):
        import msgspec

        inside = inspect_inside(path, reading(tell, options))
        for text in inside.warnings:
            tell.output.warn(text)
        fields["manifest"] = msgspec.to_builtins(inside.manifest)
        fields["origin"] = msgspec.to_builtins(inside.origin)
        lines += _manifest_lines(inside.manifest)
        lines.append(f"origin:      {inside.origin}")
    else:
        refuse_signers(options)
    tell.output.result("\n".join(lines), **fields)
    return 0 if outside.whole else 4


def _outside_fields(outside: "Outside") -> dict[str, Any]:
    return {
        "status": "ok" if outside.whole else "damaged",
        "archive": outside.archive,
        "size": outside.size,
        "recipients": list(outside.recipients),
        "whole": outside.whole,
        "app": outside.name.app if outside.name else None,
        "time": outside.name.time.isoformat() if outside.name else None,
    }


_FORGOTTEN = " (one X25519 may be the proof's, whose key was forgotten)"


def _outside_lines(outside: "Outside") -> list[str]:
    lines = [
        f"archive:     {printable(outside.archive)}",
        f"size:        {outside.size:,} bytes",
        f"recipients:  {', '.join(map(printable, outside.recipients))}{_FORGOTTEN}",
        f"whole:       {'yes, as far as its size tells' if outside.whole else outside.problem}",
    ]
    if outside.name:
        when = f"{outside.name.time:%Y-%m-%d %H:%M:%S} UTC"
        lines.insert(1, f"name says:   {outside.name.app}, {when}")
    return lines


def _manifest_lines(manifest: "Manifest") -> list[str]:
    versions = manifest.versions
    lines = [
        f"made as:     {printable(manifest.archive)}",
        f"app:         {printable(manifest.app)} {printable(versions.app)}".rstrip(),
        f"made by:     agebackup {printable(versions.agebackup)} on {printable(manifest.host)}",
        f"complete:    {'yes' if manifest.complete else 'NO'}",
        f"proof:       {manifest.proof}",
        f"consistency: {manifest.consistency}",
        f"payload:     {counted(manifest.payload_files, 'file')}, {manifest.payload_bytes:,} bytes",
    ]
    if manifest.provenance:
        lines.append(f"checkout:    {_checkout(manifest.provenance)}")
    lines += [
        f"{label}:{' ' * (12 - len(label))}{printable(text)}"
        for label, text in (("tag", manifest.tag), ("note", manifest.note))
        if text
    ]
    for record in manifest.databases:
        rows = sum(record.rows.values())
        lines.append(
            f"database:    {printable(record.path)}: {record.bytes:,} bytes, "
            f"{counted(len(record.rows), 'table')}, {counted(rows, 'row')}, by {record.method}"
        )
    for tree in manifest.trees:
        orphans = f", {counted(tree.orphans, 'orphan')}" if tree.orphans else ""
        lines.append(
            f"{tree.role}:{' ' * max(1, 12 - len(tree.role))}{printable(tree.path)}: "
            f"{counted(tree.files, 'file')}, {tree.bytes:,} bytes{orphans}"
        )
    if manifest.skipped_count:
        lines.append(f"skipped:     {manifest.skipped_count:,} (--json lists them)")
    if manifest.pointers:
        lines.append("elsewhere:   needed, and not in the archive:")
        lines += [f"  {line}" for line in pointer_lines(manifest)]
    return lines


_CHANGES = {
    True: ", with changes that are not committed",
    False: ", unchanged",
    None: ", changed or not",
}


def _checkout(found: "ProvenanceRecord") -> str:
    from agebackup.operations.references import brief

    branch = f" on {brief(found.branch)}" if found.branch else ", on no branch"
    return f"{brief(found.commit)}{branch}{_CHANGES[found.dirty]}"
