"""agebackup verify"""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from agebackup.cli.choosing import Chosen, chosen, to_option
from agebackup.cli.console import Console, console
from agebackup.cli.fetching import at_hand
from agebackup.cli.looking import looked_at
from agebackup.cli.origin import refuse_signers
from agebackup.cli.outcomes import Outcomes
from agebackup.cli.reading import reading, reading_options, reading_with, workspace_option
from agebackup.cli.settings import current, global_options
from agebackup.errors import printable

if TYPE_CHECKING:
    from agebackup.model.reports import Verified


@click.command("verify", short_help="Check an archive.")
@click.argument("archives", nargs=-1, required=True, metavar="ARCHIVE|DIR...")
@to_option
@reading_options
@click.option("--quick", is_flag=True, help="Only what needs no key: header and exact size.")
@workspace_option
@global_options
def command(archives: tuple[str, ...], **options: Any) -> int:
    """Check that an archive keeps every promise it makes.

    Decrypts it to its end and checks that the bag is complete, every hash, the manifest, each
    database (integrity, schema, rows) and the attachments that databases name. A directory is
    taken for an extracted bag, which needs no key. Exit code 4 lists every broken promise, 12
    means that no given key opens it, 13 that none of the signers asked for has signed it.
    """
    to = console(current(), "verify")
    check = _checker(to, archives, options)
    outcomes = Outcomes(to)
    for text in archives:
        find = partial(chosen, text, options["to"], to)
        if not outcomes.add(text, partial(_verified, to, check, find)):
            break
    return outcomes.report()


def _checker(
    to: Console, archives: tuple[str, ...], options: Mapping[str, Any]
) -> "Callable[[Chosen], Verified]":
    from agebackup.cli import directories
    from agebackup.operations.verify import verify_archive, verify_extracted, verify_quickly
    from agebackup.snapshot.keys import Identities

    place = options["workspace"]

    def quickly(archive: Chosen) -> "Verified":
        with (
            looked_at(archive, "quick", to) as looking,
            at_hand(archive, to, record=looking.record, workspace=place) as path,
        ):
            return verify_quickly(path)

    if options["quick"]:
        refuse_signers(options)
        return quickly
    if all(os.path.isdir(text) for text in archives):
        how = reading_with(Identities((), ()), to, options)
    else:
        how = reading(to, options)
    private, claims = directories.workspace(place), directories.claims()
    claims.sweep()

    def check(archive: Chosen) -> "Verified":
        if archive.remote is None and archive.file.is_dir():
            return verify_extracted(archive.file, private, claims, how)
        with (
            looked_at(archive, "verify", to) as looking,
            at_hand(archive, to, record=looking.record, workspace=place) as path,
        ):
            verified = verify_archive(path, private, claims, looking.told(how))
            looking.made_as = verified.manifest.archive if verified.manifest else ""
            return verified

    return check


def _verified(
    to: Console, check: "Callable[[Chosen], Verified]", find: Callable[[], Chosen]
) -> tuple[int, dict[str, Any]]:
    archive = find()
    return 0, _told(to, replace(check(archive), archive=archive.called))


def _told(to: Console, verified: "Verified") -> dict[str, Any]:
    import msgspec

    for text in verified.warnings:
        to.output.warn(text)
    if not to.settings.json:
        to.output.result(f"{printable(verified.archive)}: {verified.verdict}")
        checked = ", ".join(verified.checked)
        to.output.say(f"  checked: {checked} ({verified.size:,} bytes, {verified.seconds:.1f} s)")
        if verified.origin is not None:
            to.output.say(f"  {verified.origin}")
    fields: dict[str, Any] = msgspec.to_builtins(verified)
    return {"status": "ok", **fields}
